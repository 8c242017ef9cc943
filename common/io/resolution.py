"""What a slide says about its own pixel size, and what to believe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..geometry import MAX_MPP


@dataclass(frozen=True)
class Statement:
    """One statement of a file, or of the user, about level 0.

    Attributes:
        source: where it stands, e.g. "aperio.MPP", "tiff.XResolution", "dicom.PixelSpacing", "user".
        value: as it was written.
        mpp_x: microns per pixel along x, None where it says nothing about it.
        mpp_y: microns per pixel along y.
        magnification: the objective's x-factor, None where it says nothing about it.
        note: why it is not used, empty where it may be.
    """

    source: str
    value: str
    mpp_x: float | None = None
    mpp_y: float | None = None
    magnification: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Resolution:
    """What to believe, and why.

    Attributes:
        mpp: microns per pixel of level 0; None where nothing usable was said.
        chosen_source: the statement that `mpp` comes from.
        statements: everything that was said.
        contradictions: one readable sentence each.
    """

    mpp: float | None
    chosen_source: str | None
    statements: tuple[Statement, ...]
    contradictions: tuple[str, ...]


def collect_statements(path: Path, properties: Mapping[str, str]) -> list[Statement]:
    """Every statement that a file makes about its own resolution."""
    if "openslide.mpp-x" not in properties:
        return []
    x = properties["openslide.mpp-x"]
    return [Statement("openslide.mpp", x, float(x), float(properties.get("openslide.mpp-y", x)))]


def reconcile(statements: Iterable[Statement], user_mpp: float | None = None) -> Resolution:
    """Choose the pixel size.

    Raises:
        InputError: the user's pixel size is not in (0, 100] um/px.
    """
    statements = tuple(statements)
    if user_mpp is not None:
        if not 0 < user_mpp <= MAX_MPP:
            raise InputError(
                f"mpp: expected 0 < um/px <= {MAX_MPP:g}, got {user_mpp:g}: give the pixel size of level 0"
            )
        user = Statement("user", f"{user_mpp:g}", user_mpp, user_mpp)
        return Resolution(float(user_mpp), "user", (user, *statements), ())
    for s in statements:
        if s.mpp_x is not None:
            return Resolution(s.mpp_x, s.source, statements, ())
    return Resolution(None, None, statements, ())
