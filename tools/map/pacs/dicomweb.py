"""The three DICOMweb services that the watcher needs: QIDO-RS to find, WADO-RS to fetch, STOW-RS to store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from .errors import AbsentError, SiteError, StudyError
from .multipart import CHUNK, PartFiles, UploadBody, read_boundary

PAGE = 500
"""Rows that are asked for at a time; a server may answer with fewer."""

CONNECT_S = 10.0
"""Seconds until a server that does not take the connection counts as away."""

AWAY = {401, 403, 407, 408, 429, 502, 503, 504}
"""Statuses that say nothing about the study: the server is away, or does not accept us."""

STUDY_UID, SERIES_UID, SOP_UID, MODALITY = "0020000D", "0020000E", "00080018", "00080060"
DESCRIPTION, STUDY_INSTANCES = "00081030", "00201208"


@dataclass(frozen=True)
class FoundStudy:
    """A row of a study search; `instances` is None where the server does not count them."""

    uid: str
    description: str
    instances: int | None


@dataclass(frozen=True)
class FoundInstance:
    """A row of an instance search."""

    series_uid: str
    sop_uid: str
    modality: str


class DicomWeb:
    """A DICOMweb server.

    Args:
        url: its root, for example http://127.0.0.1:8042/dicom-web.
        session: with authentication and certificates.
        timeout_s: longest silence of the server, in seconds.
    """

    def __init__(self, url: str, session: requests.Session, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        self.session = session
        self.timeout = (min(CONNECT_S, timeout_s), timeout_s)

    def find_studies(self, modality: str, since: str) -> list[FoundStudy]:
        """Studies with that modality, whose StudyDate is `since` (YYYYMMDD) or later."""
        filters = {"ModalitiesInStudy": modality, "StudyDate": f"{since}-"}
        fields = {"includefield": [DESCRIPTION, STUDY_INSTANCES]}
        rows = self._search("/studies", STUDY_UID, {**filters, **fields})
        return [FoundStudy(_uid(row, STUDY_UID), _text(row, DESCRIPTION), _count(row)) for row in rows]

    def list_instances(self, study_uid: str) -> list[FoundInstance]:
        """Every instance of a study, ours included; empty where the study is not there."""
        try:
            rows = self._search(f"/studies/{study_uid}/instances", SOP_UID, {"includefield": [MODALITY]})
        except AbsentError:
            return []
        return [
            FoundInstance(_uid(row, SERIES_UID), _uid(row, SOP_UID), _text(row, MODALITY)) for row in rows
        ]

    def _search(self, path: str, key: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        """All rows, page by page, until a page brings nothing new: a server may shorten pages, or send all.

        Raises:
            StudyError: the server keeps to the size of a page and sends the first one again.
        """
        rows: dict[str, dict[str, Any]] = {}
        while True:
            page = self._ask(path, {**parameters, "limit": PAGE, "offset": len(rows)})
            fresh = {_uid(row, key): row for row in page}
            if fresh.keys() <= rows.keys():
                if len(page) == PAGE:
                    raise StudyError(
                        f"expected other rows after the first {PAGE} of a search, got the same again: "
                        "let the server page by offset"
                    )
                return list(rows.values())
            rows.update(fresh)

    def _ask(self, path: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        with self._request(
            "GET", path, params=parameters, headers={"Accept": "application/dicom+json"}
        ) as answer:
            if answer.status_code == 204:
                return []
            self._check(answer)
            try:
                rows = answer.json()
            except ValueError:
                rows = None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise StudyError("expected DICOM JSON of the search, got something else: check --url")
        return rows

    def fetch_series(self, study_uid: str, series_uid: str, folder: Path, first: int) -> list[Path]:
        """Fetch a series as it is stored, into files numbered from `first`."""
        headers = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
        path = f"/studies/{study_uid}/series/{series_uid}"
        with self._request("GET", path, headers=headers, stream=True) as answer:
            self._check(answer)
            boundary = read_boundary(answer.headers.get("Content-Type", ""))
            return PartFiles(boundary, folder, first).write(answer.iter_content(CHUNK))

    def store(self, study_uid: str, files: list[Path]) -> str:
        """Send files into a study.

        Returns:
            What the server said of them, for a message; only a search tells whether they are there.
        """
        body = UploadBody(files)
        headers = {"Content-Type": body.content_type, "Accept": "application/dicom+json"}
        with self._request("POST", f"/studies/{study_uid}", data=body, headers=headers) as answer:
            if answer.status_code != 409:
                self._check(answer)
            codes = sorted(set(re.findall(r'"00081197"\s*:\s*{[^}]*?\[\s*(\d+)', answer.text)))
            reasons = f", failure reason {' '.join(codes)}" if codes else ""
            return f"HTTP {answer.status_code}{reasons}"

    @contextmanager
    def _request(self, method: str, path: str, **arguments: Any) -> Iterator[requests.Response]:
        """Send a request; what goes wrong on the way, while the body is read too, is one line."""
        try:
            with self.session.request(
                method, self.url + path, timeout=self.timeout, allow_redirects=False, **arguments
            ) as answer:
                yield answer
        except requests.exceptions.SSLError:
            raise SiteError("expected a trusted certificate of the server, got another: see --ca") from None
        except requests.exceptions.ConnectTimeout:
            raise SiteError("the server does not take the connection: check that it runs") from None
        except requests.exceptions.Timeout:
            raise StudyError(
                f"expected an answer within {self.timeout[1]:g} s, got none: try again"
            ) from None
        except requests.exceptions.ChunkedEncodingError:
            raise StudyError("expected a whole answer, the connection ended before: try again") from None
        except requests.exceptions.ConnectionError:
            raise SiteError("the server does not answer: check that it runs") from None
        except requests.exceptions.RequestException as error:
            raise StudyError(f"expected an answer, got a {type(error).__name__}: check the server") from None

    @staticmethod
    def _check(answer: requests.Response) -> None:
        if answer.status_code in (200, 202):
            return
        if answer.status_code == 404:
            raise AbsentError("expected the study on the server, got HTTP 404: check --url")
        if answer.status_code in AWAY:
            hint = "check password or token" if answer.status_code in (401, 403) else "try again"
            raise SiteError(f"the server answers with HTTP {answer.status_code}: {hint}")
        raise StudyError(f"expected HTTP 200, got {answer.status_code}: see the server's log")


def _values(row: dict[str, Any], tag: str) -> list[Any]:
    element = row.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def _text(row: dict[str, Any], tag: str) -> str:
    return next((str(value) for value in _values(row, tag)), "")


def _count(row: dict[str, Any]) -> int | None:
    text = _text(row, STUDY_INSTANCES)
    return int(text) if text.isdecimal() else None


def _uid(row: dict[str, Any], tag: str) -> str:
    uid = _text(row, tag).strip()
    if not re.fullmatch(r"[0-9.]{1,64}", uid):
        raise StudyError("expected a UID in every row of the search, got another text: check the server")
    return uid
