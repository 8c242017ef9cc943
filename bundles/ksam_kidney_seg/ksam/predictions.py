"""What a network that was told by templates says about a slice and about a volume."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from .agreement import add_overlaps, expected_dice
from .frame import OUTSIDE_LOGIT, Frame
from .postprocess import label_map, masks_from_logits
from .predictor import SquarePrediction
from .structures import Structure

DOUBT_STEP = 0.5 / 255
"""Of the disagreement that is kept of a volume: one byte a voxel."""


@dataclass(frozen=True, eq=False)
class SlicePrediction:
    """The answer for one slice.

    Attributes:
        structures: n of them, in the order of the maps.
        logits: (n, r, c) float32; above 0 inside, of each structure taken alone.
        disagreement: (n, r, c) standard deviation over the templates, 0..0.5.
        overlaps: for each structure (pairs, 2) slice pixels, see `agreement.count_overlaps`.
        templates: for each structure the ids of the templates used, best first.
        members: structure name -> template id -> (r, c) logits of that template alone, where asked for.
        carried: names of the structures that come from slices of the same volume, see `carry`.
    """

    structures: tuple[Structure, ...]
    logits: np.ndarray
    disagreement: np.ndarray
    overlaps: tuple[np.ndarray, ...]
    templates: tuple[tuple[str, ...], ...]
    members: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    carried: tuple[str, ...] = ()

    @property
    def probabilities(self) -> np.ndarray:
        """(n, r, c) 0..1."""
        return torch.from_numpy(self.logits).sigmoid().numpy()

    @property
    def expected_dice(self) -> np.ndarray:
        """(n,), see `agreement.expected_dice`; NaN with one template."""
        return np.array([expected_dice(counts) for counts in self.overlaps])

    @property
    def doubt(self) -> np.ndarray | None:
        """(r, c) the largest disagreement about any structure; None where no structure had two templates."""
        return self.disagreement.max(axis=0) if any(len(pairs) for pairs in self.overlaps) else None

    def found(self) -> np.ndarray:
        """(r, c) bool: inside any structure."""
        return np.asarray(self.logits.max(axis=0) > 0)

    def masks(self) -> np.ndarray:
        """(n, r, c) bool: exclusive among siblings, children inside their parent."""
        return masks_from_logits(self.logits, self.structures)

    def labels(self) -> np.ndarray:
        """(r, c) uint8 label map."""
        return label_map(self.masks(), self.structures)


@dataclass(frozen=True, eq=False)
class VolumePrediction:
    """The answer for a volume.

    Attributes:
        structures: n of them.
        labels: (R, C, Z) uint8; `structures.mask_of` gives a structure's mask.
        expected_dice: (n,) over the whole volume, see `agreement.expected_dice`; NaN with one template.
        disagreement: (n,) mean standard deviation inside each structure, 0..0.5; NaN where it was not found,
            or with one template.
        templates: for each slice and structure the ids of the templates used.
        doubt: (R, C, Z) uint8, `SlicePrediction.doubt` in steps of `DOUBT_STEP`; None where there is none.
        carried: as in `SlicePrediction`.
    """

    structures: tuple[Structure, ...]
    labels: np.ndarray
    expected_dice: np.ndarray
    disagreement: np.ndarray
    templates: tuple[tuple[tuple[str, ...], ...], ...]
    doubt: np.ndarray | None = None
    carried: tuple[str, ...] = ()


def to_slice(
    answer: SquarePrediction, frame: Frame, structures: tuple[Structure, ...], members: bool = False
) -> SlicePrediction:
    """From the network's square to the slice; outside the square nothing is found and nothing doubted."""
    pixels = (frame.box_px[2] / frame.size_px) ** 2
    return SlicePrediction(
        structures=structures,
        logits=frame.to_slice(answer.logits),
        disagreement=np.clip(frame.to_slice(answer.disagreement), 0.0, 0.5),
        overlaps=tuple(counts * pixels for counts in answer.overlaps),
        templates=tuple(tuple(template.id for template in chosen) for chosen in answer.used),
        members=_name_members(answer, frame, structures) if members else {},
    )


def _name_members(
    answer: SquarePrediction, frame: Frame, structures: tuple[Structure, ...]
) -> dict[str, dict[str, np.ndarray]]:
    found = {}
    for structure, chosen, logits in zip(structures, answer.used, answer.members, strict=True):
        maps = frame.to_slice(logits.float().cpu().numpy())
        found[structure.name] = {template.id: part for template, part in zip(chosen, maps, strict=True)}
    return found


def name_origins(answer: SlicePrediction, origin: Mapping[str, str]) -> SlicePrediction:
    """The answer with the ids of whole templates instead of those of the parts cut from them."""
    used = tuple(tuple(dict.fromkeys(origin.get(key, key) for key in ids)) for ids in answer.templates)
    members = {
        name: merge_members([{origin.get(key, key): maps} for key, maps in found.items()])
        for name, found in answer.members.items()
    }
    return replace(answer, templates=used, members=members)


def merge_regions(
    answers: Sequence[SlicePrediction], structures: tuple[Structure, ...], shape_px: tuple[int, int]
) -> SlicePrediction:
    """One answer for a slice from those of its regions: where they overlap, the larger logit with its doubt.

    Args:
        answers: of the regions; none where nothing was found in the slice.
        structures: of the task.
        shape_px: of the slice.
    """
    count = len(structures)
    if not answers:
        nothing, sure = (np.full((count, *shape_px), value, np.float32) for value in (OUTSIDE_LOGIT, 0.0))
        no_pairs, nobody = (np.zeros((0, 2)),) * count, ((),) * count
        return SlicePrediction(structures, nothing, sure, no_pairs, nobody)
    best = answers[0]
    for answer in answers[1:]:
        wins = answer.logits > best.logits
        best = replace(
            best,
            logits=np.where(wins, answer.logits, best.logits),
            disagreement=np.where(wins, answer.disagreement, best.disagreement),
            overlaps=tuple(add_overlaps(*both) for both in zip(best.overlaps, answer.overlaps, strict=True)),
            templates=tuple(
                tuple(dict.fromkeys((*a, *b))) for a, b in zip(best.templates, answer.templates, strict=True)
            ),
            members={
                name: merge_members([found, answer.members[name]]) for name, found in best.members.items()
            },
        )
    return best


def merge_members(answers: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Template id -> the larger logits of those that it gave."""
    found: dict[str, np.ndarray] = {}
    for answer in answers:
        for key, maps in answer.items():
            found[key] = np.maximum(found[key], maps) if key in found else maps
    return found


def gather_volume(
    slices: Iterable[SlicePrediction], shape: tuple[int, ...], structures: tuple[Structure, ...]
) -> VolumePrediction:
    """Label map and summary of slices that come from the lowest to the highest."""
    labels = np.zeros(shape, dtype=np.uint8)
    overlaps = [np.zeros((0, 2))] * len(structures)
    sums, area = np.zeros(len(structures)), np.zeros(len(structures))
    doubt: np.ndarray | None = None
    used: list[tuple[tuple[str, ...], ...]] = []
    carried: tuple[str, ...] = ()
    for z, prediction in enumerate(slices):
        masks = prediction.masks()
        labels[:, :, z] = label_map(masks, structures)
        overlaps = [add_overlaps(*both) for both in zip(overlaps, prediction.overlaps, strict=True)]
        sums += (prediction.disagreement * masks).sum((1, 2))
        area += masks.sum((1, 2))
        used.append(prediction.templates)
        carried = prediction.carried
        if (seen := prediction.doubt) is not None:
            doubt = np.zeros(shape, np.uint8) if doubt is None else doubt
            doubt[:, :, z] = np.rint(seen / DOUBT_STEP)
    expected = np.array([expected_dice(counts) for counts in overlaps])
    known = (area > 0) & np.isfinite(expected)
    means = np.where(known, sums / np.maximum(area, 1), np.nan)
    return VolumePrediction(structures, labels, expected, means, tuple(used), doubt, carried)
