"""Labelled slices carried through their volume, by a decoder that can be followed by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from toy_prompts import ToyKnowledge

from ksam.carry import Carried, carry_slices, find_own_slices, find_parts
from ksam.consistency import LOGIT_LIMIT
from ksam.frame import Frame, Window, build_frame
from ksam.inferer import KnowledgePromptInferer
from ksam.structures import Structure
from ksam.templates import Task, Template

SIZE = 32
WINDOW = Window(127.5, 255)
ORGAN, TUBE = Structure("organ", 1, None, (255, 0, 0)), Structure("tube", 2, None, (0, 255, 0))


class BoxDecoder(nn.Module):
    """Draws what is brighter than 100 in the box, holes filled: a box says nothing of holes."""

    def __init__(self) -> None:
        super().__init__()
        self.encoded, self.weight = 0, nn.Parameter(torch.zeros(1))

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        self.encoded += 1
        return image[:, :1]

    def prompt_encoder(
        self, points: None, boxes: torch.Tensor, masks: None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return boxes, boxes

    def decode(self, features: torch.Tensor, boxes: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        drawn = []
        for x0, y0, x1, y1 in boxes.round().int().tolist():
            inside = np.zeros((SIZE, SIZE), bool)
            inside[y0:y1, x0:x1] = features[0, 0, y0:y1, x0:x1].numpy() > 100
            drawn.append(np.where(fill(inside), 5.0, -5.0))
        return torch.from_numpy(np.stack(drawn)[:, None]).float()


def fill(mask: np.ndarray) -> np.ndarray:
    """Rows from their first to their last pixel."""
    filled = mask.copy()
    for row in filled:
        places = np.flatnonzero(row)
        row[places[:1].sum() : places[-1:].sum() + 1] = bool(len(places))
    return filled


def draw(organ_x: int | None = 4, grey: float = 200, size: int = 8) -> np.ndarray:
    """(32, 32) HU: an organ at rows 4 to 12, and a tube, a frame one pixel thin, at the lower right."""
    image = np.zeros((SIZE, SIZE), np.float32)
    if organ_x is not None:
        image[4 : 4 + size, organ_x : organ_x + size] = grey
    image[20:30, 20:30] = 180
    image[21:29, 21:29] = 0
    return image


def masks_of(image: np.ndarray) -> dict[str, np.ndarray]:
    left, right = image > 100, image > 100
    left[16:], right[:16] = False, False
    return {name: mask for name, mask in (("organ", left), ("tube", right)) if mask.any()}


def template(image: np.ndarray, name: str = "a", *names: str) -> Template:
    masks = masks_of(image)
    return Template(name, image, {key: masks[key] for key in names or masks})


def carry(volume: np.ndarray, own: dict[int, Template]) -> tuple[Carried, BoxDecoder]:
    decoder = BoxDecoder()
    frame = Frame((0, 0, SIZE), (SIZE, SIZE), SIZE)
    return carry_slices(decoder, decoder.encode, volume, frame, WINDOW, own), decoder  # type: ignore[arg-type]


def found_in(carried: Carried, name: str = "organ") -> list[int]:
    return np.flatnonzero((carried.logits[name] > 0).any(axis=(1, 2))).tolist()


def test_a_moving_organ_is_followed_both_ways_until_it_ends() -> None:
    volume = np.stack([draw(x) for x in (None, 2, 3, 4, 5, 6, None, 7)], axis=2)
    carried, decoder = carry(volume, {3: template(volume[:, :, 3])})
    assert found_in(carried) == [1, 2, 3, 4, 5]  # what lies behind a gap is not this part any more
    for z in (1, 2, 3, 4, 5):
        np.testing.assert_array_equal(carried.logits["organ"][z] > 0, masks_of(volume[:, :, z])["organ"])
    assert decoder.encoded == 1 + 3 + 3  # the labelled slice; each slice once, up to that in which it ends
    assert carried.sources == ("a",) * 8


def test_what_was_labelled_stays_as_it_was_labelled() -> None:
    volume = np.stack([draw(), draw(), draw()], axis=2)
    volume[0, 0, :] = [1, 2, 3]
    own = template(volume[:, :, 1])
    mask = own.masks["organ"].copy()
    mask[4:6, 4:6] = False  # the user left a corner out; the decoder would fill it
    carried, _ = carry(volume, {1: Template("a", own.image, {"organ": mask})})
    np.testing.assert_array_equal(carried.logits["organ"][1], np.where(mask, LOGIT_LIMIT, -LOGIT_LIMIT))


def test_a_structure_that_a_box_does_not_tell_is_left_to_the_knowledge_prompt() -> None:
    volume = np.stack([draw(), draw()], axis=2)
    carried, _ = carry(volume, {0: template(volume[:, :, 0])})
    assert list(carried.logits) == ["organ"]  # of the tube's 36 pixels the decoder makes 100


@pytest.mark.parametrize(
    ("beyond", "reason"),
    [(draw(4, 120), "another grey"), (draw(9), "elsewhere"), (draw(4, 200, 3), "nine pixels")],
)
def test_a_part_ends_where_it_is_lost(beyond: np.ndarray, reason: str) -> None:
    volume = np.stack([draw(), draw(), beyond, draw()], axis=2)
    assert found_in(carry(volume, {0: template(volume[:, :, 0])})[0]) == [0, 1], reason


def test_noise_of_the_labelled_part_widens_the_range_of_greys() -> None:
    noisy = draw()
    noisy[4:12:2, 4:12] += 60  # standard deviation 30: the mean of 230 may fall to 170
    volume = np.stack([noisy, draw(4, 175), draw(4, 165)], axis=2)
    assert found_in(carry(volume, {0: template(noisy)})[0]) == [0, 1]


def test_each_slice_follows_the_labelled_slice_next_to_it() -> None:
    volume = np.stack([draw(2 + z, 200 - z) for z in range(7)], axis=2)
    own = {1: template(volume[:, :, 1], "low"), 5: template(volume[:, :, 5], "high", "tube")}
    with_tube, _ = carry(volume, {1: own[1], 5: template(volume[:, :, 5], "high")})
    assert with_tube.sources == ("low",) * 4 + ("high",) * 3
    assert found_in(with_tube) == [0, 1, 2, 3, 4, 5, 6]
    without, _ = carry(volume, own)
    assert found_in(without) == [0, 1, 2, 3]  # the upper slice was labelled without the organ


def test_parts_are_followed_each_by_itself_and_small_ones_not_at_all() -> None:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[0:4, 0:4], mask[10:14, 10:13], mask[20:22, 20:22] = True, True, True
    square = np.broadcast_to(np.arange(SIZE, dtype=np.float32), (3, SIZE, SIZE))
    parts = find_parts("organ", mask, square)
    assert [(int(part.mask.sum()), part.mean, part.sd) for part in parts] == [(16, 1.5, 6.0), (12, 11.0, 6.0)]
    assert find_parts("organ", None, square) == []


def test_own_slices_are_found_by_their_pixels() -> None:
    volume = np.stack([draw(2), draw(3), draw(4), draw(4)], axis=2)
    exact, elsewhere = template(volume[:, :, 1].astype(np.int16)), template(draw(5), "b")
    assert find_own_slices(volume, (exact, elsewhere)) == {1: exact}
    assert find_own_slices(volume, (template(draw(4)),)) == {}  # two slices are alike
    assert find_own_slices(volume[:16], (exact,)) == {}


class ToyKSam(nn.Module):
    """Answers "tube" everywhere in the lower half: it stands for the knowledge prompt."""

    image_size = SIZE

    def __init__(self) -> None:
        super().__init__()
        self.sam = BoxDecoder()
        self.weight = nn.Parameter(torch.zeros(1))

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        return self.sam.encode(image)

    def read_prompt(self, features: torch.Tensor, image: torch.Tensor, mask: torch.Tensor) -> ToyKnowledge:
        return ToyKnowledge(features.mean((2, 3), keepdim=True))

    def segment(self, features: torch.Tensor, knowledge: ToyKnowledge) -> torch.Tensor:
        answer = torch.full((len(features), 1, SIZE, SIZE), -3.0)
        answer[:, :, 16:] = 3
        return answer


def test_the_inferer_carries_what_it_can_and_asks_the_network_for_the_rest() -> None:
    volume = np.stack([draw(2), draw(3), draw(4), draw(None)], axis=2)
    task = Task("own", "CT", WINDOW, "none", (ORGAN, TUBE), (template(volume[:, :, 1]),))
    expected = np.zeros(volume.shape, np.uint8)
    expected[16:] = 2
    for z in range(3):
        expected[:, :, z][masks_of(volume[:, :, z])["organ"]] = 1
    found = KnowledgePromptInferer(task, carry=True).predict_volume(volume, ToyKSam())
    np.testing.assert_array_equal(found.labels, expected)
    assert found.templates == ((("a",), ("a",)),) * 4
    assert np.isnan(found.expected_dice).all()
    assert KnowledgePromptInferer(task, carry=True).describe()["carry"] is True
    plain = KnowledgePromptInferer(task).predict_volume(volume, ToyKSam())
    assert (plain.labels[16:] == 1).all()  # the network says the same of both; the first one wins
    organ = KnowledgePromptInferer(task.only(["organ"]), carry=True).predict_volume(volume, ToyKSam())
    np.testing.assert_array_equal(organ.labels, np.where(expected == 1, 1, 0))


def test_templates_of_other_volumes_are_never_carried() -> None:
    volume = np.stack([draw(2), draw(3)], axis=2)
    task = Task("other", "CT", WINDOW, "none", (ORGAN,), (template(draw(4), "a", "organ"),))
    carried = KnowledgePromptInferer(task, carry=True).predict_volume(volume, ToyKSam())
    plain = KnowledgePromptInferer(task).predict_volume(volume, ToyKSam())
    np.testing.assert_array_equal(carried.labels, plain.labels)


def test_squares_go_back_to_slices() -> None:
    frame = build_frame(np.zeros((64, 64), np.float32), "none", SIZE)
    carried = Carried({"organ": np.full((1, SIZE, SIZE), 4, np.float16)}, ("a",), frame)
    answer = carried.join(0, (ORGAN,), None)
    assert answer.logits.shape == (1, 64, 64) and (answer.logits == 4).all()
    assert answer.templates == (("a",),) and not answer.disagreement.any()
