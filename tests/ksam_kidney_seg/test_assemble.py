"""Backbone and delta become one plain state dict."""

from __future__ import annotations

import pytest
import torch
from toy_ksam import build_toy

from common.errors import ClassifierError
from ksam import assemble
from ksam.assemble import assemble_weights


def test_the_same_files_give_the_same_bytes(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(assemble, "build_network", lambda **paths: asked.append(paths) or build_toy())
    for name in ("one.pt", "two.pt"):
        assemble_weights(tmp_path / "base.pth", tmp_path / "delta.safetensors", tmp_path / name)
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "two.pt").read_bytes()
    assert asked[0] == {"weights": tmp_path / "delta.safetensors", "base": tmp_path / "base.pth"}
    state = torch.load(tmp_path / "one.pt", weights_only=True)
    fresh = build_toy(seed=1)
    fresh.load_state_dict(state)
    image = torch.zeros(1, 3, 32, 32)
    mask = torch.ones(1, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(fresh(image, image, mask), build_toy()(image, image, mask))


def test_missing_delta_is_refused(tmp_path):
    with pytest.raises(ClassifierError, match="weights: expected a file with weights, got 'x.safetensors'"):
        assemble_weights(tmp_path / "base.pth", tmp_path / "x.safetensors", tmp_path / "model.pt")
    assert not (tmp_path / "model.pt").exists()
