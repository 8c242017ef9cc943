"""Prompts taken from the truth, as in Table 1 of the paper: nobody has them before segmenting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.errors import ConfigError

KINDS = ("point", "box")
REFERENCE_PX = 512


@dataclass(frozen=True)
class OraclePrompt:
    """How a prompt is drawn from a true mask.

    Attributes:
        kind: "point": one pixel inside, all equally likely; "box": the bounding box, each side moved outward
            by an even draw from 0 to the margin (MedSAM's way of disturbing boxes).
        margin_px: greatest move in pixels of a picture of 512 x 512. The paper names 20 and 30 pixels and
            pictures of 512; that they belong together is a choice.

    Raises:
        ConfigError: another kind, or a negative margin.
    """

    kind: str
    margin_px: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"prompt: expected {' or '.join(KINDS)}, got '{self.kind}': choose one")
        if self.margin_px < 0:
            raise ConfigError(f"margin_px: expected 0 or more, got {self.margin_px:g}: 20 is the paper's")

    def draw(self, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
        """A prompt in pixels of the mask's own square.

        Args:
            mask: (S, S) 0..1.
            rng: source of chance.

        Returns:
            float32 (2,) x, y or (4,) x0, y0, x1, y1; None where the structure is not there.
        """
        if not mask.max() > 0:
            return None
        rows, columns = np.nonzero(mask >= min(0.5, float(mask.max())))
        if self.kind == "point":
            place = rng.integers(len(rows))
            return np.array([columns[place] + 0.5, rows[place] + 0.5], dtype=np.float32)
        edge_px = mask.shape[0]
        moved = rng.uniform(0, self.margin_px * edge_px / REFERENCE_PX, 4)
        low = np.array([columns.min(), rows.min()]) - moved[:2]
        high = np.array([columns.max() + 1, rows.max() + 1]) + moved[2:]
        return np.clip(np.concatenate([low, high]), 0, edge_px).astype(np.float32)
