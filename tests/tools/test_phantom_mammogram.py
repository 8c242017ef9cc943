"""The mammography phantoms: lesions at one place in both views, and files that the reader takes."""

from __future__ import annotations

import dataclasses
import json
import sys

import numpy as np
import pydicom
import pytest
from phantoms import mammogram
from phantoms.encoding import SYNTAXES
from phantoms.mammo_candidates import WRONG, find_candidates
from phantoms.mammo_dataset import Population, write_study
from phantoms.mammo_dicom import write_view
from phantoms.mammo_film import Film
from phantoms.mammo_lesions import KINDS, MASSES, PAINTERS, Lesion
from phantoms.mammo_patient import draw_patient
from phantoms.mammo_shape import VIEWS, ViewShape, draw_view_shape
from phantoms.mammo_study import plan_study, take_study
from phantoms.mammo_tissue import CELLS, draw_glands, draw_tiles, project_glands
from phantoms.mammo_vendor import TOP, VENDORS, develop, stamp, store
from phantoms.mammo_view import take_view
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from common.errors import ConfigError
from common.io.mammogram import read_study
from mmbcd.datalist import load_datalist
from mmbcd.given_boxes import read_boxes

SMALL = (160, 128)
PLACES = np.array([[0.5, 0.3, 0.2], [0.3, -0.4, -0.1], [0.8, 0.1, -0.3]])


def shape_of(kind: str, seed: int = 0) -> ViewShape:
    return draw_view_shape(np.random.default_rng(seed), kind, (90, 95), 50, 0.5)


def test_views_share_the_distance_from_the_chest_wall_and_mlo_turns_the_height():
    cc, mlo = shape_of("CC"), dataclasses.replace(shape_of("MLO"), angle_deg=30.0)
    assert np.array_equal(cc.project(PLACES)[:, 0], mlo.project(PLACES)[:, 0])
    assert cc.project(PLACES)[:, 1] == pytest.approx(PLACES[:, 1])
    assert mlo.project(PLACES)[0, 1] == pytest.approx(0.3 * 0.5 + 0.2 * np.sqrt(3) / 2)


@pytest.mark.parametrize("kind", VIEWS)
def test_view_coordinates_go_forth_and_back(kind):
    shape = shape_of(kind)
    d, v = shape.to_view(PLACES).T
    a, height = shape.to_breast(d, v)
    assert np.stack([a, height], -1) == pytest.approx(shape.project(PLACES), abs=1e-6)
    assert shape.to_view(np.array([1.0, 0, 0])) == pytest.approx(shape.nipple_mm)


@pytest.mark.parametrize("kind", VIEWS)
def test_projected_glands_lie_where_the_place_says(kind):
    shape = shape_of(kind)
    glands = np.zeros(CELLS, np.float32)
    index = np.round((PLACES[1] + [0, 1, 1]) / [1, 2, 2] * (np.array(CELLS) - 1)).astype(int)
    glands[tuple(index)] = 1
    found = np.unravel_index(project_glands(glands, shape).argmax(), CELLS[:2])
    a, height = shape.project(PLACES[1])
    assert found == pytest.approx((a * (CELLS[0] - 1), (height + 1) / 2 * (CELLS[1] - 1)), abs=1.6)


def test_denser_breasts_have_more_glands():
    shares = [
        draw_glands(np.random.default_rng(1), np.random.default_rng(2), density).mean() for density in "abcd"
    ]
    assert shares == sorted(shares)
    assert shares[3] > 4 * shares[0]


def test_depth_below_skin_of_an_ellipse():
    """Half axes 60 and 80 mm: along the axes, the distance from the skin is what is left to its ends."""
    shape = ViewShape("CC", 60, (80, 80), (80, 80), (2, 2), 0, 0, 0, (0, 0), 50)
    film = Film(400, 160, 0.5, 100.0)
    depth = film.depth_below_skin(shape, 0.5)
    assert depth[200, 100] == pytest.approx(60 - 50.25, abs=1.0)
    assert depth[60, 0] == pytest.approx(80 - 69.75, abs=1.0)
    assert depth[200, 140] == 0
    assert (depth > 0).sum() * 0.25 == pytest.approx(np.pi * 60 * 80 / 2, rel=0.01)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", ["spiculated", "indistinct", "circumscribed", "cyst", "distortion"])
def test_a_lesion_changes_the_picture_at_its_box_only(kind, view):
    breast = draw_patient(5).breasts["L"]
    lesion = Lesion(kind, PLACES[0], 9.0, 0.3, True, 7)
    film = Film(240, 200, 1.0, 120.0)
    tiles = draw_tiles(np.random.default_rng(0), False)
    without, with_it = (
        take_view(dataclasses.replace(breast, lesions=lesions), view, film, tiles)
        for lesions in ((), (lesion,))
    )
    change = np.abs(with_it - without)
    x0, y0, x1, y1 = lesion.box_px(film, breast.shapes[view])
    y, x = (change.sum(axis=axis) @ (np.arange(n) + 0.5) / change.sum() for axis, n in ((1, 240), (0, 200)))
    assert (x, y) == pytest.approx(((x0 + x1) / 2, (y0 + y1) / 2), abs=3)
    assert change[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1].sum() > 0.5 * change.sum()


def test_every_kind_of_lesion_is_painted_and_off_the_film_nothing_is():
    shape, film = shape_of("CC"), Film(240, 200, 1.0, 120.0)
    assert set(PAINTERS) == set(KINDS)
    for kind in KINDS:
        signal = np.full((240, 200), 0.3, np.float32)
        Lesion(kind, PLACES[0], 6.0, 0.3, False, 3).paint(signal, film, shape)
        assert signal.max() > 0.33
        beside = np.full((20, 20), 0.3, np.float32)
        Lesion(kind, PLACES[0], 6.0, 0.3, False, 3).paint(beside, Film(20, 20, 1.0, -300.0), shape)
        assert (beside == np.float32(0.3)).all()


def test_spicules_reach_further_than_the_body_of_a_round_mass():
    shape, film = shape_of("CC"), Film(480, 400, 0.5, 120.0)
    spread = {}
    for kind in ("spiculated", "circumscribed"):
        signal = np.zeros((480, 400), np.float32)
        Lesion(kind, PLACES[0], 8.0, 0.3, True, 3).paint(signal, film, shape)
        x, y = film.to_px(shape.to_view(PLACES[0]))
        away = np.hypot(*(np.mgrid[:480, :400] + 0.5 - np.array([y, x])[:, None, None])) * 0.5
        spread[kind] = float(away[signal > 0.02].max())
    assert spread["circumscribed"] < 11 < 12 < spread["spiculated"]


def test_a_seed_is_a_patient_in_every_size():
    first, again, other = draw_patient(3), draw_patient(3), draw_patient(4)
    assert (first.history, first.age, first.density) == (again.history, again.age, again.density)
    assert np.array_equal(first.breasts["L"].glands, again.breasts["L"].glands)
    assert not np.array_equal(first.breasts["L"].glands, other.breasts["L"].glands)
    small, large = (list(take_study(first, VENDORS[0], size)) for size in (SMALL, (320, 256)))
    for coarse, fine in zip(small, large, strict=True):
        boxes = [[np.array(plan.box_px(lesion)) for lesion in plan.lesions] for plan, _ in (coarse, fine)]
        assert all(np.allclose(2 * a, b, atol=1e-3) for a, b in zip(*boxes, strict=True))
    assert np.array_equal(small[0][1], next(iter(take_study(again, VENDORS[0], SMALL)))[1])


def test_pictures_are_hung_with_the_chest_wall_outside():
    for plan, shown in take_study(draw_patient(6), VENDORS[2], SMALL):
        columns = shown.mean(axis=0)
        wall, air = (columns[:8].mean(), columns[-8:].mean())[:: 1 if plan.side == "L" else -1]
        assert wall > 0.1 > 0.02 > air


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_stored_values_become_the_picture_again(tmp_path, vendor, syntax):
    """Modality LUT, VOI and inversion as pydicom does them, against what the maker's station shows."""
    patient = draw_patient(9)
    plan, wanted = list(take_study(patient, vendor, SMALL))[3]
    write_view(tmp_path / "a.dcm", plan, wanted, patient, vendor, syntax)
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    values = apply_modality_lut(dataset.pixel_array, dataset).astype(np.uint16)
    shown = apply_voi_lut(values, dataset).astype(float) / TOP
    shown = 1 - shown if dataset.PhotometricInterpretation == "MONOCHROME1" else shown
    assert np.abs(shown - wanted).max() < 0.007
    assert dataset.BitsStored == 12
    assert dataset.pixel_array.max() <= TOP


@pytest.mark.parametrize("number", range(len(VENDORS)))
def test_a_study_is_read_with_its_history(tmp_path, number):
    patient = dataclasses.replace(draw_patient(2), history="Hard lump Lt breast since 2 months." + " x" * 30)
    plans = write_study(patient, VENDORS[number], "jpegls", SMALL, tmp_path)
    study = read_study(tmp_path / "studies" / "phantom_00002")
    assert [(m.laterality, m.view) for m in study.mammograms] == [
        ("R", "CC"),
        ("L", "CC"),
        ("R", "MLO"),
        ("L", "MLO"),
    ]
    assert study.history is not None
    assert study.history.text == patient.history
    assert not study.left_out
    pictures = {
        (plan.side, plan.view): (plan, shown) for plan, shown in take_study(patient, VENDORS[number], SMALL)
    }
    for found in study.mammograms:
        plan, shown = pictures[found.laterality, found.view]
        assert np.corrcoef(found.pixels.ravel(), shown.ravel())[0, 1] > 0.99
        if VENDORS[number].voi != "none":
            assert np.abs(found.pixels - shown).mean() < 0.01
        y0, x0, y1, x1 = found.breast_px
        for left, top, right, bottom in map(plan.box_px, plan.lesions):
            assert x0 <= (left + right) / 2 <= x1 and y0 <= (top + bottom) / 2 <= y1
        assert found.source.spacing_mm == pytest.approx((plan.film.pixel_mm,) * 2)
    assert len(plans) == 4


def test_letters_stay_at_their_edge():
    for left_edge in (True, False):
        shown = np.zeros((200, 160), np.float32)
        stamp(shown, "R CC", left_edge)
        x = np.nonzero(shown)[1]
        assert x.size > 0
        assert (x.max() < 80) if left_edge else (x.min() > 80)


def test_noise_is_less_on_larger_pixels_and_none_in_air():
    vendor = VENDORS[0]
    signal = np.zeros((200, 200), np.float32)
    signal[:, :100] = 0.5
    found = [
        develop(signal.copy(), vendor, pixel, np.random.default_rng(0))[:, 20:80].std()
        for pixel in (0.1, 0.4)
    ]
    assert found[0] > 2 * found[1] > 0
    assert develop(signal.copy(), vendor, 0.1, np.random.default_rng(0))[:, 110:].max() == 0


def test_air_is_black_after_every_storage():
    for vendor in VENDORS:
        values = store(np.array([[0.0, 0.5, 1.0]], np.float32), vendor).stored[0].astype(int)
        assert (np.diff(values) < 0).all() if vendor.inverted else (np.diff(values) > 0).all()


def test_command_line_writes_a_datalist_that_loads(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.modules["_venv"], "enter_venv", lambda: None)
    options = [
        "--patients",
        "4",
        "--size",
        "160x128",
        "--seed",
        "3",
        "--malignant",
        "1",
        "--compress",
        "mixed",
    ]
    assert mammogram.main(["--output", str(tmp_path), "--fractions", "0.5,0.25,0.25", *options]) == 0
    assert "phantom_00006" in capsys.readouterr().out
    parts = {
        part: load_datalist(tmp_path / "datalist.json", part) for part in ("training", "validation", "test")
    }
    assert [len(entries) for entries in parts.values()] == [8, 4, 4]
    patients = [{entry.patient for entry in entries} for entries in parts.values()]
    assert not patients[0] & patients[1] and not patients[0] & patients[2] and not patients[1] & patients[2]
    entries = [entry for part in parts.values() for entry in part]
    assert sum(entry.malignant for entry in entries) == 8
    assert all(not entry.boxes for entry in entries if not entry.malignant)
    known = json.loads((tmp_path / "patients.json").read_text())
    assert {row["condition"] for row in known.values()} == {"cancer"}
    assert {name for row in known.values() for name in row["lesions"]} == {e.image.stem for e in entries}
    boxes = read_boxes(tmp_path / "boxes.json")
    assert set(boxes.images) == {entry.image.stem for entry in entries}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--patients", "0"], "error: patients, seed: expected 1 or more and 0"),
        (["--size", "big"], "error: --size: expected whole numbers, got 'big'"),
        (["--size", "640"], "error: --size: expected whole numbers, got ''"),
        (["--size", "640x64"], "error: size: expected 128 to 8192 pixels, upright"),
        (["--vendors", "9"], "error: vendors: expected numbers 0 to 4"),
        (["--malignant", "2"], "error: malignant: expected a share 0..1"),
        (["--compress", "zip"], "error: compress: expected one of none"),
    ],
)
def test_command_line_refuses_in_one_line(tmp_path, capsys, monkeypatch, options, message):
    monkeypatch.setattr(sys.modules["_venv"], "enter_venv", lambda: None)
    assert mammogram.main(["--output", str(tmp_path), *options]) == 1
    assert capsys.readouterr().err.startswith(message)


def test_refusals():
    for change, message in (
        ({"count": 0}, "patients, seed: expected 1 or more"),
        ({"seed": -1}, "patients, seed: expected 1 or more"),
        ({"size_px": (200, 400)}, "size: expected 128 to 8192 pixels, upright"),
        ({"vendors": ()}, "vendors: expected numbers"),
        ({"syntax": "zip"}, "compress: expected one of"),
    ):
        with pytest.raises(ConfigError, match=message):
            Population(**{"count": 1, "seed": 0, **change})


def test_candidates_hold_most_masses_and_do_not_know_the_label():
    plans = [plan for seed in range(24) for plan in plan_study(draw_patient(seed), SMALL)]
    hits: dict[bool, list[bool]] = {True: [], False: []}
    for plan in plans:
        rows = find_candidates(plan)
        assert WRONG - 4 <= len(rows) <= WRONG + 2
        for lesion in (one for one in plan.lesions if one.kind in MASSES):
            x0, y0, x1, y1 = plan.box_px(lesion)
            middles = [(box[:2] + box[2:]) / 2 for box, _ in rows]
            near = [
                np.hypot(*(middle - [(x0 + x1) / 2, (y0 + y1) / 2])) < 0.5 * (x1 - x0) for middle in middles
            ]
            hits[lesion.malignant].append(any(near))
            relabelled = [dataclasses.replace(one, malignant=not one.malignant) for one in plan.lesions]
            again = find_candidates(dataclasses.replace(plan, lesions=tuple(relabelled)))
            assert all(np.array_equal(a[0], b[0]) and a[1] == b[1] for a, b in zip(rows, again, strict=True))
    assert all(0.75 < np.mean(found) <= 1 for found in hits.values())
