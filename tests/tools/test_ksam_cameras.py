import json

import cv2
import numpy as np
import pytest
from experiment.ksam_cameras import CAMERAS, ForeignCamera, main, show, write_camera

from common.errors import InputError
from ksam.datalist import load_datalist

EDGE = 96


@pytest.fixture
def picture():
    y, x = np.mgrid[:EDGE, :EDGE]
    away = np.hypot(y - 47.5, x - 47.5)
    image = np.repeat((220 - 2 * away).clip(0, 255)[..., None], 3, axis=2).astype(np.uint8)
    image[..., 2] //= 2
    return image, {"disc": away < 30, "cup": away < 12}


def _write_datalist(folder, picture, names=("disc", "cup")):
    entries = []
    for number in range(4):
        cv2.imwrite(str(folder / f"{number}.png"), picture[0])
        label = picture[1]["disc"].astype(np.uint8) + picture[1]["cup"]
        cv2.imwrite(str(folder / f"{number}_label.png"), label)
        entries.append({"image": f"{number}.png", "label": f"{number}_label.png", "patient": f"p{number}"})
    structures = [
        {"name": names[0], "values": [1, 2], "parent": None},
        {"name": names[1], "values": [2], "parent": names[0]},
    ]
    head = {"name": "t", "modality": "picture", "licence": "CC0", "window": None, "crop": "none"}
    path = folder / "datalist.json"
    path.write_text(json.dumps(head | {"structures": structures, "test": entries}))
    return path


def test_the_camera_of_the_source_changes_nothing(picture):
    image, labels = show(*picture, CAMERAS["id"], 0)
    assert np.array_equal(image, picture[0])
    assert np.array_equal(labels > 0, picture[1]["disc"])
    assert np.array_equal(labels == 3, picture[1]["cup"])


def test_the_level_lies_between_the_borders(picture):
    labels = show(*picture, CAMERAS["id"], 0)[1]
    assert np.sqrt((labels >= 2).sum() / np.pi) == pytest.approx(12 + 0.35 * 18, abs=0.6)


@pytest.mark.parametrize("name", [name for name in CAMERAS if name != "id"])
def test_every_other_camera_changes_the_picture_and_keeps_the_structures(picture, name):
    image, labels = show(*picture, CAMERAS[name], 0)
    assert image.dtype == np.uint8 and image.shape == picture[0].shape
    assert np.abs(image.astype(int) - picture[0]).mean() > 5
    assert np.sqrt((labels > 0).sum() / np.pi) == pytest.approx(30 * CAMERAS[name].scale, rel=0.03)


def test_noise_is_the_same_for_the_same_seed(picture):
    camera = ForeignCamera(noise=5)
    first, second, other = (show(*picture, camera, seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, second) and not np.array_equal(first, other)
    assert (first.astype(float) - picture[0]).std() == pytest.approx(5, abs=0.6)


def test_mixed_channels_of_a_pixel_by_hand(picture):
    picture[0][0, 0] = (100, 50, 20)
    mixed = show(*picture, ForeignCamera(((1, 1, 0), (0, 2, 0), (0.5, 0, 0.5))), 0)[0]
    assert mixed[0, 0].tolist() == [150, 100, 60]


def test_datalists_hold_templates_and_targets_of_different_patients(tmp_path, picture):
    count = write_camera(_write_datalist(tmp_path, picture), "t1", tmp_path / "t1")
    assert count == 4
    cases = {part: load_datalist(tmp_path / "t1" / "datalist.json", part) for part in ("training", "test")}
    assert [len(part) for part in cases.values()] == [2, 2]
    masks = next(iter(cases["test"][0].slices())).masks
    assert masks["disc"].sum() > masks["between"].sum() > masks["cup"].sum() > 0


def test_other_structures_are_refused_in_one_line(tmp_path, picture, capsys):
    path = _write_datalist(tmp_path, picture, ("kidney", "artery"))
    with pytest.raises(InputError, match="expected the structures disc and cup"):
        write_camera(path, "id", tmp_path / "id")
    assert main([str(path), "--out", str(tmp_path / "out"), "--camera", "id"]) == 1
    assert "take REFUGE's" in capsys.readouterr().err
