"""Which templates explain a slice best."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from common.errors import ConfigError

from .templates import Template

RETRIEVALS = ("nearest", "position", "fixed", "round_trip")

Score = Callable[[Template], float]
"""How well a template suits the slice at hand; higher is better."""


def check_retrieval(retrieval: str) -> str:
    """`retrieval` if there is such a way. Raises ConfigError."""
    if retrieval not in RETRIEVALS:
        raise ConfigError(
            f"retrieval: expected one of {', '.join(RETRIEVALS)}, got '{retrieval}': correct the setting"
        )
    return retrieval


def choose_templates(candidates: Sequence[Template], count: int, score: Score | None) -> tuple[Template, ...]:
    """The `count` best templates, best first; in their own order where there is no score or no choice.

    Args:
        candidates: templates that show the structure.
        count: k, at least 1.
        score: None for "fixed".
    """
    if score is None or len(candidates) <= count:
        return tuple(candidates[:count])
    return tuple(sorted(candidates, key=score, reverse=True)[:count])


def score_position(position: float | None) -> Score:
    """Closeness along the patient's axis: minus the distance of the relative positions.

    Positions are relative to the scanned range, so this suits scans of the same range (an abdomen for an
    abdomen).

    Raises:
        ConfigError: when the slice or the template has no position.
    """

    def score(template: Template) -> float:
        if position is None or template.position is None:
            who = "the slice" if position is None else f"template '{template.id}'"
            raise ConfigError(
                f"retrieval 'position': expected relative positions, got none for {who}: "
                "choose retrieval 'nearest' or 'fixed'"
            )
        return -abs(position - template.position)

    return score


def describe_embedding(embedding: torch.Tensor) -> torch.Tensor:
    """Mean over the image's tokens, of length 1. (1, C, g, g) -> (C,)."""
    return torch.nn.functional.normalize(embedding.float().mean(dim=(0, 2, 3)), dim=0).cpu()


def score_nearest(embedding: torch.Tensor, describe: Callable[[Template], torch.Tensor]) -> Score:
    """Cosine between the pooled features of the slice and of the template.

    Args:
        embedding: (1, C, g, g) of the slice.
        describe: `describe_embedding` of a template.
    """
    slice_vector = describe_embedding(embedding)
    return lambda template: float(slice_vector @ describe(template))
