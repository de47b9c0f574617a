"""The translation methods: tensors in, tensors out."""
