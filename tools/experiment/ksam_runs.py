"""Runs of KSAM by its configs."""

from __future__ import annotations

from collections.abc import Callable

from experiment.command import ROOT, run_command
from experiment.config_runs import HISTORY, BundleRuns, add_common, read_settings

BUNDLE = ROOT / "bundles" / "ksam_kidney_seg"
RUNS = BundleRuns(BUNDLE, "delta.safetensors")

__all__ = ["HISTORY", "RUNS", "add_common", "read_settings", "start"]


def start(main: Callable[[list[str]], None]) -> int:
    """Run an experiment as a command; see `run_command`."""
    return run_command(main, BUNDLE)
