"""A datalist gives slices with masks, and refuses what would spoil a training in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from common.errors import ConfigError, InputError
from ksam.datalist import load_datalist

DISC = {"name": "disc", "values": [1, 2]}
CUP = {"name": "cup", "values": [2], "parent": "disc"}
WINDOW = {"center_hu": 40, "width_hu": 400}


def write(folder: Path, **changes: Any) -> Path:
    """A datalist of one picture per part, with changes."""
    for index in range(3):
        picture = np.full((6, 8, 3), 10 * index, np.uint8)
        label = np.zeros((6, 8), np.uint8)
        label[1:4, 2:6], label[2, 3] = 1, 2
        Image.fromarray(picture).save(folder / f"{index}.png")
        Image.fromarray(label).save(folder / f"{index}_label.png")
    entries = [{"image": f"{i}.png", "label": f"{i}_label.png", "patient": f"p{i}"} for i in range(3)]
    content = {"name": "toy", "modality": "picture", "licence": "generated", "structures": [DISC, CUP]}
    content |= dict(zip(("training", "validation", "test"), [[entry] for entry in entries], strict=True))
    return write_json(folder, content | changes)


def write_json(folder: Path, content: Any) -> Path:
    path = folder / "list.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def write_volume(folder: Path, voxels: np.ndarray, labels: np.ndarray, affine: np.ndarray) -> Path:
    """A datalist of one CT volume; labels on the grid of the image unless changed afterwards."""
    nib.save(nib.Nifti1Image(voxels, affine), folder / "ct.nii.gz")
    nib.save(nib.Nifti1Image(labels, affine), folder / "label.nii.gz")
    case = {"image": "ct.nii.gz", "label": "label.nii.gz", "patient": "p"}
    kidney = {"name": "kidney", "values": [3]}
    content = {"modality": "CT", "structures": [kidney], "window": WINDOW, "training": [case]}
    return write_json(folder, content)


def volume_arrays() -> tuple[np.ndarray, np.ndarray]:
    """(I, J, K) = (5, 4, 3): HU that names each voxel, one label voxel at (0, 3, 2)."""
    voxels = np.arange(-30, 30, dtype=np.int16).reshape(5, 4, 3) * 20
    labels = np.zeros((5, 4, 3), np.uint8)
    labels[0, 3, 2] = 3
    return voxels, labels


def test_pictures_give_nested_masks(tmp_path):
    (case,) = load_datalist(write(tmp_path), "validation")
    ((image, masks, position),) = case.slices()
    assert (case.patient, case.header.modality, case.header.window_hu) == ("p1", "picture", None)
    assert image.shape == (6, 8, 3)
    assert image.dtype == np.uint8
    assert (image == 10).all()
    assert position == 0.5
    assert (masks["disc"].sum(), masks["cup"].sum()) == (12, 1)
    assert masks["cup"][2, 3]
    assert masks["disc"][2, 3]


def test_values_are_named_as_the_masks_have_them(tmp_path):
    """REFUGE crops: 0 is the cup, 128 the rim, 255 the background."""
    structures = [{"name": "disc", "values": [0, 128]}, {"name": "cup", "values": [0], "parent": "disc"}]
    path = write(tmp_path, structures=structures, background=[255])
    label = np.full((6, 8), 255, np.uint8)
    label[1:5, 1:5], label[2, 2] = 128, 0
    Image.fromarray(label).save(tmp_path / "0_label.png")
    ((_, masks, _),) = load_datalist(path, "training")[0].slices()
    assert (masks["disc"].sum(), masks["cup"].sum()) == (16, 1)


@pytest.mark.parametrize("signs", [(1, 1), (-1, 1), (-1, -1)])
def test_volume_slices_stand_as_a_radiologist_sees_them(tmp_path, signs):
    voxels, labels = volume_arrays()
    affine = np.diag([0.8 * signs[0], 0.8 * signs[1], 3.0, 1.0])
    (case,) = load_datalist(write_volume(tmp_path, voxels, labels, affine), "training")
    slices = list(case.slices())
    assert [s.position for s in slices] == [0, 0.5, 1]
    expected = voxels[:: -signs[0], :: -signs[1], 2].T  # rows to posterior, columns to patient left
    assert np.array_equal(slices[2].image, expected)
    assert slices[2].masks["kidney"].sum() == 1
    assert slices[2].image[slices[2].masks["kidney"]] == [voxels[0, 3, 2]]
    assert not slices[0].masks["kidney"].any()
    assert [s.position for s in case.slices(only=[2, 0])] == [0, 1]


def test_labels_stored_in_another_axis_order_are_laid_onto_the_image(tmp_path):
    voxels, labels = volume_arrays()
    affine = np.diag([0.8, 0.8, 3.0, 1.0])
    path = write_volume(tmp_path, voxels, labels, affine)
    turned = nib.Nifti1Image(labels, affine).as_reoriented(nib.orientations.axcodes2ornt(("S", "L", "A")))
    nib.save(turned, tmp_path / "label.nii.gz")
    slices = list(load_datalist(path, "training")[0].slices())
    assert slices[2].image[slices[2].masks["kidney"]] == [voxels[0, 3, 2]]


REFUSED = {
    "on_two_sides": (
        {"test": [{"image": "2.png", "label": "2_label.png", "patient": "p0"}]},
        "expected every patient in one part, got 1 in several",
    ),
    "image_twice": (
        {"training": [{"image": "0.png", "label": "0_label.png", "patient": "p0"}] * 2},
        "expected every image once, got 1 listed again",
    ),
    "no_file": (
        {"training": [{"image": "9.png", "label": "0_label.png", "patient": "p0"}]},
        "expected 9.png, got no such file",
    ),
    "no_cases": ({"training": []}, "expected cases under 'training', got none"),
    "no_list": ({"training": {}}, "expected a list under 'training', got dict"),
    "no_patient": (
        {"training": [{"image": "0.png", "label": "0_label.png"}]},
        "expected cases with image, label and patient, got image, label: complete",
    ),
    "key": ({"trainning": []}, "got 'trainning': did you mean training"),
    "modality": ({"modality": "MR"}, "expected modality CT or picture, got 'MR'"),
    "crop": ({"crop": "head"}, "expected crop none, body, region, got 'head'"),
    "window": ({"modality": "CT"}, "expected a window with center_hu and width_hu > 0 for CT"),
    "window_of_picture": ({"window": WINDOW}, "and null for pictures"),
    "structures": ({"structures": []}, "expected a list of structures"),
    "values": ({"structures": [{"name": "disc", "values": ["1"]}]}, "a name and a list of label values"),
    "name_twice": ({"structures": [DISC, DISC]}, "expected every structure once, got a name twice"),
    "parent": ({"structures": [CUP]}, "expected a known parent, got 'disc': correct cup"),
    "ring": (
        {"structures": [{**DISC, "parent": "cup"}, CUP]},
        "expected a hierarchy, got disc inside itself",
    ),
    "child_outside": (
        {"structures": [{"name": "disc", "values": [1]}, CUP]},
        r"values of cup among those of its parent disc, got \[2\] and \[1\]",
    ),
    "shared_values": (
        {"structures": [DISC, {"name": "cup", "values": [2]}]},
        r"expected values of one structure, got \[2\] in disc and cup",
    ),
    "background": ({"background": [2]}, "expected as background a list of values of no structure"),
    "colour": ({"structures": [{**DISC, "color": [0, 0, 300]}]}, "three numbers 0..255"),
    "code": ({"structures": [{**DISC, "code": {"value": "1"}}]}, "scheme, value and meaning"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_when_loaded(tmp_path, name):
    changes, message = REFUSED[name]
    with pytest.raises(InputError, match=message):
        load_datalist(write(tmp_path, **changes), "training")


@pytest.mark.parametrize(
    ("text", "message"), [("[]", "expected a JSON object, got list"), ("name: x", "datalist in JSON")]
)
def test_refused_when_it_is_no_datalist(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        load_datalist(write_json(tmp_path, text), "training")


def test_refused_part_and_missing_list(tmp_path):
    with pytest.raises(ConfigError, match="part: expected one of training, validation, test, got 'train'"):
        load_datalist(write(tmp_path), "train")
    with pytest.raises(InputError, match="expected a datalist, got no such file"):
        load_datalist(tmp_path / "none.json", "training")


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (np.full((6, 8), 7), r"expected the labels \[0, 1, 2\], got also \[7\]"),
        (np.zeros((6, 8)), "at least one pixel of a structure, got only background"),
        (np.ones((8, 6)), r"labels of the picture's size \(6, 8\), got \(8, 6\)"),
    ],
)
def test_refused_when_a_picture_is_read(tmp_path, label, message):
    (case,) = load_datalist(write(tmp_path), "training")
    Image.fromarray(label.astype(np.uint8)).save(tmp_path / "0_label.png")
    with pytest.raises(InputError, match=message):
        list(case.slices())


def test_refused_volume_as_picture(tmp_path):
    path = write(tmp_path, training=[{"image": "a.nii", "label": "0_label.png", "patient": "p0"}])
    (tmp_path / "a.nii").touch()
    with pytest.raises(InputError, match="expected a picture"):
        list(load_datalist(path, "training")[0].slices())


def test_refused_when_a_volume_is_read(tmp_path):
    voxels, labels = volume_arrays()
    affine = np.diag([0.8, 0.8, 3.0, 1.0])
    (case,) = load_datalist(write_volume(tmp_path, voxels, labels, affine), "training")
    nib.save(nib.Nifti1Image(labels, np.diag([0.8, 0.8, 2.0, 1.0])), tmp_path / "label.nii.gz")
    with pytest.raises(InputError, match="expected labels on the grid of the image"):
        list(case.slices())
    write_volume(tmp_path, np.where(voxels == 40, np.nan, voxels).astype(np.float32), labels, affine)
    with pytest.raises(InputError, match="NaN"):
        list(case.slices())
