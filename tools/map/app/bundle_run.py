"""A bundle driven by its own configs, as `python -m monai.bundle run` does, in this process."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outcome import BAD_SETTING, FAULT, Refusal

PLACES = ("bundle_root", "dataset_dir", "output_dir")
"""Keys of the configs that the command line's own options fill."""

EVALUATED = ("$", "@", "%")
"""Texts with these first characters are Python, references and macros to MONAI's `ConfigParser`."""

CHUNK = 2**20
os.environ.setdefault("TQDM_DISABLE", "1")  # before the import of tqdm: no bars in a log that nobody watches


@dataclass(frozen=True)
class Ran:
    """What a run of the pipeline left.

    Attributes:
        findings: one for each case with results: `case`, `headline`, `empty`.
        refusal: why other cases of the input have none; None where all have.
    """

    findings: list[Any]
    refusal: Exception | None


@dataclass(frozen=True)
class Bundle:
    """A bundle's folder, of the repository or of an unpacked zip.

    Attributes:
        root: with `configs/`.
        name, version: as its manifest or its metadata has them.
        package: of its code.
        weights_sha256: path below `models/` -> hash.
    """

    root: Path
    name: str
    version: str
    package: str
    weights_sha256: dict[str, str]


def read_bundle(root: Path) -> Bundle:
    """Name, version and weights. Raises Refusal: weights that are not those that were packed."""
    manifest = next(map(_read_json, root.glob("*/_vendor/manifest.json")), {})
    version = _read_json(root / "configs" / "metadata.json")["version"]
    packages = sorted(path.parent.name for path in root.glob("*/__init__.py"))
    hashes = {
        path.relative_to(root).as_posix(): hash_file(path)
        for path in sorted((root / "models").rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
    packed = manifest.get("files_sha256", {})
    changed = [name for name, found in hashes.items() if packed.get(name, found) != found]
    if changed:
        raise Refusal(
            FAULT, f"{changed[0]}: expected the file that was packed, got another: install the bundle again"
        )
    return Bundle(root, manifest.get("bundle", root.name), version, ", ".join(packages), hashes)


def _read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def hash_file(path: Path) -> str:
    """sha256 in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def run_bundle(bundle: Bundle, input_dir: Path, output_dir: Path, settings: dict[str, Any]) -> Ran:
    """Run inference.json under deploy.json.

    Raises:
        Refusal: a setting that the configs do not have.
        Exception: see `common.errors`; a refusal of the bundle may be the cause of a `RuntimeError` of MONAI.
    """
    from monai.bundle import ConfigParser

    files = [bundle.root / "configs" / name for name in ("inference.json", "deploy.json")]
    config = {key: value for file in files for key, value in _read_json(file).items()}
    check_settings(settings, config)
    own = dict(zip(PLACES, map(str, (bundle.root, input_dir, output_dir)), strict=True))
    parser = ConfigParser({**config, **own, **settings})
    parser.read_meta(str(bundle.root / "configs" / "metadata.json"))
    with on_path(bundle.root):
        # what is not eligible is refused here, before networks are built
        len(parser.get_parsed_content("dataset"))
        pipeline = parser.get_parsed_content("evaluator")
        try:
            parser.get_parsed_content("run")
        except Exception as error:
            if not pipeline.findings:
                raise
            return Ran(pipeline.findings, error)
    return Ran(pipeline.findings, None)


def check_settings(settings: dict[str, Any], config: dict[str, Any]) -> None:
    """Raises Refusal: a key that is unknown or not the user's, or a text that MONAI would evaluate."""
    known = sorted(key for key in config if key not in (*PLACES, "run"))
    for key, value in settings.items():
        if isinstance(value, str) and value.startswith(EVALUATED):
            raise Refusal(
                BAD_SETTING, f"{key}: expected a value, got one that begins with {value[0]}: change it"
            )
        if key in known:
            continue
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        raise Refusal(BAD_SETTING, f"expected a setting of the bundle, got {key}: {hint}")


@contextmanager
def on_path(root: Path) -> Iterator[None]:
    """The bundle's package can be imported."""
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))
