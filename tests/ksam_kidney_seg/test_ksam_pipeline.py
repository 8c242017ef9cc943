"""A case through the whole pipeline with a network that can be worked out by hand: results, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from ct_cases import edit
from phantoms.ct_series import write_ct_series
from PIL import Image
from pydicom.pixels import get_decoder
from pydicom.uid import JPEGLSLossless
from toy_prompts import DARK, toy_masks
from toy_segmenter import (
    AFFINE,
    body_template,
    body_volume,
    ct_task,
    picture,
    picture_task,
    segmenter_of,
    write_ct,
    write_picture,
)

from common.errors import BundleError, ConfigError, InputError, OutputError
from ksam.pipeline import SegmentationPipeline, build_dataset
from ksam.templates import Task, Template

CT_FILES = {
    "report.html",
    "slices.png",
    "coronal.png",
    "prompts.png",
    "volumes.json",
    "ct_seg.nii.gz",
    "ct_seg.dcm",
    "ct_sr.dcm",
}


def run(source: Path, output_dir: Path, task=None, keep_largest=0, series=None, **options) -> list[Path]:
    segmenter = segmenter_of(task or ct_task(body_template("a"), body_template("b")), **options)
    return SegmentationPipeline(build_dataset(source, series), segmenter, output_dir, keep_largest).run()


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()} if folder.is_dir() else set()


def expected_labels() -> np.ndarray:
    """(I, J) of every slice."""
    masks = toy_masks()
    return (masks["dark"] + 2 * masks["light"]).T.astype(np.uint8)


def test_dicom_folder_leaves_everything(tmp_path):
    files = run(write_ct(tmp_path / "ct"), tmp_path / "out")
    assert {path.name for path in files} == CT_FILES == visible(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out" / "dicom").iterdir()} == {"ct_seg.dcm", "ct_sr.dcm"}
    labels = nib.load(tmp_path / "out" / "ct_seg.nii.gz")
    np.testing.assert_array_equal(np.asarray(labels.dataobj), expected_labels()[:, :, None].repeat(5, 2))
    np.testing.assert_allclose(labels.affine, AFFINE)
    seg = pydicom.dcmread(tmp_path / "out" / "dicom" / "ct_seg.dcm")
    assert [segment.SegmentLabel for segment in seg.SegmentSequence] == ["dark", "light"]
    assert "not for diagnosis" in (tmp_path / "out" / "report.html").read_text()


def test_volumes_are_told_by_side_with_what_made_them(tmp_path):
    run(write_ct(tmp_path / "ct"), tmp_path / "out")
    record = json.loads((tmp_path / "out" / "volumes.json").read_text())
    dark, light = record["structures"]
    assert (dark["voxels"], dark["volume_ml"]) == (30, 30 * 4.8)
    assert (dark["right"]["voxels"], dark["left"]["voxels"]) == (30, 0)
    assert (light["right"]["voxels"], light["left"]["voxels"]) == (0, 30)
    assert dark["expected_dice"] == 1 and dark["disagreement"] == pytest.approx(0, abs=1e-4)
    assert record["weights"]["purpose"] == "demonstration" and len(record["weights"]["sha256"]) == 64
    assert record["engine"]["engine"] == "torch"
    assert record["prompts"]["templates"][0]["used"] == {"dark": 5, "light": 5}
    assert record["prompts"]["templates"][0]["provenance"]["slice"] == 3
    assert record["source"]["format"] == "DICOM" and record["source"]["files"] == 5
    assert record["settings"]["templates"] == 3 and record["settings"]["keep_largest"] == 0
    assert {"read", "predict"} <= set(record["seconds"]) and "torch" in record["versions"]
    assert str(tmp_path) not in json.dumps(record)


def test_nifti_keeps_its_own_grid(tmp_path):
    flipped = np.diag([40.0, -40.0, 3.0, 1.0])
    path = tmp_path / "in" / "scan.nii.gz"
    path.parent.mkdir()
    nib.save(nib.Nifti1Image(body_volume()[::-1], flipped), path)
    run(path, tmp_path / "out")
    labels = nib.load(tmp_path / "out" / "scan_seg.nii.gz")
    np.testing.assert_array_equal(np.asarray(labels.dataobj)[:, :, 0], expected_labels()[::-1])
    assert visible(tmp_path / "out") == {name.replace("ct_", "scan_") for name in CT_FILES} - {
        *("scan_seg.dcm", "scan_sr.dcm")
    }


def test_picture_leaves_masks_and_areas(tmp_path):
    run(write_picture(tmp_path / "in" / "eye.png"), tmp_path / "out", picture_task())
    assert visible(tmp_path / "out") == {
        *("report.html", "picture.png", "prompts.png", "areas.json"),
        *("eye_seg.png", "eye_dark.png", "eye_light.png"),
    }
    labels = np.asarray(Image.open(tmp_path / "out" / "eye_seg.png"))
    np.testing.assert_array_equal(labels, expected_labels().T)
    assert np.asarray(Image.open(tmp_path / "out" / "eye_light.png")).max() == 255
    record = json.loads((tmp_path / "out" / "areas.json").read_text())
    assert [row["area_px"] for row in record["structures"]] == [6, 6]
    assert record["structures"][0]["expected_dice"] is None
    assert record["structures"][0]["disagreement"] is None  # one template: nobody to disagree with


def test_a_structure_may_have_any_name(tmp_path):
    """What a file name cannot hold becomes "_"; the report keeps the name."""
    named = replace(DARK, name="cup/rim: dark")
    template = Template("p", picture(), {named.name: toy_masks()["dark"]})
    task = Task("eye", "picture", None, "none", (named,), (template,))
    run(write_picture(tmp_path / "in" / "eye.png"), tmp_path / "out", task)
    assert np.asarray(Image.open(tmp_path / "out" / "eye_cup_rim_dark.png")).max() == 255
    assert "cup/rim: dark" in (tmp_path / "out" / "report.html").read_text()


def test_empty_result_is_said_to_be_empty(tmp_path):
    run(write_ct(tmp_path / "ct", dark=False, light=False), tmp_path / "out")
    record = json.loads((tmp_path / "out" / "volumes.json").read_text())
    report = (tmp_path / "out" / "report.html").read_text()
    assert record["empty"] and not np.asarray(nib.load(tmp_path / "out" / "ct_seg.nii.gz").dataobj).any()
    assert "Nothing found: no dark or light in this series" in report
    assert visible(tmp_path / "out") == CT_FILES - {"coronal.png"}


def test_structure_that_is_missing_is_named(tmp_path):
    run(write_ct(tmp_path / "ct", dark=False), tmp_path / "out")
    report = (tmp_path / "out" / "report.html").read_text()
    assert "Dark not found, light 144 mL" in report and "Dark was not found anywhere." in report


def test_clinical_weights_carry_no_warning(tmp_path):
    run(write_ct(tmp_path / "ct"), tmp_path / "out", purpose="clinical")
    assert "not for diagnosis" not in (tmp_path / "out" / "report.html").read_text()


def test_small_parts_can_be_left_out(tmp_path):
    volume = body_volume()
    volume[6, 0, 0] = -55  # one dark voxel away from the others
    write_ct_series(tmp_path / "ct", volume, AFFINE)
    for keep, voxels in ((0, 31), (1, 30)):
        run(tmp_path / "ct", tmp_path / f"out{keep}", keep_largest=keep)
        record = json.loads((tmp_path / f"out{keep}" / "volumes.json").read_text())
        assert record["structures"][0]["voxels"] == voxels


def test_folder_of_cases_goes_on_after_a_bad_one(tmp_path):
    source = tmp_path / "in"
    for name in ("a", "c"):
        write_picture(source / f"{name}.png")
    (source / "b.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"expected 3 readable cases, 1 were refused: b: b\.png: expected"):
        run(source, tmp_path / "out", picture_task())
    rows = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [(row["case"], row["status"]) for row in rows] == [("a", "done"), ("b", "refused"), ("c", "done")]
    assert (tmp_path / "out" / "a" / "report.html").is_file() and not (tmp_path / "out" / "b").exists()


def test_folder_of_good_cases_lists_them(tmp_path):
    for name in ("a", "b"):
        write_picture(tmp_path / "in" / f"{name}.png")
    files = run(tmp_path / "in", tmp_path / "out", picture_task())
    assert files[-1].name == "summary.json" and len(files) == 2 * 7 + 1


def test_results_do_not_stand_among_the_input(tmp_path):
    write_ct(tmp_path / "ct")
    for place in (tmp_path / "ct", tmp_path / "ct" / "out"):
        with pytest.raises(ConfigError, match="output_dir: expected a folder outside the input, got"):
            run(tmp_path / "ct", place)
    picture = write_picture(tmp_path / "p" / "eye.png")
    with pytest.raises(ConfigError, match="output_dir: expected a folder outside the input, got 'p'"):
        run(picture, tmp_path / "p", picture_task())


def test_negative_count_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="keep_largest: expected 0 .all. or more parts, got -1"):
        run(tmp_path, tmp_path / "out", keep_largest=-1)


def test_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="expected a writable place"):
        run(write_ct(tmp_path / "ct"), tmp_path / "out")


def test_dataset_looks_when_it_is_asked(tmp_path):
    dataset = build_dataset(tmp_path / "in")
    write_picture(tmp_path / "in" / "eye.png")
    (item,) = dataset
    assert len(dataset) == 1 and item["kind"] == "picture" and item["image"].name == "eye.png"


# --- bad input: one line, and nothing half-written ---------------------------------------------------------


def drop_pixels(dataset, number):
    del dataset.PixelData


def make_mr(dataset, number):
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    dataset.Modality = "MR"


def grow_one(dataset, number):
    if number == 2:
        dataset.Rows, dataset.Columns = 4, 16


def drop_rescale(dataset, number):
    del dataset.RescaleSlope
    del dataset.RescaleIntercept


def steep_rescale(dataset, number):
    dataset.RescaleSlope = "500"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (make_mr, "expected a CT series, got series 1 .MR, .*not CT but MR"),
        (drop_pixels, "expected pixel data, got a header alone"),
        (grow_one, "expected slices of one size, got"),
        (drop_rescale, "no rescale"),
        (steep_rescale, "expected HU, got values"),
    ],
)
def test_bad_series_is_refused(tmp_path, change, message):
    write_ct(tmp_path / "ct")
    edit(sorted((tmp_path / "ct").iterdir()), change)
    refuse(tmp_path, message)


def refuse(tmp_path: Path, message: str, source: str = "ct", task=None) -> None:
    with pytest.raises(BundleError, match=message) as caught:
        run(tmp_path / source, tmp_path / "out", task)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_compression_without_a_decoder_names_the_package(tmp_path, monkeypatch):
    write_ct(tmp_path / "ct")
    compressed = sorted((tmp_path / "ct").iterdir())
    edit(compressed, lambda dataset, _: dataset.compress(JPEGLSLossless))
    decoder = get_decoder(JPEGLSLossless)
    monkeypatch.setattr(decoder, "_available", {})
    monkeypatch.setattr(decoder, "_unavailable", {"pyjpegls": ("pyjpegls>=1.2",)})
    refuse(tmp_path, r"expected a decoder for JPEG-LS.*got none: install .*pyjpegls>=1\.2")


def test_values_that_are_no_numbers_are_refused(tmp_path):
    volume = body_volume().astype(np.float32)
    volume[3, 3, 2] = np.nan
    (tmp_path / "in").mkdir()
    nib.save(nib.Nifti1Image(volume, AFFINE), tmp_path / "in" / "ct.nii.gz")
    refuse(tmp_path, "expected .*NaN|NaN", "in/ct.nii.gz")


def test_prompt_of_another_modality_is_refused(tmp_path):
    write_ct(tmp_path / "ct")
    refuse(tmp_path, "expected a picture as its templates are, got a CT", task=picture_task())
    write_picture(tmp_path / "eye.png")
    refuse(tmp_path, "expected a CT as its templates are, got a picture", "eye.png", ct_task())


def test_prompt_with_an_empty_mask_is_refused():
    template = body_template("a")
    empty = {**template.masks, "dark": np.zeros((8, 8), bool)}
    with pytest.raises(InputError, match="structure 'dark': expected a labelled area, got an empty mask"):
        replace(template, masks=empty)


def test_missing_input_is_refused(tmp_path):
    refuse(tmp_path, "expected a case or a folder of cases, got no such path", "nowhere")


def test_a_series_is_not_named_where_studies_are_mixed(tmp_path):
    """Two patients in one folder: number 4 is a series of one of them only, so neither is segmented by it."""
    for seed, number in ((1, 3), (2, 4)):
        for path in write_ct_series(
            tmp_path / "mixed", body_volume(), AFFINE, seed=seed, series_number=number
        ):
            path.rename(path.with_name(f"{seed}{path.name}"))
    with pytest.raises(InputError, match="2 were refused: mixed-1: .* folder of one study where a series is"):
        run(tmp_path / "mixed", tmp_path / "out", series=4)
    assert not list((tmp_path / "out").rglob("volumes.json"))
    run(tmp_path / "mixed", tmp_path / "all")
    assert len(list((tmp_path / "all").rglob("volumes.json"))) == 2


def test_series_that_is_not_there_is_refused(tmp_path):
    write_ct(tmp_path / "ct")
    with pytest.raises(InputError, match="expected series '7' once, got 0"):
        run(tmp_path / "ct", tmp_path / "out", series=7)
