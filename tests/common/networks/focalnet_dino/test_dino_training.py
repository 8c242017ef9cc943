"""Denoising, matching and losses against hand-worked numbers."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from common.errors import ClassifierError, InputError
from common.networks.focalnet_dino.build import SIZES
from common.networks.focalnet_dino.criterion import DinoCriterion, match_noised, measure
from common.networks.focalnet_dino.denoising import block_groups, build_noised_queries
from common.networks.focalnet_dino.matcher import find_cost, match
from common.networks.focalnet_dino.outputs import DetectorOutput, Prediction
from common.networks.focalnet_dino.targets import Target, check_targets

TINY = SIZES["tiny"]


def build_target(*boxes: tuple[float, ...]) -> Target:
    return {"labels": torch.zeros(len(boxes), dtype=torch.long), "boxes": torch.tensor(boxes).reshape(-1, 4)}


TARGETS = [
    build_target((0.5, 0.5, 0.2, 0.4), (0.2, 0.3, 0.1, 0.1)),
    build_target(),
    build_target((0.7, 0.6, 0.2, 0.2)),
]


def test_noised_boxes_stay_within_their_bands() -> None:
    """20 // 2 groups; positive edges move by at most 0.4 half sizes, negative ones by 0.4 to 0.8."""
    torch.manual_seed(0)
    noised = build_noised_queries(TARGETS, nn.Embedding(2, 64), TINY)
    assert noised is not None
    assert noised.groups == 10
    assert noised.places.shape == (3, 40, 4)
    boxes = noised.places.sigmoid()[0].view(10, 2, 2, 4)  # group, positive or negative, slot
    moved = _edges(boxes) - _edges(TARGETS[0]["boxes"])
    part = moved.abs() / (TARGETS[0]["boxes"][:, 2:].repeat(1, 2) / 2)
    assert part[:, 0].max() <= 0.4 + 1e-4
    assert part[:, 1].min() >= 0.4 - 1e-4
    assert part[:, 1].max() <= 0.8 + 1e-4


def _edges(boxes: torch.Tensor) -> torch.Tensor:
    return torch.cat((boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2), dim=-1)


def test_images_with_fewer_boxes_leave_places_empty() -> None:
    noised = build_noised_queries(TARGETS, nn.Embedding(2, 64), TINY)
    assert noised is not None
    filled = noised.contents.abs().sum(-1) > 0
    assert filled.sum(1).tolist() == [40, 0, 20]
    assert filled[2].tolist() == [True, False] * 20


def test_half_of_the_noised_labels_may_change() -> None:
    sizes = replace(TINY, num_classes=1000, denoising=400, label_noise=0.5)
    labels = nn.Embedding(1001, 64)
    torch.manual_seed(0)
    noised = build_noised_queries([build_target((0.5, 0.5, 0.1, 0.1))], labels, sizes)
    assert noised is not None
    changed = (noised.contents[0] != labels.weight[0]).any(-1).float().mean()
    assert 0.2 < float(changed) < 0.3  # a quarter of them is drawn anew


def test_nothing_is_noised_without_boxes_or_by_choice() -> None:
    assert build_noised_queries([build_target()] * 2, nn.Embedding(2, 64), TINY) is None
    assert build_noised_queries(TARGETS, nn.Embedding(2, 64), replace(TINY, denoising=0)) is None


def test_groups_do_not_see_each_other_and_queries_see_none() -> None:
    blocked = block_groups(groups=2, slots=1, queries=1)
    assert blocked.int().tolist() == [
        [0, 0, 1, 1, 0],
        [0, 0, 1, 1, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0],
    ]


def test_matching_is_the_best_of_all_assignments() -> None:
    torch.manual_seed(1)
    target = build_target((0.5, 0.5, 0.2, 0.4), (0.2, 0.3, 0.1, 0.1), (0.7, 0.6, 0.2, 0.2))
    prediction = Prediction(torch.randn(1, 5, 1), torch.rand(1, 5, 4) * 0.3 + 0.3)
    ((queries, boxes),) = match(prediction, [target])
    cost = find_cost(prediction.logits[0], prediction.boxes[0], target)
    best = min(itertools.permutations(range(5), 3), key=lambda rows: float(cost[list(rows), [0, 1, 2]].sum()))
    assert dict(zip(boxes.tolist(), queries.tolist(), strict=True)) == dict(enumerate(best))


def test_cost_is_the_published_sum() -> None:
    """Score 0.5, 0.1 off in x: class 2 (0.25 - 0.75) 0.25 log 2, L1 5 * 0.1, GIoU -2 * 1/3."""
    target = build_target((0.5, 0.5, 0.2, 0.2))
    cost = find_cost(torch.zeros(1, 1), torch.tensor([[0.6, 0.5, 0.2, 0.2]]), target)
    assert float(cost) == pytest.approx(-0.25 * math.log(2) + 0.5 - 2 / 3, abs=1e-3)


def test_losses_of_one_answer() -> None:
    """Two queries of score 0.5, the first answers: focal 0.25 * 0.25 log 2 and 0.75 * 0.25 log 2."""
    target = build_target((0.5, 0.5, 0.2, 0.2))
    prediction = Prediction(
        torch.zeros(1, 2, 1), torch.tensor([[[0.6, 0.5, 0.2, 0.2], [0.1, 0.1, 0.1, 0.1]]])
    )
    losses = measure(prediction, [target], match(prediction, [target]), 1.0)
    assert float(losses["ce"]) == pytest.approx(0.25 * math.log(2))
    assert float(losses["bbox"]) == pytest.approx(0.1)
    assert float(losses["giou"]) == pytest.approx(2 / 3, abs=1e-4)


def test_positive_copies_answer_for_their_boxes() -> None:
    known = Prediction(torch.zeros(1, 8, 1), torch.zeros(1, 8, 4))  # two groups of two slots, twice each
    output = DetectorOutput(torch.zeros(1, 1, 1), torch.zeros(1, 1, 4), denoising=(known,), groups=2)
    ((queries, boxes),) = match_noised(output, [TARGETS[0]])
    assert queries.tolist() == [0, 1, 4, 5]
    assert boxes.tolist() == [0, 1, 0, 1]


def test_evaluation_output_is_judged_by_its_last_layer() -> None:
    output = DetectorOutput(torch.zeros(3, 4, 1), torch.full((3, 4, 4), 0.5))
    losses, total = DinoCriterion()(output, TARGETS)
    assert set(losses) == {"loss_ce", "loss_bbox", "loss_giou"}
    expected = losses["loss_ce"] + 5 * losses["loss_bbox"] + 2 * losses["loss_giou"]
    torch.testing.assert_close(total, expected)


def test_processes_divide_by_their_mean_number_of_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three boxes here and five in the other process: each divides by four."""
    output = DetectorOutput(torch.zeros(3, 4, 1), torch.full((3, 4, 4), 0.5))
    alone = DinoCriterion()(output, TARGETS)[1]
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.all_reduce", lambda count: count.add_(5))
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    torch.testing.assert_close(DinoCriterion()(output, TARGETS)[1], alone * 3 / 4)


def test_numbers_that_are_not_finite_are_refused() -> None:
    output = DetectorOutput(torch.full((3, 4, 1), float("nan")), torch.full((3, 4, 4), 0.5))
    with pytest.raises(ClassifierError, match="expected finite scores and boxes, got NaN or infinity"):
        DinoCriterion()(output, TARGETS)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([], r"targets: expected 1, one for each image, got 0"),
        (
            [{"labels": torch.zeros(2, dtype=torch.long), "boxes": torch.zeros(1, 4)}],
            r"target 0: expected labels \(n,\) and boxes \(n, 4\), got \(2,\) and \(1, 4\)",
        ),
        (
            [{"labels": torch.tensor([1]), "boxes": torch.full((1, 4), 0.5)}],
            r"target 0: expected labels from 0 to 0, got 1 to 1",
        ),
        (
            [build_target((0.5, 0.5, 0.0, 0.1))],
            r"expected boxes cx, cy, w, h inside 0..1 with a size, got another",
        ),
        (
            [build_target((0.5, 1.5, 0.1, 0.1))],
            r"expected boxes cx, cy, w, h inside 0..1 with a size, got another",
        ),
    ],
)
def test_targets_that_do_not_fit_are_refused(targets: list[Target], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_targets(targets, 1, 1)
