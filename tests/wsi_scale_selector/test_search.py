"""Search set, gathering and widening, with a slide whose patches tell at which downsample they were read."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from common.errors import ConfigError
from common.io.resolution import Resolution, Statement
from scale_selector.doctor import examine_resolution
from scale_selector.inferer import SearchSettings, build_inferer, judge
from scale_selector.points import Points
from scale_selector.search import ScaleFeatures, gather_features, parse_scales, widen_scales
from scale_selector.verdict import DECIDED, WIDEN

CODE = 40.0  # grey levels per doubling of the downsample
SIZE_PX = 8


class CodedSlide:
    """Every patch is filled with 128 + CODE * log2(downsample)."""

    width_px = height_px = 100_000
    path = SimpleNamespace(name="coded.svs")

    def __init__(self, mpp: float | None = 0.25) -> None:
        self.mpp = mpp
        self.reads: list[tuple[tuple[float, float], float]] = []

    def read_square(self, center_xy_px, downsample, size_px):
        self.reads.append((center_xy_px, downsample))
        return np.full((size_px, size_px, 3), round(128 + CODE * np.log2(downsample)), np.uint8)


def peaked_engine(best_downsample: float):
    """Features (10 - 4 |log2(d / best)|, 0): the first distance peaks at `best_downsample`."""

    def run(batch: np.ndarray) -> np.ndarray:
        read = 2 ** ((np.asarray(batch, dtype=float).mean(axis=(1, 2, 3)) - 128) / CODE)
        score = 10 - 4 * np.abs(np.log2(read / best_downsample))
        return np.stack([score, np.zeros_like(score)], axis=1).astype(np.float32)

    return run


NETWORK = SimpleNamespace(weight=torch.eye(2), bias=torch.zeros(2))
CLASSIFIER = "classifier.json"
TISSUE = np.ones((10, 10), bool)


def make_inferer(training_mpp=0.5, **settings):
    inferer = build_inferer(CLASSIFIER, **settings)
    inferer.spec = make_spec(training_mpp)
    return inferer


def make_spec(training_mpp=0.5, margin_quantiles=None):
    return SimpleNamespace(
        size_px=SIZE_PX, training_mpp=training_mpp, margin_quantiles=margin_quantiles or {}
    )


@pytest.fixture(autouse=True)
def _no_classifier_file(monkeypatch):
    monkeypatch.setattr("scale_selector.inferer.load_classifier_spec", lambda path: make_spec())


def search(inferer, slide, best_downsample):
    return inferer(slide, NETWORK, engine=peaked_engine(best_downsample), tissue=TISSUE)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("x10,x20", [1.0, 0.5]),
        (["x40", "1um", 20], [1.0, 0.5, 0.25]),
        (("x10", "10x", "0.25mpp"), [1.0, 0.25]),
    ],
)
def test_parse_scales(written, expected):
    np.testing.assert_allclose(parse_scales(written), expected)


@pytest.mark.parametrize("written", ["x20", ["x20", "0.5um"], 20])
def test_one_scale_is_no_search(written):
    with pytest.raises(ConfigError, match="expected at least two different scales, got 1"):
        parse_scales(written)


def test_gathered_features_are_ordered_by_point_then_scale():
    slide, mpps = CodedSlide(), parse_scales("x10,x20,x40")
    xy = np.array([[1.0, 2.0], [3.0, 4.0]])
    gathered = gather_features(slide, peaked_engine(2.0), SIZE_PX, xy, mpps, 0.25, batch_size=4)
    np.testing.assert_allclose(gathered.features[:, :, 0], [[6, 10, 6]] * 2, atol=0.1)
    np.testing.assert_allclose(gathered.downsamples, [4, 2, 1])
    assert slide.reads[:4] == [((1.0, 2.0), 4.0), ((1.0, 2.0), 2.0), ((1.0, 2.0), 1.0), ((3.0, 4.0), 4.0)]


def test_widen_scales_by_hand():
    np.testing.assert_allclose(
        10 / widen_scales(np.array([1.0, 0.5]), "lower"), [5.79, 6.94, 8.33], rtol=1e-6
    )
    np.testing.assert_allclose(10 / widen_scales(np.array([1.0, 0.5]), "higher"), [24, 28.8, 34.6], rtol=1e-6)
    assert len(widen_scales(np.array([8.0, 0.5]), "lower")) == 0
    np.testing.assert_allclose(10 / widen_scales(np.array([1.0, 0.5]), "higher", 10 / 28.8), [24, 28.8])


def test_decided_at_the_true_scale():
    result = search(make_inferer(points=30), CodedSlide(), best_downsample=2.0)
    assert result.verdict.decision == DECIDED
    assert result.names[result.verdict.index] == "x20 (0.500 um/px)"
    assert result.widenings == 0


@pytest.mark.parametrize(("mpp", "best", "expected"), [(0.25, 6.0, 6.94), (0.13, 1.25, 61.9)])
def test_the_search_widens_itself(mpp, best, expected):
    result = search(make_inferer(points=30), CodedSlide(mpp), best_downsample=best)
    assert result.verdict.decision == DECIDED
    assert result.widenings == 1
    chosen = 10 / result.gathered.mpps[result.verdict.index]
    assert abs(np.log(chosen / expected)) < np.log(1.2)
    assert np.all(np.diff(result.gathered.mpps) < 0)


def test_the_search_does_not_widen_to_scales_finer_than_the_scan():
    """The set ends at x43, already finer than a scan of 0.25 um; beyond it there is only interpolation."""
    slide = CodedSlide(0.25)
    result = search(make_inferer(points=30), slide, best_downsample=0.6)
    assert (result.verdict.decision, result.verdict.direction) == (WIDEN, "higher")
    assert result.widenings == 0 and len(slide.reads) == 30 * 9


def test_without_permission_it_only_says_so():
    result = search(make_inferer(points=30, max_widenings=0), CodedSlide(), best_downsample=6.0)
    assert (result.verdict.decision, result.verdict.direction) == (WIDEN, "lower")
    assert len(result.gathered.mpps) == 9


def test_a_slide_without_room_for_a_wider_view_is_not_widened():
    slide = CodedSlide()
    slide.width_px = slide.height_px = 40
    result = search(make_inferer(points=30), slide, best_downsample=16.0)
    assert (result.verdict.decision, result.widenings) == (WIDEN, 0)


def test_unknown_resolution_is_answered_relative_to_the_training_scale():
    result = search(make_inferer(points=30), CodedSlide(mpp=None), best_downsample=1.43)
    assert result.assumed_mpp
    assert result.names[result.verdict.index] == "1.43 slide pixels per patch pixel"
    doctor = examine_resolution(Resolution(None, None, (), ()), result, training_mpp=0.5)
    assert doctor["content"]["agrees"] is None
    assert abs(doctor["content"]["estimated_mpp"] - 0.35) < 1e-6
    assert "the file itself does not say" in doctor["content"]["sentence"]


def stated(mpp: float) -> Resolution:
    return Resolution(mpp, "aperio.MPP", (Statement("aperio.MPP", str(mpp), mpp, mpp),), ())


def test_doctor_agrees():
    result = search(make_inferer(points=30), CodedSlide(mpp=0.25), best_downsample=2.0)
    doctor = examine_resolution(stated(0.25), result, training_mpp=0.5)
    assert doctor["content"]["agrees"] is True and not doctor["contradictions"]
    assert doctor["statements"][0]["source"] == "aperio.MPP"


def test_doctor_contradicts_wrong_metadata():
    """The file says 0.5 um, the content reads best as if a pixel measured 0.25 um."""
    result = search(make_inferer(points=30), CodedSlide(mpp=0.5), best_downsample=2.0)
    doctor = examine_resolution(stated(0.5), result, training_mpp=0.5)
    assert doctor["content"]["agrees"] is False
    assert abs(doctor["content"]["estimated_mpp"] - 0.25) < 0.03
    assert "but aperio.MPP says 0.500 um" in doctor["contradictions"][0]


def test_doctor_without_training_resolution():
    result = search(make_inferer(training_mpp=None, points=30), CodedSlide(), best_downsample=2.0)
    doctor = examine_resolution(stated(0.25), result, training_mpp=None)
    assert "does not state the resolution" in doctor["content"]["sentence"]


def test_doctor_is_silent_without_a_decision():
    result = search(make_inferer(points=30, max_widenings=0), CodedSlide(), best_downsample=6.0)
    doctor = examine_resolution(stated(0.25), result, training_mpp=0.5)
    assert doctor["content"] == {
        "agrees": None,
        "estimated_mpp": None,
        "interval_mpp": None,
        "sentence": "The content gives no opinion, because the verdict is: widen the search.",
    }


def test_every_criterion_and_aggregation_reaches_a_verdict():
    features = np.random.default_rng(0).normal(size=(20, 9, 2)).astype(np.float32)
    mpps = parse_scales(SearchSettings.scales)
    gathered = ScaleFeatures(mpps, 0.25, np.zeros((20, 2)), features)
    points = Points(gathered.xy_px, 20, 0, 1.0)
    spec = make_spec()
    for criterion in ("column_norm", "matrix_norm", "cosine", "max_softmax", "entropy", "activation"):
        result = judge(gathered, NETWORK, spec, SearchSettings(criterion=criterion), points, False)
        assert set(result.aggregations) >= {"vote", "mean_curve"}
        np.testing.assert_array_equal(result.curves.proposed, result.margins.proposed)


@pytest.mark.parametrize(("name", "value"), [("points", 0), ("batch_size", 2.5), ("max_widenings", -1)])
def test_settings_out_of_range(name, value):
    with pytest.raises(ConfigError, match=f"{name}: expected a whole number >= ., got {value}"):
        SearchSettings(**{name: value})


def test_an_unknown_threshold_names_the_nearest():
    with pytest.raises(ConfigError, match="got 'min_fit': did you mean 'min_fit_share'"):
        build_inferer(CLASSIFIER, rule={"min_fit": 0.5})


def test_a_quantile_that_the_classifier_lacks_is_refused_before_anything_is_read(monkeypatch):
    spec = make_spec(margin_quantiles={"0.5": 1.0})
    monkeypatch.setattr("scale_selector.inferer.load_classifier_spec", lambda path: spec)
    with pytest.raises(ConfigError, match=r"reference_quantile: expected one .*\(0.5\), got 0.25"):
        build_inferer(CLASSIFIER)
    assert build_inferer(CLASSIFIER, rule={"reference_quantile": 0.5}).settings.rule.reference_quantile == 0.5
