"""Networks that more than one method may use."""
