"""Miniature data sets with the real names become datalists that load, with every pixel in its place."""

from __future__ import annotations

import sys
from pathlib import Path

import highdicom
import nibabel as nib
import nrrd
import numpy as np
import pydicom
import pytest
from phantoms.ct_series import write_ct_series
from PIL import Image
from prepare import datalist
from pydicom.sr.codedict import codes

from ksam.datalist import LabelledSlice, load_datalist

AFFINE = np.diag([-0.8, -0.8, 3.0, 1.0])
SHAPE = (12, 10, 4)


@pytest.fixture(autouse=True)
def _no_venv(monkeypatch):
    monkeypatch.setattr(sys.modules["_venv"], "enter_venv", lambda: None)


@pytest.fixture
def ct() -> np.ndarray:
    return np.random.default_rng(0).integers(-500, 500, SHAPE).astype(np.int16)


@pytest.fixture
def labels() -> np.ndarray:
    """Cortex 1, medulla 2, artery 3, each a box of its own size."""
    values = np.zeros(SHAPE, np.uint8)
    values[2:6, 2:8, 1:3], values[6:8, 2:6, 1:3], values[8:9, 4:5, 2] = 1, 2, 3
    return values


def save(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


def picture(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def run(layout: str, source: Path, *options: str) -> int:
    return datalist.main([layout, str(source), "--output", str(source.parent / "list" / "d.json"), *options])


def read_all(source: Path, part: str = "training") -> dict[str, list[LabelledSlice]]:
    cases = load_datalist(source.parent / "list" / "d.json", part)
    return {case.patient: list(case.slices()) for case in cases}


def count(slices: list[LabelledSlice], name: str) -> int:
    return int(sum(labelled.masks[name].sum() for labelled in slices))


def test_kits23(tmp_path, ct, labels, capsys):
    source = tmp_path / "kits23"
    for number in range(3):
        save(source / "dataset" / f"case_0000{number}" / "imaging.nii.gz", ct + number)
        save(source / "dataset" / f"case_0000{number}" / "segmentation.nii.gz", labels)
    assert run("kits23", source, "--fractions", "0.34,0.33,0.33", "--check") == 0
    assert "training 1 (1 patients), validation 1 (1 patients), test 1" in capsys.readouterr().out
    (slices,) = read_all(source).values()
    assert count(slices, "kidney") == (labels > 0).sum()
    assert count(slices, "tumor") == (labels == 2).sum()
    assert count(slices, "cyst") == 1


def test_kits23_without_segmentation_is_refused(tmp_path, ct, capsys):
    save(tmp_path / "kits23" / "case_00000" / "imaging.nii.gz", ct)
    assert run("kits23", tmp_path / "kits23") == 1
    error = capsys.readouterr().err
    assert (
        error == "error: case_00000: expected segmentation.nii.gz, got no such file: complete the download\n"
    )
    assert not (tmp_path / "list").exists()


def test_totalsegmentator_joins_masks_and_keeps_its_split(tmp_path, ct, labels, capsys):
    source = tmp_path / "Totalsegmentator_dataset_v201"
    for name, shown in (("s0000", labels), ("s0001", labels), ("s0002", labels * 0)):
        save(source / name / "ct.nii.gz", ct)
        save(source / name / "segmentations" / "kidney_right.nii.gz", (shown == 1).astype(np.uint8))
        save(source / name / "segmentations" / "kidney_left.nii.gz", (shown == 2).astype(np.uint8))
    (source / "meta.csv").write_text("image_id;age;split\ns0000;50;train\ns0001;60;test\ns0002;70;val\n")
    assert run("totalsegmentator", source) == 0
    out = capsys.readouterr().out
    assert "training 1 (1 patients), validation 0 (0 patients), test 1" in out
    assert "1 left out: none of the structures" in out
    slices = read_all(source)["s0000"]
    assert count(slices, "kidney_right") == (labels == 1).sum()
    assert count(slices, "kidney_left") == (labels == 2).sum()
    assert set(read_all(source, "test")) == {"s0001"}


@pytest.mark.parametrize(
    ("shape", "affine", "got"),
    [((3, 3, 3), AFFINE, "12x10x4 voxels, got 3x3x3"), (SHAPE, 1.01 * AFFINE, "got voxels at other places")],
)
def test_totalsegmentator_on_another_grid_is_refused(tmp_path, ct, capsys, shape, affine, got):
    source = tmp_path / "total"
    save(source / "s0000" / "ct.nii.gz", ct)
    for side in ("kidney_right", "kidney_left"):
        save(source / "s0000" / "segmentations" / f"{side}.nii.gz", np.ones(shape, np.uint8), affine)
    assert run("totalsegmentator", source, "--fractions", "1,0,0") == 1
    error = capsys.readouterr().err
    assert "kidney_right.nii.gz: expected labels on the grid of the image" in error
    assert got in error


def test_totalsegmentator_masks_with_other_axes_lie_where_they_belong(tmp_path, ct, labels):
    """The same mask stored from the other end of axis 0, with the affine that says so."""
    flip = np.eye(4)
    flip[0, 0], flip[0, 3] = -1, SHAPE[0] - 1
    source = tmp_path / "total"
    save(source / "s0000" / "ct.nii.gz", ct)
    for side, value in (("kidney_right", 1), ("kidney_left", 2)):
        mask = (labels == value)[::-1].astype(np.uint8)
        save(source / "s0000" / "segmentations" / f"{side}.nii.gz", mask, AFFINE @ flip)
    assert run("totalsegmentator", source, "--fractions", "1,0,0") == 0
    (slices,) = read_all(source).values()
    assert np.array_equal(slices[2].masks["kidney_right"], (labels[:, :, 2] == 1).T)


def test_kipa22_is_shifted_to_hu(tmp_path, ct, labels):
    source = tmp_path / "KiPA22"
    save(source / "train" / "image" / "0.nii.gz", (ct + 1024).astype(np.uint16))
    save(source / "train" / "label" / "0.nii.gz", labels)
    assert run("kipa22", source, "--fractions", "1,0,0") == 0
    (slices,) = read_all(source).values()
    assert np.array_equal(slices[2].image, ct[:, :, 2].T)
    assert [count(slices, name) for name in ("renal_vein", "kidney", "artery", "tumor")] == [48, 16, 1, 0]


def test_the_licence_is_the_publishers_or_as_the_user_states_it(tmp_path, ct, labels):
    """Word by word: it stands in every task and in every delta that is made of the data."""
    source = tmp_path / "KiPA22"
    save(source / "train" / "image" / "0.nii.gz", (ct + 1024).astype(np.uint16))
    save(source / "train" / "label" / "0.nii.gz", labels)
    for options, licence in (
        ((), "CC BY-NC-ND by the challenge's rules, which forbid passing the data on"),
        (("--licence", " contract of 2024 "), "contract of 2024"),
    ):
        assert run("kipa22", source, "--fractions", "1,0,0", *options) == 0
        (case,) = load_datalist(tmp_path / "list" / "d.json", "training")
        assert case.header.licence == licence


def test_amos22_leaves_mr_out(tmp_path, ct, labels, capsys):
    source = tmp_path / "amos22"
    for folder, number in (("Tr", "0001"), ("Tr", "0507"), ("Va", "0008")):
        save(source / f"images{folder}" / f"amos_{number}.nii.gz", ct)
        save(source / f"labels{folder}" / f"amos_{number}.nii.gz", labels)
    assert run("amos22", source) == 0
    assert "training 1 (1 patients), validation 1" in capsys.readouterr().out
    slices = read_all(source)["amos_0001"]
    assert count(slices, "kidney_right") == (labels == 2).sum()
    assert count(slices, "kidney_left") == 1
    assert run("amos22", source, "--structures", "heart") == 1
    assert "structures: expected of spleen" in capsys.readouterr().err


def refuge_mask() -> np.ndarray:
    """24 x 20: disc of 8 x 8, cup of 4 x 4 at the corner of the picture's upper left quarter."""
    mask = np.full((24, 20), 255, np.uint8)
    mask[2:10, 4:12], mask[4:8, 6:10] = 128, 0
    return mask


def test_refuge_takes_the_official_parts(tmp_path, capsys):
    source = tmp_path / "REFUGE"
    rgb = np.random.default_rng(1).integers(0, 255, (24, 20, 3)).astype(np.uint8)
    for image, mask in (
        ("Training400/Glaucoma/g0001.jpg", "Annotation-Training400/Disc_Cup_Masks/Glaucoma/g0001.bmp"),
        (
            "Training400/Non-Glaucoma/n0001.jpg",
            "Annotation-Training400/Disc_Cup_Masks/Non-Glaucoma/n0001.bmp",
        ),
        ("REFUGE-Validation400/V0001.jpg", "REFUGE-Validation400-GT/Disc_Cup_Masks/V0001.bmp"),
        ("Test400/T0001.jpg", "REFUGE-Test-GT/Disc_Cup_Masks/G/T0001.bmp"),
    ):
        picture(source / image, rgb)
        picture(source / mask, refuge_mask())
    assert run("refuge", source) == 0
    assert "training 2 (2 patients), validation 1 (1 patients), test 1" in capsys.readouterr().out
    for slices in read_all(source).values():
        assert (count(slices, "disc"), count(slices, "cup")) == (64, 16)
    assert run("refuge", source, "--crop-px", "16", "--split", "random") == 0
    capsys.readouterr()
    slices = next(iter(read_all(source).values()))
    assert slices[0].image.shape == (16, 16, 3)
    assert (count(slices, "disc"), count(slices, "cup")) == (64, 16)
    where = np.argwhere(slices[0].masks["disc"])
    assert where.min(axis=0).tolist() == [4, 4]
    assert where.max(axis=0).tolist() == [11, 11]
    assert (slices[0].image[:2] == 0).all()  # rows above the picture are black


@pytest.mark.parametrize("swapped", [False, True])
def test_refuge_multirater_votes_and_notices_swapped_names(tmp_path, capsys, swapped):
    source = tmp_path / "REFUGE-MultiRater"
    rgb = np.zeros((24, 20, 3), np.uint8)
    for side, name in (("Training-400", "0826"), ("Test-400", "0001")):
        picture(source / side / name / f"{name}.jpg", rgb)
        for rater in range(1, 8):
            disc = (refuge_mask() < 255) * np.uint8(255)
            cup = (refuge_mask() == 0) * np.uint8(255)
            if rater <= 3:
                cup[20:] = 255  # three of seven draw something far away
            if swapped:
                disc, cup = cup, disc
            picture(source / side / name / f"{name}_seg_disc_{rater}.png", disc)
            picture(source / side / name / f"{name}_seg_cup_{rater}.png", cup)
    status = run("refuge_multirater", source)
    if swapped:
        assert status == 1
        assert "expected a cup inside its disc, got a larger one" in capsys.readouterr().err
        return
    slices = read_all(source)["0826"]
    assert (count(slices, "disc"), count(slices, "cup")) == (64, 16)
    assert not (slices[0].masks["cup"] & ~slices[0].masks["disc"]).any()
    assert set(read_all(source, "test")) == {"0001"}


def test_fundus_folder_is_split_by_file(tmp_path, capsys):
    source = tmp_path / "fundus"
    for number in range(5):
        picture(source / "image" / f"g000{number}.jpg", np.full((24, 20, 3), number * 9, np.uint8))
        picture(source / "mask" / f"g000{number}.png", refuge_mask())
    assert run("fundus", source, "--fractions", "0.6,0.2,0.2", "--check") == 0
    out = capsys.readouterr().out
    assert "training 3 (3 patients), validation 1 (1 patients), test 1" in out
    assert "5 slices read; disc 320 px, cup 80 px" in out
    (source / "mask" / "g0000.png").unlink()
    assert run("fundus", source) == 1
    assert "expected a mask of the same name per image, got 1 of 5 without" in capsys.readouterr().err


def test_pairs_name_values_and_find_the_parent(tmp_path):
    source = tmp_path / "pairs"
    mask = np.zeros((24, 20), np.uint8)
    mask[2:10, 2:10], mask[4:6, 4:6], mask[20, 0] = 1, 2, 9
    picture(source / "images" / "a_1.png", np.zeros((24, 20, 3), np.uint8))
    picture(source / "labels" / "a_1.png", mask)
    picture(source / "images" / "a_2.png", np.ones((24, 20, 3), np.uint8))
    picture(source / "labels" / "a_2.png", mask)
    options = ["--labels", "1=disc,2=disc,2=cup", "--background", "0,9", "--fractions", "1,0,0"]
    assert run("pairs", source, *options, "--patient", "^(.)_") == 0
    cases = load_datalist(tmp_path / "list" / "d.json", "training")
    assert [case.patient for case in cases] == ["a", "a"]
    assert {s.name: s.parent for s in cases[0].header.structures} == {"disc": None, "cup": "disc"}
    ((_, masks, _),) = cases[0].slices()
    assert (masks["disc"].sum(), masks["cup"].sum()) == (64, 4)


def write_segments(path: Path, labels: np.ndarray, layered: bool) -> None:
    """As 3D Slicer writes: cropped to the segments, LPS, names and values in the header."""
    part = labels[1:10, 1:9, 1:4]
    lps = np.diag([-1, -1, 1, 1]) @ AFFINE
    header = {
        "space": "left-posterior-superior",
        "space directions": lps[:3, :3].T,
        "space origin": (lps @ [1, 1, 1, 1])[:3],
    }
    names = ["Left renal cortex", "medulla", "Renal Artery", "Tumor"]
    for number, name in enumerate(names):
        header[f"Segment{number}_Name"] = name
        header[f"Segment{number}_LabelValue"] = "1" if layered else str(number + 1)
        header[f"Segment{number}_Layer"] = str(number) if layered else "0"
    if layered:
        part = np.stack([part == value for value in (1, 2, 3, 4)]).astype(np.uint8)
        header["space directions"] = np.vstack([np.full(3, np.nan), header["space directions"]])
        header["kinds"] = ["list", "domain", "domain", "domain"]
    path.parent.mkdir(parents=True, exist_ok=True)
    nrrd.write(str(path), part, header)


@pytest.mark.parametrize("layered", [False, True])
def test_slicer_segmentations_with_names_in_the_header(tmp_path, ct, labels, layered):
    source = tmp_path / "KAS"
    save(source / "patient_01" / "CT.nii.gz", ct)
    write_segments(source / "patient_01" / "Segmentation.seg.nrrd", labels, layered)
    assert run("slicer", source, "--fractions", "1,0,0") == 0
    slices = read_all(source)["patient_01"]
    for value, name in ((1, "cortex"), (2, "medulla"), (3, "artery")):
        assert count(slices, name) == (labels == value).sum()
    assert np.array_equal(slices[2].masks["cortex"], (labels[:, :, 2] == 1).T)
    assert np.array_equal(slices[2].image, ct[:, :, 2].T)


def test_slicer_label_maps_and_two_studies_of_a_patient(tmp_path, ct, labels, capsys):
    source = tmp_path / "KAS"
    for study in ("before", "after"):
        save(source / "patient_01" / study / "ct.nii.gz", ct)
        save(source / "patient_01" / study / "ct-label.nii.gz", labels)
    assert run("slicer", source, "--fractions", "1,0,0") == 1
    assert "expected names for the values of a label map" in capsys.readouterr().err
    options = ["--labels", "1=rind,2=medulla,3=artery", "--rename", "rind=cortex"]
    assert run("slicer", source, "--fractions", "1,0,0", *options) == 0
    assert "training 2 (1 patients)" in capsys.readouterr().out
    split = tmp_path / "split.csv"
    split.write_text("name,part\npatient_01_before_ct-label,train\npatient_01_after_ct-label,test\n")
    assert run("slicer", source, "--split", str(split), *options) == 1
    assert "expected every patient in one part, got 1 in several" in capsys.readouterr().err


def test_slicer_dicom_with_a_dicom_seg(tmp_path, ct, labels):
    source = tmp_path / "KAS"
    affine = np.diag([-0.8, -0.8, 3.0, 1.0])
    folder = source / "patient_01" / "DICOM"
    paths = write_ct_series(folder / "b", ct, affine, seed=1, series_number=5)
    write_ct_series(
        folder / "a", ct, np.diag([-0.9, -0.9, 3.0, 1.0]), seed=1, series_number=2
    )  # read by rule
    slices = [pydicom.dcmread(path) for path in paths]
    described = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=codes.SCT.Kidney,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, name in enumerate(("Cortex", "Medulla", "Artery"), 1)
    ]
    segmentation = highdicom.seg.Segmentation(
        source_images=slices,
        pixel_array=labels.transpose(2, 1, 0),
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=described,
        series_instance_uid=highdicom.UID(),
        series_number=9,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="phantom",
        manufacturer_model_name="phantom",
        software_versions="1",
        device_serial_number="1",
    )
    segmentation.save_as(folder / "seg.dcm")
    assert run("slicer", source, "--fractions", "1,0,0") == 0
    found = read_all(source)["patient_01"]
    for value, name in ((1, "cortex"), (2, "medulla"), (3, "artery")):
        assert count(found, name) == (labels == value).sum()
    assert np.array_equal(found[2].masks["medulla"], (labels[:, :, 2] == 2).T)
    assert np.array_equal(found[2].image, ct[:, :, 2].T)


@pytest.mark.shared_data
def test_real_fundus_crops(tmp_path, shared_data, capsys):
    target = tmp_path / "d.json"
    assert datalist.main(["fundus", str(shared_data / "fundus"), "--output", str(target)]) == 0
    assert "training 112" in capsys.readouterr().out
    ((image, masks, _),) = load_datalist(target, "test")[0].slices()
    assert image.shape == (512, 512, 3)
    assert masks["disc"].sum() > masks["cup"].sum() > 0
