"""How a phantom is scanned: field of view, spacing, dose, and the geometry of the grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.errors import ConfigError

from .ct_patient import Patient
from .ct_scan import Scan
from .ct_shapes import rotation

GEOMETRIES = ("axial", "flipped", "oblique", "tilted")
SLICES_MM = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
REGIONS = ("kidneys", "abdomen")
MIN_MATRIX, MAX_MATRIX = 32, 1024
MARGIN_MM = 12.0


@dataclass(frozen=True)
class Protocol:
    """What a site chooses.

    Attributes:
        matrix: pixels along a side of a slice.
        slices_mm: distances of slices; one is drawn for each patient.
        region: "kidneys" with a margin, or the whole "abdomen" (300 mm).
        geometry: "axial"; "flipped" (rows to anterior, columns to the right, slices downwards); "oblique"
            (the stack is turned); "tilted" (a gantry tilt: slices are turned, the couch moves straight).
        noise_hu: lowest and highest noise of slices of 3 mm.
    """

    matrix: int = 512
    slices_mm: tuple[float, ...] = SLICES_MM
    region: str = "kidneys"
    geometry: str = "axial"
    noise_hu: tuple[float, float] = (7.0, 15.0)

    def __post_init__(self) -> None:
        if not MIN_MATRIX <= self.matrix <= MAX_MATRIX:
            raise ConfigError(
                f"matrix: expected {MIN_MATRIX} to {MAX_MATRIX} pixels, got {self.matrix}: 512 is usual"
            )
        if not self.slices_mm or not all(0.5 <= mm <= 10 for mm in self.slices_mm):
            raise ConfigError(f"slice-mm: expected 0.5 to 10 mm, got {self.slices_mm}: 1 to 5 is usual")
        if self.region not in REGIONS:
            raise ConfigError(f"region: expected {' or '.join(REGIONS)}, got '{self.region}': choose one")
        if self.geometry not in GEOMETRIES:
            raise ConfigError(f"geometry: expected one of {', '.join(GEOMETRIES)}, got '{self.geometry}'")


def plan_scan(patient: Patient, protocol: Protocol, seed: int) -> Scan:
    """Field of view around the patient (0.7-1.0 mm pixels at 512), slices over the region, their noise."""
    rng = np.random.default_rng([seed, 4])
    slice_mm = float(rng.choice(protocol.slices_mm))
    pixel_512_mm = np.clip(patient.wall.half_mm[0] * 2 * rng.uniform(1.04, 1.2) / 512, 0.7, 1.0)
    pixel_mm = float(np.round(pixel_512_mm, 4)) * 512 / protocol.matrix
    low, high = patient.kidney_range_mm() if protocol.region == "kidneys" else (-150.0, 150.0)
    count = int(np.ceil((high - low + 2 * MARGIN_MM) / slice_mm))
    axes = _axes(protocol.geometry, rng)
    affine = np.eye(4)
    affine[:3, :3] = axes * [pixel_mm, pixel_mm, slice_mm]
    middle = patient.turn @ np.add(patient.wall.middle_mm, [0, 0, (low + high) / 2])
    jitter = rng.normal(0, 6, 3) * [1, 1, 0]
    half = (np.array([protocol.matrix, protocol.matrix, count]) - 1) / 2
    affine[:3, 3] = middle + jitter - affine[:3, :3] @ half
    noise = rng.uniform(*protocol.noise_hu) * np.sqrt(3 / slice_mm)
    return Scan(
        affine, (protocol.matrix, protocol.matrix, count), min(noise, 28.0), rng.uniform(0.35, 0.7), seed
    )


def _axes(geometry: str, rng: np.random.Generator) -> np.ndarray:
    """Directions of columns, rows and slices in scanner axes (LPS), as the columns of (3, 3)."""
    if geometry == "flipped":
        return np.diag([-1.0, -1.0, -1.0])
    if geometry == "oblique":
        return (
            rotation(0, rng.uniform(8, 16))
            @ rotation(1, rng.uniform(-12, 12))
            @ rotation(2, rng.uniform(-8, 8))
        )
    if geometry == "tilted":
        axes = rotation(0, rng.choice([-1, 1]) * rng.uniform(8, 20))
        axes[:, 2] = [0, 0, 1]
        return axes
    return np.eye(3)
