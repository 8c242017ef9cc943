"""Stored values of a mammogram as they are meant to be displayed, 0..1.

The order is DICOM's (PS3.3 C.11): modality LUT or rescale, VOI LUT, else the window, then the inversion;
padding is dark whatever these say. All of it acts on single values, so it is worked out once for each stored
value (at most 65,536), and the picture is one look-up.
"""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi

from ..errors import InputError
from .ct_types import StoredFile
from .dicom_header import damaged, values_of
from .dicom_stored import check_decoders, decode_frame, padding_ends, read_dataset, require_pixels
from .mammo_header import flatten_groups
from .pictures import MAX_PLAIN_PX

MIN_SIDE_PX = 64
"""Pictures with a shorter side are icons."""

RANGE_PERCENT = (0.05, 99.95)
"""Without a window, what lies between these percentiles becomes 0..1: hot pixels do not count (choice)."""

RANGE_NOTE = "The header states no window: the range of the values was used."


def read_pixels(file: StoredFile) -> tuple[np.ndarray, tuple[str, ...]]:
    """Decode a picture. Returns (H, W) float32 0..1, dense tissue bright; and notes.

    Raises:
        InputError: no pixels, no decoder, damaged, too large or too small, or without contrast.
    """
    dataset = read_dataset(file)
    check_decoders([str(dataset.file_meta.TransferSyntaxUID)])
    try:
        rows, columns = int(dataset.Rows), int(dataset.Columns)
        check_picture_size(rows, columns, file.name)
        require_pixels(dataset, file.name)
        stored = decode_frame(dataset, 0, rows, columns)
        return display(stored, flatten_groups(dataset), file.name)
    except InputError:
        raise
    except Exception as error:  # decoders raise anything on damaged data
        raise InputError(damaged(file.name)) from error


def check_picture_size(rows: int, columns: int, name: str) -> None:
    """Raises InputError: fewer than `MIN_SIDE_PX` on a side, or more than `MAX_PLAIN_PX` in all."""
    if min(rows, columns) < MIN_SIDE_PX or rows * columns > MAX_PLAIN_PX:
        raise InputError(
            f"{name}: expected {MIN_SIDE_PX} pixels a side to {MAX_PLAIN_PX} in all, got {rows}x{columns}: "
            "export the picture in full size"
        )


def display(stored: np.ndarray, header: Dataset, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Stored values (H, W) of at most 16 bits as float32 0..1, and notes.

    Raises:
        InputError: every pixel has the same value, or values of more than 16 bits.
    """
    low, high = int(stored.min()), int(stored.max())
    if low == high or high - low > 65535:
        what = "one value everywhere" if low == high else "values of more than 16 bits"
        raise InputError(f"{name}: expected a picture, got {what}: export the original")
    values = np.arange(low, high + 1, dtype=np.int32)
    padding = _padding(values, header)
    table, notes = _table(values, header, stored[::4, ::4], padding)
    table[padding] = 0
    return np.take(table, stored.astype(np.int32) - low, mode="clip"), notes  # the quickest mode


def _padding(values: np.ndarray, header: Dataset) -> np.ndarray:
    """Which values are padding."""
    ends = padding_ends(header)
    return np.zeros(len(values), bool) if ends is None else (values >= ends[0]) & (values <= ends[1])


def _table(
    values: np.ndarray, header: Dataset, sample: np.ndarray, padding: np.ndarray
) -> tuple[np.ndarray, tuple[str, ...]]:
    """What each of `values` becomes, float32 0..1, and notes."""
    modality = np.asarray(apply_modality_lut(values, header))
    notes: tuple[str, ...] = ()
    if header.get("VOILUTSequence"):
        shown = _scaled(apply_voi(np.rint(modality).astype(np.int32), header, index=0))
    elif (window := read_window(header)) is not None:
        shown = apply_window(modality, *window)
    else:
        seen = sample[~padding[sample.astype(np.int32) - int(values[0])]]
        ends = np.percentile(seen if seen.size else sample, RANGE_PERCENT)
        first, last = np.interp(ends, values, modality)
        shown, notes = (modality - first) / ((last - first) or 1.0), (RANGE_NOTE,)
    shown = np.clip(shown, 0, 1)
    return (1 - shown if is_inverted(header) else shown).astype(np.float32), notes


def is_inverted(header: Dataset) -> bool:
    """Low values are bright: MONOCHROME1, or PresentationLUTShape INVERSE (both together count once)."""
    return (
        header.get("PhotometricInterpretation") == "MONOCHROME1"
        or header.get("PresentationLUTShape") == "INVERSE"
    )


def read_window(header: Dataset) -> tuple[float, float, str] | None:
    """Centre, width and VOILUTFunction of the first window; None without one that can be used."""
    centre, width = (values_of(header.get(keyword))[:1] for keyword in ("WindowCenter", "WindowWidth"))
    function = str(header.get("VOILUTFunction") or "LINEAR").upper()
    if not centre or not width or float(width[0]) < (1 if function == "LINEAR" else 1e-9):
        return None
    return float(centre[0]), float(width[0]), function


def apply_window(values: np.ndarray, centre: float, width: float, function: str) -> np.ndarray:
    """Values as 0..1 (before clipping for the linear ones), PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -80, 80)))
    if function == "LINEAR_EXACT":
        return (values - centre) / width + 0.5
    return (values - (centre - 0.5)) / max(width - 1, 1e-9) + 0.5


def _scaled(looked_up: np.ndarray) -> np.ndarray:
    """Output of a VOI LUT over the bits in use: descriptors that state too many are common."""
    full = (1 << int(looked_up.max()).bit_length()) - 1
    return looked_up / (full or 1)
