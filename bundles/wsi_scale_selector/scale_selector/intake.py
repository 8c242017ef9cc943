"""What an application takes of its input folder: the one slide, or what the settings say; see deploy.json."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from common.errors import ConfigError, NoEligibleError
from common.io.eligible import ALL, REFUSE, check_several, take
from common.io.slide import find_slides

from .pipeline import SlideDataset


class EligibleSlides(SlideDataset):
    """Slides of an input folder that nobody looked through. Names in it stay out of the results' names.

    Args:
        path: input folder; slides may lie nested.
        mpp: microns per level-0 pixel as the user knows it; wins over the files' statements.
        number: place of the slide to read among the eligible ones in order of path, from 1.
        several: with several slides and no `number`: "refuse", or "all" takes each into a folder of its own.

    Raises:
        ConfigError: an unknown `several`.
    """

    def __init__(
        self, path: str | Path, mpp: float | None = None, number: int | None = None, several: str = "refuse"
    ) -> None:
        super().__init__(path, mpp)
        self.number, self.several = number, check_several(several, (REFUSE, ALL))
        self._found: list[Path] | None = None

    def paths(self) -> list[Path]:
        """The slides to be read.

        Raises:
            NoEligibleError: no slide.
            SeveralEligibleError: several, and no setting chooses.
            ConfigError: `number` is not a place among them.
        """
        if self._found is None:
            self._found = self._choose()
        return self._found

    def _choose(self) -> list[Path]:
        found = find_nested(self.path)
        if self.number is not None:
            if self.number not in range(1, len(found) + 1):
                raise ConfigError(f"number: expected 1 to {len(found)}, got {self.number}: correct it")
            return [found[self.number - 1]]
        labels = [f"{place}: {label(path)}" for place, path in enumerate(found, 1)]
        return take(found, self.several, labels, "slide", f"number=1 to number={len(found)}, or several=all")

    def stands_alone(self, paths: Sequence[Path]) -> bool:
        """One slide stands in the output folder itself, wherever in the input it was."""
        return len(paths) == 1

    def name_outputs(self, paths: Sequence[Path]) -> dict[str, Path]:
        """Folder name of each slide: its place."""
        return {f"slide-{place}": path for place, path in enumerate(paths, 1)}


def find_nested(folder: Path) -> list[Path]:
    """Slides at any depth; a folder that is a slide is not looked into. Raises NoEligibleError."""
    found: set[Path] = set()
    for place, below, _ in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        if any(Path(place).is_relative_to(slide) for slide in found):
            continue
        try:
            found |= set(find_slides(place))
        except NoEligibleError:
            continue
    if not found:
        raise NoEligibleError(f"{folder.name}: expected a slide, got none: check the input")
    return sorted(found)


def label(path: Path) -> str:
    """The format, in one word."""
    return "DICOM" if path.is_dir() or path.suffix.lower() in ("", ".dcm") else path.suffix[1:].lower()
