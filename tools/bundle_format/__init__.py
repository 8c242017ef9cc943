"""Is a folder a bundle as this project means it? Stricter than the Model Zoo's own verification.

Each check takes a `Bundle` and yields one line per fault; nothing found means that it holds. The first line
of its docstring is the rule. `run_check` turns a file that cannot be read into a fault, so that no check
passes because another one failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .bundle import WORKFLOWS, Bundle
from .code import check_imports, check_package_name, check_reexports
from .configs import (
    check_expressions,
    check_optional_ids,
    check_references,
    check_required_ids,
    check_size,
    check_start,
    check_targets,
)
from .files import check_json, check_large_files, check_logging, check_required_files
from .metadata import (
    check_channel_def,
    check_labels,
    check_metadata_keys,
    check_pins,
    check_tensors,
    check_version,
)
from .paths import check_absolute_paths, check_links, check_named_paths

Check = Callable[[Bundle], Iterator[str]]
STATIC_CHECKS: tuple[Check, ...] = (
    check_required_files,
    check_json,
    check_package_name,
    check_reexports,
    check_imports,
    check_absolute_paths,
    check_named_paths,
    check_links,
    check_large_files,
    check_logging,
    check_metadata_keys,
    check_version,
    check_tensors,
    check_labels,
    check_channel_def,
    check_pins,
    check_size,
    check_expressions,
    check_targets,
    check_references,
    check_start,
    check_required_ids,
    check_optional_ids,
)

__all__ = ["STATIC_CHECKS", "WORKFLOWS", "Bundle", "Check", "run_check"]


def run_check(check: Check, bundle: Bundle) -> list[str]:
    """The faults that `check` finds; one fault when a file that it needs cannot be understood."""
    try:
        return list(check(bundle))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SyntaxError) as error:
        return [f"{check.__name__}: cannot be done: {type(error).__name__}: {error}"]
