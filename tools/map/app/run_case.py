"""One case through a bundle, by the bundle's own inference.json; plain Python."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from outcome import BAD_SETTING, DONE, FAULT, STATUS, Outcome, build_refusal, find_code, walk_causes


def run_case(bundle_root: Path, input_dir: Path, output_dir: Path, settings: dict[str, Any]) -> Outcome:
    """Run a bundle on what an input folder holds.

    Args:
        bundle_root: folder with `configs/inference.json`, of the repository or of an unpacked zip.
        input_dir: read only.
        output_dir: gets the results; made when it is not there.
        settings: keys of the bundle's config and their values.

    Returns:
        How it ended; nothing is raised but what ends the process anyway (KeyboardInterrupt, MemoryError).
    """
    config = bundle_root / "configs" / "inference.json"
    if not config.is_file():
        return build_refusal(BAD_SETTING, f"expected a bundle with configs/inference.json, got {bundle_root}")
    try:
        files = run_bundle(bundle_root, config, input_dir, output_dir, settings)
    except Exception as error:
        return describe_failure(error)
    return Outcome(DONE, STATUS[DONE], f"{len(files)} files", files)


def run_bundle(
    bundle_root: Path, config: Path, input_dir: Path, output_dir: Path, settings: dict[str, Any]
) -> list[Path]:
    """What `python -m monai.bundle run` does, in this process. Returns the files written."""
    from monai.bundle import ConfigWorkflow

    sys.path.insert(0, str(bundle_root))
    own = {"bundle_root": str(bundle_root), "dataset_dir": str(input_dir), "output_dir": str(output_dir)}
    workflow = ConfigWorkflow(
        str(config),
        meta_file=str(config.with_name("metadata.json")),
        logging_file=False,
        workflow_type="infer",
        **own,
        **settings,
    )
    workflow.initialize()
    results = workflow.run()
    workflow.finalize()
    return [Path(path) for path in results[-1]]


def describe_failure(error: Exception) -> Outcome:
    """The refusal at the root of an exception, or a fault."""
    for cause in walk_causes(error):
        code = find_code(cause)
        if code is not None:
            return build_refusal(code, str(cause))
    return build_refusal(FAULT, f"unexpected {type(error).__name__}")


def read_setting(text: str) -> tuple[str, Any]:
    """ "key=value" as a pair; the value is JSON, or else a word. Raises ValueError: no "="."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ValueError(f"expected key=value, got {text}")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
