"""Generated input with a known truth."""
