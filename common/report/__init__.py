"""What a person or another program reads: GeoJSON, OME-TIFF, pictures, HTML."""
