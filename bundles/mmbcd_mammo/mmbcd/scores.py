"""Scores of images, breasts and studies: what the network says of one view, and how views are summed up.

The network (**paper**, section 3.2: "single-view classification paradigm") scores one view. Breast and study
are choices: the highest view decides by default, because a cancer may be seen in one view only.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np

from common.errors import ConfigError

LEVELS = ("image", "breast", "study")
RULES: dict[str, Callable[[Sequence[float]], float]] = {
    "max": lambda scores: float(np.max(scores)),
    "mean": lambda scores: float(np.mean(scores)),
}


def to_score(logits: np.ndarray) -> np.ndarray:
    """Raw malignancy scores: the softmax of two logits.

    Args:
        logits: (..., 2), benign then malignant.

    Returns:
        (...), 0..1.
    """
    margin = np.asarray(logits, float)[..., 1] - np.asarray(logits, float)[..., 0]
    return 1 / (1 + np.exp(-np.clip(margin, -50, 50)))


def check_rule(rule: str, name: str) -> str:
    """Raises ConfigError: the rule is unknown."""
    if rule not in RULES:
        raise ConfigError(f"{name}: expected one of {', '.join(RULES)}, got '{rule}': choose one")
    return rule


def combine(scores: Sequence[float | None], rule: str) -> float | None:
    """One score out of several; views without a score (no region was found) have no say.

    Args:
        scores: 0..1, or None.
        rule: of `RULES`.

    Returns:
        None where there is no score at all.

    Raises:
        ConfigError: the rule is unknown.
    """
    check_rule(rule, "rule")
    known = [score for score in scores if score is not None]
    return RULES[rule](known) if known else None


def combine_by(
    keys: Sequence[Hashable], scores: Sequence[float | None], rule: str
) -> Mapping[Hashable, float | None]:
    """Scores of the groups that the keys name, in the order of their first member.

    Args:
        keys: group of each score, such as (study, laterality).
        scores: one for each key.
        rule: of `RULES`.

    Raises:
        ConfigError: the rule is unknown.
    """
    groups: dict[Hashable, list[float | None]] = {}
    for key, score in zip(keys, scores, strict=True):
        groups.setdefault(key, []).append(score)
    return {key: combine(members, rule) for key, members in groups.items()}
