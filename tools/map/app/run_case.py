"""One input folder through a bundle, by the bundle's own configs. Plain Python, nothing of the SDK.

Results and run log appear whole or not at all, and of what is logged nothing says who the patient is.
"""

from __future__ import annotations

import json
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bundle_run import Ran, read_bundle, run_bundle
from outcome import BAD_SETTING, DONE, EMPTY, STATUS, Outcome, Refusal, explain
from output_folder import (
    check_places,
    check_sources,
    list_results,
    publish,
    remove_earlier,
    staging,
    write_log,
)
from redact import Redactor, quiet_log
from run_log import describe_bundle, describe_results, describe_run


def run_case(bundle_root: Path, input_dir: Path, output_dir: Path, settings: dict[str, Any]) -> Outcome:
    """Run a bundle on what an input folder holds.

    Args:
        bundle_root: folder with `configs/inference.json`, of the repository or of an unpacked zip.
        input_dir: only read.
        output_dir: gets the results and run.json; made when it is not there.
        settings: keys of the bundle's configs and their values; "verbose" shows the traceback of a fault.

    Returns:
        How it ended; nothing is raised but what ends the process anyway.
    """
    try:
        check_places(input_dir, output_dir)
        with staging(output_dir) as folder:
            return run_staged(bundle_root, input_dir, output_dir, folder, settings)
    except Refusal as error:  # there is no place for a log either
        return explain(error)


def run_staged(
    bundle_root: Path, input_dir: Path, output_dir: Path, folder: Path, settings: dict[str, Any]
) -> Outcome:
    """As `run_case`, in an output folder that is ours: results are made in `folder`, then published."""
    started, clock = datetime.now(timezone.utc).isoformat(timespec="seconds"), time.monotonic()
    redact = Redactor(input_dir)
    log: dict[str, Any] = {}
    try:
        check_sources(bundle_root, input_dir)
        bundle = read_bundle(bundle_root)
        log |= describe_bundle(bundle)
        with quiet_log(redact, bundle.package):
            ran = run_bundle(bundle, input_dir, folder, settings)
        names = list_results(folder)
        results = describe_results(ran.findings, folder, names, redact)
        outcome = judge(ran, redact)
        outcome = replace(outcome, files=publish(folder, output_dir, names))
        log |= results
    except Exception as error:
        if settings.get("verbose"):
            traceback.print_exc()
        outcome = explain(error)
        outcome = replace(outcome, message=redact(outcome.message))
    described = describe_run(outcome, started, time.monotonic() - clock, settings)
    return save_log(output_dir, {**described, **log}, outcome)


def judge(ran: Ran, redact: Redactor) -> Outcome:
    """Done, empty, or refused in part."""
    if ran.refusal is not None:
        refused = explain(ran.refusal)
        return replace(refused, message=redact(refused.message))
    empty = all(one.empty for one in ran.findings)
    message = redact("; ".join(one.headline for one in ran.findings))
    return Outcome(DONE, EMPTY if empty else STATUS[DONE], message)


def save_log(output_dir: Path, log: dict[str, Any], outcome: Outcome) -> Outcome:
    """Write run.json, last. Without it there is no result: then the results go again."""
    try:
        write_log(output_dir, log)
    except OSError as error:
        with suppress(OSError):
            remove_earlier(output_dir)
        return replace(outcome, files=[]) if outcome.exit_code else explain(error)
    return outcome


def read_setting(text: str) -> tuple[str, Any]:
    """ "key=value" as a pair; the value is JSON, or else a word. Raises Refusal: no "="."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise Refusal(BAD_SETTING, f"expected KEY=VALUE, got {len(text)} characters without it: write it so")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
