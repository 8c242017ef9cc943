"""Finds the magnification at which a trained classifier should read a slide, then maps the slide."""
