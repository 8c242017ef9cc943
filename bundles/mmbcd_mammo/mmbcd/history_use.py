"""Which clinical history a study gets, whether it is used, and which part of it each breast gets."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import ConfigError
from common.io.history import ClinicalHistory, given_history, read_history

from .laterality import history_for_breast

USED, MISSING, REFUSED = "used", "missing", "refused"
OTHER_SCRIPT = (
    "The history is mostly not in Latin letters: check that the text encoder of these weights reads "
    "its language."
)


@dataclass(frozen=True)
class HistoryUse:
    """What became of the history. The text stays out of repr and logs.

    Attributes:
        status: `USED`, `MISSING` or `REFUSED`.
        history: the history; None where there is none that can be used.
        reason: why it is not used, in words; "" where it is.
        breasts: "R" and "L" -> the text that concerns this breast; None: nothing does, it counts as missing.
        notes: sentences for the reader.
    """

    status: str
    history: ClinicalHistory | None
    reason: str
    breasts: Mapping[str, str | None] = field(repr=False)
    notes: tuple[str, ...] = ()

    def as_record(self, show_history: bool = False) -> dict[str, Any]:
        """For result.json, report and SR: source and length; the text only where the site wants it.

        Args:
            show_history: include the text. Off by default: results are copied into places (teaching files,
                PACS exports, mails) where free text about a patient must not follow unasked.
        """
        shown = {"text": self.history.text} if show_history and self.history is not None else {}
        return {
            "status": self.status,
            "source": None if self.history is None else self.history.source,
            "length": None if self.history is None else self.history.length,
            "reason": self.reason,
            "breasts": {side: USED if text else MISSING for side, text in self.breasts.items()},
            "notes": list(self.notes),
            **shown,
        }


class HistorySource:
    """Where the histories of a run come from: given by hand or in a file, else each study's own.

    Args:
        text: as the command line parses it: words with commas may arrive as a list, a number as a number;
            blank is the same as none.
        file: text, JSON, HL7 v2 or FHIR; goes before `text`.
        use_history: False reads every study without one.
        show_history: the text may stand in the results, see `HistoryUse.as_record`.
    """

    def __init__(
        self,
        text: Any = None,
        file: str | Path | None = None,
        use_history: bool = True,
        show_history: bool = False,
    ) -> None:
        words = ", ".join(map(str, text)) if isinstance(text, (list, tuple)) else str(text or "")
        self.text, self.file = words.strip(), file
        self.use_history, self.show_history = use_history, show_history

    @property
    def is_given(self) -> bool:
        """The histories do not come from the studies."""
        return self.file is not None or bool(self.text)

    def check_single(self, studies: int) -> None:
        """Raises ConfigError: one history was given for several studies."""
        if self.is_given and studies > 1:
            raise ConfigError(
                f"clinical_history: expected one study for the history that was given, got {studies}: give "
                "one study, or put each history beside its pictures"
            )

    def choose(self, found: ClinicalHistory | None, refused: Sequence[str], reads_text: bool) -> HistoryUse:
        """The history that a study is read with.

        Args:
            found: in the study's headers or in a file beside the pictures.
            refused: why files that look like a history were not read.
            reads_text: the network has a text encoder.

        Raises:
            InputError: the file that was given cannot be read.
        """
        if not self.use_history:
            return _without(MISSING, "use_history is false")
        history = self._read_given() if self.is_given else found
        if history is None:
            return self._explain_missing(refused)
        if not reads_text:
            return _without(REFUSED, "these weights read no history", history)
        breasts = {side: history_for_breast(history.text, side) or None for side in ("R", "L")}
        notes = (*history.notes, *((OTHER_SCRIPT,) if is_other_script(history.text) else ()))
        return HistoryUse(USED, history, "", breasts, notes)

    def _read_given(self) -> ClinicalHistory | None:
        return given_history(self.text) if self.file is None else read_history(self.file)

    def _explain_missing(self, refused: Sequence[str]) -> HistoryUse:
        if self.is_given:
            return _without(MISSING, "the one that was given says nothing")
        if refused:
            return _without(REFUSED, "; ".join(refused))
        return _without(MISSING, "none was given and none is in the study")


def is_other_script(text: str) -> bool:
    """More than half of the letters are not Latin."""
    letters = [letter for letter in text if letter.isalpha()]
    latin = sum(unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    return 2 * latin < len(letters)


def _without(status: str, reason: str, history: ClinicalHistory | None = None) -> HistoryUse:
    return HistoryUse(status, history, reason, {"R": None, "L": None})
