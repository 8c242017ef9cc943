"""The bank inside the weights answers as the network does, and is refused where it does not fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toy_ksam import build_banked, build_toy
from toy_prompts import DARK, LIGHT

from common.errors import ConfigError, InputError
from ksam.bank_segmenter import BankSegmenter, check_bank
from ksam.eager import EagerNetwork
from ksam.frame import Window, build_frame

SIZE = 32


def test_bank_answers_like_the_network(tmp_path):
    network = build_banked()
    segmenter = BankSegmenter(network, (DARK, LIGHT), Window(0, 510), "none")
    slice_hu = np.random.default_rng(0).uniform(-200, 200, (SIZE, SIZE)).astype(np.float32)
    frame = build_frame(slice_hu, "none", SIZE)
    found = segmenter.predict_slice(slice_hu, frame, None)
    with torch.no_grad():
        square = torch.from_numpy(frame.to_network(slice_hu, Window(0, 510)))[None]
        np.testing.assert_allclose(found.logits, network(square)[0].numpy(), atol=1e-5)
    assert np.isnan(found.expected_dice).all() and not found.disagreement.any()
    volume = segmenter.predict_volume(np.repeat(slice_hu[:, :, None], 2, axis=2), frame, 3.0)
    np.testing.assert_array_equal(volume.labels[:, :, 1], found.labels())
    described = segmenter.describe(volume.templates)
    assert described["templates"] == [{"id": "bank 1", "used": {"dark": 2, "light": 2}}]
    assert segmenter.describe_run()["settings"] == {"retrieval": "bank"}
    ((name, image, masks),) = segmenter.shown(volume.templates)
    assert name == "bank 1" and image.shape == (SIZE, SIZE, 3) and set(masks) == {"dark", "light"}


def test_templates_of_a_bank_may_disagree():
    network = build_toy()
    images = torch.rand(1, 2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 255
    masks = torch.zeros(1, 2, 1, SIZE, SIZE)
    masks[:, 0, :, :9], masks[:, 1, :, 9:] = 1, 1
    network.set_bank(images, masks, ("dark",))
    segmenter = BankSegmenter(network, (DARK,), None, "none", make_engine=lambda: EagerNetwork(network))
    image = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
    found = segmenter.predict_slice(image, build_frame(image, "none", SIZE), None)
    assert found.disagreement.max() > 0 and found.templates == (("bank 1", "bank 2"),)
    assert len(found.overlaps[0]) == 1


def test_bank_refuses_the_other_modality():
    segmenter = BankSegmenter(build_banked(), (DARK, LIGHT), Window(0, 510), "none")
    with pytest.raises(InputError, match="expected a CT, as the examples in the weights are, got a picture"):
        segmenter.check_input("picture")
    segmenter.check_input("CT")


def test_more_structures_than_the_bank_has_are_refused():
    with pytest.raises(ConfigError, match=r"expected the structures of the weights' examples \(dark\), got"):
        check_bank(build_banked(1), (DARK, LIGHT))
    with pytest.raises(ConfigError, match=r"of the weights' examples \(dark, light\), got light, dark"):
        check_bank(build_banked(2), (LIGHT, DARK))


def test_no_bank_is_refused():
    with pytest.raises(ConfigError, match="prompts: expected a task folder, because these weights bring no"):
        check_bank(build_toy(), (DARK, LIGHT))
