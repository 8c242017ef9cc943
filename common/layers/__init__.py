"""Blocks of networks, one idea in each file; no input or output."""
