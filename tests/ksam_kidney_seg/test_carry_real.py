"""One labelled slice of a real CT, carried through it by LiteMedSAM's decoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ksam.engines import build_ksam_engines
from ksam.frame import Window
from ksam.inferer import KnowledgePromptInferer
from ksam.network import build_network
from ksam.structures import PALETTE, Structure
from ksam.template_maker import StructureRule, make_templates, read_labelled
from ksam.templates import Task

MODELS = Path(__file__).resolve().parents[2] / "bundles" / "ksam_kidney_seg" / "models"
NAMES = ("kidney_left", "kidney_right", "spleen")
LABELLED = 93


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.weights("ksam-kidney-phantom")
def test_kidneys_and_spleen_of_a_real_ct(shared_data: Path) -> None:
    """Over its 112 slices: 0.933, 0.878 and 0.949; here over 34 slices around the labelled one."""
    folder = shared_data / "ct_abdomen"
    rules = [StructureRule(name, file=folder / f"{name}.nii.gz") for name in NAMES]
    found = read_labelled(folder / "ct.nii.gz", None, rules)
    structures = tuple(Structure(name, i + 1, None, PALETTE[i]) for i, name in enumerate(NAMES))
    templates = tuple(make_templates(found, [LABELLED], "own"))
    task = Task("own", "CT", Window(40, 400), "body", structures, templates)
    network = build_network(MODELS / "kidney_phantom_delta.safetensors", base=MODELS / "lite_medsam.pth")
    first = 78
    answer = KnowledgePromptInferer(task, carry=True).predict_volume(
        found.slices[:, :, first:], build_ksam_engines(network)
    )
    assert answer.carried == NAMES
    scored = np.arange(first, found.slices.shape[2]) != LABELLED
    for structure in structures:
        mask = (answer.labels == structure.value)[:, :, scored]
        truth = found.masks[structure.name][:, :, first:][:, :, scored]
        score = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
        assert score > 0.85, (structure.name, score)
