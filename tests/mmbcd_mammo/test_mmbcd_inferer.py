"""All views in one batch give what the network says of each view alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from toy_mammo import make_network

from common.errors import ConfigError
from mmbcd.classifier import Mmbcd
from mmbcd.inferer import MmbcdInferer, encode_histories

TEXTS = ("lump in the left breast", None, "pain", "lump in the left breast")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Mmbcd:
    return make_network(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def crops() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(count, 3, 64, 64, generator=generator) for count in (3, 1, 0, 2)]


def alone(network: Mmbcd, regions: torch.Tensor, text: str | None) -> float:
    """By the network's own forward, one view, no padding."""
    image = regions.transpose(0, 1)[None]
    with torch.inference_mode():
        if text is None:
            logits = network(image)
        else:
            tokens = network.tokenize([text])
            logits = network(image, tokens["input_ids"], tokens["attention_mask"])
    return float(logits.softmax(1)[0, 1])


@pytest.mark.parametrize("batch_size", [2, 32])
def test_batch_equals_each_view_alone(network: Mmbcd, crops: list[torch.Tensor], batch_size: int):
    found = MmbcdInferer("torch", batch_size=batch_size).predict(crops, TEXTS, network)
    assert found[2] is None
    for prediction, regions, text in zip(found, crops, TEXTS, strict=True):
        if prediction is not None:
            assert prediction.score == pytest.approx(alone(network, regions, text), abs=1e-5)
            assert prediction.attention.shape == (len(regions),)
            assert prediction.attention.sum() == pytest.approx(1, abs=1e-5)


def test_image_only_score_does_not_see_the_history(network: Mmbcd, crops: list[torch.Tensor]):
    inferer = MmbcdInferer("torch")
    first = inferer.predict(crops[:1], ["pain"], network)[0]
    second = inferer.predict(crops[:1], ["a very different history"], network)[0]
    assert first is not None and second is not None
    assert first.image_only_score == pytest.approx(second.image_only_score, abs=1e-6)
    assert first.score != second.score


def test_every_text_is_encoded_once(network: Mmbcd, monkeypatch: pytest.MonkeyPatch):
    rows: list[int] = []
    encode = network.encode_text
    monkeypatch.setattr(
        network, "encode_text", lambda ids, mask: (rows.append(len(ids)), encode(ids, mask))[1]
    )
    with torch.inference_mode():
        text, there = encode_histories(TEXTS, network)
    assert text is not None and there is not None
    assert rows == [2] and there.tolist() == [True, False, True, True]
    assert torch.equal(text[0], text[3]) and not torch.equal(text[0], text[2])
    assert encode_histories([None, ""], network) == (None, None)


def test_no_region_anywhere(network: Mmbcd):
    assert MmbcdInferer("torch").predict([torch.zeros(0, 3, 64, 64)] * 2, ["a", None], network) == [None] * 2


def test_weights_without_text(crops: list[torch.Tensor], tmp_path: Path):
    network = make_network(tmp_path, use_text=False)
    prediction = MmbcdInferer("torch").predict(crops[:1], [None], network)[0]
    assert prediction is not None
    assert prediction.score == prediction.image_only_score == pytest.approx(alone(network, crops[0], None))


def test_openvino_answers_like_torch(network: Mmbcd, crops: list[torch.Tensor]):
    exact = MmbcdInferer("torch").predict(crops, TEXTS, network)
    fast = MmbcdInferer("openvino", "fp32")
    found = fast.predict(crops, TEXTS, network)
    for one, other in zip(exact, found, strict=True):
        if one is not None and other is not None:
            np.testing.assert_allclose(other.attention, one.attention, atol=1e-3)
            assert other.score == pytest.approx(one.score, abs=1e-3)
    assert fast.describe(network)["engine"] == "openvino"


def test_call_as_monai_does(network: Mmbcd, crops: list[torch.Tensor]):
    image = crops[0].transpose(0, 1)[None]
    with torch.inference_mode():
        assert torch.equal(MmbcdInferer("torch")(image, network), network(image))


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match="batch_size: expected 1 or more regions, got 0"):
        MmbcdInferer(batch_size=0)
    with pytest.raises(ConfigError, match="batch_size: expected 1 or more regions, got many"):
        MmbcdInferer(batch_size="many")
    with pytest.raises(ConfigError, match="device: expected"):
        MmbcdInferer(device="tpu")
