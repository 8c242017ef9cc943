"""Rules for which files a bundle has and for those that are neither code nor JSON of its own kind."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator

from packing.archive import hash_file

from .bundle import WORKFLOWS, Bundle, read_json

REQUIRED = (
    "LICENSE",
    "large_files.yml",
    *(f"configs/{name}.json" for name in ("metadata", "labels", *WORKFLOWS)),
    "configs/logging.conf",
    "docs/README.md",
    "docs/data_license.txt",
)
SHA256 = re.compile(r"[0-9a-f]{64}")
SAFE_HANDLERS = ("StreamHandler", "logging.StreamHandler", "NullHandler", "logging.NullHandler")


def check_required_files(bundle: Bundle) -> Iterator[str]:
    """Every file that a bundle of ours has is there and not empty."""
    for name in REQUIRED:
        if not (bundle.path / name).is_file():
            yield f"{name}: the file is missing"
        elif not (bundle.path / name).read_bytes().strip():
            yield f"{name}: the file is empty"


def check_json(bundle: Bundle) -> Iterator[str]:
    """Every JSON file parses, without repeated keys and without NaN."""
    for file in sorted(bundle.path.rglob("*.json")):
        try:
            read_json(file)
        except ValueError as error:
            yield str(error)


def check_large_files(bundle: Bundle) -> Iterator[str]:
    """Every row has a path inside models/, an https address and a sha256; what is there has that sha256."""
    for row in bundle.large_files:
        path = str(row.get("path", ""))
        if not re.fullmatch(r"models/([\w-]+/)*[\w.-]+", path):
            yield f"large_files.yml: path '{path}' is not a file in models/"
        if not re.match(r"https://[\w.-]+/", str(row.get("url", ""))):
            yield f"large_files.yml: {path}: url '{row.get('url')}' is not an https address"
        if row.get("hash_type") != "sha256" or not SHA256.fullmatch(str(row.get("hash_val", ""))):
            yield f"large_files.yml: {path}: expected hash_type sha256 and 64 hexadecimal digits"
        elif (bundle.path / path).is_file() and hash_file(bundle.path / path) != row["hash_val"]:
            yield f"large_files.yml: {path}: the file there has another sha256"
    yield from _compare_registry(bundle)
    listed = {str(row.get("path")) for row in bundle.large_files}
    if "models/model.pt" not in listed and not (bundle.path / "models/model.pt").is_file():
        yield "models/model.pt: neither there nor listed in large_files.yml"


def _compare_registry(bundle: Bundle) -> Iterator[str]:
    """tools/weights.json, where the repository has one, fetches the same files with the same sha256."""
    registry = bundle.repository / "tools/weights.json"
    entries = read_json(registry)["entries"] if registry.is_file() else []
    folder = f"bundles/{bundle.name}/"
    fetched = {
        entry["target"].removeprefix(folder): entry.get("target_sha256") or entry["sha256"]
        for entry in entries
        if entry["target"].startswith(folder)
    }
    listed = {str(row.get("path")): row.get("hash_val") for row in bundle.large_files}
    for path in sorted(fetched):
        if fetched[path] != listed.get(path):
            yield f"large_files.yml: {path}: tools/weights.json fetches it with another sha256"


def check_logging(bundle: Bundle) -> Iterator[str]:
    """logging.conf has a root logger, and handlers that write to a stream and take nothing but literals."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string((bundle.path / "configs/logging.conf").read_text(encoding="utf-8"))
    except configparser.Error as error:
        yield f"logging.conf: {str(error).splitlines()[0]}"
        return
    for section in ("loggers", "handlers", "formatters", "logger_root"):
        if section not in parser:
            yield f"logging.conf: section [{section}] is missing"
    for section in parser.sections():
        if section.startswith("handler_"):
            if parser[section].get("class") not in SAFE_HANDLERS:
                kind = parser[section].get("class")
                yield f"logging.conf: [{section}] class {kind} is not a stream handler"
            if not re.fullmatch(r"\(\s*(sys\.(stdout|stderr)\s*,?)?\s*\)", parser[section].get("args", "()")):
                yield f"logging.conf: [{section}] args {parser[section].get('args')} is not a standard stream"
