"""Habits of makers of mammography systems: tone, noise, how pixels are stored and where the header says what.

The makers are invented; each habit is one that real files have, and that a reader has to cope with.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

TOP = 4095  # of 12 bits
AIR = 0.01
"""Signal that is still shown as black."""


@dataclass(frozen=True)
class Vendor:
    """What one maker does.

    Attributes:
        name: Manufacturer.
        model: ManufacturerModelName.
        gain: of the display for signal 1, before gamma.
        gamma: of the tone curve; below 1 the thin border of the breast is lifted.
        sharpen: weight of unsharp masking with 0.4 mm.
        noise: standard deviation of the display at 0.1 mm pixels.
        inverted: stored as MONOCHROME1.
        voi: "window", "sigmoid", "lut", "windows" (several) or "none".
        side_in: "ImageLaterality" (0020,0062) or "Laterality" (0020,0060).
        view_in: "code" (ViewCodeSequence), "position" (ViewPosition) or "both".
        history_in: keyword of the history, "request" (inside RequestAttributesSequence) or "file".
        spacing_in: spacing keywords.
        padding: the air is PixelPaddingValue.
        marker: letters for side and view are in the picture.
        implicit: Implicit VR Little Endian where nothing is compressed.
    """

    name: str
    model: str
    gain: float
    gamma: float
    sharpen: float
    noise: float
    inverted: bool
    voi: str
    side_in: str
    view_in: str
    history_in: str
    spacing_in: tuple[str, ...]
    padding: bool
    marker: bool
    implicit: bool = False


_IMAGER, _BOTH = ("ImagerPixelSpacing",), ("ImagerPixelSpacing", "PixelSpacing")
VENDORS = (
    Vendor(
        "Phantom North", "N-2", 1.1, 0.85, 0.5, 0.014, False,
        "window", "ImageLaterality", "both", "AdditionalPatientHistory", _BOTH, False, True,
    ),
    Vendor(
        "Phantom East", "E100", 1.05, 1.15, 0.3, 0.012, True,
        "lut", "ImageLaterality", "position", "request", _IMAGER, False, True,
    ),
    Vendor(
        "Phantom South", "S Tomo", 1.0, 0.8, 0.2, 0.017, False,
        "sigmoid", "Laterality", "code", "ReasonForStudy", _IMAGER, True, False,
    ),
    Vendor(
        "Phantom West", "W-CR", 1.15, 1.35, 0.1, 0.02, True,
        "windows", "ImageLaterality", "code", "PatientComments", _BOTH, True, True,
    ),
    Vendor(
        "Phantom Isle", "I1", 1.0, 1.0, 0.4, 0.015, False,
        "none", "ImageLaterality", "both", "file", _IMAGER, False, False, True,
    ),
)  # fmt: skip


def develop(signal: np.ndarray, vendor: Vendor, pixel_mm: float, rng: np.random.Generator) -> np.ndarray:
    """What the maker's station shows, 0..1 float32 (changes `signal`).

    Args:
        signal: (rows, columns) float32 of `take_view`.
        vendor: its tone and noise.
        pixel_mm: larger pixels have less noise.
        rng: of the noise and of the exposure.
    """
    signal *= np.float32(vendor.gain * rng.uniform(0.95, 1.05))
    shown = cv2.pow(np.clip(signal, 0, None, out=signal), vendor.gamma)
    if vendor.sharpen:
        soft = cv2.GaussianBlur(shown, (0, 0), max(0.4 / pixel_mm, 0.5))
        shown = cv2.addWeighted(shown, 1 + vendor.sharpen, soft, -vendor.sharpen, 0)
    strength = vendor.noise * min(0.1 / pixel_mm, 1.6) * rng.uniform(0.8, 1.25) + 0.002
    grain = np.asarray(rng.standard_normal(shown.shape, dtype=np.float32))
    if pixel_mm < 0.2:
        grain = cv2.GaussianBlur(grain, (0, 0), 0.6) * np.float32(1.9)
    grain *= np.float32(strength)
    grain *= signal > AIR
    return np.clip(shown + grain, 0, 1, out=shown)


def stamp(shown: np.ndarray, text: str, left_edge: bool) -> None:
    """Letters near the top, at the left edge or the right one (the one without the chest wall)."""
    rows, columns = shown.shape
    scale = rows / 900
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, max(1, round(2 * scale)))
    area = np.zeros((2 * height, width + 2), np.uint8)
    cv2.putText(
        area, text, (1, round(1.5 * height)), cv2.FONT_HERSHEY_SIMPLEX, scale, 235,
        max(1, round(2 * scale)), cv2.LINE_AA,
    )  # fmt: skip
    top, margin = round(0.03 * rows), round(0.03 * columns)
    left = margin if left_edge else columns - width - 2 - margin
    place = shown[top : top + 2 * height, left : left + width + 2]
    np.maximum(place, area.astype(np.float32) / 255, out=place)


@dataclass(frozen=True)
class Voi:
    """How stored values become a picture: the elements to write, and the stored values themselves.

    Attributes:
        stored: (rows, columns) uint16, 0..4095.
        windows: pairs of center and width.
        function: VOILUTFunction.
        table: VOI LUT of stored value -> 0..4095, None without.
    """

    stored: np.ndarray
    windows: tuple[tuple[float, float], ...] = ()
    function: str | None = None
    table: np.ndarray | None = None


def store(shown: np.ndarray, vendor: Vendor) -> Voi:
    """Stored values which the maker's VOI, and the inversion of MONOCHROME1 after it, turn into `shown`."""
    target = 1 - shown if vendor.inverted else shown
    if vendor.voi in ("window", "windows"):
        center, width = (2047.0, 3200.0) if vendor.voi == "window" else (1800.0, 2900.0)
        windows = ((center, width), (center - 150, width * 0.8), (center + 150, width * 1.2))
        stored = center - 0.5 + (target - 0.5) * np.float32(width - 1)
        return Voi(_whole(stored), windows if vendor.voi == "windows" else windows[:1])
    if vendor.voi == "sigmoid":
        center, width = 2047.0, 1500.0
        inner = np.clip(target, 0.005, 0.995)
        return Voi(
            _whole(center + np.float32(width / 4) * np.log(inner / (1 - inner))),
            ((center, width),),
            "SIGMOID",
        )
    if vendor.voi == "lut":
        table = np.rint(TOP * (np.arange(TOP + 1) / TOP) ** 1.5).astype(np.uint16)
        return Voi(_whole(TOP * cv2.pow(target, 1 / 1.5)), table=table)
    return Voi(_whole(TOP * target))


def _whole(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, TOP).astype(np.uint16)
