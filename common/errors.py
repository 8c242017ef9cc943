"""Refusals. Each message is one line: what was expected, what came, and what to do."""

from __future__ import annotations


class BundleError(Exception):
    """Root of every deliberate refusal. `str(error)` is one line without patient names, ids or free text."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class InputError(BundleError):
    """The image, slide, study, annotation or datalist cannot be used."""


class NoEligibleError(InputError):
    """Nothing that the bundle reads is there."""


class SeveralEligibleError(InputError):
    """More than one thing that the bundle reads is there, and nothing says which."""


class ClassifierError(BundleError):
    """The network, its head, its description or its weights do not fit together."""


class ConfigError(BundleError):
    """A setting is unknown, out of range or contradicts another."""


class OutputError(BundleError):
    """A result cannot be written (permissions, disk full)."""


def find_refusal(error: BaseException | None) -> BundleError | None:
    """The `BundleError` at the root of a chain of wrapped exceptions, or None.

    MONAI re-raises what happens while a config is instantiated as `RuntimeError`; the refusal is its cause.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, BundleError):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None
