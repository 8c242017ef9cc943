"""Rules for what the texts of a bundle point to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from .bundle import Bundle, read_json, walk

ABSOLUTE = re.compile(
    r"(?<![\w.}])/(?:home|root|Users|work|workspace|tmp|mnt|media|data|opt|var|usr|srv|scratch)/"
    r"|\b[A-Za-z]:\\\w"
)
TOKEN = re.compile(r"(?<![\w:@.$~{}<*-])(?:\.{1,2}/|/)?(?:[\w.+-]+/)+[\w.+-]*\w")
RUN_TIME = ("eval", "out", "runs", "dist", "dicom", ".venv", ".cache")
EXPORTED = "models/model.ts"
REPOSITORY_FOLDERS = ("bundles", "common", "tests", "tools")
BUNDLE_FOLDERS = ("configs", "docs", "models")
URL = re.compile(r"\w+://[^\s)>\"'\]]+")
LINK = re.compile(r"\]\(\s*<?([^)>\s]+)|^\s*\[[^\]]+\]:\s*(\S+)|(?:src|href)=\"([^\"]+)\"", re.MULTILINE)
FENCE = re.compile(r"^\s*(```|~~~).*?^\s*\1", re.MULTILINE | re.DOTALL)


def check_absolute_paths(bundle: Bundle) -> Iterator[str]:
    """No text names a place that exists on one machine only."""
    for file in bundle.text_files:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            found = ABSOLUTE.search(URL.sub("", line))
            if found:
                place = f"{file.relative_to(bundle.path)}:{number}"
                yield f"{place}: absolute path near '{line[found.start() :][:40]}'"


def check_named_paths(bundle: Bundle) -> Iterator[str]:
    """Every path that a config, large_files.yml or a document names exists.

    A path is a text with a slash that begins with a folder of the bundle or of the repository, or ends in a
    file suffix. Exempt are what a run makes (paths that begin with one of `RUN_TIME`, and `EXPORTED`), what
    large_files.yml lists with the folders of that, and paths with a placeholder such as NAME.
    """
    for file in sorted([*bundle.path.glob("configs/*.json"), *bundle.path.glob("docs/**/*.md")]):
        if file.suffix == ".json":
            texts = [value for _, value in walk(read_json(file)) if isinstance(value, str)]
        else:
            texts = [LINK.sub("](", file.read_text(encoding="utf-8"))]
        for token in sorted({token for text in texts for token in TOKEN.findall(URL.sub("", text))}):
            if not _exists(bundle, token):
                yield f"{file.relative_to(bundle.path)}: names {token}, which does not exist"


def _exists(bundle: Bundle, token: str) -> bool:
    token = token.removeprefix("./").removeprefix("/")
    first = token.partition("/")[0]
    known = first in (*BUNDLE_FOLDERS, *REPOSITORY_FOLDERS, *bundle.packages)
    if first in RUN_TIME or not (known or re.search(r"\.[A-Za-z]\w{0,4}$", token)):
        return True
    if any(part.isupper() and part != "LICENSE" for part in token.split("/")):
        return True
    inside = token.removeprefix(f"bundles/{bundle.name}/")
    listed = [PurePosixPath(str(row.get("path"))) for row in bundle.large_files]
    if inside == EXPORTED or any(PurePosixPath(inside) in (path, *path.parents[:-1]) for path in listed):
        return True
    folders = (bundle.path / name for name in (".", *BUNDLE_FOLDERS))
    places = (*folders, bundle.repository)
    return any((place / token).exists() for place in places)


def check_links(bundle: Bundle) -> Iterator[str]:
    """Every relative link of the documents leads to a file of the bundle, every `#anchor` to a heading."""
    for file in sorted(bundle.path.glob("docs/**/*.md")):
        text = FENCE.sub("", file.read_text(encoding="utf-8"))
        for link in ("".join(groups) for groups in LINK.findall(text)):
            if re.match(r"\w+:", link):
                continue
            path, _, anchor = link.partition("#")
            target = (file.parent / path).resolve() if path else file
            if not target.is_relative_to(bundle.path.resolve()):
                yield f"{file.relative_to(bundle.path)}: link {link} leaves the bundle"
            elif not target.exists():
                yield f"{file.relative_to(bundle.path)}: link {link} leads nowhere"
            elif anchor and target.suffix == ".md" and anchor not in _anchors(target):
                yield f"{file.relative_to(bundle.path)}: link {link} has no heading"


def _anchors(file: Path) -> set[str]:
    headings = re.findall(r"^#+\s+(.+?)\s*#*$", FENCE.sub("", file.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
