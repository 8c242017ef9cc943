"""Any pair of folders: image(s)/ and mask(s)/ or label(s)/, files of the same name, pictures or volumes."""

from __future__ import annotations

from collections import defaultdict

from common.errors import ConfigError

from .entries import Collected, Entry, Request, strip_suffixes, structure
from .refuge import find_pairs


def collect_pairs(request: Request) -> Collected:
    """`named_values` names the values; a value may stand in several structures: 1=disc, 2=disc, 2=cup.

    Raises:
        ConfigError: no names for the values.
        InputError: no pair.
    """
    if not request.named_values:
        raise ConfigError(
            "labels: expected names for the values of the masks, got none: give --labels 1=NAME"
        )
    values = defaultdict(list)
    for value, name in request.named_values:
        values[name].append(value)
    pairs = find_pairs(request.source)
    is_ct = any(image.name.lower().endswith((".nii", ".nii.gz", ".nrrd")) for image, _ in pairs)
    structures = [structure(name, found, _parent(name, values)) for name, found in values.items()]
    entries = [Entry(name := strip_suffixes(image), image, label, name) for image, label in pairs]
    if is_ct:
        return Collected(request.source.name, "CT", "not stated", structures, request.background, entries)
    return Collected(
        request.source.name, "picture", "not stated", structures, request.background, entries, None
    )


def _parent(name: str, values: dict[str, list[int]]) -> str | None:
    """The smallest structure that holds all values of this one and more."""
    around = [other for other in values if set(values[name]) < set(values[other])]
    return min(around, key=lambda other: len(values[other]), default=None)
