"""The results of an evaluation as files that people and programs read."""
