"""What a run that nobody watches takes of an input folder: the one thing there, or what a setting says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ..errors import ConfigError, SeveralEligibleError

REFUSE, BEST, ALL = "refuse", "best", "all"
SHOWN = 8
"""Eligible things named in a message."""

Thing = TypeVar("Thing")


def check_several(several: str, known: Sequence[str] = (REFUSE, BEST, ALL)) -> str:
    """The setting, unless it is not known. Raises ConfigError."""
    if several not in known:
        raise ConfigError(f"several: expected {', '.join(known)}, got {several}: choose one of them")
    return several


def take(found: Sequence[Thing], several: str, labels: Sequence[str], what: str, how: str) -> list[Thing]:
    """All that was found, if it is one or all are wanted.

    Args:
        found: eligible things.
        several: the setting.
        labels: one for each, without patient data.
        what: is expected, such as "CT series".
        how: settings that choose, in words.

    Raises:
        SeveralEligibleError: naming them and the settings.
    """
    if len(found) == 1 or several == ALL:
        return list(found)
    shown = "; ".join(labels[:SHOWN]) + (" and others" if len(labels) > SHOWN else "")
    raise SeveralEligibleError(f"expected one {what}, got {len(found)} ({shown}): choose with {how}")
