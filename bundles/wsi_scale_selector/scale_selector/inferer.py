"""The predict step: search the scale of an open slide, widening the search set when the verdict says so."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
from monai.inferers import Inferer

from common.engines import Engine
from common.errors import ConfigError
from common.geometry import magnification_from_mpp
from common.io.slide import Slide

from .aggregation import (
    AGGREGATIONS,
    FLAT_TOLERANCE,
    Bootstrap,
    Curves,
    aggregate,
    bootstrap,
    check_aggregation,
    describe_curves,
)
from .classifier import ClassifierSpec, load_classifier_spec
from .criteria import build_criterion
from .network import PatchClassifier
from .points import Points, sample_points
from .search import (
    Margins,
    ScaleFeatures,
    compute_margins,
    gather_features,
    half_width_px,
    parse_scales,
    widen_scales,
)
from .verdict import WIDEN, Verdict, VerdictRule, decide

NOMINAL_MPP = 0.5  # assumed for a level-0 pixel when neither slide nor classifier states a resolution
MIN_POINTS_TO_WIDEN = 0.5  # share of the points that must survive a wider field of view
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SearchSettings:
    """What a user may change about the search.

    Attributes:
        scales: search set; x-factors or microns per pixel (default: the paper's nine).
        points: P, random tissue points per slide.
        seed: of the points and the bootstrap.
        criterion: one of `criteria.CRITERIA`; the paper's is column_norm.
        aggregation: one of `aggregation.AGGREGATIONS`; chosen by docs/scale_experiment.md.
        max_widenings: how often the set may widen itself, never to scales finer than the scan; 0 keeps it.
        flat_tolerance: see `aggregation.describe_curves`.
        batch_size: patches per forward pass.
        rule: thresholds of the verdict.
    """

    scales: tuple[Any, ...] = (10, 12, 14, 17, 20, 25, 30, 35, 43)
    points: int = 100
    seed: int = 0
    criterion: str = "column_norm"
    aggregation: str = "mean_curve"
    max_widenings: int = 2
    flat_tolerance: float = FLAT_TOLERANCE
    batch_size: int = 32
    rule: VerdictRule = field(default_factory=VerdictRule)

    def __post_init__(self) -> None:
        parse_scales(self.scales)
        build_criterion(self.criterion)
        check_aggregation(self.aggregation)
        for name, lowest in (("points", 1), ("seed", 0), ("max_widenings", 0), ("batch_size", 1)):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < lowest:
                raise ConfigError(f"{name}: expected a whole number >= {lowest}, got {getattr(self, name)!r}")


@dataclass(frozen=True)
class SearchResult:
    """Everything that led to a verdict. Indices refer to `gathered.mpps`."""

    points: Points
    gathered: ScaleFeatures
    margins: Margins
    curves: Curves
    aggregations: dict[str, int | None]
    interval: Bootstrap
    verdict: Verdict
    names: list[str]
    widenings: int
    assumed_mpp: bool


class ScaleSearchInferer(Inferer):
    """Callable on an open slide, as MONAI's inferers are on a tensor.

    Args:
        settings: search settings.
        spec: the classifier's description (patch size, training resolution, reference distances).

    Raises:
        ConfigError: the rule asks for a quantile that the classifier's reference lacks.
    """

    def __init__(self, settings: SearchSettings, spec: ClassifierSpec) -> None:
        settings.rule.reference_distance(spec.margin_quantiles)
        self.settings = settings
        self.spec = spec

    def __call__(  # type: ignore[override]
        self, inputs: Slide, network: PatchClassifier, *, engine: Engine, tissue: np.ndarray
    ) -> SearchResult:
        """Search the scale of one slide.

        Args:
            inputs: open slide.
            network: the classifier; its hyperplanes are used in fp32.
            engine: runs the classifier's features.
            tissue: (h, w) bool mask over the whole slide.

        Raises:
            InputError: no tissue, or no point with a full field of view.
        """
        settings = self.settings
        rng = np.random.default_rng(settings.seed)
        base_mpp = inputs.mpp or self.spec.training_mpp or NOMINAL_MPP
        mpps = parse_scales(settings.scales)
        half = half_width_px(mpps, base_mpp, self.spec.size_px)
        points = sample_points(inputs, tissue, settings.points, half, rng)
        gathered = self._gather(inputs, engine, points.xy_px, mpps, base_mpp)
        result = self._judge(inputs, network, points, gathered, 0)
        while result.verdict.decision == WIDEN and result.widenings < settings.max_widenings:
            wider = self._widen(inputs, network, engine, result)
            if wider is None:
                break
            result = wider
        return result

    def _gather(
        self, slide: Slide, engine: Engine, xy_px: np.ndarray, mpps: np.ndarray, base_mpp: float
    ) -> ScaleFeatures:
        size_px, batch_size = self.spec.size_px, self.settings.batch_size
        return gather_features(slide, engine, size_px, xy_px, mpps, base_mpp, batch_size)

    def _widen(
        self, slide: Slide, network: PatchClassifier, engine: Engine, result: SearchResult
    ) -> SearchResult | None:
        """The search again with up to three more scales on the verdict's side; None if that is impossible."""
        gathered = result.gathered
        new = widen_scales(gathered.mpps, result.verdict.direction or "lower", gathered.base_mpp)
        if not len(new):
            return None
        half = half_width_px(new, gathered.base_mpp, self.spec.size_px)
        room = np.minimum(gathered.xy_px, [slide.width_px, slide.height_px] - gathered.xy_px).min(axis=1)
        kept = room >= half
        if kept.mean() < MIN_POINTS_TO_WIDEN:
            return None
        logger.info("search set widened to %s magnifications: %s", result.verdict.direction, new)
        more = self._gather(slide, engine, gathered.xy_px[kept], new, gathered.base_mpp)
        lost = int(np.sum(~kept))
        points = replace(
            result.points,
            xy_px=gathered.xy_px[kept],
            rejected_field_of_view=result.points.rejected_field_of_view + lost,
        )
        return self._judge(slide, network, points, gathered.merge(more, kept), result.widenings + 1)

    def _judge(
        self, slide: Slide, network: PatchClassifier, points: Points, gathered: ScaleFeatures, widenings: int
    ) -> SearchResult:
        return judge(gathered, network, self.spec, self.settings, points, slide.mpp is None, widenings)


def judge(
    gathered: ScaleFeatures,
    network: PatchClassifier,
    spec: ClassifierSpec,
    settings: SearchSettings,
    points: Points,
    assumed_mpp: bool,
    widenings: int = 0,
) -> SearchResult:
    """Criterion, shapes, aggregations, bootstrap and verdict of gathered features; reads and runs nothing."""
    margins = compute_margins(gathered, network, settings.criterion)
    curves = describe_curves(margins.curves, settings.flat_tolerance)
    names = name_scales(gathered, assumed_mpp)
    aggregations = {name: aggregate(curves, name) for name in AGGREGATIONS}
    interval = bootstrap(curves, settings.aggregation, np.random.default_rng(settings.seed))
    chosen = aggregations[settings.aggregation]
    quantiles = spec.margin_quantiles
    verdict = decide(curves, margins.distances, chosen, interval, names, quantiles, settings.rule)
    return SearchResult(
        points, gathered, margins, curves, aggregations, interval, verdict, names, widenings, assumed_mpp
    )


def name_scales(gathered: ScaleFeatures, assumed_mpp: bool) -> list[str]:
    """Readable names: "x20 (0.500 um/px)"; slide pixels per patch pixel where no resolution is known."""
    if assumed_mpp:
        return [f"{step:.2f} slide pixels per patch pixel" for step in gathered.downsamples]
    return [f"x{magnification_from_mpp(mpp):.3g} ({mpp:.3f} um/px)" for mpp in gathered.mpps]


def build_inferer(
    classifier: str | ClassifierSpec,
    scales: Sequence[Any] | str = SearchSettings.scales,
    rule: dict[str, Any] | None = None,
    **settings: Any,
) -> ScaleSearchInferer:
    """The inferer of a config. Raises ConfigError (a setting) or ClassifierError (the description)."""
    spec = classifier if isinstance(classifier, ClassifierSpec) else load_classifier_spec(classifier)
    scales = (scales,) if isinstance(scales, (str, int, float)) else tuple(scales)
    return ScaleSearchInferer(SearchSettings(scales=scales, rule=build_rule(rule or {}), **settings), spec)


def build_rule(values: Mapping[str, Any]) -> VerdictRule:
    """The thresholds of a config. Raises ConfigError: an unknown name, or a value out of range."""
    known = [field.name for field in fields(VerdictRule)]
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1, 0.0)[0]
            raise ConfigError(f"verdict_rule: expected known names, got '{name}': did you mean '{near}'?")
    return VerdictRule(**values)


def describe_settings(settings: SearchSettings) -> dict[str, Any]:
    """Settings as plain values, for scale.json."""
    return asdict(settings)
