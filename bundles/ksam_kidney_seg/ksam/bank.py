"""The prompt bank: templates that live in the network's buffers, so that a picture alone is enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from common.errors import InputError

_BUFFERS = ("images", "masks", "index")


class PromptBank(nn.Module):
    """n structures with k templates each.

    Pictures and masks are kept in whole steps of 1/255, a quarter of the memory and below the noise of any
    picture; a picture that serves several structures is kept once. A state dict may bring a bank of any size.

    Args:
        image_size: S, in pixels.
        structures: n of a placeholder: one black template with an empty mask each, for checks of the format.
    """

    images: torch.Tensor
    masks: torch.Tensor
    index: torch.Tensor

    def __init__(self, image_size: int, structures: int = 0) -> None:
        super().__init__()
        shape = (structures, 1, 1, image_size, image_size)
        self.register_buffer("images", torch.zeros(1, 3, image_size, image_size, dtype=torch.uint8))
        self.register_buffer("masks", torch.zeros(shape, dtype=torch.uint8))
        self.register_buffer("index", torch.zeros(shape[:2], dtype=torch.long))
        self.names: tuple[str, ...] = ()

    @property
    def structures(self) -> int:
        """n."""
        return self.masks.shape[0]

    @property
    def is_placeholder(self) -> bool:
        """No structure, or a mask without any pixel."""
        return self.structures == 0 or not bool(self.masks.flatten(2).any(dim=2).all())

    def fill(self, images: torch.Tensor, masks: torch.Tensor, names: Sequence[str] = ()) -> None:
        """Replace the content.

        Args:
            images: (n, k, 3, S, S), RGB 0..255.
            masks: (n, k, 1, S, S), 0..1.
            names: of the n structures.

        Raises:
            InputError: other shapes or values, an empty mask, or another number of names.
        """
        size = self.images.shape[-1]
        _check(images, masks, size, names)
        pixels = images.detach().round().to(torch.uint8).flatten(0, 1)
        unique, inverse = torch.unique(pixels, dim=0, return_inverse=True)
        device = self.images.device
        self.images, self.index = unique.to(device), inverse.unflatten(0, images.shape[:2]).to(device)
        self.masks = (masks.detach() * 255).round().to(torch.uint8).to(device)
        self.names = tuple(names)

    def pictures(self) -> torch.Tensor:
        """(t, 3, S, S), RGB 0..255: every picture once."""
        return self.images.float()

    def templates(self, structure: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The places (k,) of one structure's pictures in `pictures`, and its masks (k, 1, S, S), 0..1."""
        return self.index[structure], self.masks[structure].float() / 255

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name in _BUFFERS:
            loaded, own = state_dict.get(prefix + name), getattr(self, name)
            if loaded is not None and (name == "index" or loaded.shape[-2:] == own.shape[-2:]):
                setattr(self, name, own.new_zeros(loaded.shape))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _check(images: torch.Tensor, masks: torch.Tensor, size: int, names: Sequence[str]) -> None:
    shape = (*images.shape[:2], 3, size, size), (*images.shape[:2], 1, size, size)
    if images.ndim != 5 or (tuple(images.shape), tuple(masks.shape)) != shape or 0 in images.shape:
        raise InputError(
            f"prompt bank: expected pictures (n, k, 3, {size}, {size}) and masks (n, k, 1, {size}, {size}), "
            f"got {tuple(images.shape)} and {tuple(masks.shape)}: bring every template to the network's size"
        )
    for what, values, top in (("pictures", images, 255), ("masks", masks, 1)):
        if not bool(((values >= 0) & (values <= top)).all()):
            raise InputError(
                f"prompt bank: expected {what} of 0..{top}, got {values.min():g}..{values.max():g}: "
                "apply the window first, and look for NaN"
            )
    if not bool((masks >= 0.5).flatten(2).any(dim=2).all()):
        raise InputError("prompt bank: expected a pixel or more in every mask, got an empty one: take it out")
    if len(names) not in (0, len(images)):
        raise InputError(
            f"prompt bank: expected {len(images)} names of structures, got {len(names)}: name each one once"
        )
