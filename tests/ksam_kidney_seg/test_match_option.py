"""The decoder "match" inside KSam: the same interface, nothing of SAM's decoder trained."""

import pytest
import torch

from common.errors import ConfigError
from ksam.episode_network import EpisodeNetwork
from ksam.network import build_ksam

SIZE = 64
SMALL = {"match_widths": (16, 16, 16), "match_detail": 8, "match_refine_widths": (8, 16)}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_ksam("lite", image_size=SIZE, decoder="match", km=False, pm=False, **SMALL)


@pytest.fixture(scope="module")
def pictures():
    torch.manual_seed(1)
    return torch.rand(2, 3, SIZE, SIZE) * 255, (torch.rand(2, 1, SIZE, SIZE) > 0.5).float()


def test_only_the_matching_parts_are_trained(network):
    assert {name.split(".")[0] for name in network.trained_names} == {"match_features", "match_decoder"}


@torch.no_grad()
def test_encoding_once_equals_the_forward_pass(network, pictures):
    images, masks = pictures
    features = network.encode(images)
    assert features.shape == (2, 256 + 16 + 8, SIZE // 4, SIZE // 4)
    knowledge = network.read_prompt(features.flip(0), images.flip(0), masks)
    whole = network(images, images.flip(0), masks)
    assert whole.shape == (2, 1, SIZE, SIZE)
    assert torch.allclose(network.segment(features, knowledge), whole, atol=1e-5)


@torch.no_grad()
def test_kept_features_of_the_encoder_are_extended_for_training(network, pictures):
    images, masks = pictures
    three = masks.repeat(1, 3, 1, 1) * torch.tensor([1.0, 0.0, 1.0]).view(1, 3, 1, 1)
    kept = network.sam.image_encoder(images)
    trained = EpisodeNetwork(network, with_prior=True)
    found = trained(kept, images.flip(0), three, kept.flip(0), images)
    direct = trained(images, images.flip(0), three)
    assert found.logits.shape == (2, 3, SIZE, SIZE)
    assert torch.allclose(found.logits, direct.logits, atol=1e-5)
    assert torch.allclose(found.logits[:, :1], network(images, images.flip(0), masks), atol=1e-5)
    assert found.prior.shape == (2, 3, SIZE // 4, SIZE // 4)
    assert (found.prior[:, 1] < -5).all()


@torch.no_grad()
def test_the_bank_answers_for_several_templates(network, pictures):
    images, masks = pictures
    network.set_bank(images[None], masks[None])
    features = network.encode(images[:1])
    parts = [
        network.segment(features, network.read_prompt(network.encode(image[None]), image[None], mask[None]))
        for image, mask in zip(images, masks, strict=True)
    ]
    assert torch.allclose(network(images[:1]), torch.stack(parts).mean(dim=0), atol=1e-4)


def test_all_structures_at_once_need_this_decoder():
    network = build_ksam("lite", image_size=SIZE)
    nothing = torch.zeros(1, 256, 16, 16)
    with pytest.raises(ConfigError, match="decoder: expected 'match', got 'sam'"):
        network.match(nothing, nothing, nothing[:, :1])


@pytest.mark.parametrize("options", [{"km": True, "pm": False}, {"km": False, "pm": False, "prior": "dense"}])
def test_what_the_decoder_replaces_must_be_off(options):
    with pytest.raises(ConfigError, match="decoder: expected km and pm false and prior 'off'"):
        build_ksam("lite", image_size=SIZE, decoder="match", **options)


def test_every_value_comes_from_the_backbone_the_delta_or_the_bank(network):
    """Otherwise two assemblies of the same files would differ by what was drawn at random."""
    held = {name for name in network.state_dict() if not name.startswith(("sam.", "bank."))}
    assert held <= set(network.trained_names)
