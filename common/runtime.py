"""What every bundle does first when a command starts it: one-line errors and a check of the overrides."""

from __future__ import annotations

import difflib
import json
import logging
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from .errors import ConfigError, find_refusal

RUN_ARGUMENTS = frozenset(
    ("run_id", "init_id", "final_id", "meta_file", "config_file", "logging_file", "tracking", "args_file")
)


def start(verbose: bool = False) -> None:
    """Install the one-line error hook and check the command line's overrides.

    Called by `initialize` of every config. A run that does not come from `python -m monai.bundle`
    (MONAI Label, MONAI Deploy, a test) keeps its own error handling and its own keys.

    Args:
        verbose: show tracebacks; log level DEBUG does the same.

    Raises:
        ConfigError: an override names a key that no config file of the command has.
    """
    if not _is_bundle_command(sys.argv[0]):
        return
    sys.excepthook = partial(_report, verbose=verbose)
    configs, overrides = read_command_line(sys.argv[1:])
    check_overrides(overrides, configs)


def _is_bundle_command(program: str) -> bool:
    return Path(program).parts[-3:-1] == ("monai", "bundle")


def _report(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None, *, verbose: bool
) -> None:
    refusal = find_refusal(error)
    if refusal is None or verbose or logging.getLogger().isEnabledFor(logging.DEBUG):
        sys.__excepthook__(kind, error, trace)
    if refusal is not None:
        print(f"error: {refusal}", file=sys.stderr)


def read_command_line(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Config files and override keys of a `monai.bundle run` command line, `args_file` included."""
    pairs: dict[str, str] = {}
    for position, argument in enumerate(arguments):
        if argument.startswith("--"):
            key, equals, value = argument[2:].partition("=")
            following = arguments[position + 1] if position + 1 < len(arguments) else ""
            pairs[key.replace("-", "_")] = value if equals else following
    merged: dict[str, Any] = dict(pairs)
    if "args_file" in pairs:
        merged = {**json.loads(Path(pairs["args_file"]).read_text(encoding="utf-8")), **pairs}
    files = merged.get("config_file", [])
    if isinstance(files, str):
        files = [part.strip(" '\"") for part in files.strip("[]()").split(",")]
    return list(files), [key for key in merged if key not in RUN_ARGUMENTS]


def check_overrides(overrides: Iterable[str], config_files: Iterable[str]) -> None:
    """Refuse override keys that no config file has; a new argument of a `_target_` is allowed.

    Raises:
        ConfigError: naming the unknown key and the nearest known one.
    """
    known: set[str] = set()
    components: set[str] = set()
    for file in config_files:
        _collect_ids(json.loads(Path(file).read_text(encoding="utf-8")), "", known, components)
    for override in overrides:
        key = override.replace("#", "::")
        if key in known or key.rpartition("::")[0] in components:
            continue
        near = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.5)
        hint = f"did you mean --{near[0]}?" if near else f"known keys: {', '.join(_top_level(known))}"
        raise ConfigError(f"expected a key of {', '.join(config_files)}, got --{override}: {hint}")


def _collect_ids(config: Any, prefix: str, known: set[str], components: set[str]) -> None:
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(config, dict):
        items = config.items()
        if "_target_" in config:
            components.add(prefix)
    elif isinstance(config, list):
        items = enumerate(config)
    for key, value in items:
        name = f"{prefix}::{key}" if prefix else str(key)
        known.add(name)
        _collect_ids(value, name, known, components)


def _top_level(known: Iterable[str]) -> list[str]:
    return sorted(key for key in known if "::" not in key)
