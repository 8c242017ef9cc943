"""Boxes from COCO JSON and text rows reach the right pixels of the right picture."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_mammo_boxes import build_mammogram

from common.errors import InputError
from mmbcd.given_boxes import find_key, read_boxes

PICTURE = np.zeros((200, 100))  # rows, columns


def write_coco(path: Path, annotations: list[dict[str, Any]], **image: Any) -> Path:
    images = [{"id": 7, "file_name": "folder/r_cc.png", **image}]
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


def test_text_rows_are_parts_of_the_picture(tmp_path: Path) -> None:
    """As the released code's: cx cy w h score."""
    (tmp_path / "r_cc.txt").write_text("0.5 0.5 0.2 0.1 0.03\n0.1 0.1 0.4 0.1 0.02\n\n")
    rois = read_boxes(tmp_path)(build_mammogram(PICTURE))
    np.testing.assert_allclose(rois.boxes_px, [[40, 90, 60, 110], [0, 10, 30, 30]], atol=1e-4)
    np.testing.assert_allclose(rois.scores, [0.03, 0.02])


def test_text_rows_beyond_one_are_pixels(tmp_path: Path) -> None:
    path = tmp_path / "r_cc.txt"
    path.write_text("50, 100, 20, 20\n")
    rois = read_boxes(path)(build_mammogram(PICTURE))
    np.testing.assert_allclose(rois.boxes_px, [[40, 90, 60, 110]])
    np.testing.assert_allclose(rois.scores, [1])


def test_coco_boxes_of_a_smaller_copy_are_scaled(tmp_path: Path) -> None:
    annotations = [{"image_id": 7, "bbox": [10, 20, 5, 5], "score": 0.7}]
    path = write_coco(tmp_path / "boxes.json", annotations, width=50, height=100)
    rois = read_boxes(path)(build_mammogram(PICTURE))
    np.testing.assert_allclose(rois.boxes_px, [[20, 40, 30, 50]])
    np.testing.assert_allclose(rois.scores, [0.7])


def test_coco_without_sizes_counts_in_the_picture(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "boxes.json", [{"image_id": 7, "bbox": [10, 20, 5, 5]}])
    np.testing.assert_allclose(read_boxes(path)(build_mammogram(PICTURE)).boxes_px, [[10, 20, 15, 25]])


def test_a_listed_picture_may_have_no_boxes(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "boxes.json", [])
    assert len(read_boxes(path)(build_mammogram(PICTURE))) == 0
    (tmp_path / "r_cc.txt").write_text("")
    assert len(read_boxes(tmp_path / "r_cc.txt")(build_mammogram(PICTURE))) == 0


def test_pictures_are_found_by_instance_uid(tmp_path: Path) -> None:
    (tmp_path / "1.2.3.txt").write_text("0.5 0.5 0.2 0.1 0.03\n")
    assert len(read_boxes(tmp_path)(build_mammogram(PICTURE, name="IM0001"))) == 1


def test_the_uid_goes_before_the_name(tmp_path: Path) -> None:
    (tmp_path / "1.2.3.txt").write_text("0.5 0.5 0.2 0.1 0.03\n")
    (tmp_path / "r_cc.txt").write_text("")
    assert len(read_boxes(tmp_path)(build_mammogram(PICTURE))) == 1


def test_the_boxes_of_a_name_belong_to_one_picture(tmp_path: Path) -> None:
    """Data sets call every picture 1-1.dcm."""
    (tmp_path / "r_cc.txt").write_text("0.5 0.5 0.2 0.1 0.03\n")
    boxes, first = read_boxes(tmp_path), build_mammogram(PICTURE)
    assert len(boxes(first)) == len(boxes(first)) == 1
    other = replace(first, source=replace(first.source, sop_instance_uid="1.2.4"))
    with pytest.raises(InputError, match="expected boxes of one picture under r_cc.dcm, got two pictures"):
        boxes(other)


@pytest.mark.parametrize(
    ("name", "key"), [("a/b/x.DCM", "x"), ("a\\x.png", "x"), ("1.2.840.5", "1.2.840.5"), ("x.y", "x.y")]
)
def test_keys_of_names(name: str, key: str) -> None:
    assert find_key(name) == key


def test_unlisted_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "l_cc.txt").write_text("0.5 0.5 0.2 0.1 0.03\n")
    with pytest.raises(
        InputError, match=r"expected boxes of r_cc.dcm, got those of 1 other pictures: add it"
    ):
        read_boxes(tmp_path)(build_mammogram(PICTURE))


def test_boxes_outside_of_the_picture_are_refused(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "boxes.json", [{"image_id": 7, "bbox": [500, 20, 5, 5]}])
    with pytest.raises(
        InputError, match=r"r_cc.dcm: expected boxes inside its 100x200 pixels, got 1 not in it"
    ):
        read_boxes(path)(build_mammogram(PICTURE))


def test_boxes_of_another_crop_are_refused(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "boxes.json", [], width=100, height=100)
    with pytest.raises(
        InputError, match=r"boxes of a picture of 100x200 pixels or a smaller copy, got those of"
    ):
        read_boxes(path)(build_mammogram(PICTURE))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.txt", "0.5 0.5 0.2", r"a row of 3 numbers"),
        ("x.txt", "a b c d", r"a row of words'"),
        ("x.txt", "0.5 0.5 nan 0.1", r"numbers that are not finite"),
        ("x.json", "{", r"Expecting property name"),
        ("x.json", "[]", r"list indices must be integers"),
        ("x.json", '{"images": []}', r"no 'annotations'"),
        ("x.json", '{"images": [], "annotations": [{"bbox": [1, 2, 3]}]}', r"not enough values"),
        (
            "x.json",
            '{"images": [{"id": 1, "file_name": "a/x.png"}, {"id": 2, "file_name": "x.png"}]}',
            r"two images of one name",
        ),
        ("x.json", '{"images": [{"id": 1, "file_name": 5}], "annotations": []}', r"'int' object has no"),
        (
            "x.json",
            '{"images": [{"id": 1, "file_name": "x", "width": 0, "height": 9}], "annotations": []}',
            r"a picture without size",
        ),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: str, reason: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=rf"{name}: expected COCO JSON .* got '{reason}"):
        read_boxes(tmp_path / name)


def test_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"boxes: expected COCO JSON .* got nowhere without any: check the path"
    ):
        read_boxes(tmp_path / "nowhere")
