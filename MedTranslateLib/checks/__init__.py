"""What is asked before a run: does the image fit the bundle, and does the run fit the memory? No torch."""
