"""Features of templates, kept on disk beside the task and in memory within a limit."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from common.errors import OutputError
from common.io.files import atomic_path

from .templates import Template

CACHE_FOLDER = "cache"
KEPT_VERSIONS = 3
"""Files kept of each template: a site that compares two sets of weights does not compute them in turn."""

FEATURES_VERSION = 1
"""Counts changes of the code between slice and features."""

Value = TypeVar("Value")
logger = logging.getLogger(__name__)


def hash_weights(network: nn.Module) -> str:
    """sha256 over names, types, shapes and values of parameters and buffers, whatever device they are on."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name}{value.dtype}{tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def hash_settings(*parts: Any) -> str:
    """sha256 of settings that change the features: weights, precision, size, window, crop."""
    return hashlib.sha256(repr((FEATURES_VERSION, *parts)).encode()).hexdigest()


class FeatureFiles:
    """Embeddings in `<task>/cache/<template>-<key>.safetensors`; absent, stale or damaged ones are None.

    A folder that cannot be written is no error: the features are then computed in each run.

    Args:
        folder: of the task; None for templates in memory.
        key: hash of everything that makes the features besides the template's pixels.
    """

    def __init__(self, folder: Path | None, key: str) -> None:
        self._folder = None if folder is None else folder / CACHE_FOLDER
        self._key = key

    def read(self, template: Template) -> torch.Tensor | None:
        """(1, C, g, g), or None where it must be computed."""
        if self._folder is None:
            return None
        path = self._path(template, self._folder)
        try:
            return load_file(path)["embedding"] if path.is_file() else None
        except (SafetensorError, KeyError, OSError) as error:
            logger.warning("%s: cached features cannot be read (%s), computed again", path.name, error)
            return None

    def write(self, template: Template, embedding: torch.Tensor) -> None:
        """Keep (1, C, g, g); the oldest files of this template beyond `KEPT_VERSIONS` go."""
        if self._folder is None:
            return
        path = self._path(template, self._folder)
        try:
            with atomic_path(path) as temporary:
                save_file({"embedding": embedding.detach().cpu().contiguous()}, temporary)
        except OutputError as error:
            logger.info("features of templates are not kept: %s", error)
            self._folder = None
            return
        self._drop_old(path)

    def _path(self, template: Template, folder: Path) -> Path:
        key = hashlib.sha256(f"{self._key}{template.image_sha256}".encode()).hexdigest()[:24]
        return folder / f"{template.slug}-{key}.safetensors"

    def _drop_old(self, path: Path) -> None:
        name = path.name.rpartition("-")[0]
        for old in _newest_first(path.parent.glob(f"{name}-{'?' * 24}.safetensors"))[KEPT_VERSIONS:]:
            with suppress(OSError):
                old.unlink()


def _newest_first(paths: Iterable[Path]) -> list[Path]:
    times: dict[Path, float] = {}
    for path in paths:
        with suppress(OSError):  # another process may have dropped it
            times[path] = path.stat().st_mtime
    return sorted(times, key=times.__getitem__, reverse=True)


class RecentStore(Generic[Value]):
    """Tensors (or tuples of them) by key; the ones not used for longest go when they exceed the limit.

    Args:
        limit_bytes: of all tensors together; the newest entry always stays.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._entries: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable) -> Value | None:
        """The value, which becomes the most recently used; None where it is not there."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key][0]

    def put(self, key: Hashable, value: Value) -> Value:
        """Keep and return a value."""
        if key in self._entries:
            self._bytes -= self._entries.pop(key)[1]
        size = count_bytes(value)
        self._entries[key] = (value, size)
        self._bytes += size
        while self._bytes > self._limit and len(self._entries) > 1:
            self._bytes -= self._entries.popitem(last=False)[1][1]
        return value

    def __len__(self) -> int:
        return len(self._entries)


def count_bytes(value: Any) -> int:
    """Memory of a tensor or of the tensors of a tuple."""
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    return sum(count_bytes(part) for part in value) if isinstance(value, tuple) else 0
