"""The panels of the MedTranslate module."""
