"""Task or bank: chosen by the config, and refused where the weights do not fit."""

from __future__ import annotations

import json

import pytest
from toy_ksam import build_banked, build_toy
from toy_prompts import DARK, LIGHT
from toy_segmenter import ToyKSam, picture_task

from common.errors import ClassifierError, ConfigError
from common.networks.card import WeightsCard
from ksam.bank_segmenter import BankSegmenter
from ksam.delta import load_delta, save_delta
from ksam.inferer import KnowledgePromptInferer
from ksam.network import build_network
from ksam.segmenter import build_segmenter
from ksam.structures import structure_to_dict
from ksam.task_segmenter import TaskSegmenter


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
