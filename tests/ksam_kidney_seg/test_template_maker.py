"""Templates cut out of labelled files are the right slice, the right way up, with the right masks."""

from pathlib import Path

import numpy as np
import pytest
from ct_cases import write_series
from labelled_files import (
    SHAPE,
    axial_hu,
    axial_labels,
    picture_labels,
    write_ct,
    write_picture,
    write_sagittal,
)
from PIL import Image

from common.errors import InputError
from common.io.ct_volume import read_ct
from common.report.dicom_seg import write_dicom_seg
from common.report.provenance import Algorithm
from ksam.structures import Code, Structure
from ksam.template_maker import StructureRule, choose_slices, make_templates, read_labelled

RULES = (StructureRule("one", (1,)), StructureRule("two", (2,)))


def test_a_slice_of_a_volume_in_any_orientation(tmp_path: Path) -> None:
    labelled = read_labelled(*write_ct(tmp_path), RULES)
    (template,) = make_templates(labelled, [3], "case", {"licence": "CC0"})
    np.testing.assert_array_equal(template.image, axial_hu()[:, :, 3])
    for name, value in (("one", 1), ("two", 2)):
        np.testing.assert_array_equal(template.masks[name], axial_labels()[:, :, 3] == value)
    assert (template.id, template.position) == ("case-3", 3 / 4)
    assert template.spacing_mm == pytest.approx((0.5, 0.75))
    assert labelled.slice_mm == pytest.approx(2.0)
    record = template.provenance
    assert (record["file"], record["labels"], record["slice"]) == ("ct.nii.gz", ["labels.nii.gz"], 3)
    assert (record["slices"], record["licence"], len(record["sha256"])) == (5, "CC0", 64)


def test_a_structure_that_the_slice_does_not_show_has_no_mask(tmp_path: Path) -> None:
    (template,) = make_templates(read_labelled(*write_ct(tmp_path), RULES), [1], "case")
    assert set(template.masks) == {"one"}


def test_a_structure_may_have_a_file_of_its_own(tmp_path: Path) -> None:
    image, _ = write_ct(tmp_path)
    own = write_sagittal((axial_labels() == 2).astype(np.uint8) * 9, tmp_path / "two.nii.gz")
    labelled = read_labelled(image, None, [StructureRule("two", file=own)])
    np.testing.assert_array_equal(labelled.masks["two"], axial_labels() == 2)


def test_a_picture_with_its_mask(tmp_path: Path) -> None:
    rules = (StructureRule("disc", (0, 128)), StructureRule("cup", (0,)))
    labelled = read_labelled(*write_picture(tmp_path), rules)
    (template,) = make_templates(labelled, choose_slices(labelled.masks), "eye")
    np.testing.assert_array_equal(template.image, np.array(Image.open(tmp_path / "eye.png")))
    np.testing.assert_array_equal(template.masks["cup"], picture_labels() == 0)
    np.testing.assert_array_equal(template.masks["disc"], picture_labels() < 255)
    assert (template.id, template.position, template.spacing_mm) == ("eye", None, None)


def test_the_slices_that_show_most_are_chosen() -> None:
    masks = {"one": axial_labels() == 1, "two": axial_labels() == 2}
    # worth of slices 1 to 3: 4/6 + 0, 6/6 + 1/3, 2/6 + 3/3 (equal: the first)
    assert choose_slices(masks) == [2]
    assert choose_slices({"two": masks["two"]}) == [3]
    assert choose_slices(masks, 2) == [2, 3]
    assert choose_slices(masks, 9) == [1, 2, 3]


def test_segments_of_a_generated_segmentation(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", "oblique")
    volume = read_ct(tmp_path / "ct")
    masks = {name: np.zeros(volume.shape, bool) for name in ("cortex", "cyst")}
    masks["cortex"][1:4, 2:5, 2], masks["cyst"][2:6, 1:3, 3] = True, True
    code = Code("SCT", "50403003", "Structure of cortex of kidney")
    structures = [Structure("cortex", 1, code, (1, 2, 3)), Structure("cyst", 2, None, (4, 5, 6))]
    write_dicom_seg(masks, structures, volume, Algorithm("test", "1", "ab" * 32), tmp_path / "seg.dcm")
    labelled = read_labelled(tmp_path / "ct", tmp_path / "seg.dcm", ())
    for name, mask in masks.items():
        np.testing.assert_array_equal(labelled.masks[name], volume.orientation.to_axial(mask))
    assert labelled.codes["cortex"] == code
    assert set(labelled.provenance) == {"format", "series_uid_sha256", "labels"}
    with pytest.raises(InputError, match="seg.dcm: expected one of the segments cortex, cyst, got 'liver'"):
        read_labelled(tmp_path / "ct", tmp_path / "seg.dcm", [StructureRule("liver")])


@pytest.mark.shared_data
def test_segments_of_a_dicom_segmentation(shared_data: Path) -> None:
    folder = shared_data / "ct_dicom" / "dcmqi"
    labelled = read_labelled(folder / "ct-3slice", folder / "partial_overlaps.dcm", ())
    assert list(labelled.masks) == ["GREEN", "ORANGE", "PURPLE", "LIGHT_BLUE", "DARK_BLUE"]
    assert labelled.codes["GREEN"].value == "85756007"
    assert "series_uid_sha256" in labelled.provenance
    assert "file" not in labelled.provenance
    named = StructureRule("part", segment="PURPLE")
    only = read_labelled(folder / "ct-3slice", folder / "partial_overlaps.dcm", [named])
    np.testing.assert_array_equal(only.masks["part"], labelled.masks["PURPLE"])
    with pytest.raises(InputError, match="expected one of the segments GREEN, .*got 'RED'"):
        read_labelled(folder / "ct-3slice", folder / "partial_overlaps.dcm", [StructureRule("RED")])


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    image, labels = write_ct(tmp_path)
    with pytest.raises(InputError, match="labels.nii.gz: expected labels of 'three', got none"):
        read_labelled(image, labels, [StructureRule("three", (3,))])
    with pytest.raises(InputError, match="ct.nii.gz: expected labels of 'one', got no file: give --labels"):
        read_labelled(image, None, RULES)
    labelled = read_labelled(image, labels, RULES)
    with pytest.raises(InputError, match=f"slice: expected 0 to {SHAPE[2] - 1} .0 is the lowest., got 5"):
        make_templates(labelled, [5], "case")
    with pytest.raises(InputError, match="slice 0: expected labels in it, got none"):
        make_templates(labelled, [0], "case")
    picture, mask = write_picture(tmp_path)
    with pytest.raises(InputError, match="labels.nii.gz: expected a mask of the picture's size 8x9, got"):
        read_labelled(picture, labels, RULES)
    Image.fromarray(picture_labels()[:5]).save(mask)
    with pytest.raises(InputError, match="mask.png: expected a mask of the picture's size 8x9, got 5x9"):
        read_labelled(picture, mask, RULES)
    (tmp_path / "seg.dcm").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(InputError, match="seg.dcm: expected a mask picture for a picture, got DICOM"):
        read_labelled(picture, tmp_path / "seg.dcm", RULES)
