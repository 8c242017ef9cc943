"""Lists on the command line."""

from __future__ import annotations

from common.errors import ConfigError


def read_names(text: str) -> tuple[str, ...]:
    """ "a, b" -> ("a", "b"); "" -> ()."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def read_pairs(text: str, option: str) -> list[tuple[str, str]]:
    """ "a=b,c=d" -> [("a", "b"), ("c", "d")]. Raises ConfigError."""
    pairs = []
    for part in read_names(text):
        key, sign, value = part.partition("=")
        if not sign or not key.strip() or not value.strip():
            raise ConfigError(f"{option}: expected LEFT=RIGHT with commas, got '{part}': correct it")
        pairs.append((key.strip(), value.strip()))
    return pairs


def read_values(text: str, option: str = "labels", named: bool = True) -> tuple[tuple[int, str], ...]:
    """ "1=cortex,2=medulla" -> ((1, "cortex"), (2, "medulla")); not named "0,255" -> ((0, ""), (255, "")).

    Raises:
        ConfigError: not whole numbers from 0.
    """
    pairs = read_pairs(text, option) if named else [(part, "") for part in read_names(text)]
    if not all(value.isdigit() for value, _ in pairs):
        raise ConfigError(f"{option}: expected whole numbers from 0, got '{text}': correct it")
    return tuple((int(value), name) for value, name in pairs)
