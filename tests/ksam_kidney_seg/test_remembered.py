"""The same picture is encoded once."""

from __future__ import annotations

from typing import Any

import torch
from toy_ksam import SIZE_PX, build_toy

from ksam.eager import EagerNetwork
from ksam.remembered import RememberedNetwork


class CountingNetwork(EagerNetwork):
    encoded = 0

    def encode(self, image: torch.Tensor) -> Any:
        self.encoded += 1
        return super().encode(image)


def test_pictures_are_encoded_once() -> None:
    counting = CountingNetwork(build_toy())
    network = RememberedNetwork(counting)
    pictures = torch.rand(2, 1, 3, SIZE_PX, SIZE_PX) * 255
    first = [network.encode(picture) for picture in pictures]
    second = [network.encode(picture.clone()) for picture in pictures]
    assert counting.encoded == 2 and network.image_size == SIZE_PX
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], first[1])
    mask = torch.ones(1, 1, SIZE_PX, SIZE_PX)
    answer = network.segment(first[0], network.read_prompt(first[1], pictures[1], mask))
    torch.testing.assert_close(answer, build_toy()(pictures[0], pictures[1], mask), atol=1e-4, rtol=1e-3)


def test_the_limit_is_kept() -> None:
    counting = CountingNetwork(build_toy())
    network = RememberedNetwork(counting, limit_bytes=1)
    pictures = torch.rand(2, 1, 3, SIZE_PX, SIZE_PX) * 255
    for picture in (*pictures, *pictures):
        network.encode(picture)
    assert counting.encoded == 4
