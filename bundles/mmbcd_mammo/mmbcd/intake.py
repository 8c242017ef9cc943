"""What an application takes of its input folder: the one study, or what the settings say; see deploy.json."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from common.io.eligible import REFUSE, check_several, take
from common.io.mammogram import MammoCase, find_studies, list_visits

from .pipeline import StudyDataset


class EligibleStudies(StudyDataset):
    """Studies of an input folder that nobody looked through. Names in it stay out of the results' names.

    Args:
        path: input folder.
        visit: StudyInstanceUID to read instead of the patient's newest.
        several: with several patients, or several studies of one: "refuse", "best" takes the newest study of
            the only patient, "all" takes the newest of every patient into a folder of its own.

    Raises:
        ConfigError: an unknown `several`.
    """

    def __init__(self, path: str | Path, visit: str | None = None, several: str = "refuse") -> None:
        super().__init__(path, visit)
        self.several = check_several(several)
        self._found: list[MammoCase] | None = None

    def cases(self) -> list[MammoCase]:
        """The studies to be read, named "study" or by their place.

        Raises:
            NoEligibleError: no mammogram.
            SeveralEligibleError: several, and no setting chooses.
            InputError: what cannot be read.
        """
        if self._found is None:
            self._found = self._choose()
        return self._found

    def _choose(self) -> list[MammoCase]:
        found = find_studies(self.path)
        patients = ["the mammograms of one patient"] * len(found)
        chosen = take(found, self.several, patients, "patient", "several=all, or give one at a time")
        if self.several == REFUSE and self.visit is None:
            refuse_visits(chosen[0])
        names = [f"study-{place}" for place in range(1, len(chosen) + 1)] if len(chosen) > 1 else ["study"]
        return [replace(case, name=name) for case, name in zip(chosen, names, strict=True)]


def refuse_visits(case: MammoCase) -> None:
    """Raises SeveralEligibleError: mammograms of more than one study of the patient."""
    counts = list_visits(case)
    if len(counts) > 1:
        shown = [f"{count} mammograms" for count in counts]
        take(counts, REFUSE, shown, "study", "several=best (the newest) or visit=StudyInstanceUID")
