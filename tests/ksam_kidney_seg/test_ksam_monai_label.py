"""The three hooks of MONAI Label around a network that can be worked out by hand; the user's own slices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from toy_prompts import toy_masks
from toy_segmenter import AFFINE, SLICES, ToyKSam, body_template, body_volume, ct_task, write_ct

from common.errors import ConfigError, InputError
from ksam import monai_label
from ksam.monai_label import LabelInferer, ReadCt, ReportNumbers, list_prompts
from ksam.own_template import find_own_labels
from ksam.pipeline import SegmentationPipeline, build_dataset
from ksam.prompts import save_task
from ksam.task_segmenter import TaskSegmenter

STRUCTURES = [
    {"value": 0, "name": "background", "code": None, "color": [0, 0, 0]},
    {"value": 1, "name": "dark", "code": None, "color": [255, 0, 0], "parent": None},
    {"value": 2, "name": "light", "code": None, "color": [0, 255, 0], "parent": None},
]
CHOICE = {"prompt": ["toy", "own"], "templates": 3, "crop": ["auto"], "own_slices": "auto", "keep_largest": 0}


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """A folder of images with one CT, beside a prompt library and labels.json."""
    folder = tmp_path / "studies"
    folder.mkdir()
    nib.save(nib.Nifti1Image(body_volume(), AFFINE), folder / "ct.nii.gz")
    save_task(ct_task(body_template("a"), body_template("b")), tmp_path / "prompts" / "toy")
    (tmp_path / "labels.json").write_text(json.dumps(STRUCTURES))
    return folder


@pytest.fixture(autouse=True)
def plain_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network as it is: what an engine does to it is tested elsewhere."""
    monkeypatch.setattr(monai_label, "_kept_engines", lambda network, *_: network)


def make_inferer(root: Path, **choice: Any) -> LabelInferer:
    window = {"center_hu": -245, "width_hu": 1510}
    places = (CHOICE | choice, root / "prompts", root / "labels.json", window, "none")
    return LabelInferer(root / "prompts" / "toy", *places, cache=False)


def infer(studies: Path, request: dict[str, Any] | None = None, **choice: Any) -> dict[str, Any]:
    """What MONAI Label does with a request: preprocessing, batch, inferer, unbatch, postprocessing."""
    data = ReadCt()({"image": str(studies / "ct.nii.gz"), **(request or {})})
    labels = make_inferer(studies.parent, **choice)(data["image"][None], ToyKSam())  # type: ignore[arg-type]
    return ReportNumbers()(data | {"pred": labels[0]})


def save_own(studies: Path, slices: dict[int, str], values: dict[str, int]) -> Path:
    """Submit labels: slice number -> structure that is drawn there."""
    masks = toy_masks()
    labels = np.zeros((8, 8, SLICES), np.uint8)
    for z, name in slices.items():
        labels[:, :, z][masks[name].T] = values[name]
    path = studies / "labels" / "final" / "ct.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(labels, AFFINE), path)
    return path


def test_masks_and_numbers_are_those_of_the_pipeline(studies, tmp_path):
    answer = infer(studies)
    inferer = make_inferer(tmp_path)
    segmenter = TaskSegmenter(ToyKSam(), inferer)  # type: ignore[arg-type]
    SegmentationPipeline(build_dataset(studies / "ct.nii.gz"), segmenter, tmp_path / "out").run()
    expected = np.asarray(nib.load(tmp_path / "out" / "ct_seg.nii.gz").dataobj)
    np.testing.assert_array_equal(answer["pred"][0].numpy(), expected)
    record = json.loads((tmp_path / "out" / "volumes.json").read_text())
    for key in ("structures", "prompts", "weights", "settings", "grid"):
        assert answer["result"][key] == record[key]
    assert json.dumps(answer["result"], allow_nan=False)


def test_image_brings_the_grid_that_restored_asks_for(studies):
    image = ReadCt()({"image": str(studies / "ct.nii.gz")})["image"]
    assert image.shape == (1, 8, 8, SLICES) and tuple(image.meta["spatial_shape"]) == (8, 8, SLICES)
    np.testing.assert_allclose(image.meta["original_affine"], AFFINE)


def test_dicom_folder_is_answered_as_nifti_unless_the_client_wants_another(tmp_path):
    folder = str(write_ct(tmp_path / "ct"))
    assert ReadCt()({"image": folder})["result_extension"] == ".nii.gz"
    assert ReadCt()({"image": folder, "result_extension": ".nrrd"})["result_extension"] == ".nrrd"


def test_other_tensors_go_as_in_the_pipeline(studies, tmp_path):
    logits = make_inferer(tmp_path)(torch.zeros(1, 3, 8, 8), ToyKSam())  # type: ignore[arg-type]
    assert logits.shape == (1, 2, 8, 8) and not isinstance(logits, MetaTensor)


def test_one_own_slice_segments_the_rest(studies):
    save_own(studies, {3: "light"}, {"light": 2})
    answer = infer(studies, prompt="own")
    expected = 2 * np.repeat(toy_masks()["light"].T[:, :, None], SLICES, 2)
    np.testing.assert_array_equal(answer["pred"][0].numpy(), expected)
    (template,) = answer["result"]["prompts"]["templates"]
    assert (template["provenance"]["slice"], template["used"]) == (3, {"light": SLICES})


def test_labels_of_the_request_go_before_saved_ones(studies, tmp_path):
    save_own(studies, {1: "dark"}, {"dark": 1}).rename(tmp_path / "sent.nii.gz")
    save_own(studies, {1: "light"}, {"light": 2})
    answer = infer(studies, {"label": str(tmp_path / "sent.nii.gz")}, prompt="own")
    assert set(np.unique(answer["pred"].numpy())) == {0, 1}


def test_values_mean_what_the_client_wrote_down(studies):
    """3D Slicer numbers the segments that it saves from 1, whatever they are."""
    save_own(studies, {2: "light"}, {"light": 1})
    table = {
        "objects": {"ct": {"labels": {"final": {"info": {"label_info": [{"name": "Light", "idx": 1}]}}}}}
    }
    (studies / "datastore_v2.json").write_text(json.dumps(table))
    assert set(np.unique(infer(studies, prompt="own")["pred"].numpy())) == {0, 2}
    table["objects"]["ct"]["labels"]["final"]["info"]["label_info"] = [{"name": "Segment_1", "idx": 1}]
    (studies / "datastore_v2.json").write_text(json.dumps(table))
    with pytest.raises(
        InputError, match="expected segments named dark, light, got another name for the value 1"
    ):
        infer(studies, prompt="own")


def test_own_slices_are_chosen_by_number_or_the_best_of_many(studies):
    save_own(studies, dict.fromkeys(range(SLICES), "dark"), {"dark": 1})
    chosen = infer(studies, prompt="own", own_slices="4, 1")["result"]["prompts"]["templates"]
    assert [row["provenance"]["slice"] for row in chosen] == [4, 1]
    assert len(infer(studies, prompt="own")["result"]["prompts"]["templates"]) == SLICES
    with pytest.raises(InputError, match=r"slice: expected 0 to 4 \(0 is the lowest\), got 9"):
        infer(studies, prompt="own", own_slices="9")


def test_labels_are_found_by_name_in_each_format(tmp_path):
    folder = tmp_path / "labels" / "final"
    folder.mkdir(parents=True)
    (tmp_path / "ct.nii.gz").touch()
    assert find_own_labels(tmp_path / "ct.nii.gz") is None
    (folder / "ct.nrrd").touch()
    assert find_own_labels(tmp_path / "ct.nii.gz") == folder / "ct.nrrd"


@pytest.mark.parametrize(
    ("choice", "error", "match"),
    [
        ({"prompt": "liver"}, InputError, "expected the task 'liver', got toy"),
        ({"prompt": "own"}, InputError, "expected a labelled slice in labels/final/ct.nii.gz, got none"),
        ({"templates": "many"}, ConfigError, "templates: expected a whole number from 1, got 'many'"),
        ({"templates": 0}, ConfigError, "templates: expected a whole number from 1, got '0'"),
        ({"keep_largest": -1}, ConfigError, "keep_largest: expected a whole number from 0, got '-1'"),
        ({"crop": "head"}, ConfigError, "crop: expected one of none, body, region, got 'head'"),
        ({"prompt": "own", "own_slices": "first"}, ConfigError, "own_slices: expected 'auto' or up to 5"),
    ],
)
def test_refusals_of_choices(studies, choice, error, match):
    with pytest.raises(error, match=match):
        infer(studies, **choice)


def test_refusals_of_images(studies, tmp_path):
    with pytest.raises(InputError, match="image: expected a path, got ndarray"):
        ReadCt()({"image": np.zeros(3)})
    with pytest.raises(InputError, match="image: expected a path, got str"):
        ReadCt()({"image": ""})  # what MONAI Label makes of a name that it does not know
    (studies / "ct.nii.gz").write_bytes(b"no volume")
    with pytest.raises(InputError, match=r"ct.nii.gz: expected an intact NIfTI file"):
        ReadCt()({"image": str(studies / "ct.nii.gz")})


def test_empty_own_labels_are_refused(studies):
    save_own(studies, {}, {})
    with pytest.raises(InputError, match="expected a labelled slice, got an empty label map"):
        infer(studies, prompt="own")


def test_prompts_are_listed_with_the_default_first(tmp_path):
    for name in ("b", "a", "c"):
        save_task(ct_task(body_template("t")), tmp_path / name)
    assert list_prompts(tmp_path, tmp_path / "b") == ["b", "a", "c", "own"]
    assert list_prompts(tmp_path) == ["a", "b", "c", "own"]
    assert list_prompts(tmp_path / "missing") == ["own"]
