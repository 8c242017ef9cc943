"""Episodes: a target and a template of different patients, and several structures of the pair to segment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from common.errors import ConfigError, InputError

from .augment import DAY_TO_DAY, Camera, CameraRange, GeometryRange, augment_sample
from .encoded_views import EncodedViews, encode_views
from .fields import View
from .samples import OVERSAMPLING, Sample, load_samples, shrink_sample
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
        InputError: no picture can be a template: one that shows a structure and meets another patient's.
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
        self.templates = np.flatnonzero(shown.any(axis=1) & _meet_others(self.patients, self.regions))
        if not len(self.templates):
            raise InputError(
                "episodes: expected pictures of two patients or more, one of them with a structure of some "
                f"pixels at the network's size, got none among {len(shown)} pictures: add cases"
            )

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
        shown = np.array([_shrink(sample).any(axis=(1, 2)) for sample in samples])
        regions = [sample.is_region for sample in samples]
        super().__init__([sample.patient for sample in samples], regions, shown, **arguments)
        self.samples, self.camera, self.geometry = samples, camera, geometry

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng((self.seed, index))
        target, template = self._draw_pair(rng)
        cameras = self._draw_cameras(rng, target, template)
        wanted = augment_sample(self.samples[target], cameras[0], self.geometry, rng)
        return self._ask(rng, wanted, self._show_template(self.samples[template], cameras[1], rng))

    def _show_template(self, sample: Sample, camera: Camera | None, rng: np.random.Generator) -> View:
        """The warped sample; as it is where the warp has moved every structure out of the picture."""
        view = augment_sample(sample, camera, self.geometry, rng)
        return view if view.present else augment_sample(sample, camera, None, rng)

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


def _meet_others(patients: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Whether another patient has a picture of the same kind (whole, or region), for every picture."""
    found = np.zeros(len(patients), dtype=bool)
    for kind in (False, True):
        found[regions == kind] = len(set(patients[regions == kind].tolist())) > 1
    return found


def _shrink(sample: Sample) -> np.ndarray:
    """Masks bool (n, S, S) at the network's size: what has less than half a pixel there is not shown."""
    return shrink_sample(sample, sample.image.shape[0] // OVERSAMPLING)[1]


def _find_shown(masks: np.ndarray) -> np.ndarray:
    """(V, N, n, S, S) -> (N, n): what every version of a picture shows; a warp may move a part outside."""
    return np.asarray([masks[:, number].any(axis=(2, 3)).all(axis=0) for number in range(masks.shape[1])])


def _to_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float()


def _stack(masks: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(masks)).float()
