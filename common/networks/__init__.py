"""Architectures, and reading trained ones from files."""
