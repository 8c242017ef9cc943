"""Peers of MMBCD for Table 1: one file per family, one way to build, train and score them."""
