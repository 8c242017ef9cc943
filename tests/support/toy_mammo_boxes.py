"""Mammograms in memory, for what finds and cuts regions."""

from __future__ import annotations

from io import BytesIO

import numpy as np

from common.io.ct_types import StoredFile
from common.io.mammogram import Mammogram, MammoSource


def build_mammogram(
    pixels: np.ndarray, breast_px: tuple[int, int, int, int] | None = None, name: str = "r_cc.dcm"
) -> Mammogram:
    """A right CC view; by default the breast fills the picture."""
    rows, columns = pixels.shape
    source = MammoSource(StoredFile(name, "", BytesIO), None, "", "1.2.3", "", "", rows, columns)
    return Mammogram(name, pixels.astype(np.float32), "R", "CC", breast_px or (0, 0, rows, columns), source)
