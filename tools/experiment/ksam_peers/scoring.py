"""Scores of a peer on every case, by the functions that evaluate.json uses, and the slices that are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from ksam.datalist import Case, LabelledSlice
from ksam.evaluate import read_spacing, stack_truth
from ksam.frame import Frame
from ksam.material import frame_case
from ksam.postprocess import label_map, masks_from_logits
from ksam.scores import Score, measure
from ksam.structures import mask_of
from ksam.templates import Task

from .base import Peer


class ShownSlice(NamedTuple):
    """A slice for the figure.

    Attributes:
        image: (r, c) or (r, c, 3), 0..255.
        truth, labels: (r, c) uint8 label maps of the task.
    """

    image: np.ndarray
    truth: np.ndarray
    labels: np.ndarray


def score_peer(
    peer: Peer, cases: Sequence[Case], task: Task, hd95: bool, pictures: int
) -> tuple[list[Score], list[ShownSlice]]:
    """Every case, answer and structure.

    Args:
        peer: trained, where it is to be.
        cases: of the test part.
        task: structures, window and crop.
        hd95: measure distances too.
        pictures: how many cases the figure shows, evenly spread.
    """
    wanted = {round(place) for place in np.linspace(0, len(cases) - 1, min(pictures, len(cases))).tolist()}
    scores: list[Score] = []
    shown: list[ShownSlice] = []
    for place, case in enumerate(tqdm(cases, "scoring", unit="case", leave=False)):
        entries = list(case.slices())
        labels = label_case(peer, entries, frame_case(entries, task.crop, peer.image_size), task)
        spacing = read_spacing(case) if hd95 else None
        for answer, found in labels.items():
            scores += _score(case, entries, answer, found, peer.answers[answer], spacing, hd95)
        if place in wanted:
            shown.append(_show(entries, next(iter(labels.values())), task))
    return scores, shown


@torch.inference_mode()
def label_case(
    peer: Peer, entries: Sequence[LabelledSlice], frame: Frame, task: Task
) -> dict[str, np.ndarray]:
    """Answer -> label map (r, c, slices), siblings exclusive and children inside their parents."""
    shape = (*entries[0].image.shape[:2], len(entries))
    labels = {answer: np.zeros(shape, dtype=np.uint8) for answer in peer.answers}
    for z, entry in enumerate(entries):
        image = torch.from_numpy(frame.to_network(entry.image, task.window))[None]
        masks = [frame.mask_to_network(entry.masks[name]) for name in task.structure_names]
        for answer, logits in peer.segment(image, torch.from_numpy(np.stack(masks))).items():
            structures = peer.answers[answer].structures
            whole = frame.to_slice(logits.float().cpu().numpy())
            labels[answer][:, :, z] = label_map(masks_from_logits(whole, structures), structures)
    return labels


def _score(
    case: Case,
    entries: Sequence[LabelledSlice],
    answer: str,
    labels: np.ndarray,
    task: Task,
    spacing: list[float] | None,
    hd95: bool,
) -> list[Score]:
    labels = labels[:, :, 0] if task.modality == "picture" else labels
    scores = []
    for structure in task.structures:
        truth = stack_truth(entries, structure.name)
        predicted = mask_of(labels, structure, task.structures)
        values = measure(predicted, truth, spacing, hd95)
        sizes = int(predicted.sum()), int(truth.sum())
        scores.append(Score(case.patient, case.name, structure.name, answer, *values, *sizes))
    return scores


def _show(entries: Sequence[LabelledSlice], labels: np.ndarray, task: Task) -> ShownSlice:
    """The slice that shows most structures, among equals most of them."""
    found = [
        (sum(entry.masks[n].any() for n in task.structure_names), sum(m.sum() for m in entry.masks.values()))
        for entry in entries
    ]
    best = max(range(len(entries)), key=lambda place: found[place])
    image, masks = entries[best].image, entries[best].masks
    truth = label_map(np.stack([masks[name] for name in task.structure_names]), task.structures)
    shown = image if task.window is None else task.window.apply(image)
    return ShownSlice(np.rint(shown).astype(np.uint8), truth, labels[:, :, best])
