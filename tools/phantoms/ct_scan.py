"""From a patient to a CT: partial volume, blur and noise on the voxel grid of a scan."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from .ct_labels import HIGHEST
from .ct_patient import Patient
from .ct_shapes import Block, Painted

LAYER_MM = 1.7
"""Thickest layer of a slice that is painted on its own; a slice is the mean of its layers."""

_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Scan:
    """How the patient is scanned.

    Attributes:
        affine_lps_mm: (4, 4) from (i, j, k), i along columns; scanner millimetres.
        shape: (I, J, K).
        noise_hu: standard deviation in the middle of the patient.
        blur_mm: standard deviation of the point spread in the plane.
        seed: of the noise.
    """

    affine_lps_mm: np.ndarray
    shape: tuple[int, int, int]
    noise_hu: float
    blur_mm: float
    seed: int

    @property
    def affine_ras_mm(self) -> np.ndarray:
        """(4, 4) in the NIfTI convention."""
        return _TO_RAS @ self.affine_lps_mm

    @property
    def spacing_mm(self) -> np.ndarray:
        """(3,) from voxel to voxel along i, j, k."""
        return np.linalg.norm(self.affine_lps_mm[:3, :3], axis=0)

    @property
    def pixel_mm(self) -> float:
        """In the plane."""
        return float(np.linalg.norm(self.affine_lps_mm[:3, 0]))


@dataclass(frozen=True)
class Images:
    """What a scan gives.

    Attributes:
        voxels_hu: (I, J, K) int16.
        labels: (I, J, K) uint8, see `ct_labels`; the tissue that fills most of a voxel.
        scan: its grid.
    """

    voxels_hu: np.ndarray
    labels: np.ndarray
    scan: Scan


def take_scan(patient: Patient, scan: Scan) -> Images:
    """Paint every slice in thin layers, average them, blur, and add noise."""
    columns, rows, count = scan.shape
    voxels = np.empty((count, rows, columns), np.int16)
    labels = np.empty((count, rows, columns), np.uint8)
    rng = np.random.default_rng([scan.seed, 3])
    texture = rng.normal(size=(count + 4, 24, 24)).astype(np.float32)
    texture = gaussian_filter(texture, (1.2, 0, 0), mode="wrap") * 1.8
    painter = Painter(patient, scan)
    earlier = _white(rng, (rows, columns))
    for k in range(count):
        hu, labels[k], soft = painter.paint_slice(k)
        hu += soft * cv2.resize(texture[k], (columns, rows), interpolation=cv2.INTER_CUBIC) * 3.5
        hu = gaussian_filter(hu, scan.blur_mm / scan.pixel_mm)
        fresh = _white(rng, (rows, columns))
        hu += _noise(0.35 * earlier + 0.94 * fresh, scan.pixel_mm) * scan.noise_hu * painter.dose_map(k)
        voxels[k] = np.clip(np.rint(hu), -1024, 3071)
        earlier = fresh
    return Images(voxels.transpose(2, 1, 0), labels.transpose(2, 1, 0), scan)


class Painter:
    """Paints the slices of one scan of one patient."""

    def __init__(self, patient: Patient, scan: Scan) -> None:
        self.patient, self.scan = patient, scan
        thickness_mm = float(np.linalg.norm(scan.affine_lps_mm[:3, 2]))
        count = max(1, int(np.ceil(thickness_mm / LAYER_MM)))
        self.layers = (np.arange(count) + 0.5) / count - 0.5
        to_body = np.eye(4)
        to_body[:3, :3] = patient.turn.T
        self.to_body = (to_body @ scan.affine_lps_mm).astype(np.float32)
        self.to_index = np.linalg.inv(to_body @ scan.affine_lps_mm)
        self.slack_mm = float(np.abs(patient.sway[:, 0]).sum()) + 2.0
        self.places = [(*self._box(part), part) for part in patient.parts]
        fine = [(low, high) for low, high, part in self.places if part.is_fine]
        self.fine_box = (
            np.min([low[:2] for low, _ in fine], axis=0),
            np.max([high[:2] for _, high in fine], axis=0),
        )

    def _box(self, part: Painted) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest (i, j, k) that a part may touch."""
        center, half = part.bounds()
        middle = (self.to_index @ [*center, 1])[:3]
        reach = np.abs(self.to_index[:3, :3]) @ (half + self.slack_mm)
        size = np.array(self.scan.shape)
        return np.clip(middle - reach, 0, size).astype(int), np.clip(middle + reach + 2, 0, size).astype(int)

    def paint_slice(self, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """HU (rows, columns) without noise, labels, and the share of soft tissue."""
        columns, rows, _ = self.scan.shape
        shape = (1, rows, columns)
        hu = np.full(shape, -1000.0, np.float32)
        labels = np.zeros(shape, np.uint8)
        cavity = np.zeros((rows, columns), np.float32)
        whole = self._block(k, slice(0, rows), slice(0, columns), hu, labels, cavity, np.zeros(1))
        cavity[:] = self.patient.wall.paint(whole)
        self._paint_parts(k, hu, labels, cavity, np.zeros(1), is_fine=False)
        self._paint_fine(k, hu[0], labels[0], cavity)
        return hu[0], labels[0], np.clip((hu[0] + 250) / 200, 0, 1)

    def _paint_fine(self, k: int, hu: np.ndarray, labels: np.ndarray, cavity: np.ndarray) -> None:
        """Kidneys and vessels in thin layers, whose mean replaces the slice there."""
        i, j = (slice(int(low), int(high)) for low, high in zip(*self.fine_box, strict=True))
        count = len(self.layers)
        layered_hu = np.repeat(hu[None, j, i], count, 0)
        layered = np.repeat(labels[None, j, i], count, 0)
        self._paint_parts(k, layered_hu, layered, cavity, self.layers, is_fine=True, start=(i.start, j.start))
        hu[j, i], labels[j, i] = layered_hu.mean(axis=0), _most_common(layered)

    def _paint_parts(
        self,
        k: int,
        hu: np.ndarray,
        labels: np.ndarray,
        cavity: np.ndarray,
        layers: np.ndarray,
        is_fine: bool,
        start: tuple[int, int] = (0, 0),
    ) -> None:
        """Paint what touches the slice; `hu` and `labels` begin at column and row `start`."""
        for low, high, part in self.places:
            if part.is_fine == is_fine and low[2] <= k < high[2] and low[0] < high[0] and low[1] < high[1]:
                i, j = slice(low[0], high[0]), slice(low[1], high[1])
                here = (
                    slice(None),
                    slice(j.start - start[1], j.stop - start[1]),
                    slice(i.start - start[0], i.stop - start[0]),
                )
                part.paint(self._block(k, j, i, hu[here], labels[here], cavity[j, i], layers))

    def _block(
        self,
        k: int,
        j: slice,
        i: slice,
        hu: np.ndarray,
        labels: np.ndarray,
        cavity: np.ndarray,
        layers: np.ndarray,
    ) -> Block:
        at_i = np.arange(i.start, i.stop, dtype=np.float32)
        at_j = np.arange(j.start, j.stop, dtype=np.float32)[:, None]
        at_k = (k + layers).astype(np.float32)[:, None, None]
        x, y, z = (m[0] * at_i + m[1] * at_j + (m[2] * at_k + m[3]) for m in self.to_body[:3])
        x, y = self.patient.bend(x, y, z)
        return Block(x, y, z, hu, labels, cavity, self.scan.pixel_mm)

    def dose_map(self, k: int) -> np.ndarray:
        """Noise relative to the middle of the patient: photons starve there, (rows, columns)."""
        columns, rows, _ = self.scan.shape
        empty = np.zeros((1, 1, 1), np.float32)
        block = self._block(k, slice(0, rows), slice(0, columns), empty, empty, empty[0], np.zeros(1))
        wall = self.patient.wall
        p = block.x[0] / wall.half_mm[0]
        q = (block.y[0] - wall.middle_mm[1]) / wall.half_mm[1]
        return 0.45 + 0.55 * np.exp(-1.2 * (p * p + q * q))


def _most_common(labels: np.ndarray) -> np.ndarray:
    """Per pixel the label of most layers; the lower label where two are equal."""
    if len(labels) == 1:
        return labels[0]
    counts = np.bincount(labels.ravel(), minlength=HIGHEST + 1)
    best = np.zeros(labels.shape[1:], np.uint8)
    most = np.zeros(labels.shape[1:], np.uint8)
    for label in np.flatnonzero(counts):
        votes = (labels == label).sum(axis=0, dtype=np.uint8)
        better = votes > most
        best[better], most[better] = label, votes[better]
    return best


def _white(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32)


def _noise(white: np.ndarray, pixel_mm: float) -> np.ndarray:
    """Noise of filtered back projection with unit variance: a ramp times a soft kernel (cycles per mm)."""
    spectrum = np.fft.rfft2(white)
    f = np.hypot(
        np.fft.fftfreq(white.shape[0], pixel_mm)[:, None], np.fft.rfftfreq(white.shape[1], pixel_mm)[None]
    )
    gain = np.sqrt(f + 0.01) * np.exp(-((f / 0.42) ** 2))
    noise = np.fft.irfft2(spectrum * gain, white.shape).astype(np.float32)
    return noise / max(float(noise.std()), 1e-6)
