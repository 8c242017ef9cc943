"""DICOM SEG: what was marked in the CT is found again at the same patient millimetres, by others too."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from ct_cases import ORIENTATIONS, edit, write_enhanced, write_series
from dicom_checks import read_without_times

from common.errors import InputError, OutputError
from common.geometry import world_points
from common.io.ct_volume import CtVolume, read_ct
from common.io.dicom_seg_masks import read_dicom_seg
from common.io.nifti import read_nifti, write_nifti_mask
from common.io.nrrd_volume import read_label_nrrd
from common.report import dicom_seg
from common.report.dicom_seg import write_dicom_seg
from common.report.provenance import Algorithm


@dataclass(frozen=True)
class Code:
    scheme: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Structure:
    name: str
    code: Code | None
    color: tuple[int, int, int]


KIDNEY = Structure("kidney", Code("SCT", "64033007", "Kidney"), (240, 228, 66))
CORTEX = Structure("cortex", Code("SCT", "50403003", "Structure of cortex of kidney"), (86, 180, 233))
OTHER = Structure("other", None, (0, 0, 0))
METHOD = Algorithm("KSAM", "1.0", "ab" * 32)


def blobs(shape: tuple[int, int, int]) -> dict[str, np.ndarray]:
    """A structure without symmetry and one inside it."""
    kidney = np.zeros(shape, bool)
    i, j, k = (n // 3 for n in shape)
    kidney[i:-1, j : j + 3, k : k + 3] = True
    kidney[-2, -1, -2] = True
    cortex = kidney.copy()
    cortex[:, :, k + 1] = False
    return {"kidney": kidney, "cortex": cortex}


def write(volume: CtVolume, path: Path, **masks: np.ndarray) -> str:
    found = masks or blobs(volume.shape)
    rows = [row for row in (KIDNEY, CORTEX, OTHER) if row.name in found]
    return write_dicom_seg(found, rows, volume, METHOD, path)


def points_mm(affine: np.ndarray, mask: np.ndarray) -> set[tuple[float, ...]]:
    points = world_points(affine, np.argwhere(mask))
    return {tuple(point) for point in np.round(points, 3) + 0.0}


def frames_by_pydicom(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Segment number and ras_mm points of every frame, from the bare attributes."""
    dataset = pydicom.dcmread(path)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    pixels = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    for frame, group in zip(pixels, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
        row_mm, column_mm = (float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing)
        r, c = np.nonzero(frame)
        lps = position + c[:, None] * column_mm * cosines[:3] + r[:, None] * row_mm * cosines[3:]
        yield int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber), lps * (-1, -1, 1)


def compare(volume: CtVolume, path: Path) -> None:
    """By bare attributes, by highdicom and by our own reader."""
    masks = blobs(volume.shape)
    wanted = {n: points_mm(volume.affine_ras_mm, mask) for n, mask in enumerate(masks.values(), 1)}
    found: dict[int, set[tuple[float, ...]]] = {1: set(), 2: set()}
    for number, points in frames_by_pydicom(path):
        found[number] |= {tuple(point) for point in np.round(points, 3) + 0.0}
    assert found == wanted
    for segment in read_dicom_seg(path, volume):
        np.testing.assert_array_equal(segment.mask, masks[segment.label])


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_round_trip_in_patient_millimetres(tmp_path: Path, orientation: str) -> None:
    write_series(tmp_path / "ct", orientation)
    volume = read_ct(tmp_path / "ct")
    write(volume, tmp_path / "seg.dcm")
    compare(volume, tmp_path / "seg.dcm")
    if orientation == "tilted":
        return  # highdicom's volumes are rectangular
    grid = hd.seg.segread(tmp_path / "seg.dcm").get_volume()
    affine = np.diag([-1, -1, 1, 1]) @ grid.affine
    for n, mask in enumerate(blobs(volume.shape).values()):
        assert points_mm(affine, grid.array[..., n]) == points_mm(volume.affine_ras_mm, mask)


@pytest.mark.parametrize("order", [None, [3, 0, 6, 1, 5, 2, 4]])
def test_round_trip_of_a_multi_frame_ct(tmp_path: Path, order: list[int] | None) -> None:
    path = write_enhanced(tmp_path / "ct.dcm", write_series(tmp_path / "singles"), order)
    volume = read_ct(path)
    write(volume, tmp_path / "seg.dcm")
    compare(volume, tmp_path / "seg.dcm")


def test_round_trip_of_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "ct.zip", "w") as archive:
        for path in write_series(tmp_path / "ct"):
            archive.write(path, path.name)
    volume = read_ct(tmp_path / "ct.zip")
    write(volume, tmp_path / "seg.dcm")
    compare(volume, tmp_path / "seg.dcm")


def test_segments_say_what_they_are(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", series_number=4)
    volume = read_ct(tmp_path / "ct")
    empty = np.zeros(volume.shape, bool)
    uid = write(volume, tmp_path / "seg.dcm", **blobs(volume.shape), other=empty)
    dataset = pydicom.dcmread(tmp_path / "seg.dcm")
    source = pydicom.dcmread(tmp_path / "ct" / "0001.dcm")
    assert uid == dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID
    assert dataset.file_meta.TransferSyntaxUID.name == "Explicit VR Little Endian"
    assert (dataset.SegmentationType, dataset.SegmentsOverlap, dataset.Modality) == ("BINARY", "YES", "SEG")
    assert dataset.StudyInstanceUID == source.StudyInstanceUID
    assert dataset.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert dataset.PatientID == source.PatientID
    assert (dataset.SeriesNumber, dataset.Manufacturer) == (9000, "clinical-monai-bundles")
    assert (dataset.ManufacturerModelName, dataset.SoftwareVersions) == ("KSAM", "1.0")
    assert dataset.DeviceSerialNumber == "ab" * 8
    kidney, cortex, other = dataset.SegmentSequence
    assert kidney.SegmentedPropertyTypeCodeSequence[0].CodeValue == "64033007"
    assert cortex.SegmentLabel == "cortex" and cortex.SegmentAlgorithmType == "AUTOMATIC"
    assert (
        cortex.SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters
        == f"weights_sha256={'ab' * 32}"
    )
    assert other.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Anatomical Structure"
    assert (cortex.SegmentDescription, other.SegmentDescription) == (
        "automatic",
        "automatic; nothing was found",
    )
    purposes = [
        row.PurposeOfReferenceCodeSequence[0].CodeMeaning for row in dataset.ContributingEquipmentSequence
    ]
    assert "Processing Equipment" in purposes and "Acquisition Equipment" in purposes
    red, green, blue = hd.color.CIELabColor.from_dicom_value(kidney.RecommendedDisplayCIELabValue).to_rgb()
    np.testing.assert_allclose((red, green, blue), KIDNEY.color, atol=2)


def test_frames_refer_to_their_source_slices(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", "feet first")
    volume = read_ct(tmp_path / "ct")
    write(volume, tmp_path / "seg.dcm")
    positions = {
        one.SOPInstanceUID: one.ImagePositionPatient
        for one in (pydicom.dcmread(path) for path in (tmp_path / "ct").iterdir())
    }
    dataset = pydicom.dcmread(tmp_path / "seg.dcm")
    for group in dataset.PerFrameFunctionalGroupsSequence:
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        assert (
            group.PlanePositionSequence[0].ImagePositionPatient == positions[source.ReferencedSOPInstanceUID]
        )
    series = dataset.ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == volume.source.series_uid


def test_the_same_again_is_the_same_instance(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    volume = read_ct(tmp_path / "ct")
    first = write(volume, tmp_path / "a.dcm")
    assert write(read_ct(tmp_path / "ct"), tmp_path / "b.dcm") == first
    assert read_without_times(tmp_path / "a.dcm") == read_without_times(tmp_path / "b.dcm")
    changed = blobs(volume.shape)
    changed["cortex"][0, 0, 0] = True
    assert write(volume, tmp_path / "c.dcm", **changed) != first
    newer = Algorithm("KSAM", "1.1", METHOD.weights_sha256)
    assert write_dicom_seg(blobs(volume.shape), [KIDNEY, CORTEX], volume, newer, tmp_path / "d.dcm") != first
    series = [pydicom.dcmread(tmp_path / f"{name}.dcm").SeriesInstanceUID for name in "abcd"]
    assert series[0] == series[1] == series[2] != series[3]


@pytest.mark.parametrize("enhanced", [False, True])
def test_an_empty_result_is_a_valid_object(tmp_path: Path, enhanced: bool) -> None:
    singles = write_series(tmp_path / "ct")
    volume = read_ct(write_enhanced(tmp_path / "ct.dcm", singles) if enhanced else tmp_path / "ct")
    write(volume, tmp_path / "seg.dcm", kidney=np.zeros(volume.shape, bool))
    dataset = pydicom.dcmread(tmp_path / "seg.dcm")
    assert dataset.ContentDescription == "Automatic segmentation: nothing was found"
    assert dataset.pixel_array.sum() == 0
    assert not read_dicom_seg(tmp_path / "seg.dcm", volume)[0].mask.any()


def test_blanked_headers_are_completed(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "ct")

    def blank(dataset: pydicom.Dataset, _: int) -> None:
        for keyword in ("PatientID", "StudyID", "FrameOfReferenceUID", "ReferringPhysicianName"):
            delattr(dataset, keyword)
        dataset.StudyDate, dataset.PatientSex, dataset.SpecificCharacterSet = "ANON", "X", ""

    edit(paths, blank)
    volume = read_ct(tmp_path / "ct")
    write(volume, tmp_path / "seg.dcm")
    compare(volume, tmp_path / "seg.dcm")


def test_names_keep_their_letters(tmp_path: Path) -> None:
    def rename(dataset: pydicom.Dataset, _: int) -> None:
        dataset.SpecificCharacterSet = "ISO_IR 100"
        dataset.PatientName = "M\u00fcller^J\u00fcrgen"

    edit(write_series(tmp_path / "ct"), rename)
    write(read_ct(tmp_path / "ct"), tmp_path / "seg.dcm")
    assert str(pydicom.dcmread(tmp_path / "seg.dcm").PatientName) == "M\u00fcller^J\u00fcrgen"


def test_headers_that_cannot_be_built_upon_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise ValueError("no")

    write_series(tmp_path / "ct")
    monkeypatch.setattr(dicom_seg, "Segmentation", refuse)
    with pytest.raises(
        InputError, match=r"ct: expected headers that a DICOM SEG can follow, got broken ones: use"
    ):
        write(read_ct(tmp_path / "ct"), tmp_path / "seg.dcm")


def test_masks_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    volume = read_ct(tmp_path / "ct")
    masks = blobs(volume.shape)
    with pytest.raises(
        InputError, match=r"masks: expected one for each of \['kidney'\], got \['cortex', 'kidney'\]"
    ):
        write_dicom_seg(masks, [KIDNEY], volume, METHOD, tmp_path / "seg.dcm")
    axial = {"kidney": masks["kidney"].transpose(1, 0, 2)}
    with pytest.raises(
        InputError, match=r"masks: expected the shape \(14, 11, 7\) of the CT, got \(11, 14, 7\) for"
    ):
        write_dicom_seg(axial, [KIDNEY], volume, METHOD, tmp_path / "seg.dcm")
    assert not (tmp_path / "seg.dcm").exists()


def test_a_ct_that_is_not_dicom_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    volume = read_ct(tmp_path / "ct")
    labels = np.where(volume.voxels_hu > 300, 60000, 0)
    write_nifti_mask(labels, volume, tmp_path / "a.nii.gz")
    other = CtVolume(volume.voxels_hu, volume.affine_ras_mm, read_nifti_source(tmp_path, volume))
    with pytest.raises(
        InputError, match=r"expected a CT from DICOM for a DICOM SEG, got NIfTI: use NIfTI output"
    ):
        write(other, tmp_path / "seg.dcm")


def read_nifti_source(folder: Path, volume: CtVolume):
    import nibabel as nib

    nib.save(nib.Nifti1Image(volume.voxels_hu, volume.affine_ras_mm), folder / "ct.nii.gz")
    return read_nifti(folder / "ct.nii.gz").source


def test_source_files_that_are_gone_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    volume = read_ct(tmp_path / "ct")
    shutil.rmtree(tmp_path / "ct")
    with pytest.raises(InputError, match=r"expected the CT's file to be still there, got none: keep it"):
        write(volume, tmp_path / "seg.dcm")


def test_several_multi_frame_files_are_refused(tmp_path: Path) -> None:
    singles = write_series(tmp_path / "singles")
    (tmp_path / "ct").mkdir()
    for name, part in (("a", singles[:3]), ("b", singles[3:])):
        path = write_enhanced(tmp_path / "ct" / f"{name}.dcm", part)
        edit([path], lambda d, _, name=name: setattr(d, "SOPInstanceUID", f"1.2.3.{ord(name)}"))
    volume = read_ct(tmp_path / "ct")
    assert volume.shape == (14, 11, 7)
    with pytest.raises(
        InputError, match=r"expected one multi-frame file for a DICOM SEG, got several: use NIfTI"
    ):
        write(volume, tmp_path / "seg.dcm")


def test_a_miscount_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path / "ct")
    volume = read_ct(tmp_path / "ct")
    planes = dicom_seg._planes
    monkeypatch.setattr(dicom_seg, "_planes", lambda *given: planes(*given) & (np.arange(14)[:, None] > 9))
    with pytest.raises(
        OutputError, match=r"seg\.dcm: expected \d+ pixels in the DICOM SEG, got \d+: report this"
    ):
        write(volume, tmp_path / "seg.dcm")
    assert not (tmp_path / "seg.dcm").exists()


@pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is not installed"
)
@pytest.mark.parametrize("kind", ["axial", "oblique", "enhanced", "empty"])
def test_an_independent_validator_finds_no_error(tmp_path: Path, kind: str) -> None:
    singles = write_series(tmp_path / "ct", "oblique" if kind == "oblique" else "axial")
    volume = read_ct(write_enhanced(tmp_path / "ct.dcm", singles) if kind == "enhanced" else tmp_path / "ct")
    masks = blobs(volume.shape) | {"other": np.zeros(volume.shape, bool)}
    write(volume, tmp_path / "seg.dcm", **({"other": masks["other"]} if kind == "empty" else masks))
    result = subprocess.run(["dciodvfy", tmp_path / "seg.dcm"], capture_output=True, text=True, check=False)
    errors = [line for line in (result.stdout + result.stderr).splitlines() if line.startswith("Error")]
    assert errors == []


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["siemens", "dcmqi/ct-3slice"])
def test_real_series_carry_a_seg(shared_data: Path, tmp_path: Path, name: str) -> None:
    volume = read_ct(shared_data / "ct_dicom" / name)
    write(volume, tmp_path / "seg.dcm")
    compare(volume, tmp_path / "seg.dcm")


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("seg", "nrrds"),
    [
        ("liver.dcm", ["liver_seg.nrrd"]),
        (
            "partial_overlaps.dcm",
            ["partial_overlaps-1.nrrd", "partial_overlaps-2.nrrd", "partial_overlaps-3.nrrd"],
        ),
    ],
)
def test_real_segs_equal_their_label_maps(shared_data: Path, seg: str, nrrds: list[str]) -> None:
    """dcmqi wrote each SEG from these NRRDs; here both are laid on the CT by their own millimetres."""
    folder = shared_data / "ct_dicom" / "dcmqi"
    volume = read_ct(folder / "ct-3slice")
    segments = read_dicom_seg(folder / seg, volume)
    layers = [on_grid(folder / name, volume) for name in nrrds]
    from_nrrd = [layer == value for layer in layers for value in np.unique(layer) if value]
    assert len(segments) == len(from_nrrd) > 0
    for segment in segments:
        assert segment.mask.any() and segment.code is not None
        assert any(np.array_equal(segment.mask, mask) for mask in from_nrrd)


def on_grid(path: Path, volume: CtVolume) -> np.ndarray:
    labels, affine = read_label_nrrd(path)
    result = np.zeros(volume.shape, labels.dtype)
    where = np.argwhere(labels)
    ijk = world_points(np.linalg.inv(volume.affine_ras_mm) @ affine, where)
    assert np.abs(ijk - np.rint(ijk)).max() < 0.01
    result[tuple(np.rint(ijk).astype(int).T)] = labels[tuple(where.T)]
    return result
