"""Bundles: a trained model with its card. Standard library only."""
