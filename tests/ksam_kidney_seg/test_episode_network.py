"""Several structures of a pair at once are what KSam says of each alone."""

from __future__ import annotations

import pytest
import torch
from toy_ksam import SIZE_PX, build_toy

from common.errors import ConfigError
from ksam.episode_network import EpisodeInferer, EpisodeNetwork, prepare_episode, unwrap


def draw_batch(tasks: int = 2) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 2, 3, SIZE_PX, SIZE_PX, generator=generator) * 255
    masks = (torch.rand(2, 2, tasks, SIZE_PX, SIZE_PX, generator=generator) > 0.5).float()
    return {
        "image": images[0],
        "knowledge_image": images[1],
        "knowledge_mask": masks[0],
        "label": masks[1],
    }


@pytest.mark.parametrize("options", [{}, {"decoder": "match", "km": False, "pm": False}])
def test_structures_of_a_pair(options: dict[str, object]) -> None:
    network = build_toy(**options)
    inputs, label, _, others = prepare_episode(draw_batch(), torch.device("cpu"))
    with torch.no_grad():
        output = EpisodeNetwork(network)(inputs, **others)
        for task in range(2):
            mask = others["knowledge_mask"][:, task : task + 1]
            alone = network(inputs, others["knowledge_image"], mask)
            torch.testing.assert_close(output.logits[:, task : task + 1], alone, atol=1e-4, rtol=1e-3)
    assert output.prior is None and label.shape == output.logits.shape


def test_kept_features_give_the_same() -> None:
    network, batch = build_toy(), draw_batch()
    with torch.no_grad():
        plain, _, _, others = prepare_episode(batch, torch.device("cpu"))
        wanted = EpisodeNetwork(network)(plain, **others).logits
        encode = network.sam.image_encoder
        kept = batch | {
            "embedding": encode(batch["image"]),
            "knowledge_embedding": encode(batch["knowledge_image"]),
        }
        features, _, _, others = prepare_episode(kept, torch.device("cpu"))
        found = EpisodeNetwork(network)(features, **others).logits
    assert features.shape[1] == 256
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_prior_is_given_where_wanted() -> None:
    network = build_toy(prior="dense")
    inputs, _, _, others = prepare_episode(draw_batch(), torch.device("cpu"))
    output = EpisodeInferer("fp32")(inputs, EpisodeNetwork(network, with_prior=True), **others)
    assert output.prior is not None and output.prior.shape == (2, 2, 8, 8)
    rough = EpisodeInferer("bf16")(inputs, EpisodeNetwork(network, with_prior=True), **others)
    assert rough.logits.dtype == torch.float32 and not torch.equal(rough.logits, output.logits)
    with pytest.raises(ConfigError, match="loss_prior: expected a network with a similarity prior"):
        EpisodeNetwork(build_toy(), with_prior=True)


def test_wrappers_come_off() -> None:
    network = build_toy()
    assert unwrap(EpisodeNetwork(network)) is network is unwrap(network)
