"""What goes into the zip of a bundle, and the zip: the same files give the same bytes everywhere."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from common.errors import ConfigError, InputError

TOP_FILES = ("LICENSE", "large_files.yml")
FOLDERS = ("configs", "docs", "models", "prompts")
LEFT_OUT = re.compile(r"(^|/)(\..*|__pycache__|cache|tests?|[^/]*\.(pyc|pyo|tmp|orig|bak)|[^/]*~)(/|$)")
FIXED_TIME = (1980, 1, 1, 0, 0, 0)


def collect_files(bundle: Path, package: str, with_weights: bool) -> dict[str, Path]:
    """Path inside the bundle -> file, for everything packed; no caches, tests and hidden files.

    Raises:
        InputError: a file that large_files.yml lists is missing or is another one (only `with_weights`).
    """
    files = {name: bundle / name for name in TOP_FILES if (bundle / name).is_file()}
    for folder in (*FOLDERS, package):
        for file in sorted((bundle / folder).rglob("*")):
            name = file.relative_to(bundle).as_posix()
            if file.is_file() and not LEFT_OUT.search(name):
                files[name] = file
    large = read_large_files(bundle)
    if with_weights:
        for row in large:
            require_large_file(bundle, row)
        return files
    weights = {row["path"] for row in large}
    return {
        name: file
        for name, file in files.items()
        if name not in weights and file.suffix not in (".pt", ".ts")
    }


def read_large_files(bundle: Path) -> list[dict[str, str]]:
    """The rows of large_files.yml; none when there is no such file.

    Raises:
        ConfigError: it is not a list of rows with `path` and `hash_val`.
    """
    file = bundle / "large_files.yml"
    if not file.is_file():
        return []
    content: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    rows = content.get("large_files") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and {"path", "hash_val"} <= set(row) for row in rows
    ):
        raise ConfigError(
            f"{bundle.name}/large_files.yml: expected 'large_files:' with rows of path and hash_val, "
            "got something else: correct it"
        )
    return rows


def require_large_file(bundle: Path, row: Mapping[str, str]) -> None:
    """Raises InputError unless the listed file is there with the listed sha256."""
    path = bundle / row["path"]
    fetch = f"run 'python3 tools/weights.py get' ({bundle.name}) or pack with --without-weights"
    if not path.is_file():
        raise InputError(
            f"expected {bundle.name}/{row['path']} (large_files.yml lists it), got no file: {fetch}"
        )
    digest = hash_file(path)
    if digest != row["hash_val"]:
        raise InputError(
            f"expected {bundle.name}/{row['path']} with sha256 {row['hash_val'][:12]}..., got "
            f"{digest[:12]}...: {fetch}, or write the new sha256 into large_files.yml"
        )


def hash_file(path: Path) -> str:
    """sha256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def hash_contents(contents: Mapping[str, bytes]) -> str:
    """One sha256 over names and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(contents):
        digest.update(f"{name}\0{len(contents[name])}\0".encode() + contents[name])
    return digest.hexdigest()


def describe_commit(root: Path) -> dict[str, Any]:
    """The git commit of `root` and whether bundles/ or common/ differ from it; both null without git."""

    def ask(*command: str) -> str | None:
        try:
            done = subprocess.run(["git", *command], cwd=root, capture_output=True, text=True)
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = ask("rev-parse", "HEAD")
    changes = ask("status", "--porcelain", "--", "bundles", "common") if commit else None
    return {"git_commit": commit, "git_uncommitted_changes": None if changes is None else bool(changes)}


def write_zip(target: Path, folder: str, contents: Mapping[str, bytes | Path]) -> None:
    """Write `contents` under `folder/` as a sorted zip with fixed times and modes, without compression.

    Stored, because compressed bytes differ between zlib versions and weights hardly shrink.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(str(PurePosixPath(folder) / name), FIXED_TIME)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            content = contents[name]
            entry.file_size = content.stat().st_size if isinstance(content, Path) else len(content)
            with archive.open(entry, "w") as out:
                if isinstance(content, Path):
                    with content.open("rb") as file:
                        shutil.copyfileobj(file, out, 1 << 20)
                else:
                    out.write(content)
