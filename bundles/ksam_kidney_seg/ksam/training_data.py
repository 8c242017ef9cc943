"""Episodes of a datalist as the trainer takes them; nothing is read before it is needed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler
from tqdm import tqdm

from common.engines import Engine, build_engine
from common.errors import ConfigError
from common.training.processes import first_process_first, is_first_process, process_place

from .augment import CameraRange, GeometryRange
from .episodes import EncodedEpisodeDataset, EpisodeDataset, encode_views, load_samples
from .knowledge_sam import KSam
from .material import TrainingMaterial
from .tasks import TaskMix, plain_tasks

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EpisodeSettings:
    """How episodes are drawn; see `episodes`, `tasks` and `augment`.

    Attributes:
        episodes: of an epoch, over all processes.
        tasks: arguments of `TaskMix`; None asks for the datalist's structures only (paper).
        camera: arguments of `CameraRange`, changes of appearance; None for none.
        geometry: arguments of `GeometryRange`; None for none.
        tasks_per_pair: structures asked of one pair (paper: 1).
        same_camera: share of pairs whose two pictures get the same change of appearance, 0..1.
        same_patient: share of pairs from one patient, 0..1 (paper: 0).
        absent: share of targets that do not show the structure, 0..1.
        slices_per_case: slices of a volume that are used, None for all that show a structure.
        seed: same seed, same episodes.

    Raises:
        ConfigError: fewer than one episode, or unknown arguments.
    """

    episodes: int
    tasks: Mapping[str, float] | None = None
    camera: Mapping[str, Any] | None = None
    geometry: Mapping[str, Any] | None = None
    tasks_per_pair: int = 1
    same_camera: float = 0.0
    same_patient: float = 0.0
    absent: float = 0.1
    slices_per_case: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise ConfigError(f"episodes: expected at least 1, got {self.episodes}: 400 is usual")
        self.drawing()
        self.changes()

    def drawing(self) -> dict[str, Any]:
        """The arguments that `EpisodeDataset` and `EncodedEpisodeDataset` share. Raises ConfigError."""
        tasks = plain_tasks() if self.tasks is None else _build("tasks", TaskMix, self.tasks)
        return {
            "tasks": tasks,
            "episodes": self.episodes,
            "tasks_per_pair": self.tasks_per_pair,
            "same_camera": self.same_camera,
            "same_patient": self.same_patient,
            "absent": self.absent,
            "seed": self.seed,
        }

    def changes(self) -> dict[str, Any]:
        """Camera and geometry, as both datasets and the feature store take them. Raises ConfigError."""
        return {
            "camera": None if self.camera is None else _build("camera", CameraRange, self.camera),
            "geometry": None if self.geometry is None else _build("geometry", GeometryRange, self.geometry),
        }


def _build(name: str, kind: Any, arguments: Mapping[str, Any]) -> Any:
    try:
        return kind(**{key: tuple(v) if isinstance(v, list) else v for key, v in dict(arguments).items()})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: expected fields of {kind.__name__}, got '{error}': correct it") from error


class EpisodeData(Dataset):
    """Episodes of a datalist; index i is the same episode in every process, worker and resumed run.

    Args:
        material: datalist.
        network: KSam, whose frozen encoder computes the features that are kept.
        settings: how episodes are drawn.
        cache_features: versions of every picture whose features are computed once and kept on disk; 0 encodes
            in every step. Needs a frozen encoder (lora_rank 0).
        cache_dir: where features are kept.
        engine: computes them: "auto", "torch" or "openvino", see `common.engines`.

    Raises:
        ConfigError: features of an encoder that is trained cannot be kept.
    """

    def __init__(
        self,
        material: TrainingMaterial,
        network: KSam,
        settings: EpisodeSettings,
        cache_features: int = 0,
        cache_dir: str = "cache",
        engine: str = "auto",
    ) -> None:
        if cache_features and network.options.lora_rank:
            raise ConfigError(
                f"cache_features: expected a frozen encoder, got lora_rank {network.options.lora_rank}: set "
                "cache_features to 0, or lora_rank of the network to 0"
            )
        self.material, self.network, self.settings = material, network, settings
        self.cache_features, self.folder, self.engine = cache_features, Path(cache_dir), engine

    def __len__(self) -> int:
        return self.settings.episodes

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """image, label (T, S, S), knowledge_image, knowledge_mask (T, S, S); embeddings where kept."""
        return self.drawn[index]

    @cached_property
    def drawn(self) -> Dataset:
        """The episodes; the first use reads the pictures. Raises InputError: see the functions used."""
        settings = self.settings
        samples = load_samples(
            tqdm(self.material.training, "reading cases", disable=not is_first_process(), leave=False),
            self.network.image_size,
            settings.slices_per_case,
            self.material.structures,
        )
        if not self.cache_features:
            return EpisodeDataset(samples, **settings.changes(), **settings.drawing())
        with first_process_first():
            views = encode_views(
                self.encode,
                samples,
                self.folder,
                views=self.cache_features,
                seed=settings.seed,
                **settings.changes(),
            )
        return EncodedEpisodeDataset(views, **settings.drawing())

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) RGB 0..255 -> the frozen encoder's features (B, C, g, g)."""
        return torch.from_numpy(self.encoder(image.numpy()))

    @cached_property
    def encoder(self) -> Engine:
        """The encoder alone, by the quickest engine of the machine. Raises ConfigError."""
        device = next(self.network.parameters()).device
        example = torch.zeros(1, 3, self.network.image_size, self.network.image_size)
        return build_engine(self.network.sam.image_encoder, example, self.engine, device=str(device))

    def prepare(self) -> None:
        """Read everything now, before workers start. Raises InputError."""
        logger.info("%d training cases", len(self.material.training))
        logger.info("%d validation cases", len(self.material.validation))
        self.drawn  # noqa: B018


class EpisodeSampler(DistributedSampler):
    """Numbers of the episodes of this epoch and process; no number comes twice in a run."""

    def __init__(self, dataset: EpisodeData) -> None:
        rank, processes = process_place()
        super().__init__(dataset, num_replicas=processes, rank=rank)
        self.episodes = len(dataset)

    def __len__(self) -> int:
        return self.episodes // self.num_replicas

    def __iter__(self) -> Iterator[int]:
        start = self.epoch * self.episodes
        return iter(range(start + self.rank, start + len(self) * self.num_replicas, self.num_replicas))


def build_train_loader(dataset: EpisodeData, batch_size: int, num_workers: int) -> DataLoader:
    """Batches of episodes; with torchrun each process has its own share.

    Raises:
        ConfigError: no batch, or fewer episodes than one batch holds.
    """
    sampler = EpisodeSampler(dataset)
    if not 1 <= batch_size <= len(sampler):
        raise ConfigError(
            f"batch_size: expected 1 to the {len(sampler)} episodes of an epoch, got {batch_size}: lower it "
            "or raise episodes"
        )
    workers: dict[str, Any] = {"num_workers": num_workers, "persistent_workers": num_workers > 0}
    return DataLoader(dataset, batch_size, sampler=sampler, drop_last=True, **workers)
