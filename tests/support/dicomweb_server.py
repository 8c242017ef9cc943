"""A small DICOMweb server for tests: QIDO-RS, WADO-RS and STOW-RS over a folder, and faults on demand."""

from __future__ import annotations

import email.parser
import email.policy
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pydicom import dcmread
from pydicom.dataset import Dataset

SERVER_BOUNDARY = "server-part"


@dataclass
class FakeServer:
    """What the server holds and does.

    Attributes:
        folder: one file for each instance, named by its SOPInstanceUID.
        url: of its root, once it runs.
        requests: method and path of every request, in order.
        authorizations: Authorization header of every request.
        stored: SOPInstanceUIDs as they came by STOW-RS, repeated ones again.
        page: rows that an answer has at most.
        counts: whether a study search tells the number of instances.
        status: HTTP status to answer with instead, by method and part of the path; None: as it should.
        on_request: called with number and "METHOD path" before each request is answered.
        cut: a fetched series ends in the middle.
        refuse: STOW-RS keeps nothing and says so.
    """

    folder: Path
    url: str = ""
    requests: list[str] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    page: int = 1000
    counts: bool = True
    status: Callable[[str, str], int | None] = lambda method, path: None
    on_request: Callable[[int, str], None] = lambda number, text: None
    cut: bool = False
    refuse: bool = False

    def add(self, dataset: Dataset) -> None:
        """Put an instance there, as a modality would."""
        buffer = BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        self.put(buffer.getvalue())

    def put(self, content: bytes) -> str:
        """Put a file there. Returns its SOPInstanceUID."""
        uid = str(dcmread(BytesIO(content), stop_before_pixels=True).SOPInstanceUID)
        temporary = self.folder / f".{uid}"
        temporary.write_bytes(content)
        temporary.replace(self.folder / f"{uid}.dcm")
        return uid

    def headers(self) -> list[Dataset]:
        """Every instance without pixels, by UID."""
        return [dcmread(path, stop_before_pixels=True) for path in sorted(self.folder.glob("*.dcm"))]

    def uids(self) -> set[str]:
        """SOPInstanceUIDs of all that is there."""
        return {path.stem for path in self.folder.glob("*.dcm")}


@contextmanager
def serve(folder: Path) -> Iterator[FakeServer]:
    """Run a server on a free port of 127.0.0.1."""
    folder.mkdir(parents=True, exist_ok=True)
    fake = FakeServer(folder)
    handler = type("Handler", (_Handler,), {"fake": fake})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}/dicom-web"
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A watcher that is killed closes its connections: that is no fault of the server."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    fake: FakeServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""

    def do_GET(self) -> None:
        parts = self._begin()
        if parts is None:
            return
        if parts[-1] == "studies":
            self._answer_json(self._find_studies())
        elif parts[-1] == "instances":
            self._answer_json([self._instance_row(one) for one in self._of_study(parts[-2])])
        else:
            self._answer_series(parts[-1])

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:  # the sender was killed
            self.close_connection = True
            return
        if self._begin() is None:
            return
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
        if self.fake.refuse:
            self._answer_rows({"00081198": {"Value": [{"00081197": {"Value": [43264]}}]}}, 409)
            return
        for part in message.iter_parts():
            self.fake.stored.append(self.fake.put(part.get_payload(decode=True)))
        self._answer_rows({}, 200)

    def _begin(self) -> list[str] | None:
        """Note the request; the parts of its path, or None where it was answered with a fault."""
        path = urlsplit(self.path).path
        self.fake.requests.append(f"{self.command} {path}")
        self.fake.authorizations.append(self.headers.get("Authorization"))
        self.fake.on_request(len(self.fake.requests), self.fake.requests[-1])
        status = self.fake.status(self.command, path)
        if status is not None:
            self._send(status, "text/plain", b"fault")
            return None
        return path.strip("/").split("/")

    def _query(self, name: str, default: str) -> str:
        return parse_qs(urlsplit(self.path).query).get(name, [default])[0]

    def _of_study(self, uid: str) -> list[Dataset]:
        return [one for one in self.fake.headers() if uid == one.StudyInstanceUID]

    def _find_studies(self) -> list[dict]:
        modality, since = self._query("ModalitiesInStudy", ""), self._query("StudyDate", "-").rstrip("-")
        rows = []
        for uid in sorted({str(one.StudyInstanceUID) for one in self.fake.headers()}):
            instances = self._of_study(uid)
            if any(one.Modality == modality for one in instances) and instances[0].StudyDate >= since:
                row = {"0020000D": {"vr": "UI", "Value": [uid]}}
                row["00081030"] = {"vr": "LO", "Value": [str(instances[0].get("StudyDescription", ""))]}
                if self.fake.counts:
                    row["00201208"] = {"vr": "IS", "Value": [len(instances)]}
                rows.append(row)
        return rows

    @staticmethod
    def _instance_row(one: Dataset) -> dict:
        return {
            "00080018": {"vr": "UI", "Value": [str(one.SOPInstanceUID)]},
            "0020000E": {"vr": "UI", "Value": [str(one.SeriesInstanceUID)]},
            "00080060": {"vr": "CS", "Value": [str(one.Modality)]},
        }

    def _answer_json(self, rows: list[dict]) -> None:
        offset = int(self._query("offset", "0"))
        limit = min(int(self._query("limit", "1000")), self.fake.page)
        page = rows[offset : offset + limit]
        if page:
            self._answer_rows(page, 200)
        else:
            self._send(204, "application/dicom+json", b"")

    def _answer_rows(self, rows: object, status: int) -> None:
        self._send(status, "application/dicom+json", json.dumps(rows).encode())

    def _answer_series(self, uid: str) -> None:
        found = [path for path in sorted(self.fake.folder.glob("*.dcm")) if _series(path) == uid]
        parts = b"".join(
            f"\r\n--{SERVER_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode() + path.read_bytes()
            for path in found
        )
        body = parts + f"\r\n--{SERVER_BOUNDARY}--".encode()
        kind = f'multipart/related; type="application/dicom"; boundary={SERVER_BOUNDARY}'
        if not self.fake.cut:
            self._send(200 if found else 404, kind, body)
            return
        self.close_connection = True
        self._send(200, kind, body, body[: len(body) // 2])

    def _send(self, status: int, kind: str, body: bytes, sent: bytes | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if sent is None else sent)


def _series(path: Path) -> str:
    return str(dcmread(path, stop_before_pixels=True).SeriesInstanceUID)
