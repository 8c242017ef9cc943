"""Augmentation: geometry first, then the camera; target and template are augmented apart."""

from __future__ import annotations

import numpy as np

from .camera import Camera, CameraRange, standardise
from .fields import View
from .samples import OVERSAMPLING, Sample, shrink_sample
from .warp import Geometry, GeometryRange

__all__ = [
    "DAY_TO_DAY",
    "Camera",
    "CameraRange",
    "Geometry",
    "GeometryRange",
    "augment_sample",
    "standardise",
]

DAY_TO_DAY = 0.07
"""How much one camera varies from picture to picture, times its strength; see `Camera.vary` (choice)."""


def augment_sample(
    sample: Sample, camera: Camera | None, geometry: GeometryRange | None, rng: np.random.Generator
) -> View:
    """A sample as a camera shows it from another place, at the edge of the sample over `OVERSAMPLING`."""
    size_px = sample.image.shape[0] // OVERSAMPLING
    if geometry is None:
        image, masks = shrink_sample(sample, size_px)
    else:
        image, masks = geometry.sample(rng).apply(sample.image, sample.masks, size_px)
    return View(image if camera is None else camera.apply(image), masks)
