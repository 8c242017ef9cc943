"""MMBCD: a mammogram's regions of interest and the clinical history together give a malignancy score."""
