"""What a slide says about its own pixel size, which statement to believe, and who contradicts it.

The rule: the user's statement wins; then the first usable pixel size in the order of `collect_statements`
(a vendor's own tag before resolution tags that any software writes); then the first usable objective power,
by the convention um/px = 10 / x. Nothing is believed that no microscope produces (`MPP_RANGE`,
`MAGNIFICATION_RANGE`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product

from ..errors import InputError
from ..geometry import MAX_MPP, MPP_AT_X1
from .resolution_statements import Statement, collect_statements

__all__ = ["Resolution", "Statement", "collect_statements", "reconcile"]

MPP_RANGE = (0.02, 20.0)
"""Plausible microns per pixel: oil immersion x100 with a small camera pixel, to an overview at x0.5."""

MAGNIFICATION_RANGE = (0.5, 500.0)
"""Plausible x-factors, the same limits."""

MPP_TOLERANCE = 0.02
"""Relative difference between two pixel sizes that rounding and calibration explain."""

MAGNIFICATION_TOLERANCE = 0.20
"""Relative difference between 10 / x and a pixel size that nominal lens names explain (x40: 0.21 to 0.30)."""

SQUARE_TOLERANCE = 0.01
"""Relative difference between the two sides of a pixel that still counts as square."""

_GENERAL_TAGS = ("tiff.", "png.", "jpeg.", "openslide.")

_PRINT_DPI = (72, 75, 96, 100, 120, 150, 180, 200, 240, 300, 360, 400, 600)


@dataclass(frozen=True)
class Resolution:
    """What to believe, and why.

    Attributes:
        mpp: microns per pixel of level 0; None where nothing usable was said.
        chosen_source: the statement that `mpp` comes from; "user" where the user said it.
        statements: everything that was said, the user's first; `note` says why one is not used.
        contradictions: one readable sentence each.
    """

    mpp: float | None
    chosen_source: str | None
    statements: tuple[Statement, ...]
    contradictions: tuple[str, ...]


def reconcile(statements: Iterable[Statement], user_mpp: float | None = None) -> Resolution:
    """Choose the pixel size by the module's rule and name every contradiction.

    Args:
        statements: in order of trust, as `collect_statements` gives them.
        user_mpp: the user's own statement, um/px in (0, 100].

    Raises:
        InputError: `user_mpp` is out of range.
    """
    judged = [_judge(statement) for statement in statements]
    from_file = _choose(judged)
    user = [] if user_mpp is None else [_user_statement(user_mpp)]
    chosen = user[0] if user else from_file
    references = [*user, *([from_file] if from_file else [])]
    return Resolution(
        None if chosen is None else _mpp(chosen),
        None if chosen is None else chosen.source,
        (*user, *judged),
        tuple(_refused(judged) + _not_square(from_file, chosen) + _disagreements(references, judged)),
    )


def _user_statement(mpp: float) -> Statement:
    if not 0 < mpp <= MAX_MPP:
        raise InputError(
            f"mpp: expected 0 < um/px <= {MAX_MPP:g}, got {mpp:g}: give the pixel size of level 0, e.g. 0.25"
        )
    return Statement("user", f"{mpp:g}", float(mpp), float(mpp))


def _choose(judged: list[Statement]) -> Statement | None:
    usable = [s for s in judged if not s.note]
    sizes = [s for s in usable if s.mpp_x is not None]
    return next(iter(sizes + usable), None)


def _judge(statement: Statement) -> Statement:
    """The statement with a note where no microscope can have made it."""
    if statement.note:
        return statement
    sizes = [size for size in (statement.mpp_x, statement.mpp_y) if size is not None]
    if any(not MPP_RANGE[0] <= size <= MPP_RANGE[1] for size in sizes):
        dpi = 25400 / sizes[0] if math.isfinite(sizes[0]) and sizes[0] > 0 else 0.0
        is_print = any(abs(dpi / usual - 1) < 0.005 for usual in _PRINT_DPI)
        low, high = MPP_RANGE
        limits = f"outside {low:g} to {high:g} um/px, not a microscope"
        return replace(statement, note=f"{dpi:.0f} dpi, a screen or print setting" if is_print else limits)
    power = statement.magnification
    if power is not None and not MAGNIFICATION_RANGE[0] <= power <= MAGNIFICATION_RANGE[1]:
        return replace(
            statement, note="outside x{:g} to x{:g}, not a microscope".format(*MAGNIFICATION_RANGE)
        )
    return statement


def _mpp(statement: Statement) -> float:
    """Microns per pixel of a usable statement: the geometric mean of the sides, or 10 / x."""
    if statement.mpp_x is None:
        return MPP_AT_X1 / (statement.magnification or 1.0)
    return math.sqrt(statement.mpp_x * (statement.mpp_y or statement.mpp_x))


def _refused(judged: list[Statement]) -> list[str]:
    """Explicit statements that cannot be used. A print setting in a general tag contradicts nothing."""
    return [
        f"{s.source} says '{s.value}': {s.note}; it is not used"
        for s in judged
        if s.note and not s.source.startswith(_GENERAL_TAGS)
    ]


def _not_square(from_file: Statement | None, chosen: Statement | None) -> list[str]:
    if from_file is None or from_file.mpp_x is None or from_file.mpp_y is None:
        return []
    x, y = from_file.mpp_x, from_file.mpp_y
    if _close(x, y, SQUARE_TOLERANCE):
        return []
    used = f"; their mean, {_mpp(from_file):.4g} um, is used" if from_file is chosen else ""
    return [f"{from_file.source} says that pixels are not square ({x:.4g} x {y:.4g} um){used}"]


def _disagreements(references: list[Statement], judged: list[Statement]) -> list[str]:
    """Every usable statement against the user's and against the file's best one."""
    usable = [s for s in judged if not s.note]
    sentences = []
    for reference, other in product(references, usable):
        if other in references or _is_echo(other, usable) or _agree(reference, other):
            continue
        first, second = sorted((other, reference), key=lambda s: s.mpp_x is not None)
        sentences.append(f"{_phrase(first)} but {_phrase(second)}")
    if len(references) == 2 and not _agree(*references):
        sentences.insert(0, f"{_phrase(references[0])} but {_phrase(references[1])}")
    return sentences


def _is_echo(statement: Statement, usable: list[Statement]) -> bool:
    """Whether it is OpenSlide's own name for what a vendor's tag says."""
    return statement.source.startswith("openslide.") and any(
        (statement.mpp_x is None) == (other.mpp_x is None) and _close(_mpp(statement), _mpp(other), 1e-3)
        for other in usable
        if not other.source.startswith("openslide.")
    )


def _agree(a: Statement, b: Statement) -> bool:
    both_sizes = a.mpp_x is not None and b.mpp_x is not None
    return _close(_mpp(a), _mpp(b), MPP_TOLERANCE if both_sizes else MAGNIFICATION_TOLERANCE)


def _close(a: float, b: float, tolerance: float) -> bool:
    return max(a, b) <= min(a, b) * (1 + tolerance)


def _phrase(statement: Statement) -> str:
    mpp = _mpp(statement)
    who = "the user" if statement.source == "user" else statement.source
    if statement.mpp_x is None:
        return f"{who} says x{statement.magnification:g} ({mpp:.3f} um/px)"
    return f"{who} says {mpp:.4g} um/px (x{MPP_AT_X1 / mpp:.3g})"
