"""Blinded reader studies: a design in, sealed key, sessions, answers and their analysis out."""
