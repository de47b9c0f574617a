"""The pipeline and the process that runs it."""
