"""What every engine offers, and the one place where patches become a batch."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from ..errors import ConfigError, InputError


def patches_to_batch(patches: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Patches as the reader gives them -> batch as an `Engine` takes it.

    The result is a view (B 3 H W) on memory ordered B H W 3: OpenVINO reads it in place, without a copy.

    Args:
        patches: B arrays (H, W, 3), or one array (B, H, W, 3), RGB.

    Returns:
        (B, 3, H, W), same element type.

    Raises:
        InputError: no patches, patches of different sizes, or not RGB.
    """
    shapes = sorted({np.shape(patch) for patch in patches})
    if len(shapes) != 1 or len(shapes[0]) != 3 or shapes[0][2] != 3:
        raise InputError(f"expected RGB patches (H, W, 3) of one size, got {shapes}: cut them anew")
    return np.asarray(patches).transpose(0, 3, 1, 2)


class Engine(ABC):
    """A compiled network: batches in, numbers out.

    Attributes:
        engine, precision, device, version: the choice made, part of every result.
        shape_px: the (3, H, W) of one patch, fixed when the engine was built.
    """

    engine: str
    precision: str
    device: str
    version: str
    shape_px: tuple[int, ...]

    @abstractmethod
    def _infer(self, batch: np.ndarray) -> np.ndarray:
        """(B, 3, H, W) uint8 or float32 -> float32 (B, ...)."""

    def in_fp32(self) -> Engine:
        """The same network on the same device in fp32; shares the weights."""
        engine = copy.copy(self)
        engine.precision = "fp32"
        return engine

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """Run the network.

        Args:
            batch: (B, 3, H, W), RGB 0..255 as uint8 or float32; B may differ from call to call.

        Returns:
            float32 (B, ...), the caller's own memory.

        Raises:
            InputError: another type or shape.
        """
        batch = np.asarray(batch)
        if batch.dtype not in (np.uint8, np.float32) or batch.ndim != 4 or batch.shape[1:] != self.shape_px:
            raise InputError(
                f"expected a uint8 or float32 batch (B, {', '.join(map(str, self.shape_px))}), "
                f"got {batch.dtype} {batch.shape}: cut patches of that size"
            )
        return self._infer(batch)

    def describe(self) -> dict[str, str]:
        """The choice made, for the result's record."""
        return {key: getattr(self, key) for key in ("engine", "precision", "device", "version")}


def choose(value: str, allowed: Sequence[str], name: str) -> str:
    """`value` if it is one of `allowed`. Raises ConfigError otherwise."""
    if value not in allowed:
        raise ConfigError(f"{name}: expected one of {', '.join(allowed)}, got '{value}': correct the setting")
    return value
