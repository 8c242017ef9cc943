"""Task or bank: alike to the pipeline, and refused where they do not fit."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from toy_ksam import build_toy
from toy_prompts import DARK, LIGHT, toy_masks
from toy_segmenter import ToyKSam, body_slice, ct_task, picture_task, segmenter_of

from common.errors import ClassifierError, ConfigError, InputError
from common.networks.card import WeightsCard
from ksam.delta import load_delta, save_delta
from ksam.eager import EagerNetwork
from ksam.frame import Window, build_frame
from ksam.inferer import KnowledgePromptInferer
from ksam.network import build_network
from ksam.segmenter import BankSegmenter, TaskSegmenter, build_segmenter, check_bank, count_used
from ksam.structures import structure_to_dict

SIZE = 32


def build_banked(structures: int = 2):
    """A small KSAM with one picture that serves all structures."""
    network = build_toy()
    image = torch.full((structures, 1, 3, SIZE, SIZE), 90.0)
    masks = torch.zeros(structures, 1, 1, SIZE, SIZE)
    masks[..., 4:20, 4:20] = 1
    network.set_bank(image, masks, ("dark", "light", "third")[:structures])
    return network.eval()


def test_used_templates_are_counted_by_slice_and_structure():
    used = ((("a", "b"), ("a",)), (("b",), ()))
    assert count_used(used, (DARK, LIGHT)) == {"a": {"dark": 1, "light": 1}, "b": {"dark": 2}}


def test_templates_are_shown_as_the_network_sees_them():
    segmenter = segmenter_of(ct_task())
    ((name, image, masks),) = segmenter.shown(((("a",), ("a",)),))
    assert name == "a" and image.shape == (8, 8, 3) and image.min() >= 0 and image.max() <= 255
    np.testing.assert_array_equal(masks["dark"], toy_masks()["dark"])
    assert segmenter.shown(()) == []


def test_bank_answers_like_the_network(tmp_path):
    network = build_banked()
    segmenter = BankSegmenter(network, (DARK, LIGHT), Window(0, 510), "none")
    slice_hu = np.random.default_rng(0).uniform(-200, 200, (SIZE, SIZE)).astype(np.float32)
    frame = build_frame(slice_hu, "none", SIZE)
    found = segmenter.predict_slice(slice_hu, frame, None)
    with torch.no_grad():
        square = torch.from_numpy(frame.to_network(slice_hu, Window(0, 510)))[None]
        np.testing.assert_allclose(found.logits, network(square)[0].numpy(), atol=1e-5)
    assert np.isnan(found.expected_dice).all() and not found.disagreement.any()
    volume = segmenter.predict_volume(np.repeat(slice_hu[:, :, None], 2, axis=2), frame, 3.0)
    np.testing.assert_array_equal(volume.labels[:, :, 1], found.labels())
    described = segmenter.describe(volume.templates)
    assert described["templates"] == [{"id": "bank 1", "used": {"dark": 2, "light": 2}}]
    assert segmenter.describe_run()["settings"] == {"retrieval": "bank"}
    ((name, image, masks),) = segmenter.shown(volume.templates)
    assert name == "bank 1" and image.shape == (SIZE, SIZE, 3) and set(masks) == {"dark", "light"}


def test_templates_of_a_bank_may_disagree():
    network = build_toy()
    images = torch.rand(1, 2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 255
    masks = torch.zeros(1, 2, 1, SIZE, SIZE)
    masks[:, 0, :, :9], masks[:, 1, :, 9:] = 1, 1
    network.set_bank(images, masks, ("dark",))
    segmenter = BankSegmenter(network, (DARK,), None, "none", make_engine=lambda: EagerNetwork(network))
    image = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
    found = segmenter.predict_slice(image, build_frame(image, "none", SIZE), None)
    assert found.disagreement.max() > 0 and found.templates == (("bank 1", "bank 2"),)
    assert len(found.overlaps[0]) == 1


def test_bank_refuses_the_other_modality():
    segmenter = BankSegmenter(build_banked(), (DARK, LIGHT), Window(0, 510), "none")
    with pytest.raises(InputError, match="expected a CT, as the examples in the weights are, got a picture"):
        segmenter.check_input("picture")
    segmenter.check_input("CT")


def test_more_structures_than_the_bank_has_are_refused():
    with pytest.raises(ConfigError, match=r"expected the structures of the weights' examples \(dark\), got"):
        check_bank(build_banked(1), (DARK, LIGHT))
    with pytest.raises(ConfigError, match=r"of the weights' examples \(dark, light\), got light, dark"):
        check_bank(build_banked(2), (LIGHT, DARK))


def test_no_prompts_and_no_bank_are_refused():
    with pytest.raises(ConfigError, match="prompts: expected a task folder, because these weights bring no"):
        check_bank(build_toy(), (DARK, LIGHT))
    with pytest.raises(ConfigError, match="prompts: expected a task folder, got none: set prompts to one"):
        TaskSegmenter(ToyKSam(), KnowledgePromptInferer(None))


def test_config_chooses_task_or_bank(tmp_path):
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps([structure_to_dict(row) for row in (DARK, LIGHT)]))
    bank = build_segmenter(build_banked(), KnowledgePromptInferer(None), labels)
    assert isinstance(bank, BankSegmenter) and bank.modality == "picture"
    window = {"center_hu": 0, "width_hu": 400}
    assert build_segmenter(build_banked(), KnowledgePromptInferer(None), labels, window).modality == "CT"
    task = build_segmenter(ToyKSam(), KnowledgePromptInferer(picture_task(), cache=False), labels)
    assert isinstance(task, TaskSegmenter) and task.structures == (DARK, LIGHT)
    with pytest.raises(ConfigError, match="device: expected"):
        build_segmenter(build_banked(), KnowledgePromptInferer(None), labels, device="abacus")


def test_engine_describes_itself():
    segmenter = segmenter_of(ct_task(), retrieval="fixed")
    assert segmenter.describe_run()["engine"]["precision"] == "fp32"
    segmenter.engine = SimpleNamespace(describe=lambda: {"engine": "fast"})
    assert segmenter.describe_run()["engine"] == {"engine": "fast"}
    assert segmenter.describe_run()["settings"]["retrieval"] == "fixed"


def test_consistency_stands_in_the_settings():
    segmenter = segmenter_of(ct_task(), consistency={"smooth_mm": 4.0})
    settings = segmenter.describe_run()["settings"]
    assert settings["consistency"]["smooth_mm"] == 4
    volume = np.repeat(body_slice()[:, :, None], 3, axis=2)
    found = segmenter.predict_volume(volume, build_frame(volume[:, :, 0], "none", 8), 3.0)
    assert found.labels.any()


def test_weights_of_another_backbone_are_refused(tmp_path):
    save_delta(build_banked(), tmp_path / "toy.safetensors", WeightsCard("toy"))
    with pytest.raises(ClassifierError, match="toy: expected the backbone 'lite' .* got 'vit_b': set"):
        build_network(tmp_path / "toy.safetensors", backbone="vit_b")


def test_weights_with_another_hash_are_refused(tmp_path):
    save_delta(build_banked(), tmp_path / "toy.safetensors", WeightsCard("toy"))
    with pytest.raises(ClassifierError, match="toy: expected backbone weights .* sha256 .* bring the file"):
        load_delta(build_toy(seed=1), tmp_path / "toy.safetensors")


def test_missing_weights_are_refused(tmp_path):
    with pytest.raises(ClassifierError, match="weights: expected a file with weights, got 'none.safe"):
        build_network(tmp_path / "none.safetensors")
