"""A slice that was labelled in the volume itself, carried through it by SAM's own box prompt (choice).

The paper's knowledge prompt tells the network what a structure is. Where the example is a slice of the same
volume, its neighbour shows the structure almost in the same place, and a box is enough: from the labelled
slice outwards, each connected part of a structure is drawn in the next slice from the box of the part before,
until it ends. Hollow and branching structures (cortex, vessels) cannot be told by a box: what the decoder
does not redraw in the labelled slice itself is left to the knowledge prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from common.networks.sam import CHANNELS, Sam

from .consistency import LOGIT_LIMIT
from .frame import Frame, Window
from .predictions import SlicePrediction
from .structures import Structure
from .templates import Template

REDRAWN_DICE = 0.8
"""Least Dice of the labelled slice, drawn from the boxes of its own parts, for a structure to be carried."""

MARGIN, MARGIN_PX = 0.1, 2
"""A box reaches further than its part by this share of its sides, and at least by these network pixels."""

OVERLAP_DICE = 0.6
"""A part that overlaps less with the part before has lost its structure: it ends there."""

BRIGHTNESS_SD = 2.0
"""So does one whose mean lies further from that of the labelled part, in standard deviations of that part."""

LEAST_SD = 6.0
"""Least standard deviation of a labelled part, grey values of 0..255: generated CT is uniform."""

MIN_PART_PX = 12
"""Smaller parts, in network pixels, end."""

Encode = Callable[[torch.Tensor], torch.Tensor]
"""(1, 3, S, S) of a slice -> the features of SAM's encoder, with or without channels behind them."""


@dataclass(frozen=True, eq=False)
class Part:
    """A connected part of a structure in a slice.

    Attributes:
        name: of the structure.
        mask: (S, S) bool in the slice before.
        mean, sd: grey values inside the labelled part.
    """

    name: str
    mask: np.ndarray
    mean: float
    sd: float


@dataclass(frozen=True, eq=False)
class Carried:
    """What was carried.

    Attributes:
        logits: structure name -> (Z, S, S) float16 in the network's square, above 0 inside.
        sources: (Z,) ids of the templates that the slices were carried from.
        frame: of the square.
    """

    logits: Mapping[str, np.ndarray]
    sources: tuple[str, ...]
    frame: Frame

    def join(
        self, z: int, structures: tuple[Structure, ...], rest: SlicePrediction | None
    ) -> SlicePrediction:
        """The answer for a slice: what was carried, and for other structures what the network says.

        Args:
            z: number of the slice.
            structures: all of them.
            rest: the network's answer for those that were not carried; None where there are none.
        """
        carried = dict(zip(self.logits, self.frame.to_slice(self._squares(z)), strict=True))
        shape = (len(structures), *self.frame.shape_px)
        logits, doubt = np.empty(shape, np.float32), np.zeros(shape, np.float32)
        overlaps = [np.zeros((0, 2))] * len(structures)
        templates: list[tuple[str, ...]] = [(self.sources[z],)] * len(structures)
        others = iter(range(len(structures)))
        for place, structure in enumerate(structures):
            if structure.name in carried:
                logits[place] = carried[structure.name]
            elif rest is not None:
                other = next(others)
                logits[place], doubt[place] = rest.logits[other], rest.disagreement[other]
                overlaps[place], templates[place] = rest.overlaps[other], rest.templates[other]
        names = tuple(structure.name for structure in structures if structure.name in carried)
        return SlicePrediction(structures, logits, doubt, tuple(overlaps), tuple(templates), carried=names)

    def _squares(self, z: int) -> np.ndarray:
        shape = (len(self.logits), self.frame.size_px, self.frame.size_px)
        return np.array([squares[z] for squares in self.logits.values()], np.float32).reshape(shape)


def find_own_slices(voxels: np.ndarray, templates: tuple[Template, ...]) -> dict[int, Template]:
    """Slice number -> the template that is this very slice, pixel for pixel.

    Args:
        voxels: (R, C, Z) HU.
        templates: of a task.
    """
    own = {}
    for template in templates:
        if template.image.shape != voxels.shape[:2]:
            continue
        row = template.image.shape[0] // 2  # most slices differ in their middle row: the rest is not compared
        alike = np.flatnonzero((voxels[row] == template.image[row][:, None]).all(axis=0))
        places = [int(z) for z in alike if np.array_equal(voxels[:, :, z], template.image)]
        if len(places) == 1:  # equal slices, of a phantom for instance, do not say which one is meant
            own[places[0]] = template
    return own


@torch.inference_mode()
def carry_slices(
    sam: Sam,
    encode: Encode,
    voxels: np.ndarray,
    frame: Frame,
    window: Window | None,
    own: Mapping[int, Template],
    progress: bool = False,
) -> Carried:
    """Carry the structures of labelled slices through their volume; each slice is encoded once.

    A slice belongs to the labelled slice that lies nearest. What was labelled stays as it was labelled; a
    structure that one labelled slice shows and another one does not ends between the two.

    Args:
        sam: whose prompt encoder and decoder draw.
        encode: its encoder, or an engine with it.
        voxels: (R, C, Z) HU.
        frame, window: what the network sees of a slice.
        own: slice number -> template, see `find_own_slices`; at least one.
        progress: show a bar.

    Returns:
        The structures that the decoder redraws in the slices in which they were labelled.
    """
    squares = {z: frame.to_network(template.image, window) for z, template in own.items()}
    masks = {z: _square_masks(template, frame) for z, template in own.items()}
    names = list(dict.fromkeys(name for found in masks.values() for name in found))
    features = {z: _features(encode, square) for z, square in squares.items()}
    names = [name for name in names if _redraws(sam, name, features, masks)]
    count, shape = voxels.shape[2], (frame.size_px, frame.size_px)
    logits = {name: np.full((count, *shape), -LOGIT_LIMIT, np.float16) for name in names}
    for z, found in masks.items():
        for name in found.keys() & logits.keys():
            logits[name][z][found[name]] = LOGIT_LIMIT
    nearest = [min(own, key=lambda labelled: abs(labelled - z)) for z in range(count)]
    bar = tqdm(total=count - len(own), desc="slices carried", unit="slice", disable=not progress or not names)
    for start in own:
        for step in (1, -1):
            parts = [
                part for name in names for part in find_parts(name, masks[start].get(name), squares[start])
            ]
            for z in _territory(start, step, nearest):
                bar.update()
                if parts:
                    square = frame.to_network(voxels[:, :, z], window)
                    parts = list(_follow(sam, _features(encode, square), square, parts, logits, z))
    bar.close()
    return Carried(logits, tuple(own[z].id for z in nearest), frame)


def find_parts(name: str, mask: np.ndarray | None, square: np.ndarray) -> list[Part]:
    """The connected parts of a mask (S, S) in a square (3, S, S) that are large enough to be followed."""
    found = []
    for part in [] if mask is None else _split(mask):
        if part.sum() >= MIN_PART_PX:
            inside = square[0][part]
            found.append(Part(name, part, float(inside.mean()), max(float(inside.std()), LEAST_SD)))
    return found


def draw_boxes(sam: Sam, features: torch.Tensor, masks: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What the decoder draws in the boxes of masks.

    Args:
        sam: prompt encoder and decoder.
        features: (1, 256, g, g) of the slice.
        masks: (S, S) bool each, none empty.

    Returns:
        For each of them logits (S, S) float32.
    """
    if not masks:
        return []
    device = next(sam.parameters()).device
    boxes = torch.from_numpy(np.stack([_box(mask) for mask in masks])).to(device)
    sparse, dense = sam.prompt_encoder(None, boxes, None)
    drawn = sam.decode(features.to(device).float(), sparse, dense)
    shown = F.interpolate(drawn, masks[0].shape, mode="bilinear", align_corners=False)
    return list(shown[:, 0].cpu().numpy())


def _follow(
    sam: Sam,
    features: torch.Tensor,
    square: np.ndarray,
    parts: list[Part],
    logits: Mapping[str, np.ndarray],
    z: int,
) -> Iterator[Part]:
    """The parts as they are in the next slice; those that end are left out."""
    for part, drawn in zip(parts, draw_boxes(sam, features, [part.mask for part in parts]), strict=True):
        mask = _overlapping(drawn > 0, part.mask)
        if mask.sum() < MIN_PART_PX or dice(mask, part.mask) < OVERLAP_DICE:
            continue
        if abs(float(square[0][mask].mean()) - part.mean) > BRIGHTNESS_SD * part.sd:
            continue
        kept = np.where(mask | (drawn <= 0), drawn, -LOGIT_LIMIT).clip(-LOGIT_LIMIT, LOGIT_LIMIT)
        np.maximum(logits[part.name][z], kept.astype(np.float16), out=logits[part.name][z])
        yield Part(part.name, mask, part.mean, part.sd)


def _redraws(
    sam: Sam, name: str, features: Mapping[int, torch.Tensor], masks: Mapping[int, Mapping[str, np.ndarray]]
) -> bool:
    """Whether the decoder draws a structure, in the slices that show it, from the boxes of its parts."""
    scores = []
    for z, found in masks.items():
        if name in found:
            parts = [part for part in _split(found[name]) if part.sum() >= MIN_PART_PX]
            drawn = [logits > 0 for logits in draw_boxes(sam, features[z], parts)]
            scores.append(dice(np.any(drawn, axis=0), found[name]))
    return bool(np.mean(scores) >= REDRAWN_DICE)


def _territory(start: int, step: int, nearest: list[int]) -> Iterator[int]:
    """The slices on one side of a labelled slice that lie nearest to it, outwards."""
    z = start + step
    while 0 <= z < len(nearest) and nearest[z] == start:
        yield z
        z += step


def _features(encode: Encode, square: np.ndarray) -> torch.Tensor:
    return encode(torch.from_numpy(square)[None])[:, :CHANNELS]


def _square_masks(template: Template, frame: Frame) -> dict[str, np.ndarray]:
    found = {name: frame.mask_to_network(mask) >= 0.5 for name, mask in template.masks.items()}
    return {name: mask for name, mask in found.items() if mask.any()}


def _split(mask: np.ndarray) -> list[np.ndarray]:
    count, numbers = cv2.connectedComponents(mask.astype(np.uint8))
    return [numbers == number for number in range(1, count)]


def _overlapping(mask: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The connected part that overlaps most with the part before; empty where none does."""
    parts = _split(mask)
    return max(parts, key=lambda part: int((part & before).sum()), default=np.zeros_like(mask))


def _box(mask: np.ndarray) -> np.ndarray:
    """x0, y0, x1, y1 (end exclusive) around a mask with its margin, inside the square; float32."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    low, high = np.array([columns[0], rows[0]]), np.array([columns[-1], rows[-1]]) + 1
    margin = np.maximum(MARGIN * (high - low), MARGIN_PX)
    return np.concatenate([low - margin, high + margin]).clip(0, mask.shape[0]).astype(np.float32)


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|); 0 where both are empty."""
    return 2 * int((found & truth).sum()) / max(int(found.sum()) + int(truth.sum()), 1)
