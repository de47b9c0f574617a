"""MedTranslate: traceable translation of medical images between modalities."""

__version__ = "0.1.0"
