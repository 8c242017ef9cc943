"""From logits to masks and labels: siblings exclude each other, children stay inside their parent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from common.errors import ConfigError

from .structures import Structure, find_children, find_depth, values_of


def masks_from_logits(logits: np.ndarray, structures: Sequence[Structure]) -> np.ndarray:
    """One mask for each structure; a parent's mask includes its children.

    Choice (the paper predicts each structure alone): among structures with the same parent the largest logit
    wins a pixel, if it is above the background's logit 0; children compete only inside their parent.

    Args:
        logits: (n, ...) in the order of `structures`.
        structures: n of them.

    Returns:
        (n, ...) bool.

    Raises:
        ConfigError: another number of maps than of structures.
    """
    if len(logits) != len(structures):
        raise ConfigError(
            f"expected logits of {len(structures)} structures, got {len(logits)}: "
            "use the task that the logits were made with"
        )
    masks = np.zeros(logits.shape, dtype=bool)
    _divide(logits, structures, None, np.ones(logits.shape[1:], dtype=bool), masks)
    return masks


def _divide(
    logits: np.ndarray,
    structures: Sequence[Structure],
    parent: str | None,
    room: np.ndarray,
    masks: np.ndarray,
) -> None:
    places = find_children(parent, structures)
    if not places:
        return
    group = logits[list(places)]
    winner, inside = group.argmax(axis=0), room & (group.max(axis=0) > 0)
    for order, place in enumerate(places):
        masks[place] = inside & (winner == order)
        _divide(logits, structures, structures[place].name, masks[place], masks)


def label_map(masks: np.ndarray, structures: Sequence[Structure]) -> np.ndarray:
    """(n, ...) bool -> (...) uint8 with the value of the deepest structure of each pixel, 0 outside all."""
    labels = np.zeros(masks.shape[1:], dtype=np.uint8)
    for place in sorted(range(len(structures)), key=lambda p: find_depth(structures[p], structures)):
        labels[masks[place]] = structures[place].value
    return labels


def keep_largest(mask: np.ndarray, count: int) -> np.ndarray:
    """The `count` largest connected parts of a mask, 2D or 3D; faces connect, corners do not.

    Args:
        mask: bool, any number of axes.
        count: parts to keep (2 for a pair of kidneys); 0 keeps all.

    Raises:
        ConfigError: a negative count.
    """
    if count < 0:
        raise ConfigError(f"keep_largest: expected 0 (all) or more parts, got {count}: correct the setting")
    parts, found = ndimage.label(mask)
    if count == 0 or found <= count:
        return mask
    sizes = np.bincount(parts.ravel())[1:]
    kept = np.argsort(-sizes, kind="stable")[:count] + 1
    return np.isin(parts, kept)


def keep_largest_labels(labels: np.ndarray, structures: Sequence[Structure], count: int) -> np.ndarray:
    """A label map without the small parts of the structures at the top; what lies in them goes with them.

    Args:
        labels: (...) uint8.
        structures: of the labels.
        count: parts that each structure without a parent keeps; 0 keeps all.

    Raises:
        ConfigError: a negative count.
    """
    result = labels.copy()
    for place in find_children(None, structures):
        mine = np.isin(labels, values_of(structures[place], structures))
        result[mine & ~keep_largest(mine, count)] = 0
    return result
