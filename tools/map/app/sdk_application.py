"""The MONAI Deploy App SDK's application: one operator that runs the bundle's own pipeline.

What the SDK offers beside that is not used: its bundle operator casts and drops outputs, and has no slides,
mammograms or texts. The application's `run` returns nothing, so that the operator keeps the outcome.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("HOLOSCAN_LOG_LEVEL", "ERROR")  # before the import: holoscan reads it then

from monai.deploy.core import AppContext, Application, Operator, OperatorSpec
from outcome import FAULT, STATUS, Outcome
from run_case import run_case


class BundleOperator(Operator):
    """Runs a bundle once on the application's input folder.

    Args:
        fragment: the application.
        bundle: its folder.
        context: has the paths of input and output.
        settings: of the bundle.
    """

    def __init__(
        self, fragment: Application, *args: Any, bundle: Path, context: AppContext, settings: dict[str, Any]
    ) -> None:
        self.bundle, self.context, self.settings = bundle, context, settings
        self.outcome: Outcome | None = None
        super().__init__(fragment, *args, name="bundle")

    def setup(self, spec: OperatorSpec) -> None:
        """No ports: folders come in and go out."""

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """The whole run; see `run_case`."""
        places = Path(self.context.input_path), Path(self.context.output_path)
        self.outcome = run_case(self.bundle, *places, self.settings)


class BundleApplication(Application):
    """The application.

    Args:
        bundle: folder of the bundle.
        context: has the paths of input and output.
        settings: of the bundle.
    """

    def __init__(self, bundle: Path, context: AppContext, settings: dict[str, Any]) -> None:
        self.bundle, self.context, self.settings = bundle, context, settings
        self.operator: BundleOperator | None = None
        super().__init__()

    def compose(self) -> None:
        """One operator, run once."""
        from holoscan.conditions import CountCondition

        self.operator = BundleOperator(
            self, CountCondition(self, 1), bundle=self.bundle, context=self.context, settings=self.settings
        )
        self.add_operator(self.operator)


def build_context(bundle: Path, input_dir: Path, output_dir: Path) -> AppContext:
    """The paths; the SDK says of every folder of a bundle that it is none of its own models: not repeated."""
    logging.disable(logging.CRITICAL)
    try:
        return AppContext({"input": str(input_dir), "output": str(output_dir), "model": str(bundle)})
    finally:
        logging.disable(logging.NOTSET)


def run_application(bundle: Path, input_dir: Path, output_dir: Path, settings: dict[str, Any]) -> Outcome:
    """Run under the SDK. Returns the outcome of `run_case`, or a fault where the SDK did not come to it."""
    application = BundleApplication(bundle, build_context(bundle, input_dir, output_dir), settings)
    application.run()
    operator = application.operator
    if operator is None or operator.outcome is None:
        return Outcome(FAULT, STATUS[FAULT], "expected the SDK to run the bundle, got no result: use --plain")
    return operator.outcome
