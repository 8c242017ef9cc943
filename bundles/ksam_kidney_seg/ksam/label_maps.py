"""Label maps as files (NIfTI, NRRD, plain pictures) and how they are laid onto the grid of their image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from common.errors import InputError
from common.io.nifti import as_labels, is_nifti, read_label_nifti
from common.io.nrrd_volume import is_nrrd, read_label_nrrd

GRID_TOLERANCE_VOXELS = 0.1
"""Choice: largest distance of a label voxel from its image voxel; header rounding stays far below it."""

PICTURE_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif")
"""JPEG changes values along every edge: what is not 0 would be more than was drawn."""


@dataclass(frozen=True)
class LabelMap:
    """Whole-number labels.

    Attributes:
        values: uint8 or uint16, (I, J, K) of a volume or (H, W) of a picture.
        affine_ras_mm: (4, 4) voxel index -> patient millimetres (RAS); None for a picture.
        name: file name, for messages.
    """

    values: np.ndarray
    affine_ras_mm: np.ndarray | None
    name: str

    def on_grid(
        self, affine_ras_mm: np.ndarray, shape: tuple[int, ...], may_be_part: bool = False
    ) -> np.ndarray:
        """Labels on another grid of the same voxels: axes permuted, flipped or shifted, never resampled.

        Args:
            affine_ras_mm: (4, 4) of the image.
            shape: (I, J, K) of the image.
            may_be_part: accept a map that covers only part of the image (Slicer crops to the segments); the
                rest is 0.

        Returns:
            Labels (I, J, K) of the image.

        Raises:
            InputError: the voxels do not coincide with the image's, or do not cover it.
        """
        if self.affine_ras_mm is None:
            raise InputError(
                f"{self.name}: expected a volume of labels for a volume, got a picture: use NIfTI or NRRD"
            )
        to_label = np.linalg.inv(self.affine_ras_mm) @ affine_ras_mm
        rounded = np.rint(to_label)
        corners = np.stack([*np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij"), np.ones((2, 2, 2))])
        distance = np.abs(np.tensordot(to_label - rounded, corners, 1)).max()
        if distance > GRID_TOLERANCE_VOXELS or abs(round(float(np.linalg.det(rounded[:3, :3])))) != 1:
            raise InputError(
                f"{self.name}: expected labels on the grid of the image, got voxels at other places or of "
                "another size: resample the labels onto the image (nearest neighbour)"
            )
        return self._take(rounded.astype(int), shape, may_be_part)

    def _take(self, to_label: np.ndarray, shape: tuple[int, ...], may_be_part: bool) -> np.ndarray:
        axes = np.abs(to_label[:3, :3]).argmax(axis=0)
        values = self.values.transpose(axes)
        places = [
            to_label[axis, i] * np.arange(n) + to_label[axis, 3]
            for i, (axis, n) in enumerate(zip(axes, shape, strict=True))
        ]
        inside = [(place >= 0) & (place < n) for place, n in zip(places, values.shape, strict=True)]
        if not may_be_part and (values.shape != tuple(shape) or not all(part.all() for part in inside)):
            raise InputError(
                f"{self.name}: expected labels on the grid of the image, {_size(shape)} voxels, got "
                f"{_size(values.shape)} or a shifted box: resample the labels onto the image"
            )
        result = np.zeros(shape, values.dtype)
        taken = values[np.ix_(*[place[part] for place, part in zip(places, inside, strict=True)])]
        result[np.ix_(*inside)] = taken
        return result


def read_label_map(path: Path) -> LabelMap:
    """A label map from a file: NIfTI, NRRD (one layer), or a picture of grey values or palette indices.

    Raises:
        InputError: missing, damaged, not a label map, or values that are not whole numbers from 0.
    """
    if not path.is_file():
        raise InputError(f"{path.name}: expected a label map, got no such file: correct the path")
    if is_nifti(path):
        return LabelMap(*read_label_nifti(path), path.name)
    if is_nrrd(path):
        return LabelMap(*read_label_nrrd(path), path.name)
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise InputError(
            f"{path.name}: expected NIfTI, NRRD or a lossless picture ({', '.join(PICTURE_SUFFIXES)}) of "
            f"labels, got '{path.suffix}': save the labels in one of these"
        )
    try:
        with Image.open(path) as image:
            pixels = np.array(image)
    except Exception as error:  # decoders raise anything on damaged data
        raise InputError(
            f"{path.name}: expected an intact label map, got data that cannot be decoded: copy the file again"
        ) from error
    return LabelMap(_without_colours(pixels, path.name), None, path.name)


def _without_colours(pixels: np.ndarray, name: str) -> np.ndarray:
    """(H, W, channels) with equal channels as (H, W); a second or fourth channel is transparency."""
    if pixels.ndim == 3:
        colours = pixels.shape[2] - (pixels.shape[2] in (2, 4))
        if not (pixels[..., :colours] == pixels[..., :1]).all():
            raise InputError(
                f"{name}: expected a grey or palette picture of labels, got colours: "
                "save the mask with one value per structure"
            )
        pixels = pixels[..., 0]
    return as_labels(pixels, name)


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(str(n) for n in shape)
