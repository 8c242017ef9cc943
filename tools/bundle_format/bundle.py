"""A bundle as the checks see it: its files read once, strictly."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

WORKFLOWS = ("inference", "evaluate", "train", "multi_gpu_train")
TEXT_SUFFIXES = (".py", ".json", ".md", ".txt", ".conf", ".yml", ".yaml", ".html", ".css", ".js", ".toml")


@dataclass(frozen=True)
class Bundle:
    """A folder with a bundle, and the repository it stands in (`requirements.txt`, `common/`)."""

    path: Path
    repository: Path

    @property
    def name(self) -> str:
        """Folder name."""
        return self.path.name

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """configs/metadata.json."""
        return dict(read_json(self.path / "configs/metadata.json"))

    @cached_property
    def labels(self) -> list[dict[str, Any]]:
        """configs/labels.json."""
        return list(read_json(self.path / "configs/labels.json"))

    @cached_property
    def packages(self) -> list[str]:
        """Names of the Python packages at the bundle's top."""
        return sorted(file.parent.name for file in self.path.glob("*/__init__.py"))

    @cached_property
    def python_files(self) -> list[Path]:
        """Every Python file of the packages."""
        return [file for package in self.packages for file in sorted((self.path / package).rglob("*.py"))]

    @cached_property
    def text_files(self) -> list[Path]:
        """Every file that a person could read."""
        found = (file for file in sorted(self.path.rglob("*")) if file.suffix in TEXT_SUFFIXES)
        return [file for file in found if file.is_file() and "__pycache__" not in file.parts]

    @cached_property
    def large_files(self) -> list[dict[str, Any]]:
        """Rows of large_files.yml."""
        content = yaml.safe_load((self.path / "large_files.yml").read_text(encoding="utf-8"))
        return list(content["large_files"])

    def config_files(self, workflow: str) -> list[Path]:
        """The files that `workflow` is run with: its own, after train.json when it defines no bundle_root."""
        own = self.path / f"configs/{workflow}.json"
        alone = workflow in ("inference", "train") or "bundle_root" in read_json(own)
        return [own] if alone else [self.path / "configs/train.json", own]

    def config(self, workflow: str) -> dict[str, Any]:
        """The merged content of `config_files`; ids of a later file replace those of an earlier one."""
        from monai.bundle import ConfigParser

        parser = ConfigParser()
        parser.read_config([str(file) for file in self.config_files(workflow)])
        content = dict(parser.get())
        content.pop("_meta_", None)
        return content

    @contextmanager
    def importable(self) -> Iterator[None]:
        """Put the bundle's root first on `sys.path`, as `monai.bundle run` does, and take it away again."""
        sys.path.insert(0, str(self.path))
        try:
            yield
        finally:
            sys.path.remove(str(self.path))


def read_json(path: Path) -> Any:
    """Parse standard JSON; a key that stands twice in one object is an error. Raises ValueError."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"{path.name}: key '{twice[0]}' stands twice in one object")
        return dict(pairs)

    def refuse(constant: str) -> Any:
        raise ValueError(f"{path.name}: {constant} is not standard JSON")

    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path.name}: line {error.lineno}: {error.msg}") from error


def walk(item: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every value in nested objects and lists with its id, containers included."""
    yield place, item
    children: Any = ()
    if isinstance(item, dict):
        children = item.items()
    elif isinstance(item, list):
        children = enumerate(item)
    for key, child in children:
        yield from walk(child, f"{place}::{key}" if place else str(key))
