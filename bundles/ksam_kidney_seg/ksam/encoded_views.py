"""Augmented versions of every picture with the frozen encoder's features, kept on disk (fp16)."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from common.errors import ConfigError, OutputError
from common.io.files import write_json

from .augment import DAY_TO_DAY, Camera, CameraRange, GeometryRange, augment_sample
from .fields import View
from .samples import OVERSAMPLING, Sample

logger = logging.getLogger(__name__)

_MANIFEST = "manifest.json"
_TOLERANCE = 0.02  # of the probe's features: rounding of other machines and precisions is smaller

Encode = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class EncodedViews:
    """V versions of N pictures; version v of all pictures was taken by one camera, each from its own place.

    Attributes:
        embeddings: float16 (V, N, C, g, g), on disk.
        images: uint8 (V, N, S, S, 3), on disk.
        masks: bool (V, N, n, S, S), on disk.
        patients: of the N pictures.
        regions: whether each is a region, see `region`.
    """

    embeddings: np.ndarray
    images: np.ndarray
    masks: np.ndarray
    patients: tuple[str, ...]
    regions: tuple[bool, ...]

    @property
    def count(self) -> int:
        """V."""
        return len(self.images)

    def view(self, version: int, number: int) -> View:
        """One picture with its masks."""
        return View(np.asarray(self.images[version, number]), np.asarray(self.masks[version, number]))

    def embedding(self, version: int, number: int) -> torch.Tensor:
        """Its features, float32 (C, g, g)."""
        return torch.from_numpy(self.embeddings[version, number].astype(np.float32))


def encode_views(
    encode: Encode,
    samples: Sequence[Sample],
    folder: str | Path,
    views: int = 16,
    camera: CameraRange | None = None,
    geometry: GeometryRange | None = None,
    seed: int = 0,
) -> EncodedViews:
    """Augment and encode every sample `views` times, or reuse what an equal run left in the folder.

    Version 0 has no change of appearance, so that the source itself is always among the cameras.

    Args:
        encode: (1, 3, S, S) RGB 0..255 -> (1, C, g, g); weights are known by what it makes of a probe.
        samples: see `load_samples`.
        folder: is filled anew if it belongs to other samples, settings or weights.
        views: V.
        camera, geometry: see `augment`; None for no such change.
        seed: of both.

    Raises:
        ConfigError: fewer than one view.
        OutputError: the folder cannot be written.
    """
    if views < 1:
        raise ConfigError(f"views: expected 1 or more, got {views}: 8 to 24 are usual")
    folder = Path(folder)
    size_px = samples[0].image.shape[0] // OVERSAMPLING
    key = _find_key(samples, (views, camera, geometry, seed))
    probe = _encode_probe(encode, size_px)
    if not _matches(folder, key, probe):
        try:
            _fill(folder, encode, samples, views, camera, geometry, seed, probe.shape)
            write_json(folder / _MANIFEST, {"key": key, "probe": _sketch(probe)})
        except OSError as error:
            raise OutputError(
                f"cache_dir: expected a folder with room for features, got '{error.strerror}': name another"
            ) from error
    embeddings, images, masks = (
        np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("embeddings", "images", "masks")
    )
    patients, regions = ([getattr(sample, name) for sample in samples] for name in ("patient", "is_region"))
    return EncodedViews(embeddings, images, masks, tuple(patients), tuple(regions))


def _fill(
    folder: Path,
    encode: Encode,
    samples: Sequence[Sample],
    views: int,
    camera: CameraRange | None,
    geometry: GeometryRange | None,
    seed: int,
    features: Sequence[int],
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MANIFEST).unlink(missing_ok=True)
    size, count = samples[0].image.shape[0] // OVERSAMPLING, len(samples)
    structures = len(samples[0].masks)
    embeddings = _create(folder / "embeddings.npy", np.float16, (views, count, *features))
    images = _create(folder / "images.npy", np.uint8, (views, count, size, size, 3))
    masks = _create(folder / "masks.npy", np.bool_, (views, count, structures, size, size))
    for version in tqdm(range(views), "encoding views", leave=False):
        taken = _take_camera(camera, seed, version)
        for number, sample in enumerate(samples):
            rng = np.random.default_rng((seed, version, number))
            varied = taken and taken.vary(rng, DAY_TO_DAY * (camera.strength if camera else 0.0))
            view = augment_sample(sample, varied, geometry, rng)
            images[version, number], masks[version, number] = view.image, view.masks
            embeddings[version, number] = _encode_image(encode, view.image)
    for array in (embeddings, images, masks):
        array.flush()


def _take_camera(camera: CameraRange | None, seed: int, version: int) -> Camera | None:
    """The camera of one version; version 0 is the source itself."""
    return camera.sample(np.random.default_rng((seed, version))) if camera and version else None


def _create(path: Path, kind: type[np.generic], shape: Sequence[int]) -> np.memmap:
    return np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=tuple(shape))


def _encode_image(encode: Encode, image: np.ndarray) -> np.ndarray:
    batch = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None].float()
    with torch.no_grad():
        return encode(batch)[0].float().cpu().numpy()


def _find_key(samples: Sequence[Sample], settings: Sequence[object]) -> str:
    """Hash of everything that the views depend on, the weights left out."""
    found = hashlib.sha256(repr(settings).encode())
    for sample in samples:
        found.update(f"{sample.patient} {sample.is_region}".encode())
        found.update(sample.image.tobytes())
        found.update(sample.masks.tobytes())
    return found.hexdigest()


def _encode_probe(encode: Encode, size_px: int) -> np.ndarray:
    """Features (C, g, g) of a fixed picture: they tell one set of weights from another."""
    picture = np.random.default_rng(0).integers(0, 256, (size_px, size_px, 3)).astype(np.uint8)
    return _encode_image(encode, picture)


def _matches(folder: Path, key: str, probe: np.ndarray) -> bool:
    try:
        kept = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    old, new = np.array(kept.get("probe", [])), np.array(_sketch(probe))
    if kept.get("key") != key or old.shape != new.shape:
        return False
    return bool(np.abs(old - new).max() <= _TOLERANCE * np.abs(new).max())


def _sketch(probe: np.ndarray) -> list[float]:
    """A few of the probe's features."""
    return [float(value) for value in probe.ravel()[:: max(1, probe.size // 64)][:64]]
