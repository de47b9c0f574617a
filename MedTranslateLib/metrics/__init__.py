"""Numbers that compare images and fields."""
