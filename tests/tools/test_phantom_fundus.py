"""The fundus phantoms: a cup inside its disc, cameras that differ, annotators that differ."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from phantoms import fundus
from phantoms.fundus_camera import draw_camera
from phantoms.fundus_eye import Outline, draw_eye

from ksam.datalist import load_datalist


def test_an_outline_without_waves_is_an_ellipse():
    y, x = (np.mgrid[0:400, 0:400] + 0.5) / 400 - 0.5
    outline = Outline(np.array([0.05, -0.1]), 0.3, 0.8, 0.7, np.zeros((1, 3)))
    inside = outline.distance(x, y) < 0
    assert inside.mean() == pytest.approx(np.pi * 0.3 * 0.3 * 0.8, rel=0.01)
    assert x[inside].mean() == pytest.approx(0.05, abs=1e-3)


def test_cup_is_brighter_and_inside_the_disc():
    for seed in range(6):
        eye = draw_eye(seed, 96)
        assert 0.08 < eye.disc.mean() < 0.5
        assert not (eye.cup & ~eye.disc).any()
        rim = eye.disc & ~eye.cup
        green = eye.reflectance[..., 1]
        assert np.median(green[eye.cup]) > np.median(green[rim]) > np.median(green[~eye.disc])


def test_annotators_differ_on_the_same_eye():
    usual, wide = draw_eye(4, 96), draw_eye(4, 96, cup_scale=1.2)
    assert np.array_equal(usual.reflectance, wide.reflectance)
    assert wide.cup.sum() > 1.2 * usual.cup.sum()
    assert np.array_equal(usual.disc, wide.disc)


def test_cameras_differ_and_a_number_is_a_camera():
    eye = draw_eye(1, 96)
    takes = [draw_camera(n).take(eye.reflectance, np.random.default_rng(0)) for n in (1, 1, 2)]
    assert np.array_equal(takes[0], takes[1])
    assert takes[0].shape == (96, 96, 3)
    assert np.abs(takes[0].astype(float).mean((0, 1)) - takes[2].mean((0, 1))).max() > 5


def test_command_line_writes_a_datalist_that_loads(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.modules["_venv"], "enter_venv", lambda: None)
    options = ["--eyes", "4", "--size", "64", "--fractions", "0.5,0.25,0.25"]
    assert fundus.main(["--output", str(tmp_path), *options]) == 0
    assert "training 2" in capsys.readouterr().out
    cases = load_datalist(tmp_path / "datalist.json", "training")
    ((image, masks, _),) = cases[0].slices()
    assert image.shape == (64, 64, 3)
    assert masks["disc"].sum() > masks["cup"].sum() > 0
    assert not (masks["cup"] & ~masks["disc"]).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--eyes", "0"], "error: eyes, size: expected at least 1 eye"),
        (["--cup-scale", "3"], "error: disc-scale, cup-scale: expected 0.7 to 1.3"),
    ],
)
def test_command_line_refuses_in_one_line(tmp_path, capsys, monkeypatch, options, message):
    monkeypatch.setattr(sys.modules["_venv"], "enter_venv", lambda: None)
    assert fundus.main(["--output", str(tmp_path), *options]) == 1
    assert capsys.readouterr().err.startswith(message)
