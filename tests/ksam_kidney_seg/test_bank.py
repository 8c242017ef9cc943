"""The prompt bank: what is kept, sizes that come from a state, refusals."""

from __future__ import annotations

import pytest
import torch

from common.errors import InputError
from ksam.bank import PromptBank

SIZE = 8


def draw(structures: int = 3, templates: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(structures, templates, 3, SIZE, SIZE, generator=generator) * 255
    masks = (torch.rand(structures, templates, 1, SIZE, SIZE, generator=generator) > 0.5).float()
    return images, masks


def test_keeps_pictures_and_masks_to_one_grey_level() -> None:
    bank, (images, masks) = PromptBank(SIZE), draw()
    masks[0, 0, 0, 0, 0] = 0.3
    bank.fill(images, masks, ("a", "b", "c"))
    for structure in range(3):
        index, kept = bank.templates(structure)
        torch.testing.assert_close(bank.pictures()[index], images[structure], rtol=0, atol=0.5)
        torch.testing.assert_close(kept, masks[structure], rtol=0, atol=0.5 / 255)
    assert (bank.structures, bank.names, bank.is_placeholder) == (3, ("a", "b", "c"), False)


def test_keeps_a_shared_picture_once() -> None:
    bank, (images, masks) = PromptBank(SIZE), draw()
    images[1:] = images[0]
    bank.fill(images, masks)
    assert len(bank.pictures()) == 2
    torch.testing.assert_close(bank.pictures()[bank.templates(2)[0]], images[2].round())


def test_state_brings_its_own_size() -> None:
    filled, other = PromptBank(SIZE), PromptBank(SIZE, structures=1)
    filled.fill(*draw())
    other.load_state_dict(filled.state_dict())
    for name, value in filled.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)


def test_state_of_another_picture_size_is_not_taken() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        PromptBank(SIZE).load_state_dict(PromptBank(2 * SIZE, 1).state_dict())


@pytest.mark.parametrize(("structures", "placeholder"), [(0, True), (2, True)])
def test_placeholder_is_known_as_such(structures: int, placeholder: bool) -> None:
    bank = PromptBank(SIZE, structures)
    assert (bank.structures, bank.is_placeholder) == (structures, placeholder)


def test_refuses_shapes() -> None:
    images, masks = draw()
    for pair in (
        (images, masks[:2]),
        (images[0], masks[0]),
        (images[..., :4], masks),
        (images[:0], masks[:0]),
    ):
        with pytest.raises(InputError, match=r"prompt bank: expected pictures \(n, k, 3, 8, 8\) and masks"):
            PromptBank(SIZE).fill(*pair)


@pytest.mark.parametrize(("which", "value"), [(0, 256.0), (0, -1.0), (0, float("nan")), (1, 2.0)])
def test_refuses_values(which: int, value: float) -> None:
    pair = draw()
    pair[which][0, 0, 0, 0, 0] = value
    with pytest.raises(InputError, match=rf"prompt bank: expected {('pictures', 'masks')[which]} of 0\.\."):
        PromptBank(SIZE).fill(*pair)


def test_refuses_an_empty_mask_and_too_few_names() -> None:
    images, masks = draw()
    with pytest.raises(InputError, match="expected 3 names of structures, got 1"):
        PromptBank(SIZE).fill(images, masks, ("a",))
    masks[1, 1] = 0
    with pytest.raises(InputError, match="expected a pixel or more in every mask, got an empty one"):
        PromptBank(SIZE).fill(images, masks)
