"""Algorithm 1 (Penkin et al. 2023): features of the same physical points at every scale, and margins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from common.engines import Engine, patches_to_batch
from common.errors import ConfigError
from common.geometry import magnification_from_mpp, mpp_from_magnification, parse_scale
from common.io.slide import Slide

from .criteria import build_criterion, column_norm
from .network import PatchClassifier

STEP = 1.2  # ratio of neighbouring scales (paper, section 4)
MAGNIFICATION_LIMITS = (1.25, 160.0)


def parse_scales(scales: str | float | Sequence[str | float]) -> np.ndarray:
    """Search set as microns per pixel, ascending magnification (so descending microns per pixel), (N,).

    Args:
        scales: x-factors ("x20", 20) or microns per pixel ("0.5mpp"), a list or a comma-separated string.

    Raises:
        ConfigError: fewer than two different scales, or one that cannot be read.
    """
    mpps = sorted({parse_scale(scale) for scale in split_scales(scales)}, reverse=True)
    if len(mpps) < 2:
        raise ConfigError(
            f"scales: expected at least two different scales, got {len(mpps)}: e.g. x10,x20,x40"
        )
    return np.array(mpps)


def split_scales(scales: str | float | Sequence[str | float]) -> list[str | float]:
    """One scale, a list or a comma-separated string, as a list."""
    items = [scales] if isinstance(scales, (str, int, float)) else list(scales)
    return [part for item in items for part in (item.split(",") if isinstance(item, str) else [item])]


@dataclass(frozen=True)
class ScaleFeatures:
    """What Algorithm 1 has gathered from one slide.

    Attributes:
        mpps: (N,) microns per pixel, ascending magnification; on a slide without a resolution they are
            nominal: what they would be if a level-0 pixel measured `base_mpp`.
        base_mpp: microns per level-0 pixel, stated or assumed.
        xy_px: (P, 2) points in level-0 pixels.
        features: (P, N, M).
    """

    mpps: np.ndarray
    base_mpp: float
    xy_px: np.ndarray
    features: np.ndarray

    @property
    def downsamples(self) -> np.ndarray:
        """(N,) level-0 pixels per patch pixel; below 1 the scale is finer than the scan (upsampled)."""
        return self.mpps / self.base_mpp

    def merge(self, other: ScaleFeatures, kept: np.ndarray) -> ScaleFeatures:
        """This set at the points `kept` (bool, (P,)) together with `other`'s scales at those points."""
        mpps = np.concatenate([self.mpps, other.mpps])
        order = np.argsort(-mpps)
        features = np.concatenate([self.features[kept], other.features], axis=1)[:, order]
        return replace(self, mpps=mpps[order], xy_px=self.xy_px[kept], features=features)


def gather_features(
    slide: Slide,
    engine: Engine,
    size_px: int,
    xy_px: np.ndarray,
    mpps: np.ndarray,
    base_mpp: float,
    batch_size: int = 32,
) -> ScaleFeatures:
    """Lines 3-8: the patch of size_px x size_px around every point at every scale, through Phi."""
    downsamples = mpps / base_mpp
    squares = (slide.read_square((x, y), step, size_px) for x, y in xy_px for step in downsamples)
    total = len(xy_px) * len(mpps)
    progress = tqdm(_batches(squares, batch_size), total=-(-total // batch_size), desc="search", unit="batch")
    features = np.concatenate([engine(patches_to_batch(batch)) for batch in progress])
    return ScaleFeatures(mpps, base_mpp, xy_px, features.reshape(len(xy_px), len(mpps), -1))


def _batches(items: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    batch: list[np.ndarray] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


def widen_scales(mpps: np.ndarray, direction: str, finest_mpp: float = 0.0, steps: int = 3) -> np.ndarray:
    """The next `steps` scales beyond one end of the set at the paper's ratio, within x1.25 to x160.

    Args:
        mpps: (N,) ascending magnification.
        direction: "lower" or "higher" magnification.
        finest_mpp: microns per pixel of the scan; finer scales are left out, they would show interpolation.
        steps: how many scales.
    """
    edge = magnification_from_mpp(mpps[0] if direction == "lower" else mpps[-1])
    factors = STEP ** np.arange(1, steps + 1)
    wanted = edge / factors if direction == "lower" else edge * factors
    low, high = MAGNIFICATION_LIMITS
    rounded = [float(f"{value:.3g}") for value in wanted if low <= value <= high]
    new = np.sort([mpp_from_magnification(value) for value in rounded])[::-1]
    return new[new >= finest_mpp * (1 - 1e-6)]


@dataclass(frozen=True)
class Margins:
    """Scores of every point at every scale under one criterion (lines 9 and 10).

    Attributes:
        scores: (P, N, K) the criterion's values, K = C or 1.
        curves: (P, N) ReduceMax over the last axis.
        proposed: (P,) index of each point's proposed scale.
        classes: (P,) index of the class with the largest distance at the proposed scale.
        distances: (P,) signed distance (column_norm) to that class's hyperplane at the proposed scale.
    """

    scores: np.ndarray
    curves: np.ndarray
    proposed: np.ndarray
    classes: np.ndarray
    distances: np.ndarray


def compute_margins(gathered: ScaleFeatures, network: PatchClassifier, criterion: str) -> Margins:
    """Apply a criterion; ties between scales go to the lowest magnification (numpy's argmax)."""
    weight = network.weight.detach().numpy()
    bias = network.bias.detach().numpy()
    scores = build_criterion(criterion)(gathered.features, weight, bias)
    curves = scores.max(axis=-1)
    proposed = curves.argmax(axis=1)
    at_proposed = column_norm(gathered.features, weight, bias)[np.arange(len(proposed)), proposed]
    return Margins(scores, curves, proposed, at_proposed.argmax(axis=1), at_proposed.max(axis=1))


def half_width_px(mpps: np.ndarray, base_mpp: float, size_px: int) -> float:
    """Half the widest field of view of the set, in level-0 pixels."""
    return float(mpps.max() / base_mpp * size_px / 2)
