"""The kidney phantoms: anatomy in its place, physics of a CT, and files that the reader takes."""

from __future__ import annotations

import dataclasses
import json
import sys

import nibabel as nib
import numpy as np
import pydicom
import pytest
from phantoms import ct_labels, kidney_ct
from phantoms.ct_dataset import Population
from phantoms.ct_dicom import Series, write_scout, write_series
from phantoms.ct_kidney import draw_kidney
from phantoms.ct_patient import draw_patient
from phantoms.ct_phases import PHASES_S, draw_attenuation
from phantoms.ct_protocol import Protocol, plan_scan
from phantoms.ct_scan import Images, Scan, take_scan
from phantoms.ct_shapes import Block, Ellipsoid, RoundCone, Solid, rotation
from phantoms.encoding import to_jpeg_lossless

from common.errors import ConfigError, InputError, OutputError
from common.io.ct_volume import read_ct
from ksam.datalist import load_datalist

SMALL = Protocol(matrix=96, slices_mm=(8.0,))
PHASE = "corticomedullary"


@pytest.fixture(scope="module")
def images() -> Images:
    patient = draw_patient(3, PHASE)
    return take_scan(patient, plan_scan(patient, SMALL, 3))


def mean_hu(images: Images, label: int) -> float:
    return float(images.voxels_hu[images.labels == label].mean())


def test_shapes_have_their_distance_and_volume():
    grid = np.mgrid[-20:20:0.5, -20:20:0.5, -20:20:0.5].astype(np.float32) + np.float32(0.13)
    turned = rotation(0, 30) @ rotation(2, 40)
    for shape, volume_mm3 in (
        (Ellipsoid(np.zeros(3), np.array([15.0, 9, 6]), turned), 4 / 3 * np.pi * 15 * 9 * 6),
        (
            RoundCone(np.array([-8.0, 0, 0]), np.array([8.0, 0, 0]), 5, 5),
            np.pi * 25 * 16 + 4 / 3 * np.pi * 125,
        ),
    ):
        inside = shape.distance(*grid) < 0
        assert inside.sum() * 0.125 == pytest.approx(volume_mm3, rel=0.01)
        center, half = shape.bounds()
        places = grid[:, inside] - center[:, None]
        assert (np.abs(places).max(axis=1) <= half + 0.5).all()
    cone = RoundCone(np.zeros(3), np.array([10.0, 0, 0]), 4, 2)
    assert cone.distance(*np.array([[5.0], [7.0], [0.0]])) == pytest.approx([7 - 3])


def test_partial_volume_keeps_the_amount_of_tissue():
    """A disc of radius 7.3 mm on pixels of 1 mm: the mixed HU add up to its area."""
    x, y = np.meshgrid(np.arange(-15.0, 16), np.arange(-15.0, 16))
    hu, labels = np.zeros((1, 31, 31), np.float32), np.zeros((1, 31, 31), np.uint8)
    block = Block(x[None], y[None], np.zeros((1, 31, 31)), hu, labels, np.ones((31, 31)), 1.0)
    Solid(Ellipsoid(np.zeros(3), np.full(3, 7.3)), 100.0, 5).paint(block)
    assert hu.sum() / 100 == pytest.approx(np.pi * 7.3**2, rel=0.01)
    assert set(np.unique(labels)) == {0, 5}
    assert ((hu > 0) & (hu < 100)).any()


def test_anatomy_is_on_its_side(images):
    i, j, k = (np.nonzero(images.labels == ct_labels.LIVER)[axis].mean() for axis in range(3))
    spine = [axis.mean() for axis in np.nonzero(images.labels == ct_labels.VERTEBRA)]
    aorta = [axis.mean() for axis in np.nonzero(images.labels == ct_labels.AORTA)]
    cava = [axis.mean() for axis in np.nonzero(images.labels == ct_labels.VENA_CAVA)]
    assert i < spine[0]  # i runs to the patient's left
    assert cava[0] < spine[0] < aorta[0]
    assert aorta[1] < spine[1]  # j runs to the back
    assert k > 0
    assert j < spine[1] + 20
    cortex = np.nonzero(images.labels == ct_labels.CORTEX)[0]
    assert (cortex < spine[0]).any()
    assert (cortex > spine[0]).any()


def test_kidneys_have_a_size_of_kidneys(images):
    voxel_ml = float(abs(np.linalg.det(images.scan.affine_lps_mm[:3, :3]))) / 1000
    cortex, medulla = ((images.labels == label).sum() * voxel_ml for label in (1, 2))
    assert 130 < cortex + medulla < 420  # both kidneys
    assert 0.1 < medulla / (cortex + medulla) < 0.5
    assert (images.labels == ct_labels.ARTERY).sum() * voxel_ml > 1


def test_contrast_of_the_phase_is_in_the_voxels(images):
    assert mean_hu(images, ct_labels.CORTEX) > mean_hu(images, ct_labels.MEDULLA) + 40
    assert mean_hu(images, ct_labels.AORTA) > mean_hu(images, ct_labels.CORTEX) - 40
    corner = images.voxels_hu[:4, :4]
    assert corner.mean() == pytest.approx(-1000, abs=15)


def test_phases_are_ordered_as_in_a_patient():
    found = {phase: draw_attenuation(np.random.default_rng(1), phase) for phase in PHASES_S}
    assert found["arterial"]["aorta"] == max(values["aorta"] for values in found.values())
    contrast = {phase: values["cortex"] - values["medulla"] for phase, values in found.items()}
    assert contrast["unenhanced"] < contrast["nephrographic"] < contrast["corticomedullary"]


def test_same_seed_same_patient_and_phases_share_anatomy():
    population = Population(1, 5, protocol=SMALL, damaged=0)
    first, _ = population.scan_patient(0)
    again, _ = population.scan_patient(0)
    other, record = population.scan_patient(0, "unenhanced")
    assert np.array_equal(first.voxels_hu, again.voxels_hu)
    assert record["phase"] == "unenhanced"
    assert np.array_equal(first.labels, other.labels)
    assert not np.array_equal(first.voxels_hu, other.voxels_hu)
    assert draw_patient(5, PHASE).wall.half_mm[0] != draw_patient(6, PHASE).wall.half_mm[0]


@pytest.mark.parametrize("damage", ["atrophy", "hydronephrosis"])
def test_damage_changes_the_left_kidney_only(damage):
    healthy, ill = draw_patient(8, PHASE), draw_patient(8, PHASE, damage)
    assert ill.kidneys[0].radii_mm == pytest.approx(healthy.kidneys[0].radii_mm)
    assert ill.kidneys[1].cortex_mm < healthy.kidneys[1].cortex_mm
    assert ill.kidneys[1].hu["cortex"] < healthy.kidneys[1].hu["cortex"]
    if damage == "atrophy":
        assert ill.kidneys[1].radii_mm[0] < 0.85 * healthy.kidneys[1].radii_mm[0]


def test_noise_is_correlated_and_of_its_strength():
    patient = draw_patient(3, PHASE)
    plan = plan_scan(patient, SMALL, 3)
    scans = [Scan(plan.affine_lps_mm, (96, 96, 2), 20.0, 0.5, seed) for seed in (1, 2)]
    noise = np.subtract(*(take_scan(patient, scan).voxels_hu[:, :, 0].astype(float) for scan in scans))
    middle = noise[36:60, 36:60]
    assert 12 < middle.std() / np.sqrt(2) < 26
    beside = np.corrcoef(noise[30:66, 30:65].ravel(), noise[30:66, 31:66].ravel())[0, 1]
    assert abs(beside) > 0.05


@pytest.mark.parametrize("geometry", ["axial", "flipped", "oblique", "tilted"])
def test_every_geometry_shows_the_same_patient(geometry):
    """Labels looked up at the same patient millimetres agree with those of the axial scan."""
    patient = draw_patient(3, PHASE)
    axial = plan_scan(patient, SMALL, 3)
    straight = take_scan(patient, axial)
    if geometry == "axial":
        assert np.allclose(axial.affine_lps_mm[:3, :3], np.diag(axial.spacing_mm))
        return
    protocol = dataclasses.replace(SMALL, geometry=geometry)
    turned = take_scan(patient, plan_scan(patient, protocol, 3))
    index = np.argwhere(turned.labels == ct_labels.CORTEX)
    places = np.c_[index, np.ones(len(index))] @ turned.scan.affine_lps_mm.T
    back = np.rint(places @ np.linalg.inv(axial.affine_lps_mm).T).astype(int)[:, :3]
    back = back[((back >= 0) & (back < axial.shape)).all(axis=1)]
    kidney = np.isin(straight.labels, (1, 2, 3, 5, 6))
    assert kidney[tuple(back.T)].mean() > 0.75


@pytest.mark.parametrize("syntax", ["none", "jpeg2000", "jpegls", "rle", "jpeg"])
def test_series_reads_as_the_volume(tmp_path, images, syntax):
    write_series(images, Series("p", syntax=syntax), tmp_path)
    volume = read_ct(tmp_path)
    assert np.array_equal(volume.voxels_hu, images.voxels_hu)
    assert volume.affine_ras_mm == pytest.approx(images.scan.affine_ras_mm, abs=1e-4)


def test_faults_are_in_the_series(tmp_path, images):
    count = images.scan.shape[2]
    places = {}
    for fault in ("none", "missing", "duplicate", "irregular"):
        paths = write_series(images, Series("p", fault=fault), tmp_path / fault)
        headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
        places[fault] = [float(header.ImagePositionPatient[2]) for header in headers]
        assert len({header.SOPInstanceUID for header in headers}) == len(paths)
    assert len(places["missing"]) == count - 1
    assert len(places["duplicate"]) == count + 1
    assert len(set(places["duplicate"])) == count
    moved = np.subtract(places["irregular"], places["none"])
    assert sorted(moved)[-1] == pytest.approx(0.35 * 8)
    assert np.count_nonzero(moved) == 1
    with pytest.raises(InputError):
        read_ct(tmp_path / "missing")


def test_scout_and_second_series_are_left_aside(tmp_path, images):
    write_scout(images, Series("p", 1, "Scout"), tmp_path)
    write_series(images, Series("p", 2), tmp_path)
    assert read_ct(tmp_path).source.series_number == 2


def test_command_line_writes_a_datalist_that_loads(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.modules["_venv"], "enter_venv", lambda: None)
    options = ["--patients", "3", "--matrix", "48", "--slice-mm", "9", "--dicom", "--extra-series"]
    assert kidney_ct.main(["--output", str(tmp_path), "--fractions", "0.34,0.33,0.33", *options]) == 0
    assert "phantom_0002" in capsys.readouterr().out
    patients = [
        load_datalist(tmp_path / "datalist.json", part)[0] for part in ("training", "validation", "test")
    ]
    assert len({case.patient for case in patients}) == 3
    slices = list(patients[0].slices())
    assert {"cortex", "medulla", "artery"} == set(slices[0].masks)
    assert sum(labelled.masks["cortex"].sum() for labelled in slices) > 100
    organs = list(load_datalist(tmp_path / "organs.json", "test")[0].slices())
    assert sum(labelled.masks["liver"].sum() for labelled in organs) > 100
    for whole in load_datalist(tmp_path / "abdomen.json", "training")[0].slices():
        assert np.array_equal(whole.masks["kidney"], whole.masks["cortex"] | whole.masks["medulla"])
    rows = json.loads((tmp_path / "labels.json").read_text())
    assert rows[0]["name"] == "cortex"
    stored = nib.load(tmp_path / "images" / "phantom_0000.nii.gz")
    volume = read_ct(tmp_path / "dicom" / "phantom_0000", 2)
    assert np.array_equal(volume.voxels_hu, np.asanyarray(stored.dataobj))
    assert volume.affine_ras_mm == pytest.approx(stored.affine, abs=1e-3)


def test_command_line_refuses_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.modules["_venv"], "enter_venv", lambda: None)
    assert kidney_ct.main(["--output", str(tmp_path), "--slice-mm", "thin"]) == 1
    assert capsys.readouterr().err.startswith("error: --slice-mm: expected numbers")


def test_a_failing_encoder_is_refused(tmp_path):
    (tmp_path / "a.dcm").write_text("x")
    with pytest.raises(OutputError, match="a.dcm: expected JPEG lossless, got a failure of GDCM"):
        to_jpeg_lossless(tmp_path / "a.dcm", tmp_path / "b.dcm")


def test_refusals():
    for change, message in (
        ({"matrix": 8}, "matrix: expected 32 to 1024"),
        ({"slices_mm": (0.1,)}, "slice-mm: expected 0.5 to 10 mm"),
        ({"region": "head"}, "region: expected kidneys or abdomen"),
        ({"geometry": "curved"}, "geometry: expected one of axial"),
    ):
        with pytest.raises(ConfigError, match=message):
            Protocol(**change)
    for change, message in (
        ({"count": 0}, "patients: expected at least 1"),
        ({"phases": ("late",)}, "phases: expected of unenhanced"),
        ({"damaged": 2.0}, "damaged: expected a share"),
    ):
        with pytest.raises(ConfigError, match=message):
            Population(**{"count": 1, "seed": 0, **change})
    with pytest.raises(ConfigError, match="phase: expected one of unenhanced"):
        draw_attenuation(np.random.default_rng(0), "late")
    with pytest.raises(ConfigError, match="damage: expected one of none"):
        draw_kidney(np.random.default_rng(0), 1, np.zeros(3), {}, "stones")
    with pytest.raises(ConfigError, match="compress: expected one of none"):
        Series("p", syntax="zip")
    with pytest.raises(ConfigError, match="fault: expected one of none"):
        Series("p", fault="upside-down")


def test_squares_show_each_kidney_once_where_it_lies(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["_venv"], "enter_venv", lambda: None)
    options = ["--patients", "3", "--matrix", "96", "--slice-mm", "5", "--fractions", "0.34,0.33,0.33"]
    assert kidney_ct.main(["--output", str(tmp_path), *options, "--squares", "4"]) == 0
    cases = [
        case
        for part in ("training", "validation", "test")
        for case in load_datalist(tmp_path / "squares" / "datalist.json", part)
    ]
    assert len(cases) == 6
    for case in cases:
        slices = list(case.slices())
        assert len(slices) == 4
        assert all(entry.masks["cortex"].any() for entry in slices[1:3])
    whole = nib.load(tmp_path / "labels" / "phantom_0001.nii.gz")
    for end in "ab":
        part = nib.load(tmp_path / "squares" / "labels" / f"phantom_0001_{end}.nii.gz")
        ijk = np.stack(np.nonzero(np.asanyarray(part.dataobj)), axis=1)
        back = nib.affines.apply_affine(np.linalg.inv(whole.affine) @ part.affine, ijk)
        found = np.asanyarray(whole.dataobj)[tuple(np.rint(back).astype(int).T)]
        assert np.array_equal(found, np.asanyarray(part.dataobj)[tuple(ijk.T)])
    assert kidney_ct.main(["--output", str(tmp_path / "more"), *options, "--squares", "99"]) == 1
