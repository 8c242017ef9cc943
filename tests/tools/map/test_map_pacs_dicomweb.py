"""The DICOMweb client: pages, faults, bodies in a stream; another client as the judge of what was stored."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from dicomweb_server import SERVER_BOUNDARY, FakeServer, serve
from pacs.dicomweb import DicomWeb
from pacs.errors import AbsentError, SiteError, StudyError
from pacs.multipart import PartFiles, UploadBody, read_boundary
from toy_pacs import TODAY, build_instance, study_uid

SERIES = f"{study_uid(0)}.1"


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeServer]:
    """A server with two studies of five and two images."""
    with serve(tmp_path / "pacs") as server:
        for study, images in ((0, 5), (1, 2)):
            for number in range(images):
                server.add(build_instance(study, number))
        yield server


@pytest.fixture
def client(fake: FakeServer) -> DicomWeb:
    """A client of it."""
    return DicomWeb(fake.url, requests.Session(), 2)


@pytest.mark.parametrize("page", [1, 2, 5, 1000])
def test_everything_is_found_whatever_a_page_holds(fake: FakeServer, client: DicomWeb, page: int) -> None:
    fake.page = page
    assert [(one.uid, one.instances) for one in client.find_studies("CT", TODAY)] == [
        (study_uid(0), 5),
        (study_uid(1), 2),
    ]
    assert {one.sop_uid for one in client.list_instances(study_uid(0))} == {
        f"{SERIES}.{1000 + number}" for number in range(5)
    }


def test_a_server_that_ignores_pages_is_asked_twice_and_not_for_ever(
    fake: FakeServer, client: DicomWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"0020000D": {"Value": [study_uid(0)]}}]
    monkeypatch.setattr("dicomweb_server._Handler._answer_json", lambda self, _: self._answer_rows(rows, 200))
    assert [one.instances for one in client.find_studies("CT", TODAY)] == [None]
    assert len(fake.requests) == 2


def test_a_server_that_repeats_its_first_page_loses_no_study_silently(
    fake: FakeServer, client: DicomWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pacs.dicomweb.PAGE", 1)
    rows = [{"0020000D": {"Value": [study_uid(0)]}}]
    monkeypatch.setattr("dicomweb_server._Handler._answer_json", lambda self, _: self._answer_rows(rows, 200))
    with pytest.raises(StudyError, match="expected other rows after the first 1 of a search, got the same"):
        client.find_studies("CT", TODAY)


def test_the_search_asks_by_modality_and_date(fake: FakeServer, client: DicomWeb) -> None:
    fake.add(build_instance(2, 0, modality="MG"))
    assert [one.uid for one in client.find_studies("MG", TODAY)] == [study_uid(2)]
    assert client.find_studies("CT", "99991231") == []


def test_an_unknown_study_has_no_instances(fake: FakeServer, client: DicomWeb) -> None:
    assert client.list_instances("1.2.3") == []
    fake.status = lambda method, path: 404
    assert client.list_instances("1.2.3") == []


def test_a_wrong_address_is_not_an_empty_server(fake: FakeServer, client: DicomWeb) -> None:
    fake.status = lambda method, path: 404
    with pytest.raises(AbsentError, match="got HTTP 404: check --url"):
        client.find_studies("CT", TODAY)


@pytest.mark.parametrize("status", [401, 403, 429, 502, 503, 504])
def test_a_server_that_does_not_serve_us_is_the_sites_trouble(
    fake: FakeServer, client: DicomWeb, status: int
) -> None:
    fake.status = lambda method, path: status
    with pytest.raises(SiteError, match=f"the server answers with HTTP {status}"):
        client.find_studies("CT", TODAY)


@pytest.mark.parametrize("status", [301, 400, 406, 500])
def test_any_other_answer_is_the_studys_trouble(fake: FakeServer, client: DicomWeb, status: int) -> None:
    fake.status = lambda method, path: status
    with pytest.raises(StudyError, match=f"expected HTTP 200, got {status}: see the server's log"):
        client.list_instances(study_uid(0))


@pytest.mark.parametrize("answer", ['"text"', "<html>", "[1]"])
def test_an_answer_that_is_no_search_result_is_refused(
    client: DicomWeb, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(
        "dicomweb_server._Handler._answer_json",
        lambda self, _: self._send(200, "application/dicom+json", answer.encode()),
    )
    with pytest.raises(StudyError, match="expected DICOM JSON of the search"):
        client.list_instances(study_uid(0))


def test_a_row_whose_uid_is_a_path_is_refused(client: DicomWeb, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"0020000D": {"Value": ["../../instances"]}}]
    monkeypatch.setattr("dicomweb_server._Handler._answer_json", lambda self, _: self._answer_rows(rows, 200))
    with pytest.raises(StudyError, match="expected a UID in every row of the search"):
        client.find_studies("CT", TODAY)


def test_a_series_arrives_byte_for_byte(fake: FakeServer, client: DicomWeb, tmp_path: Path) -> None:
    files = client.fetch_series(study_uid(0), SERIES, tmp_path, first=4)
    assert [path.name for path in files] == [f"{number:06d}.dcm" for number in range(4, 9)]
    originals = sorted(fake.folder.glob(f"{SERIES}.*.dcm"))
    assert [path.read_bytes() for path in files] == [path.read_bytes() for path in originals]


def test_a_cut_series_is_refused(fake: FakeServer, client: DicomWeb, tmp_path: Path) -> None:
    fake.cut = True
    with pytest.raises(StudyError, match="expected a whole answer, the connection ended before"):
        client.fetch_series(study_uid(0), SERIES, tmp_path, first=1)


def test_a_silent_server_is_not_waited_for_for_ever(fake: FakeServer, tmp_path: Path) -> None:
    hold = threading.Event()
    fake.on_request = lambda number, text: hold.wait(10)  # type: ignore[assignment]
    with pytest.raises(StudyError, match="expected an answer within 0.2 s, got none"):
        DicomWeb(fake.url, requests.Session(), 0.2).list_instances(study_uid(0))
    hold.set()


def test_nobody_at_that_address(client: DicomWeb) -> None:
    with pytest.raises(SiteError, match="the server does not answer: check that it runs"):
        DicomWeb("http://127.0.0.1:9/dicom-web", requests.Session(), 1).list_instances("1.2")


def test_what_is_stored_is_read_by_another_client(fake: FakeServer, client: DicomWeb, tmp_path: Path) -> None:
    files = []
    for number in range(3):
        files.append(tmp_path / f"{number}.dcm")
        build_instance(0, 50 + number, modality="OT", series=9).save_as(files[-1], enforce_file_format=True)
    assert client.store(study_uid(0), files) == "HTTP 200"
    other = DICOMwebClient(fake.url)
    uids = {f"{study_uid(0)}.9.{1050 + number}" for number in range(3)}
    assert {row["00080018"]["Value"][0] for row in other.search_for_instances(study_uid(0))} >= uids
    there = {(fake.folder / f"{uid}.dcm").read_bytes() for uid in uids}
    assert {path.read_bytes() for path in files} == there
    assert len(other.retrieve_series(study_uid(0), f"{study_uid(0)}.9")) == 3


def test_a_refused_store_names_the_servers_reason(fake: FakeServer, client: DicomWeb, tmp_path: Path) -> None:
    path = tmp_path / "one.dcm"
    build_instance(0, 50).save_as(path, enforce_file_format=True)
    fake.refuse = True
    assert client.store(study_uid(0), [path]) == "HTTP 409, failure reason 43264"


@pytest.mark.parametrize("step", [1, 3, 7, 1000])
def test_parts_are_the_same_however_they_are_cut(tmp_path: Path, step: int) -> None:
    contents = [b"", b"one\r\n--par\r", b"\r\n--pas\r\n--", bytes(range(256))]
    body = b"".join(b"\r\n--part\r\nContent-Type: application/dicom\r\n\r\n" + one for one in contents)
    body += b"\r\n--part--\r\nafter the end"
    pieces = [body[start : start + step] for start in range(0, len(body), step)]
    files = PartFiles("part", tmp_path, 1).write(pieces)
    assert [path.read_bytes() for path in files] == contents


@pytest.mark.parametrize("end", [b"", b"\r\n--par"])
def test_a_body_without_its_end_is_refused(tmp_path: Path, end: bytes) -> None:
    with pytest.raises(StudyError, match="expected a whole multipart body, got a part of it"):
        PartFiles("part", tmp_path, 1).write([b"--part\r\nContent-Type: x\r\n\r\ncontent" + end])


def test_a_body_that_is_no_multipart_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="expected a multipart body of DICOM files, got another"):
        PartFiles("part", tmp_path, 1).write([b"<html>not at all</html>"])


@pytest.mark.parametrize("text", ["text/html", "multipart/related", "application/dicom; boundary=x"])
def test_another_media_type_is_refused(text: str) -> None:
    with pytest.raises(StudyError, match="expected multipart/related with a boundary"):
        read_boundary(text)


def test_the_boundary_is_read_with_and_without_quotes() -> None:
    kind = 'Multipart/Related; type="application/dicom"; boundary='
    for text in (SERVER_BOUNDARY, f'"{SERVER_BOUNDARY}"'):
        assert read_boundary(kind + text) == SERVER_BOUNDARY


def test_large_files_are_never_whole_in_memory(tmp_path: Path) -> None:
    path, size = tmp_path / "large.dcm", 30_000_000
    path.write_bytes(bytes(size))
    body = UploadBody([path])
    tracemalloc.start()
    boundary = read_boundary(body.content_type)
    (copy,) = PartFiles(boundary, tmp_path, 1).write(iter(body))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert copy.stat().st_size == size and peak < 3_000_000
    assert len(body) == sum(len(chunk) for chunk in body)
