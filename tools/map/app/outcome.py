"""How a run ended: exit codes, and what the caller gets back.

Whoever starts the application unattended decides by the number alone: 10, 11, 12 and 14 come again however
often the same input is tried with the same settings; 13 and 1 may go away.
"""

from __future__ import annotations

import errno
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
"""Class name of a bundle's refusal -> exit code. By name: a packed bundle has its own copy of the classes."""

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Refusal(Exception):
    """A refusal of the application itself. One line: expected what, got what, do what."""

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        exit_code: of the process.
        status: a word of `STATUS`, or `EMPTY`.
        message: one line without patient data.
        files: the results, absolute; empty where there are none.
    """

    exit_code: int
    status: str
    message: str
    files: list[Path] = field(default_factory=list)


def explain(error: BaseException) -> Outcome:
    """The refusal at the root of an exception; of anything else only its type and place.

    The text of an unexpected exception stays out: it may hold values of the patient's header.
    """
    for cause in walk_causes(error):
        code = find_code(cause)
        if code is not None:
            return Outcome(code, STATUS[code], " ".join(str(cause).split()))
        if isinstance(cause, OSError) and cause.errno in NO_SPACE:
            reason = (cause.strerror or "no space").lower()
            message = f"expected a writable place, got '{reason}': free space or change the output"
            return Outcome(NO_OUTPUT, STATUS[NO_OUTPUT], message)
        if isinstance(cause, MemoryError):
            return Outcome(FAULT, STATUS[FAULT], "expected enough memory, got too little: give more")
    *_, root = walk_causes(error)
    message = f"unexpected {type(root).__name__} at {find_place(root)}: set verbose=true to see more"
    return Outcome(FAULT, STATUS[FAULT], message)


def walk_causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it was raised from, outermost first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__


def find_code(error: BaseException) -> int | None:
    """Exit code of a refusal; a bundle's by the nearest of its classes that `CODES` has; else None."""
    if isinstance(error, Refusal):
        return error.exit_code
    names = [kind.__name__ for kind in type(error).__mro__]
    return next((CODES[name] for name in names if name in CODES), None) if "BundleError" in names else None


def find_place(error: BaseException) -> str:
    """File and line that raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "an unknown place"
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
