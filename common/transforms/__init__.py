"""Pure functions on pictures, one idea per file."""
