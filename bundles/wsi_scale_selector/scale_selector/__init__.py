"""Finds the magnification at which a trained histology classifier should read a slide, then maps the slide."""
