"""What reading a CT gives: voxels in HU, where they lie in the patient, and where they came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from ..errors import InputError
from ..geometry import AxialOrientation, axial_orientation, axis_lengths_mm


@dataclass(frozen=True)
class StoredFile:
    """A file of a folder or a member of an archive.

    Attributes:
        name: last part of its name.
        folder: the folder it lies in, as text; only compared.
        open: a new binary stream; may be called from several threads.
    """

    name: str
    folder: str
    open: Callable[[], BinaryIO]


@dataclass(frozen=True)
class SliceSource:
    """The DICOM instance (and frame) that a slice K came from.

    Attributes:
        frame: index of the frame from 0, None for a single-frame instance.
    """

    file: StoredFile
    sop_class_uid: str
    sop_instance_uid: str
    frame: int | None = None


@dataclass(frozen=True)
class Source:
    """Where a volume came from. Holds no names, dates or other text about the patient.

    Attributes:
        format: "DICOM", "NIfTI" or "NRRD".
        name: name of the file or folder that was given.
        files_count: files that the voxels were read from.
        notes: sentences about what was decided: chosen and left-out series, slices, geometry, values.
        slices: for DICOM the instance of each slice, in the order of K.
        header: for NIfTI the nibabel header, kept for `write_nifti_mask`.
    """

    format: str
    name: str
    files_count: int
    modality: str = "CT"
    study_uid: str | None = None
    series_uid: str | None = None
    series_number: int | None = None
    notes: tuple[str, ...] = ()
    slices: tuple[SliceSource, ...] = ()
    header: Any = None

    def as_record(self) -> dict[str, Any]:
        """Plain values for a JSON record."""
        return {
            "format": self.format,
            "name": self.name,
            "modality": self.modality,
            "files": self.files_count,
            "study_instance_uid": self.study_uid,
            "series_instance_uid": self.series_uid,
            "series_number": self.series_number,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, eq=False)
class AxialView:
    """The same voxels as a radiologist sees axial slices.

    Attributes:
        voxels: (R, C, Z): rows run to the patient's posterior, columns to the left, slices to superior.
        affine_ras_mm: (4, 4), from (r, c, z).
    """

    voxels: np.ndarray
    affine_ras_mm: np.ndarray

    @property
    def spacing_mm(self) -> np.ndarray:
        """Millimetres (3,) between rows, between columns, between slices."""
        return np.linalg.norm(self.affine_ras_mm[:3, :3], axis=0)


@dataclass(frozen=True, eq=False)
class CtVolume:
    """A CT in patient space.

    Attributes:
        voxels_hu: (I, J, K) int16 or float32; K is the slice axis. For DICOM I are columns, J rows.
        affine_ras_mm: (4, 4) float64, ijk to ras_mm (NIfTI's convention). A gantry tilt is a shear in it.
        source: where it came from.
    """

    voxels_hu: np.ndarray
    affine_ras_mm: np.ndarray
    source: Source

    @property
    def shape(self) -> tuple[int, int, int]:
        """(I, J, K)."""
        i, j, k = self.voxels_hu.shape
        return i, j, k

    @property
    def spacing_mm(self) -> np.ndarray:
        """Millimetres (3,) along I, J, K; K at right angles to the slices, so the product is `voxel_mm3`."""
        return axis_lengths_mm(self.affine_ras_mm)

    @property
    def voxel_mm3(self) -> float:
        """Volume of one voxel, gantry tilt included."""
        return float(abs(np.linalg.det(self.affine_ras_mm[:3, :3])))

    @property
    def orientation(self) -> AxialOrientation:
        """Permutation and flips of the axial view."""
        return axial_orientation(self.affine_ras_mm)

    def to_axial(self) -> AxialView:
        """The nearest axial view: axes permuted and flipped, nothing resampled, no copy."""
        turn = self.orientation
        return AxialView(turn.to_axial(self.voxels_hu), turn.affine(self.affine_ras_mm, self.shape))

    def from_axial(self, mask: np.ndarray) -> np.ndarray:
        """A mask (R, C, Z) of `to_axial`'s grid on the grid of `voxels_hu` (I, J, K), a view.

        Raises:
            InputError: the shape is another one.
        """
        turn = self.orientation
        expected = tuple(self.shape[axis] for axis in turn.axes)
        if mask.shape != expected:
            raise InputError(
                f"mask: expected the axial shape {expected}, got {mask.shape}: give a mask of to_axial()"
            )
        return turn.from_axial(mask)
