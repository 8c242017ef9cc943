"""What a pair of pictures is asked for: true structures, and pseudo structures that only the template tells.

With few structures a network learns them by heart and stops reading the template. A pseudo structure is cut
by one rule from the fields of both pictures (`fields.py`); the rule is drawn anew each time, so its mask in
the target follows from the mask in the template and from nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

from common.errors import ConfigError

from .fields import View


class Task(NamedTuple):
    """One structure in both pictures: target, template, each bool (S, S)."""

    target: np.ndarray
    template: np.ndarray


class _Place(NamedTuple):
    """The structures that a rule refers to; inner is -1 where the outer one has no part in both pictures."""

    outer: int
    inner: int

    def draw_level(self, rng: np.random.Generator) -> float:
        """A depth, drawn evenly from deep inside to beyond the outer border.

        Levels crowded around the true borders would teach that no border can be relied on: one odd template
        would then be followed to the letter (see `docs/fundus_experiment.md`).
        """
        return float(rng.uniform(0.15 if self.inner < 0 else -0.6, 1.5))


Rule = Callable[[View], np.ndarray]


@dataclass(frozen=True)
class TaskMix:
    """How often each kind is drawn; the numbers are weights, 0 leaves a kind out.

    Args:
        structure: a true structure.
        level: what lies deeper than a level in or around a structure: another annotator's convention.
        ring: between two levels.
        sector: part of a level within an angle around the centre.
        zone: the brightest or darkest share of a structure.
        lines: dark lines (vessels).
        pattern: a random pattern in depth and direction.
        combination: union or difference of two true structures.
        side: the part of a structure in one half of the picture: one of two kidneys.
        inverted: chance that target and template are both turned inside out.

    Raises:
        ConfigError: a negative number, no weight at all, or a chance above 1.
    """

    structure: float = 0.55
    level: float = 0.15
    ring: float = 0.05
    sector: float = 0.06
    zone: float = 0.1
    lines: float = 0.02
    pattern: float = 0.06
    combination: float = 0.03
    side: float = 0.0
    inverted: float = 0.08

    def __post_init__(self) -> None:
        weights = self.weights()
        if min(weights.values()) < 0 or not sum(weights.values()) or not 0 <= self.inverted <= 1:
            raise ConfigError(
                "tasks: expected weights of 0 or more, one of them positive, and inverted from 0 to 1, got "
                f"{asdict(self)}: correct the setting"
            )

    def weights(self) -> dict[str, float]:
        """Kind -> weight."""
        return {kind: weight for kind, weight in asdict(self).items() if kind != "inverted"}

    def sample(self, rng: np.random.Generator, target: View, template: View) -> Task:
        """One task that the template shows. A structure that only the target lacks gives an empty label.

        Raises:
            ConfigError: the template shows no structure at all.
        """
        weights = self.weights()
        chances = np.array(list(weights.values())) / sum(weights.values())
        kind = str(rng.choice(list(weights), p=chances))
        shared = [s for s in template.present if s in target.present]
        if kind == "structure" or not shared:
            task = _take_structure(rng, target, template)
        else:
            rule = _RULES[kind](rng, _draw_place(rng, shared, target, template))
            task = Task(rule(target), rule(template))
            if not task.template.any():
                task = _take_structure(rng, target, template)
        if rng.random() < self.inverted:
            return Task(~task.target, ~task.template)
        return task


def plain_tasks() -> TaskMix:
    """The paper's recipe: true structures only."""
    return TaskMix(
        1, level=0, ring=0, sector=0, zone=0, lines=0, pattern=0, combination=0, side=0, inverted=0
    )


def _take_structure(rng: np.random.Generator, target: View, template: View) -> Task:
    if not template.present:
        raise ConfigError(
            "episodes: expected a template with at least one structure, got none: draw it from samples that "
            "have one"
        )
    chosen = template.present[rng.integers(len(template.present))]
    return Task(target.masks[chosen], template.masks[chosen])


def _draw_place(rng: np.random.Generator, shared: list[int], target: View, template: View) -> _Place:
    outer = shared[rng.integers(len(shared))]
    parts = [s for s in shared if s != outer and target.holds(outer, s) and template.holds(outer, s)]
    inner = parts[rng.integers(len(parts))] if parts else -1
    return _Place(outer, inner)


def _draw_level(rng: np.random.Generator, place: _Place) -> Rule:
    level = place.draw_level(rng)
    return lambda view: view.depth(*place) < level


def _draw_ring(rng: np.random.Generator, place: _Place) -> Rule:
    start = place.draw_level(rng)
    end = start + float(rng.uniform(0.25, 1.0))
    return lambda view: (view.depth(*place) >= start) & (view.depth(*place) < end)


def _draw_sector(rng: np.random.Generator, place: _Place) -> Rule:
    level, middle, half = rng.uniform(0.3, 1.5), rng.uniform(-np.pi, np.pi), rng.uniform(0.6, 2.2)
    return lambda view: (
        (view.depth(*place) < level) & (np.cos(view.direction(place.outer) - middle) > np.cos(half))
    )


def _draw_zone(rng: np.random.Generator, place: _Place) -> Rule:
    share, channel, bright = float(rng.uniform(0.15, 0.85)), int(rng.integers(4)), rng.random() < 0.75
    level = 1.0 if rng.random() < 0.8 else 1.6

    def cut(view: View) -> np.ndarray:
        region, brightness = view.depth(*place) < level, view.brightness(channel)
        limit = np.quantile(brightness[region], share)
        return region & ((brightness > limit) if bright else (brightness <= limit))

    return cut


def _draw_lines(rng: np.random.Generator, place: _Place) -> Rule:
    share = float(rng.uniform(0.86, 0.94))
    return lambda view: view.dark_lines > np.quantile(view.dark_lines, share)


def _draw_pattern(rng: np.random.Generator, place: _Place) -> Rule:
    sizes, phases = rng.normal(0, 1, 3), rng.uniform(0, 2 * np.pi, 3)
    waves, offset = rng.uniform(1.5, 6, 3), float(rng.normal(0, 0.4))

    def cut(view: View) -> np.ndarray:
        depth, direction = view.depth(*place), view.direction(place.outer)
        height = offset + sum(
            sizes[k] * np.sin(waves[k] * depth + phases[k] + k * direction) for k in range(3)
        )
        return (height > 0) & (depth < 1.7)

    return cut


def _draw_combination(rng: np.random.Generator, place: _Place) -> Rule:
    if place.inner < 0:
        return lambda view: view.masks[place.outer]
    return lambda view: view.masks[place.outer] & ~view.masks[place.inner]


def _draw_side(rng: np.random.Generator, place: _Place) -> Rule:
    left = bool(rng.random() < 0.5)

    def cut(view: View) -> np.ndarray:
        mask = view.masks[place.outer].copy()
        middle = mask.shape[1] // 2
        mask[:, slice(middle, None) if left else slice(None, middle)] = False
        return mask

    return cut


_RULES: dict[str, Callable[[np.random.Generator, _Place], Rule]] = {
    "level": _draw_level,
    "ring": _draw_ring,
    "sector": _draw_sector,
    "zone": _draw_zone,
    "lines": _draw_lines,
    "pattern": _draw_pattern,
    "combination": _draw_combination,
    "side": _draw_side,
}
