"""DINO (Zhang et al. 2022) on a FocalNet (Yang et al. 2022): a detector of regions."""
