"""Scores of a method whose answers are known, on pictures and on a volume in millimetres."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from experiment.ksam_peers.base import Peer
from experiment.ksam_peers.scoring import score_peer
from toy_ksam import draw_datalist

from ksam.datalist import load_datalist
from ksam.evaluation_table import summarize
from ksam.template_choice import draw_task, single_template_tasks
from ksam.templates import Task


class Copying(Peer):
    """Answers with the truth, and with nothing."""

    def __init__(self, task: Task) -> None:
        self.image_size, self.answers = 48, {"right": task, "empty": task}

    def segment(self, image: torch.Tensor, truth: torch.Tensor) -> Mapping[str, torch.Tensor]:
        return {"right": truth * 10 - 5, "empty": truth * 0 - 5}


def draw_volume(folder: Path) -> Path:
    """A ball of 100 HU in air; pixels of 2 mm, slices of 5 mm."""
    i, j, k = np.mgrid[:48, :48, :6]
    ball = np.hypot(np.hypot(2 * (i - 24), 2 * (j - 20)), 5 * (k - 2.5)) < 14
    images = {"ct": np.where(ball, 100, -1000).astype(np.int16), "label": ball.astype(np.uint8)}
    parts: dict[str, list[dict[str, str]]] = {"training": [], "validation": [], "test": []}
    for part in ("training", "test"):
        for name, voxels in images.items():
            image = nib.Nifti1Image(voxels, np.diag([-2.0, -2.0, 5.0, 1.0]))
            image.header.set_xyzt_units("mm")
            nib.save(image, folder / f"{name}_{part}.nii.gz")
        parts[part].append({"image": f"ct_{part}.nii.gz", "label": f"label_{part}.nii.gz", "patient": part})
    header = {"name": "balls", "modality": "CT", "licence": "generated", "crop": "none"}
    header |= {"structures": [{"name": "ball", "values": [1]}], "window": {"center_hu": 0, "width_hu": 400}}
    (folder / "balls.json").write_text(json.dumps(header | parts))
    return folder / "balls.json"


def test_a_volume_is_scored_as_a_whole(tmp_path: Path) -> None:
    cases = load_datalist(path := draw_volume(tmp_path), "test")
    task = draw_task(load_datalist(path, "training"), 1, 0)
    scores, shown = score_peer(Copying(task), cases, task, True, 4)
    right, empty = scores
    assert (right.template, empty.template) == ("right", "empty") and right.true == right.predicted > 300
    assert right.dice == 1 and right.hd95 == 0 and empty.dice == 0 and np.isnan(empty.hd95)
    assert len(shown) == 1 and shown[0].image.shape == (48, 48) and shown[0].image.max() == 191
    assert np.array_equal(shown[0].truth, shown[0].labels) and shown[0].truth.sum() > 100


def test_pictures_children_in_their_parents(tmp_path: Path) -> None:
    path = draw_datalist(tmp_path)
    cases, task = load_datalist(path, "test"), draw_task(load_datalist(path, "training"), 1, 0)
    scores, shown = score_peer(Copying(task), cases, task, True, 2)
    assert len(scores) == 3 * 2 * 2 and len(shown) == 2
    rows = summarize([s for s in scores if s.template == "right"], task.structure_names, 100, 0)
    assert rows["disc"]["dice"] == pytest.approx(1) and rows["cup"]["hd95"] == 0
    assert set(np.unique(shown[0].labels)) == {0, 1, 2}


def test_an_answer_that_knows_fewer_structures(tmp_path: Path) -> None:
    path = draw_datalist(tmp_path)
    cases, task = load_datalist(path, "test"), draw_task(load_datalist(path, "training"), 1, 0)
    peer = Copying(task)
    template = task.templates[0]
    only = type(template)(template.id, template.image, {"cup": template.masks["cup"]})
    cup = task.structures[1]
    alone = type(cup)(cup.name, cup.value, cup.code, cup.color)
    small = Task("cup", "picture", None, "none", (alone,), (only,))
    peer.answers = single_template_tasks(small)
    peer.segment = lambda image, truth: {template.id: truth[1:] * 10 - 5}  # type: ignore[method-assign]
    scores, _ = score_peer(peer, cases, task, False, 0)
    assert {score.structure for score in scores} == {"cup"} and all(score.dice == 1 for score in scores)
