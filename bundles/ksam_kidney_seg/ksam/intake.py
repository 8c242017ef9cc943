"""What an application takes of its input folder: the one CT, or what the settings say; see deploy.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from common.errors import NoEligibleError
from common.io.cases import Case, find_cases, unique_names
from common.io.dicom_ct import scan
from common.io.dicom_series import group_series
from common.io.eligible import BEST, check_several, take

from .pipeline import MODALITIES, CaseDataset

Labelled = tuple[Case, str]


class EligibleCases(CaseDataset):
    """Cases of an input folder that nobody looked through. Names in it stay out of the results' names.

    Args:
        path: input folder.
        series: SeriesInstanceUID or series number; goes before `several`.
        several: with several eligible series: "refuse", "best" takes one by the rules of
            `common.io.dicom_series`, "all" takes each into a folder of its own.
        kind: "ct" or "picture".

    Raises:
        ConfigError: an unknown `several`.
    """

    def __init__(
        self, path: str | Path, series: str | int | None = None, several: str = "refuse", kind: str = "ct"
    ) -> None:
        super().__init__(path, series)
        self.several, self.kind = check_several(several), kind
        self._found: list[Case] | None = None

    def cases(self) -> list[Case]:
        """The cases to be run, named "ct" or by their series numbers.

        Raises:
            NoEligibleError: no such case.
            SeveralEligibleError: several, and no setting chooses.
            InputError: what cannot be read.
        """
        if self._found is None:
            self._found = self._choose()
        return self._found

    def _choose(self) -> list[Case]:
        if self.series is not None:
            return [Case(self.path, self.kind, None, self.kind)]
        found = [case for case in find_cases(self.path) if case.kind == self.kind]
        if not found:
            raise NoEligibleError(f"expected a {MODALITIES[self.kind]}, got other kinds: check the input")
        split = self.several != BEST and self.kind == "ct"
        labelled = [part for case in found for part in (split_series(case) if split else [_label(case)])]
        how = "series=NUMBER, several=best or several=all" if split else "series=NUMBER or several=all"
        cases = [case for case, _ in labelled]
        what = f"{MODALITIES[self.kind]} {'series' if split else 'study'}"
        chosen = take(cases, self.several, [label for _, label in labelled], what, how)
        if len(chosen) == 1:  # nobody named it: reading says itself why it takes the series
            return [replace(chosen[0], name=self.kind, series=None)]
        names = unique_names([case.name for case in chosen])
        return [replace(case, name=name) for case, name in zip(chosen, names, strict=True)]

    def stands_alone(self, cases: Sequence[Case]) -> bool:
        """One case stands in the output folder itself, wherever in the input it was."""
        return len(cases) == 1


def split_series(case: Case) -> list[Labelled]:
    """Every series of a DICOM study that can be segmented; another file as it is. Raises InputError."""
    if case.path.is_file() and case.path.suffix.lower() != ".zip":
        return [_label(case)]
    usable = [one for one in group_series(scan(case.path)[0]) if not one.reason]
    studies = {one.instances[0].study_uid for one in usable if case.series in (None, one.uid)}
    own = [one for one in usable if one.instances[0].study_uid in studies]
    return [
        (Case(case.path, case.kind, one.uid or _word(one.number), f"series-{_word(one.number)}"), one.label)
        for one in own
    ]


def _label(case: Case) -> Labelled:
    is_study = case.path.is_dir() or case.path.suffix.lower() == ".zip"
    return replace(case, name="study" if is_study else "file"), "a DICOM study" if is_study else "a file"


def _word(number: int | None) -> str:
    return "without-number" if number is None else str(number)
