"""dcmqi, which shares no code with us or with highdicom, reads KSAM's SEG and SR: left stays left.

dcmqi is fetched once into `.cache/dcmqi` by pip; its programs are C++ on DCMTK and ITK.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from ct_cases import write_enhanced, write_series
from vendor_habits import STRUCTURES, ct_record

from common.io.ct_volume import read_ct
from common.io.nifti import write_nifti_mask
from ksam.dicom_outputs import write_dicom

PIN = "dcmqi==1.5.7"
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "dcmqi"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dcmqi() -> Path:
    """The folder of dcmqi's programs."""
    programs = CACHE / "dcmqi" / "bin"
    if not programs.is_dir():
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(CACHE), PIN]
        subprocess.run(command, check=True)
    return programs


def write_case(folder: Path, orientation: str, enhanced: bool = False) -> tuple[Path, np.ndarray]:
    """Both objects of a CT, and its label map as NIfTI; the structures lie in the patient's left half."""
    singles = write_series(folder / "ct", orientation)
    volume = read_ct(write_enhanced(folder / "ct.dcm", singles) if enhanced else folder / "ct")
    axial = np.zeros(volume.to_axial().voxels.shape, np.uint8)
    columns = axial.shape[1]
    axial[1:4, columns // 2 + 1 : columns - 1, 2:5] = 1  # columns run to the patient's left
    axial[4, columns - 2, 2:4] = 2
    labels = volume.from_axial(axial)
    write_nifti_mask(labels, volume, folder / "labels.nii.gz")
    write_dicom("case", ct_record(labels, volume.voxel_mm3), labels, STRUCTURES, volume, folder)
    return folder, volume.affine_ras_mm


def points_ras_mm(path: Path, value: int) -> set[tuple[float, ...]]:
    """Centres of the voxels with a value, by nibabel alone."""
    image = nib.load(path)
    voxels = np.argwhere(np.asarray(image.dataobj) == value)
    found = voxels @ image.affine[:3, :3].T + image.affine[:3, 3]
    return {tuple(point) for point in np.round(found, 2) + 0.0}


CASES = [
    *((name, False) for name in ("axial", "coronal", "oblique", "flipped", "feet first")),
    ("axial", True),
]


@pytest.mark.parametrize(("orientation", "enhanced"), CASES)
def test_left_stays_left(dcmqi: Path, tmp_path: Path, orientation: str, enhanced: bool):
    folder, affine = write_case(tmp_path, orientation, enhanced)
    (folder / "out").mkdir()
    command = [dcmqi / "segimage2itkimage", "--inputDICOM", folder / "dicom" / "case_seg.dcm"]
    command += ["--outputDirectory", folder / "out", "-t", "nii"]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    shape = nib.load(folder / "labels.nii.gz").shape
    middle_mm = float((affine @ [*((n - 1) / 2 for n in shape), 1])[0])
    for number in (1, 2):
        found = points_ras_mm(next((folder / "out").glob(f"*{number}.nii*")), number)
        assert found == points_ras_mm(folder / "labels.nii.gz", number) and found
        if orientation != "oblique":
            assert max(x for x, _, _ in found) < middle_mm  # +x is the patient's right


def test_segments_have_their_names_and_codes(dcmqi: Path, tmp_path: Path):
    folder, _ = write_case(tmp_path, "axial")
    (folder / "out").mkdir()
    command = [dcmqi / "segimage2itkimage", "--inputDICOM", folder / "dicom" / "case_seg.dcm"]
    subprocess.run([*map(str, command), "--outputDirectory", str(folder / "out")], check=True)
    (meta,) = (folder / "out").glob("*meta.json")
    rows = [part for group in json.loads(meta.read_text())["segmentAttributes"] for part in group]
    names = {row["labelID"]: row["SegmentedPropertyTypeCodeSequence"]["CodeValue"] for row in rows}
    assert (names[1], names[2]) == ("50403003", "30737000")


def test_the_report_has_the_volumes(dcmqi: Path, tmp_path: Path):
    """In millilitres, with the segment that each belongs to."""
    folder, _ = write_case(tmp_path, "axial")
    command = [dcmqi / "tid1500reader", "--inputDICOM", folder / "dicom" / "case_sr.dcm"]
    subprocess.run([*map(str, command), "--outputMetadata", str(folder / "sr.json")], check=True)
    groups = json.loads((folder / "sr.json").read_text())["Measurements"]
    voxels = {n: len(points_ras_mm(folder / "labels.nii.gz", n)) for n in (1, 2)}
    for number in (1, 2):
        (group,) = [row for row in groups if row["ReferencedSegment"] == number]
        volume = group["measurementItems"][0]
        assert volume["quantity"]["CodeMeaning"] == "Volume" and volume["units"]["CodeValue"] == "mL"
        voxel_mm3 = 0.7 * 0.9 * 2.5
        assert float(volume["value"]) == pytest.approx(voxels[number] * voxel_mm3 / 1000, abs=6e-4)
