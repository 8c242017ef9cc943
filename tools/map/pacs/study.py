"""One study's way: fetched, run, checked, stored."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from .command import Command
from .dicomweb import DicomWeb, FoundInstance
from .errors import SiteError, StudyError
from .results import make_durable, read_header, read_results
from .state import State, digest_of

GB = 10**9


@dataclass(frozen=True)
class Content:
    """What the server has of a study.

    Attributes:
        sources: instances of the wanted modality that are not ours.
        present: SOPInstanceUIDs of all, ours included.
    """

    sources: tuple[FoundInstance, ...]
    present: frozenset[str]

    @property
    def digest(self) -> str:
        """One value for the sources."""
        return digest_of(one.sop_uid for one in self.sources)


@dataclass(frozen=True)
class StudyRunner:
    """Everything that a study needs on its way.

    Attributes:
        server: it comes from and goes to.
        state: that knows which instances are ours.
        command: to run.
        modality: of the series that are fetched.
        work: folder that holds one folder for each study under way.
        min_free_gb: free space below which nothing is begun, in 10^9 bytes.
    """

    server: DicomWeb
    state: State
    command: Command
    modality: str
    work: Path
    min_free_gb: float

    def folder(self, key: str) -> Path:
        """Where a study is worked on."""
        return self.work / key[:16]

    def look(self, key: str, study_uid: str) -> Content:
        """Ask the server what it has of a study."""
        ours, found = self.state.results(key), self.server.list_instances(study_uid)
        if any(not one.modality for one in found):
            raise StudyError("expected a modality for every instance found, got none: check the server")
        sources = (one for one in found if one.modality == self.modality and one.sop_uid not in ours)
        return Content(tuple(sources), frozenset(one.sop_uid for one in found))

    def make(self, key: str, study_uid: str, content: Content) -> dict[str, Path]:
        """Fetch the sources and run the command.

        Returns:
            The results by SOPInstanceUID, on disk and fit to be stored.

        Raises:
            SiteError, StudyError, SkipError, ParkError: see there.
        """
        folder = self._empty_folder(key)
        files = self._fetch(study_uid, content, folder / "input")
        header = read_header(files[0])
        self.command.run(folder / "input", folder / "output", folder / "printed.txt", header)
        shutil.rmtree(folder / "input")
        taken = {one.sop_uid for one in content.sources}
        results = read_results(folder / "output" / "dicom", study_uid, header, taken)
        make_durable(list(results.values()))
        return results

    def _empty_folder(self, key: str) -> Path:
        self.work.mkdir(parents=True, exist_ok=True)
        free_gb = shutil.disk_usage(self.work).free / GB
        if free_gb < self.min_free_gb:
            raise SiteError(
                f"expected {self.min_free_gb:g} GB free for the work folder, got {free_gb:.1f}: free some"
            )
        self.remove(key)
        for name in ("input", "output"):
            (self.folder(key) / name).mkdir(parents=True)
        return self.folder(key)

    def _fetch(self, study_uid: str, content: Content, folder: Path) -> list[Path]:
        files: list[Path] = []
        for series_uid in sorted({one.series_uid for one in content.sources}):
            files += self.server.fetch_series(study_uid, series_uid, folder, first=len(files) + 1)
        wanted = {one.sop_uid for one in content.sources}
        got = {str(read_header(path).get("SOPInstanceUID")): path for path in files}
        if wanted - got.keys():
            here = len(wanted & got.keys())
            raise StudyError(f"expected {len(wanted)} instances, the server sent {here} of them: try again")
        for uid in got.keys() - wanted:
            got[uid].unlink()  # came while the others were fetched: not seen to be quiet
        return [got[uid] for uid in sorted(wanted)]

    def kept_results(self, key: str) -> dict[str, Path]:
        """The results that wait in the work folder to be stored."""
        files = sorted((self.folder(key) / "output" / "dicom").glob("*.dcm"))
        return {str(read_header(path).get("SOPInstanceUID")): path for path in files}

    def store(self, key: str, study_uid: str) -> tuple[int, Content]:
        """Store the results that the server does not have yet, then ask whether it has them.

        Returns:
            Number of results, and what the server has of the study now.

        Raises:
            StudyError: some are not there.
        """
        results, content = self.kept_results(key), self.look(key, study_uid)
        missing = [path for uid, path in results.items() if uid not in content.present]
        answer = ""
        if missing:
            answer = self.server.store(study_uid, missing)
            content = self.look(key, study_uid)
        stored = results.keys() & content.present
        if len(stored) < len(results):
            raise StudyError(
                f"expected {len(results)} results in the study, got {len(stored)} ({answer}): see its log"
            )
        return len(results), content

    def remove(self, key: str) -> None:
        """Remove what is left of a study's work."""
        shutil.rmtree(self.folder(key), ignore_errors=True)
        if self.folder(key).exists():
            raise SiteError(f"expected to remove work/{self.folder(key).name}, some is left: remove it")
