"""How a run ended: exit codes, and what the caller gets back.

Whoever starts the application unattended decides by the number alone: 10, 11, 12 and 14 come again however
often the same input is tried with the same settings; 13 and 1 may go away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

DONE, FAULT = 0, 1
NO_INPUT, SEVERAL_INPUTS, BAD_INPUT, NO_OUTPUT, BAD_SETTING = 10, 11, 12, 13, 14

STATUS = {
    DONE: "done",
    FAULT: "fault",
    NO_INPUT: "no eligible input",
    SEVERAL_INPUTS: "several eligible inputs",
    BAD_INPUT: "bad input",
    NO_OUTPUT: "output not writable",
    BAD_SETTING: "bad setting",
}
EMPTY = "empty"
"""Status of a run that ended well (exit code 0) and whose valid result says that nothing was found."""

CODES = {
    "NoEligibleError": NO_INPUT,
    "SeveralEligibleError": SEVERAL_INPUTS,
    "InputError": BAD_INPUT,
    "OutputError": NO_OUTPUT,
    "ConfigError": BAD_SETTING,
    "ClassifierError": BAD_SETTING,
}
"""Class name of a refusal -> exit code. By name: a packed bundle brings its own copy of the classes."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        exit_code: of the process.
        status: a word of `STATUS`, or `EMPTY`.
        message: one line without patient data.
        files: what was written, absolute; empty unless `exit_code` is 0.
    """

    exit_code: int
    status: str
    message: str
    files: list[Path] = field(default_factory=list)


def build_refusal(exit_code: int, message: str) -> Outcome:
    """The outcome of a run that wrote no result."""
    return Outcome(exit_code, STATUS[exit_code], " ".join(message.split()))


def walk_causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it was raised from, outermost first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__


def find_code(error: BaseException) -> int | None:
    """Exit code of a refusal by the nearest of its classes that `CODES` has; None for anything else."""
    names = [kind.__name__ for kind in type(error).__mro__]
    return next((CODES[name] for name in names if name in CODES), None) if "BundleError" in names else None
