"""The nouns: values without behaviour beyond their own consistency."""
