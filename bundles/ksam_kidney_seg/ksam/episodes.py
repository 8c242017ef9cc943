"""Episodes: a target and a template of different patients, and several structures of the pair to segment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from common.errors import ConfigError

from .augment import DAY_TO_DAY, Camera, CameraRange, GeometryRange, augment_sample
from .encoded_views import EncodedViews, encode_views
from .fields import View
from .samples import Sample, load_samples
from .tasks import TaskMix, plain_tasks

__all__ = [
    "EncodedEpisodeDataset",
    "EncodedViews",
    "EpisodeDataset",
    "Sample",
    "encode_views",
    "load_samples",
]


class _Pairs(Dataset):
    """What both kinds of episodes share: which pictures meet, and what they are asked.

    Args:
        patients: of every picture.
        regions: bool of every picture: whether it is a region; target and template are of one kind.
        shown: bool (pictures, structures): which structures a picture shows.
        tasks: kinds of tasks; None for true structures only (paper).
        episodes: of an epoch.
        tasks_per_pair: T, structures asked of one pair.
        same_camera: share of pairs whose two pictures get the same change of appearance, 0..1.
        same_patient: share of pairs from one patient, with the same change of appearance, as far as a patient
            has several pictures, 0..1. Choice: a labelled slice that is to segment the rest of its volume.
        absent: share of targets without the structure, as far as the data has any, 0..1.
        seed: same seed, same episodes.

    Raises:
        ConfigError: fewer than one episode or task, a share outside 0..1.
    """

    def __init__(
        self,
        patients: Sequence[str],
        regions: Sequence[bool],
        shown: np.ndarray,
        tasks: TaskMix | None = None,
        episodes: int = 1000,
        tasks_per_pair: int = 1,
        same_camera: float = 0.0,
        same_patient: float = 0.0,
        absent: float = 0.1,
        seed: int = 0,
    ) -> None:
        shares = (same_camera, same_patient, absent)
        if episodes < 1 or tasks_per_pair < 1 or not all(0 <= share <= 1 for share in shares):
            raise ConfigError(
                "episodes: expected 1 or more episodes and tasks_per_pair, and same_camera, same_patient and "
                f"absent from 0 to 1, got {episodes}, {tasks_per_pair} and {shares}: correct the setting"
            )
        self.patients, self.regions = np.array(patients), np.array(regions)
        self.tasks = tasks or plain_tasks()
        self.episodes, self.tasks_per_pair = episodes, tasks_per_pair
        self.same_camera, self.same_patient = same_camera, same_patient
        self.absent, self.seed = absent, seed
        self.shown = shown
        self.templates = np.flatnonzero(shown.any(axis=1))

    def __len__(self) -> int:
        return self.episodes

    def _draw_pair(self, rng: np.random.Generator) -> tuple[int, int]:
        """Numbers of a target and a template; of different patients but for the share `same_patient`."""
        template = int(rng.choice(self.templates))
        alike = self.regions == self.regions[template]
        same = self.patients == self.patients[template]
        others = alike & ~same
        if self.same_patient and rng.random() < self.same_patient:
            rest = alike & same & (np.arange(len(same)) != template)
            others = rest if rest.any() else others
        lacking = others & (self.shown[template] & ~self.shown).any(axis=1)
        if rng.random() < self.absent and lacking.any():
            return int(rng.choice(np.flatnonzero(lacking))), template
        sharing = others & (self.shown[template] & self.shown).any(axis=1)
        usual = sharing if sharing.any() else others
        return int(rng.choice(np.flatnonzero(usual))), template

    def _share_camera(self, rng: np.random.Generator, target: int, template: int) -> bool:
        return bool(self.patients[target] == self.patients[template] or rng.random() < self.same_camera)

    def _ask(self, rng: np.random.Generator, target: View, template: View) -> dict[str, torch.Tensor]:
        tasks = [self.tasks.sample(rng, target, template) for _ in range(self.tasks_per_pair)]
        return {
            "image": _to_tensor(target.image),
            "label": _stack([task.target for task in tasks]),
            "knowledge_image": _to_tensor(template.image),
            "knowledge_mask": _stack([task.template for task in tasks]),
        }


class EpisodeDataset(_Pairs):
    """Episodes augmented on the fly; item i is the same in every process and run.

    Items: "image" and "knowledge_image" float32 (3, S, S), RGB 0..255; "label" and "knowledge_mask" float32
    (T, S, S), 0 or 1.

    Args:
        samples: of two patients or more, see `load_samples`.
        camera, geometry: see `augment`; None leaves pictures as they are.
        arguments: of `_Pairs`.

    Raises:
        ConfigError: see `_Pairs`.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        camera: CameraRange | None = None,
        geometry: GeometryRange | None = None,
        **arguments: Any,
    ) -> None:
        shown = np.array([sample.masks.any(axis=(1, 2)) for sample in samples])
        regions = [sample.is_region for sample in samples]
        super().__init__([sample.patient for sample in samples], regions, shown, **arguments)
        self.samples, self.camera, self.geometry = samples, camera, geometry

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng((self.seed, index))
        target, template = self._draw_pair(rng)
        cameras = self._draw_cameras(rng, target, template)
        views = [
            augment_sample(self.samples[number], camera, self.geometry, rng)
            for number, camera in zip((target, template), cameras, strict=True)
        ]
        return self._ask(rng, *views)

    def _draw_cameras(
        self, rng: np.random.Generator, target: int, template: int
    ) -> tuple[Camera | None, Camera | None]:
        if self.camera is None:
            return None, None
        first = self.camera.sample(rng)
        if not self._share_camera(rng, target, template):
            return first, self.camera.sample(rng)
        amount = DAY_TO_DAY * self.camera.strength
        return first.vary(rng, amount), first.vary(rng, amount)


class EncodedEpisodeDataset(_Pairs):
    """Episodes from pictures that a frozen encoder saw before; a view's number is that of its camera.

    Items: as `EpisodeDataset`, and "embedding" and "knowledge_embedding" float32 (C, g, g).

    Args:
        views: see `encode_views`.
        arguments: of `_Pairs`.

    Raises:
        ConfigError: see `_Pairs`.
    """

    def __init__(self, views: EncodedViews, **arguments: Any) -> None:
        super().__init__(views.patients, views.regions, _find_shown(views.masks), **arguments)
        self.views = views

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng((self.seed, index))
        target, template = self._draw_pair(rng)
        first, second = rng.integers(self.views.count, size=2)
        if self._share_camera(rng, target, template):
            second = first
        episode = self._ask(rng, self.views.view(first, target), self.views.view(second, template))
        episode["embedding"] = self.views.embedding(first, target)
        episode["knowledge_embedding"] = self.views.embedding(second, template)
        return episode


def _find_shown(masks: np.ndarray) -> np.ndarray:
    """(V, N, n, S, S) -> (N, n): what every version of a picture shows; a warp may move a part outside."""
    return np.asarray([masks[:, number].any(axis=(2, 3)).all(axis=0) for number in range(masks.shape[1])])


def _to_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float()


def _stack(masks: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(masks)).float()
