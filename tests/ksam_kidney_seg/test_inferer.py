"""Slices, volumes and tensors through the toy network, against numbers worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from toy_ksam import build_toy
from toy_prompts import SIZE, WINDOW, ToyNetwork, toy_masks, toy_slice, toy_task, toy_template

from common.errors import ConfigError, InputError
from ksam.frame import Frame, build_frame
from ksam.inferer import EagerNetwork, KnowledgePromptInferer
from ksam.predictions import DOUBT_STEP
from ksam.prompts import save_task
from ksam.templates import relative_position


def test_a_slice_is_segmented_as_its_template_shows() -> None:
    prediction = KnowledgePromptInferer(toy_task()).predict_slice(toy_slice(-145, 155), ToyNetwork())
    masks = toy_masks()
    np.testing.assert_array_equal(prediction.masks(), [masks["dark"], masks["light"]])
    np.testing.assert_array_equal(prediction.labels(), masks["dark"] + 2 * masks["light"])
    # template: dark -155 HU -> 50; slice: -145 HU -> 55; the distance is 5
    assert prediction.logits[0][1, 1] == pytest.approx(15, abs=1e-3)
    assert prediction.probabilities[0][1, 1] == pytest.approx(1 / (1 + np.exp(-15)))
    assert prediction.templates == (("a",), ("a",))
    assert np.isnan(prediction.expected_dice).all()
    assert not prediction.disagreement.any()


def test_templates_are_averaged_as_probabilities_and_their_disagreement_is_kept() -> None:
    task = toy_task(toy_template("a", dark_hu=-155), toy_template("b", dark_hu=-111))  # 50 and 72
    prediction = KnowledgePromptInferer(task, templates=2).predict_slice(toy_slice(), ToyNetwork())
    votes = 1 / (1 + np.exp(-np.array([20.0, -2.0])))
    assert prediction.probabilities[0][1, 1] == pytest.approx(votes.mean(), abs=1e-5)
    assert prediction.disagreement[0][1, 1] == pytest.approx(votes.std(), abs=1e-5)
    assert prediction.masks()[0][1, 1]
    # "b" finds nothing of the dark square, both find the light one
    np.testing.assert_allclose(prediction.expected_dice, [0.0, 1.0])
    logit = KnowledgePromptInferer(task, templates=2, average="logit")
    assert logit.predict_slice(toy_slice(), ToyNetwork()).logits[0][1, 1] == pytest.approx(9, abs=1e-3)


def test_each_template_may_be_asked_for_alone() -> None:
    task = toy_task(toy_template("a"), toy_template("b", dark_hu=-145))  # 50 and 55
    prediction = KnowledgePromptInferer(task).predict_slice(toy_slice(), ToyNetwork(), members=True)
    assert {name: list(found) for name, found in prediction.members.items()} == {
        "dark": ["a", "b"],
        "light": ["a", "b"],
    }
    assert prediction.members["dark"]["b"][1, 1] == pytest.approx(15, abs=1e-3)


def test_slice_and_templates_are_encoded_once() -> None:
    network, task = ToyNetwork(), toy_task(toy_template("a"), toy_template("b"))
    inferer = KnowledgePromptInferer(task, templates=2, retrieval="fixed", batch_size=3)
    inferer.predict_slice(toy_slice(), network)
    assert (network.encoded, network.read, network.passes) == (3, 4, 2)  # 4 passes in batches of 3
    inferer.predict_slice(toy_slice(), network)
    assert (network.encoded, network.read, network.passes) == (4, 4, 4)


def test_changed_weights_are_noticed() -> None:
    network, inferer = ToyNetwork(), KnowledgePromptInferer(toy_task())
    inferer.predict_slice(toy_slice(), network)
    with torch.no_grad():
        network.reach.fill_(5.0)
    assert inferer.predict_slice(toy_slice(), network).logits[0][1, 1] == pytest.approx(5, abs=1e-3)
    assert network.read == 4


def test_the_network_keeps_its_mode() -> None:
    network = ToyNetwork().train()
    KnowledgePromptInferer(toy_task()).predict_slice(toy_slice(), network)
    assert network.training


def test_features_stand_on_disk_for_the_next_run(tmp_path: Path) -> None:
    save_task(toy_task(), tmp_path / "toy")
    first, second, other = ToyNetwork(), ToyNetwork(), ToyNetwork(reach=19.0)
    expected = KnowledgePromptInferer(tmp_path).predict_slice(toy_slice(), first)
    again = KnowledgePromptInferer(tmp_path).predict_slice(toy_slice(), second)
    np.testing.assert_array_equal(again.logits, expected.logits)
    assert (first.encoded, second.encoded) == (2, 1)
    KnowledgePromptInferer(tmp_path).predict_slice(toy_slice(), other)
    assert other.encoded == 2
    KnowledgePromptInferer(tmp_path, cache=False).predict_slice(toy_slice(), second)
    assert second.encoded == 3


def test_templates_may_come_with_the_call() -> None:
    inferer = KnowledgePromptInferer(toy_task())
    other = toy_template("mine", dark_hu=-205)
    prediction = inferer.predict_slice(toy_slice(-205), ToyNetwork(), templates=[other])
    assert prediction.templates == (("mine",), ("mine",))
    assert prediction.masks()[0].sum() == 6
    assert KnowledgePromptInferer().predict_slice(toy_slice(), ToyNetwork(), task=toy_task()).masks().any()


def test_a_frame_of_the_callers_choice_limits_what_is_seen() -> None:
    frame = Frame((2, 2, SIZE), (SIZE, SIZE), SIZE)
    prediction = KnowledgePromptInferer(toy_task()).predict_slice(toy_slice(), ToyNetwork(), frame=frame)
    assert np.argwhere(prediction.masks()[0]).tolist() == [[2, 2], [2, 3]]
    assert prediction.logits[0][1, 1] == -20
    np.testing.assert_array_equal(prediction.masks()[1], toy_masks()["light"])


def volume() -> np.ndarray:
    return np.stack([toy_slice(-255, -255), toy_slice(), toy_slice()], axis=2)


def test_a_volume_is_the_sum_of_its_slices() -> None:
    task = toy_task(toy_template("low", 0.0), toy_template("high", 1.0, dark_hu=-151))
    inferer = KnowledgePromptInferer(task, templates=1, retrieval="position")
    network = ToyNetwork()
    prediction = inferer.predict_volume(volume(), network)
    assert [row[0] for row in prediction.templates] == [("low",), ("low",), ("high",)]
    masks = toy_masks()
    assert not prediction.labels[:, :, 0].any()
    for z in (1, 2):
        np.testing.assert_array_equal(prediction.labels[:, :, z], masks["dark"] + 2 * masks["light"])
    assert np.isnan(prediction.expected_dice).all()
    assert network.encoded == 5


def test_expected_dice_of_a_volume_weighs_slices_by_their_size() -> None:
    task = toy_task(toy_template("a"), toy_template("b", dark_hu=-115))  # 50 and 70: apart by 20
    inferer = KnowledgePromptInferer(task, templates=2)
    # dark square at 69: only "b" finds it (in 1 slice); at 60: both do (in 2)
    slices = np.stack([toy_slice(-117), toy_slice(-135), toy_slice(-135)], axis=2)
    prediction = inferer.predict_volume(slices, ToyNetwork(19.0))
    np.testing.assert_allclose(prediction.expected_dice, [(12 + 12) / (6 + 12 + 12), 1.0])
    assert prediction.disagreement[1] == pytest.approx(0, abs=1e-6)
    assert 0 < prediction.disagreement[0] < 0.5


def test_disagreement_of_what_was_not_found_is_not_a_number() -> None:
    empty = np.full((SIZE, SIZE, 1), -255.0, np.float32)
    prediction = KnowledgePromptInferer(toy_task()).predict_volume(empty, ToyNetwork())
    assert np.isnan(prediction.disagreement).all()
    assert relative_position(0, 1) == 0.5


def test_the_doubt_of_a_volume_is_that_of_its_slices() -> None:
    task = toy_task(toy_template("a"), toy_template("b", dark_hu=-195))  # 20 network units apart: logit 0
    volume = np.stack([toy_slice()] * 2, axis=2)
    inferer = KnowledgePromptInferer(task, templates=2)
    found = inferer.predict_volume(volume, ToyNetwork())
    doubt = inferer.predict_slice(toy_slice(), ToyNetwork()).doubt
    assert doubt is not None and doubt.max() > 0.01 and found.doubt is not None
    np.testing.assert_allclose(found.doubt[:, :, 1] * DOUBT_STEP, doubt, atol=DOUBT_STEP / 2 + 1e-6)
    one = KnowledgePromptInferer(toy_task(), templates=1)
    assert one.predict_volume(volume, ToyNetwork()).doubt is None
    assert one.predict_slice(toy_slice(), ToyNetwork()).doubt is None


def test_one_template_has_nobody_to_disagree_with() -> None:
    """0 would say that all of them agree."""
    alone = KnowledgePromptInferer(toy_task()).predict_volume(toy_slice()[:, :, None], ToyNetwork())
    assert alone.labels.any() and np.isnan(alone.disagreement).all()
    both = KnowledgePromptInferer(toy_task(toy_template("a"), toy_template("b")))
    assert both.predict_volume(toy_slice()[:, :, None], ToyNetwork()).disagreement == pytest.approx([0, 0])


def test_as_an_inferer_of_monai() -> None:
    image = torch.full((2, 3, 2 * SIZE, 2 * SIZE), 50.0)
    image[1] = 200.0
    logits = KnowledgePromptInferer(toy_task())(image, ToyNetwork())
    assert logits.shape == (2, 2, 2 * SIZE, 2 * SIZE)
    torch.testing.assert_close(logits[:, :, 0, 0], torch.tensor([[20.0, -130.0], [-130.0, 20.0]]))
    bank = KnowledgePromptInferer()(image, ToyNetwork())
    torch.testing.assert_close(bank, image[:, :2] - 100)


def test_an_engine_may_stand_for_the_network() -> None:
    network, inferer = ToyNetwork(), KnowledgePromptInferer(toy_task())
    expected = inferer.predict_slice(toy_slice(), network)
    np.testing.assert_array_equal(
        inferer.predict_slice(toy_slice(), EagerNetwork(network)).logits, expected.logits
    )


def test_what_does_not_fit_is_refused() -> None:
    inferer, network = KnowledgePromptInferer(toy_task()), ToyNetwork()
    with pytest.raises(InputError, match="expected a CT as its templates are, got a picture"):
        inferer.predict_slice(np.zeros((8, 8, 3), np.uint8), network)
    with pytest.raises(InputError, match="expected a volume .rows, columns, slices., got .8, 8."):
        inferer.predict_volume(toy_slice(), network)
    with pytest.raises(ConfigError, match="prompts: expected a task folder, got none"):
        KnowledgePromptInferer().predict_slice(toy_slice(), network)
    with pytest.raises(InputError, match="expected a template that shows 'dark', got none"):
        inferer.predict_slice(toy_slice(), network, templates=[])


@pytest.mark.parametrize("options", [{}, {"decoder": "match", "km": False, "pm": False, "prior": "off"}])
def test_ksam_answers_through_the_inferer_as_it_answers_itself(options: dict) -> None:
    network = build_toy(**options)
    task = toy_task(toy_template("a"), toy_template("b", dark_hu=-100))
    prediction = KnowledgePromptInferer(task, batch_size=3).predict_slice(
        toy_slice(-120), network, members=True
    )
    frame = build_frame(toy_slice(), "none", network.image_size)
    image, first = (
        torch.from_numpy(frame.to_network(s, WINDOW))[None] for s in (toy_slice(-120), toy_slice())
    )
    mask = torch.from_numpy(frame.mask_to_network(toy_masks()["light"]))[None, None]
    with torch.no_grad():
        expected = frame.to_slice(network(image, first, mask)[0].numpy())[0]
    np.testing.assert_allclose(prediction.members["light"]["a"], expected, atol=1e-4)
