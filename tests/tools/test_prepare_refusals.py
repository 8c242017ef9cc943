"""What the preparation refuses, each in one line."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import pytest
from PIL import Image
from prepare import datalist
from prepare.ct_sets import collect_amos22, collect_kipa22, collect_kits23, collect_totalsegmentator
from prepare.entries import Collected, Entry, Request, structure
from prepare.folders import collect_pairs
from prepare.refuge import collect_fundus, collect_multirater, collect_refuge
from prepare.slicer import Naming, collect_slicer, find_image, read_segments
from prepare.split import Split
from prepare.writing import write

from common.errors import ConfigError, InputError
from common.io.ct_volume import read_ct

AFFINE = np.diag([-0.8, -0.8, 3.0, 1.0])


@pytest.mark.parametrize(
    "collect",
    [
        collect_kits23,
        collect_kipa22,
        collect_amos22,
        collect_totalsegmentator,
        collect_refuge,
        collect_multirater,
        collect_slicer,
    ],
)
def test_an_empty_folder(tmp_path, collect):
    with pytest.raises(InputError, match="got no such case: check the folder or the layout"):
        collect(Request(source=tmp_path))


def test_folders_of_pairs(tmp_path):
    with pytest.raises(InputError, match="expected the folders image and mask"):
        collect_fundus(Request(source=tmp_path))
    with pytest.raises(ConfigError, match="labels: expected names for the values of the masks"):
        collect_pairs(Request(source=tmp_path))


def test_two_structures_for_one_segment():
    naming = Naming(("cortex", "medulla"), {"Mark": "medulla"}, {})
    assert naming.value("mark", "a") == 2
    assert naming.value("Left kidney, Cortex", "a") == 1
    assert naming.value("liver", "a") is None
    with pytest.raises(
        InputError, match="expected one structure for the segment 'cortex and medulla', got 2"
    ):
        naming.value("cortex and medulla", "a")


def test_a_segmentation_without_its_image(tmp_path):
    segmentation = tmp_path / "p" / "a.seg.nrrd"
    segmentation.parent.mkdir()
    segmentation.touch()
    with pytest.raises(InputError, match="expected a CT beside it"):
        find_image(segmentation)
    (tmp_path / "p" / "one.nrrd").touch()
    assert find_image(segmentation).name == "one.nrrd"
    (tmp_path / "p" / "two.nrrd").touch()
    with pytest.raises(InputError, match="expected one CT beside it, got 2"):
        find_image(segmentation)
    (tmp_path / "p" / "a.nrrd").touch()
    assert find_image(segmentation).name == "a.nrrd"


def test_damaged_segmentations(tmp_path):
    image = tmp_path / "ct.nii.gz"
    nib.save(nib.Nifti1Image(np.arange(-90, 90, dtype=np.int16).reshape(6, 6, 5) * 9, AFFINE), image)
    volume, path = read_ct(image), tmp_path / "a.seg.nrrd"
    path.write_text("x")
    with pytest.raises(InputError, match="expected an intact .seg.nrrd"):
        list(read_segments(path, volume, {}))
    nrrd.write(str(path), np.zeros((6, 6, 5), np.uint8))
    with pytest.raises(InputError, match="expected segments in the header, got none"):
        list(read_segments(path, volume, {}))
    nrrd.write(str(path), np.zeros((6, 6, 5), np.uint8), {"Segment0_Name": "cortex"})
    with pytest.raises(InputError, match="expected a position in the patient"):
        list(read_segments(path, volume, {}))


def one_entry(tmp_path: Path, **changes: object) -> Collected:
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.ones((8, 8), np.uint8)).save(tmp_path / "m.png")
    entry = Entry(
        **{"name": "a_1", "image": tmp_path / "a.png", "label": tmp_path / "m.png", "patient": "a"} | changes
    )
    return Collected("toy", "picture", "generated", [structure("disc", [1])], [0], [entry], None)


def test_splits_that_do_not_fit(tmp_path):
    target = tmp_path / "d.json"
    with pytest.raises(ConfigError, match="patient: expected a regular expression with one group"):
        write(one_entry(tmp_path), Split("random", "1,0,0", 0, "^a"), target)
    with pytest.raises(ConfigError, match="patient: expected a match in every name"):
        write(one_entry(tmp_path), Split("random", "1,0,0", 0, "^(b)"), target)
    (tmp_path / "s.csv").write_text("name,part\nb,train\n")
    with pytest.raises(InputError, match="split: expected a part for a_1, got none"):
        write(one_entry(tmp_path), Split(str(tmp_path / "s.csv"), "1,0,0", 0, None), target)
    with pytest.raises(InputError, match="expected cases with disc, got none"):
        write(one_entry(tmp_path, make=lambda folder: None), Split("random", "1,0,0", 0, None), target)
    assert not target.exists()


def test_a_crop_needs_a_disc(tmp_path):
    for folder, values in (("image", np.zeros((8, 8, 3))), ("mask", np.full((8, 8), 255))):
        (tmp_path / "f" / folder).mkdir(parents=True)
        Image.fromarray(values.astype(np.uint8)).save(tmp_path / "f" / folder / "a.png")
    collected = collect_fundus(Request(source=tmp_path / "f", crop_px=16))
    with pytest.raises(InputError, match="expected a disc to crop around, got none"):
        write(collected, Split("random", "1,0,0", 0, None), tmp_path / "d.json")


def test_raters_of_another_size_or_none(tmp_path):
    folder = tmp_path / "Training-400" / "1"
    folder.mkdir(parents=True)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "1.jpg")
    split, target = Split("random", "1,0,0", 0, None), tmp_path / "d.json"
    with pytest.raises(InputError, match="expected disc masks of its raters, got none"):
        write(collect_multirater(Request(source=tmp_path)), split, target)
    for name in ("disc", "cup"):
        Image.fromarray(np.full((6, 6), 255, np.uint8)).save(folder / f"1_seg_{name}_1.png")
    with pytest.raises(InputError, match=r"expected masks of the picture's size \(8, 8\), got \(6, 6\)"):
        write(collect_multirater(Request(source=tmp_path)), split, target)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["fundus", "nowhere"], "error: nowhere: expected a folder, got none"),
        (["fundus", ".", "--crop-px", "3"], "error: crop-px: expected 16 to 4096, got 3"),
    ],
)
def test_command_line(tmp_path, capsys, monkeypatch, options, message):
    monkeypatch.setattr("_venv.enter_venv", lambda: None)
    assert datalist.main([*options, "--output", str(tmp_path / "d.json")]) == 1
    assert capsys.readouterr().err.startswith(message)
