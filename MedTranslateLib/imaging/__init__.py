"""What moves the values: reading, resampling, normalising, slicing, writing."""
