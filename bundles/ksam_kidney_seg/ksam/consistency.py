"""Neighbouring slices help each other: accepted ones become templates, logits are smoothed along z.

Off by default: whether it beats slice after slice is measured by `tools/experiment/ksam_consistency.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from tqdm import tqdm

from common.errors import ConfigError

from .frame import Frame
from .postprocess import masks_from_logits
from .predictor import Candidates, SquarePrediction, SquarePredictor
from .templates import Task, Template

LOGIT_LIMIT = 8.0
"""Logits are clipped to this before smoothing (probability 0.9997): a sure slice shall not reach far."""

MIN_AREA_PX = 16
"""Network pixels that a structure must have in a slice to be shown to the next one."""


@dataclass(frozen=True)
class Consistency:
    """What neighbouring slices are used for.

    Attributes:
        neighbours: feed the accepted neighbour back, as one more template beside the chosen ones.
        accept: least certainty (see `certainty`) of a structure in a slice that is fed back, 0..1.
        smooth_mm: standard deviation of a Gaussian along z, over the logits; 0 is off.
    """

    neighbours: bool = False
    accept: float = 0.9
    smooth_mm: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.accept <= 1:
            raise ConfigError(f"accept: expected a certainty from 0 to 1, got {self.accept:g}: correct it")
        if not self.smooth_mm >= 0:
            raise ConfigError(f"smooth_mm: expected 0 (off) or more, got {self.smooth_mm:g}: correct it")

    @property
    def is_on(self) -> bool:
        """Whether slices depend on each other at all."""
        return self.neighbours or self.smooth_mm > 0

    def sigma_slices(self, slice_mm: float | None) -> float:
        """Standard deviation in slices. Raises ConfigError where the distance of slices is not known."""
        if self.smooth_mm == 0:
            return 0.0
        if slice_mm is None or not slice_mm > 0:
            raise ConfigError(
                "smooth_mm: expected a known distance of slices, got none: give slice_mm, or set it to 0"
            )
        return self.smooth_mm / slice_mm


def certainty(logits: np.ndarray) -> float:
    """Soft Dice between probabilities and the mask they give: 1 where all are 0 or 1, 0 for an empty mask.

    Args:
        logits: (H, W).
    """
    inside = logits > 0
    probabilities = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
    total = float(probabilities.sum() + inside.sum())
    return 2 * float(probabilities[inside].sum()) / total if inside.any() else 0.0


def predict_squares(
    predictor: SquarePredictor,
    voxels: np.ndarray,
    frame: Frame,
    task: Task,
    candidates: Candidates,
    places: Sequence[float],
    consistency: Consistency,
    slice_mm: float | None = None,
    progress: bool = False,
) -> Iterator[SquarePrediction]:
    """Neighbouring slices from the lowest to the highest, once every slice was predicted.

    Slices are visited outwards from the one that the templates show (by their positions; the middle where
    they have none), so that what is fed back comes from the side of the template. Squares are kept in half
    precision until the end: 4 n S S bytes a slice (0.8 MB for three structures at S = 256).

    Args:
        predictor: of the network.
        voxels: (R, C, Z) HU.
        frame: of all slices: what is smoothed lies at one place.
        task: window and structures.
        candidates: templates of each structure.
        places: positions of the slices in the whole volume, 0 (inferior) to 1, ascending.
        consistency: what to do.
        slice_mm: distance of slices.
        progress: show a bar.

    Raises:
        ConfigError: smoothing without a distance of slices.
    """
    sigma = consistency.sigma_slices(slice_mm)
    count = voxels.shape[2]
    squares: list[SquarePrediction | None] = [None] * count
    carried: dict[int, dict[str, Template]] = {}
    start = start_slice(candidates, places)
    for z, before in tqdm(visiting_order(count, start), "slices", unit="slice", disable=not progress):
        image = voxels[:, :, z]
        square = torch.from_numpy(frame.to_network(image, task.window))[None]
        extra = {name: [template] for name, template in carried.get(before, {}).items()}
        answer = predictor.predict(square, candidates, places[z], extra)
        if consistency.neighbours:
            shown = _carry(answer, frame, image, task, consistency.accept, predictor, z)
            carried = {start: carried.get(start, shown), z: shown}
        squares[z] = _shrink(answer)
    yield from _smooth([square for square in squares if square is not None], sigma)


def start_slice(candidates: Candidates, places: Sequence[float]) -> int:
    """The slice that lies next to the median of the templates' positions; the middle where none is known."""
    positions = [t.position for found in candidates.values() for t in found if t.position is not None]
    if not positions:
        return (len(places) - 1) // 2
    return int(np.abs(np.asarray(places) - np.median(positions)).argmin())


def visiting_order(count: int, start: int) -> list[tuple[int, int]]:
    """(slice, slice that it follows) outwards from `start`, first up, then down; -1 follows nothing."""
    up = [(z, z - 1) for z in range(start + 1, count)]
    down = [(z, z + 1) for z in range(start - 1, -1, -1)]
    return [(start, -1), *up, *down]


def _carry(
    answer: SquarePrediction,
    frame: Frame,
    image: np.ndarray,
    task: Task,
    accept: float,
    predictor: SquarePredictor,
    z: int,
) -> dict[str, Template]:
    """The slice as a template for its neighbour, for the structures that are certain in it."""
    masks = masks_from_logits(answer.logits, task.structures)
    sure = [
        place
        for place, logits in enumerate(answer.logits)
        if masks[place].sum() >= MIN_AREA_PX and certainty(logits) >= accept
    ]
    in_slice = masks_from_logits(frame.to_slice(answer.logits), task.structures)
    shown = {task.structures[place].name: in_slice[place] for place in sure if in_slice[place].any()}
    if not shown:
        return {}
    template = Template(f"slice {z}", image, shown)
    predictor.reader.remember(template, answer.embedding, frame)
    return dict.fromkeys(shown, template)


def _shrink(answer: SquarePrediction) -> SquarePrediction:
    """Without what is only needed once, in half precision."""
    return replace(
        answer,
        logits=np.clip(answer.logits, -LOGIT_LIMIT, LOGIT_LIMIT).astype(np.float16),
        disagreement=answer.disagreement.astype(np.float16),
        members=(),
        embedding=torch.empty(0),
    )


def _smooth(squares: Sequence[SquarePrediction], sigma: float) -> list[SquarePrediction]:
    """Gaussian along z over the logits, one structure after the other."""
    if sigma == 0 or not squares:
        return list(squares)
    smoothed = np.empty((len(squares), *squares[0].logits.shape), np.float16)
    for place in range(smoothed.shape[1]):
        stack = np.stack([square.logits[place] for square in squares]).astype(np.float32)
        smoothed[:, place] = gaussian_filter1d(stack, sigma, axis=0, mode="nearest")
    return [replace(square, logits=logits) for square, logits in zip(squares, smoothed, strict=True)]


def build_consistency(settings: Mapping[str, float | bool] | Consistency | None) -> Consistency:
    """Settings of a config, None for off. Raises ConfigError: an unknown one, or one out of range."""
    if isinstance(settings, Consistency):
        return settings
    known = tuple(Consistency.__dataclass_fields__)
    for name in settings or {}:
        if name not in known:
            raise ConfigError(f"consistency: expected {', '.join(known)}, got '{name}': correct the name")
    return Consistency(**(settings or {}))  # type: ignore[arg-type]
