"""What `tools/map/build.py` puts into an image, and how it has an engine build it."""
