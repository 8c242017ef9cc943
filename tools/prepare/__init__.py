"""Data sets as people download them, made into one datalist."""
