"""Training and evaluation of a bundle by its configs; what is finished is not repeated."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

METRICS, HISTORY, CHECKPOINT = "metrics.json", "history.json", "checkpoint.pt"
Overrides = dict[str, Any]


@dataclass(frozen=True)
class BundleRuns:
    """The runs of one bundle.

    Attributes:
        bundle: its folder.
        weights: name of the file that a training leaves in its folder.
    """

    bundle: Path
    weights: str

    def run_config(self, name: str, overrides: Mapping[str, Any]) -> None:
        """Run a config of the bundle in this process. Raises BundleError, or what else went wrong."""
        from monai.bundle import ConfigWorkflow

        from common.errors import find_refusal

        workflow = ConfigWorkflow(
            config_file=str(self.bundle / "configs" / name),
            workflow_type="train" if name.startswith("train") else "infer",
            logging_file=False,
            bundle_root=str(self.bundle),
            **{key: str(value) if isinstance(value, Path) else value for key, value in overrides.items()},
        )
        try:
            workflow.initialize()
            workflow.run()
        except RuntimeError as error:
            raise (find_refusal(error) or error) from error.__cause__

    def train(self, folder: Path, overrides: Mapping[str, Any]) -> Path:
        """Train in a folder, or go on with what was interrupted there; returns the best weights.

        Raises:
            ConfigError: the run ended before its first validation, so that there are none.
            BundleError: see the config.
        """
        from common.errors import ConfigError

        done = folder / "done.json"
        if not done.is_file():
            resume = (folder / CHECKPOINT).is_file()
            self.run_config("train.json", {**overrides, "output_dir": folder, "resume": resume})
            if not (folder / self.weights).is_file():
                raise ConfigError(
                    f"{folder.name}: expected at least one validation, got none: lower val_interval or "
                    "raise epochs"
                )
            done.write_text("{}\n", encoding="utf-8")
        return folder / self.weights

    def evaluate(
        self, folder: Path, weights: Path, datalist: Path, overrides: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Evaluate weights, or read what an earlier run found. Raises BundleError."""
        if not (folder / METRICS).is_file():
            given = {"datalist": datalist, "weights": weights, "output_dir": folder}
            self.run_config("evaluate.json", {**overrides, **given})
        return dict(json.loads((folder / METRICS).read_text(encoding="utf-8")))


def read_settings(words: Sequence[str]) -> Overrides:
    """`key=value` as overrides; values are JSON where they can be.

    Raises:
        ConfigError: not of that form.
    """
    from common.errors import ConfigError

    found: Overrides = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise ConfigError(f"settings: expected key=value, got '{word}': for example epochs=40")
        try:
            found[key] = json.loads(text)
        except ValueError:
            found[key] = text
    return found


def add_common(parser: argparse.ArgumentParser) -> None:
    """The arguments that every experiment has."""
    parser.add_argument("--out", type=Path, required=True, help="folder for runs, tables and figure")
    parser.add_argument("--train", nargs="*", default=[], help="settings of train.json as key=value")
    parser.add_argument("--evaluate", nargs="*", default=[], help="settings of evaluate.json as key=value")
