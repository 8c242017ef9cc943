"""Microns per pixel and x-factors: the only place where one becomes the other."""

from __future__ import annotations

import re

from .errors import ConfigError

MPP_AT_X1 = 10.0
"""Microns per pixel at x1: the convention that makes x20 0.5 um/px and x40 0.25 um/px."""

MAX_MPP = 100.0
"""Microns per pixel above which nothing is a microscope slide (x0.1)."""

_X_FACTOR = re.compile(r"(?:[x×]\s*([0-9.eE+-]+)|([0-9.eE+-]+)\s*[x×]?)")  # noqa: RUF001
_MICRONS = re.compile(r"([0-9.eE+-]+)\s*(?:mpp|[uµμ]m(?:/px|/pixel)?|microns?)")


def mpp_from_magnification(magnification: float) -> float:
    """Microns per pixel of an x-factor: mpp = 10 / x.

    Raises:
        ConfigError: not a positive number, or beyond `MAX_MPP`.
    """
    return _checked_mpp(MPP_AT_X1 / magnification if magnification > 0 else -1.0, f"x{magnification:g}")


def magnification_from_mpp(mpp: float) -> float:
    """The x-factor of a pixel size: x = 10 / mpp.

    Raises:
        ConfigError: not in (0, `MAX_MPP`] um/px.
    """
    return MPP_AT_X1 / _checked_mpp(mpp, f"{mpp:g} um/px")


def parse_scale(scale: str | float) -> float:
    """A scale as people write it, in microns per pixel.

    Args:
        scale: "x20", "20x" or a bare number (an x-factor); "0.5mpp", "0.5um" or "0.5 um/px".

    Raises:
        ConfigError: not one of these forms, or outside (0, `MAX_MPP`] um/px.
    """
    text = str(scale).strip().lower()
    microns, factor = _MICRONS.fullmatch(text), _X_FACTOR.fullmatch(text)
    try:
        if microns:
            return _checked_mpp(float(microns[1]), text)
        if factor and not isinstance(scale, bool):
            return mpp_from_magnification(float(factor[1] or factor[2]))
    except ValueError:
        pass
    raise ConfigError(f"scale: expected 'x20', '20x', 20 or '0.5um', got '{text}': write one of these forms")


def _checked_mpp(mpp: float, written: str) -> float:
    if not 0 < mpp <= MAX_MPP:
        raise ConfigError(
            f"scale: expected 0 < um/px <= {MAX_MPP:g}, got {written}: give an x-factor or microns per pixel"
        )
    return mpp
