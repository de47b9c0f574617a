"""Protocols that judge bundles on folders of cases."""
