"""How a bundle becomes a zip that needs nothing of this repository: sources, archive, verification."""
