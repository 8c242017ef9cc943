"""Neighbouring slices help each other: cases of the toy network that can be followed by hand."""

from dataclasses import replace

import numpy as np
import pytest
from toy_prompts import SIZE, ToyNetwork, toy_masks, toy_slice, toy_task, toy_template

from common.errors import ConfigError
from ksam import consistency
from ksam.consistency import Consistency, build_consistency, certainty, start_slice, visiting_order
from ksam.frame import Frame
from ksam.inferer import KnowledgePromptInferer


@pytest.fixture(autouse=True)
def small_structures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consistency, "MIN_AREA_PX", 6)  # the toy's squares have six pixels


def drifting(count: int = 4) -> np.ndarray:
    """The dark square grows lighter by 8 network units (16 HU) a slice; the template is slice 0."""
    return np.stack([toy_slice(-155 + 16 * z) for z in range(count)], axis=2)


def find_dark(volume: np.ndarray, settings: dict | None, slice_mm: float | None = None) -> list[int]:
    """Slices in which the whole dark square is found."""
    inferer = KnowledgePromptInferer(toy_task(toy_template(position=0.0)), consistency=settings)
    labels = inferer.predict_volume(volume, ToyNetwork(), slice_mm=slice_mm).labels
    dark = toy_masks()["dark"]
    return [z for z in range(volume.shape[2]) if np.array_equal(labels[:, :, z] == 1, dark)]


def test_an_accepted_neighbour_carries_on_where_the_template_ends() -> None:
    # distance to the template: 0, 8, 16, 24; the reach is 20; to the neighbour it is always 8
    assert find_dark(drifting(), None) == [0, 1, 2]
    assert find_dark(drifting(), {"neighbours": True}) == [0, 1, 2, 3]


def test_a_neighbour_that_is_not_certain_is_not_fed_back() -> None:
    assert find_dark(drifting(), {"neighbours": True, "accept": 1.0}) == [0, 1, 2]


def test_smoothing_fills_a_gap_and_needs_the_distance_of_slices() -> None:
    volume = drifting(3)
    volume[:, :, 1] = toy_slice(dark_hu=-255)
    assert find_dark(volume, None) == [0, 2]
    assert find_dark(volume, {"smooth_mm": 3.0}, slice_mm=3.0) == [0, 1, 2]
    with pytest.raises(ConfigError, match="smooth_mm: expected a known distance of slices, got none"):
        find_dark(volume, {"smooth_mm": 3.0})


def test_what_is_off_changes_nothing_and_records_say_what_was_used() -> None:
    task, volume = toy_task(toy_template(position=0.0)), drifting()
    plain = KnowledgePromptInferer(task).predict_volume(volume, ToyNetwork())
    off = KnowledgePromptInferer(task, consistency={"smooth_mm": 0.0})
    np.testing.assert_array_equal(off.predict_volume(volume, ToyNetwork()).labels, plain.labels)
    fed = KnowledgePromptInferer(task, consistency={"neighbours": True}).predict_volume(volume, ToyNetwork())
    assert fed.templates[0][0] == ("a",)
    assert [row[0] for row in fed.templates[1:]] == [("a", "slice 0"), ("a", "slice 1"), ("a", "slice 2")]


def test_neighbours_are_seen_in_the_frame_of_the_volume() -> None:
    frame = Frame((-SIZE // 2, -SIZE // 2, 2 * SIZE), (SIZE, SIZE), SIZE)
    network = ToyNetwork()
    inferer = KnowledgePromptInferer(toy_task(), consistency={"neighbours": True})
    inferer.predict_volume(drifting(2), network, frame)
    assert network.encoded == 3  # two slices and the template: neighbours are not encoded again


def test_what_is_smoothed_lies_at_one_place() -> None:
    """The same square in a wide and in a narrow body: without a frame, one is made for both slices."""
    wide, narrow = np.full((24, 24), -1000.0), np.full((24, 24), -1000.0)
    wide[2:18, 2:18], narrow[2:12, 2:12] = 45.0, 45.0
    for body in (wide, narrow):
        body[4:10, 4:10] = -155.0
    volume = np.stack([wide, narrow], axis=2)
    task = replace(toy_task(), crop="body")
    alone, smooth = (
        KnowledgePromptInferer(task, consistency=settings).predict_volume(volume, ToyNetwork(), slice_mm=1.0)
        for settings in ({"smooth_mm": 0.001}, {"smooth_mm": 5.0})
    )
    found = alone.labels[:10, :10] == 1
    assert found[5:9, 5:9].all()
    np.testing.assert_array_equal(smooth.labels[:10, :10] == 1, found)


def test_a_structure_of_a_few_pixels_is_not_fed_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consistency, "MIN_AREA_PX", 7)
    assert find_dark(drifting(), {"neighbours": True}) == [0, 1, 2]


def test_slices_are_visited_outwards_from_the_templates() -> None:
    assert visiting_order(5, 2) == [(2, -1), (3, 2), (4, 3), (1, 2), (0, 1)]
    assert visiting_order(1, 0) == [(0, -1)]
    templates = [toy_template("a", 0.2), toy_template("b", 0.3), toy_template("c", 0.9)]
    places = [z / 10 for z in range(11)]
    assert start_slice({"dark": templates}, places) == 3
    assert start_slice({"dark": templates}, places[5:8]) == 0  # a region above the templates
    assert start_slice({"dark": [toy_template()]}, places) == 5


def test_certainty_is_the_dice_of_probabilities_and_mask() -> None:
    logits = np.log(np.array([0.9, 0.8, 0.3]) / (1 - np.array([0.9, 0.8, 0.3])))
    assert certainty(logits) == pytest.approx(2 * 1.7 / (2.0 + 2))
    assert certainty(np.full(3, -1.0)) == 0
    assert certainty(np.array([200.0, -200.0])) == pytest.approx(1)


def test_impossible_settings_are_refused() -> None:
    assert build_consistency(Consistency(True)).neighbours
    with pytest.raises(ConfigError, match="accept: expected a certainty from 0 to 1, got 2"):
        Consistency(accept=2)
    with pytest.raises(ConfigError, match="smooth_mm: expected 0 .off. or more, got -1"):
        build_consistency({"smooth_mm": -1})
    with pytest.raises(ConfigError, match="consistency: expected neighbours, accept, smooth_mm, got 'sigma'"):
        build_consistency({"sigma": 1})
