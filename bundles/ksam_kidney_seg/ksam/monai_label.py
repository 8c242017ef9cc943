"""The bundle inside MONAI Label: the pipeline's own steps behind the three hooks that it calls.

MONAI Label runs `preprocessing` on a dictionary whose "image" is a path, `inferer(tensor, network)` and then
`postprocessing`; it makes them anew for every request, from `inference.json` with the client's choices in
`displayable_configs`. What was read travels with the tensor, in its `meta`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from common.errors import ConfigError, InputError
from common.io.cases import Case, stem
from common.io.files import plain_json

from .engines import build_ksam_engines
from .frame import Window, check_crop
from .inferer import KnowledgePromptInferer
from .network import KSam
from .own_template import MAX_OWN, build_own_task, find_own_labels
from .pipeline import Image, postprocess, predict, preprocess, read
from .prompts import list_tasks, load_task
from .structures import read_structures
from .task_segmenter import TaskSegmenter
from .templates import Task

OWN = "own"
"""The choice of the prompt that takes the slices that the user labelled in this very image."""

AUTO = "auto"
NATIVE = (".nii", ".nii.gz", ".nrrd")

_IMAGE, _OWN_LABELS, _RECORD = "ksam_image", "ksam_own_labels", "ksam_record"
_kept_engines = lru_cache(maxsize=2)(build_ksam_engines)


def list_prompts(library: str | Path, first: str | Path | None = None) -> list[str]:
    """What the client may choose: the tasks of a library by folder name, and `OWN`.

    Args:
        library: folder of task folders; may be missing.
        first: the task that stands first, which is the default of the clients.
    """
    names = [folder.name for folder in list_tasks(library)] if Path(library).is_dir() else []
    default = Path(first).name if first else ""
    return [*sorted(names, key=lambda name: (name != default, name)), OWN]


class ReadCt:
    """`preprocessing`: reads what "image" names, a DICOM folder, NIfTI or NRRD, as the pipeline does.

    Args:
        series: of a DICOM folder, see `pipeline.read`.
    """

    def __init__(self, series: str | int | None = None) -> None:
        self.series = series

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """ "image" becomes (1, I, J, K) HU with its affine.

        Raises:
            InputError: not a path, or not a CT.
        """
        if not isinstance(data["image"], (str, Path)) or not str(data["image"]):
            raise InputError(f"image: expected a path, got {type(data['image']).__name__}: name a CT")
        path = Path(data["image"])
        image = read(Case(path, "ct", None, stem(path)), self.series)
        volume = image.volume
        if volume is None:
            raise InputError(f"{path.name}: expected a CT, got a picture: name a CT")
        affine = torch.from_numpy(volume.affine_ras_mm)
        meta = {"original_affine": affine, "spatial_shape": np.array(volume.shape)}
        meta |= {_IMAGE: image, _OWN_LABELS: find_own_labels(path, data.get("label"))}
        voxels = torch.from_numpy(np.ascontiguousarray(volume.voxels_hu))[None]
        extension = {} if path.name.lower().endswith(NATIVE) else {"result_extension": ".nii.gz"}
        return {**extension, **data, "image": MetaTensor(voxels, affine=affine, meta=meta)}


class LabelInferer(KnowledgePromptInferer):
    """`inferer`: the predict step, and for a volume of `ReadCt` all that lies between it and the label map.

    Args:
        task: what the pipeline segments; a request brings its own choice.
        choice: the client's "prompt", "templates", "crop", "own_slices" and "keep_largest"; a list, as
            clients send what was not chosen, stands for its first entry.
        library: folder of the tasks that can be chosen.
        labels, window, crop: structures, CT window and crop of the user's own slices.
        engine, precision, device: see `common.engines.build_tensor_engine`.
        **prompting: see `KnowledgePromptInferer`.

    Raises:
        InputError, ConfigError: see `KnowledgePromptInferer`.
    """

    def __init__(
        self,
        task: Task | str | Path | None,
        choice: Mapping[str, Any],
        library: str | Path,
        labels: str | Path,
        window: Mapping[str, float],
        crop: str,
        engine: str = "auto",
        precision: str = "auto",
        device: str = "cpu",
        **prompting: Any,
    ) -> None:
        super().__init__(task, **prompting)
        self.choice = {key: value[0] if isinstance(value, list) else value for key, value in choice.items()}
        self.library, self.labels, self.window, self.crop = library, labels, Window(**window), crop
        self.execution = (engine, precision, device)

    def __call__(  # type: ignore[override]
        self, inputs: torch.Tensor, network: KSam, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Labels (1, 1, I, J, K) uint8 of a volume of `ReadCt`; other tensors as the parent does.

        Raises:
            ConfigError: a choice out of range.
            InputError: an unknown prompt, or no usable slice of the user's own.
        """
        meta = getattr(inputs, "meta", {})
        image = meta.get(_IMAGE)
        if image is None:
            return super().__call__(inputs, network, *args, **kwargs)
        segmenter = self._segmenter(network, self._chosen_task(image, meta.get(_OWN_LABELS)))
        frame = preprocess(image, segmenter)
        prediction = predict(image, frame, segmenter)
        results = postprocess(image, frame, prediction, segmenter, _whole(self.choice, "keep_largest", 0))
        labels = torch.from_numpy(np.ascontiguousarray(results.labels))[None, None]
        return MetaTensor(labels, meta={_RECORD: plain_json(results.record)})

    def _chosen_task(self, image: Image, own_labels: Path | None) -> Task:
        name, crop = str(self.choice["prompt"]), str(self.choice["crop"])
        if name == OWN:
            task = build_own_task(
                image,
                own_labels,
                read_structures(self.labels),
                self.window,
                self.crop,
                _slice_numbers(self.choice["own_slices"]),
            )
        else:
            task = load_task(self.library, name)
        return task if crop == AUTO else replace(task, crop=check_crop(crop))

    def _segmenter(self, network: KSam, task: Task) -> TaskSegmenter:
        """The same inferer with the chosen task; the engines of a network are made once for all requests."""
        settings = replace(self.settings, templates=_whole(self.choice, "templates", 1))
        inferer = KnowledgePromptInferer(
            task, cache=self.cache, consistency=self.consistency, carry=self.carry
        )
        inferer.settings = settings
        return TaskSegmenter(network, inferer, partial(_kept_engines, network, *self.execution))


class ReportNumbers:
    """`postprocessing`: the content of volumes.json goes into the answer beside the label map."""

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Adds "result"."""
        labels = data["pred"]
        return {**data, "result": labels.meta.pop(_RECORD), "pred": labels}


def _whole(choice: Mapping[str, Any], name: str, least: int) -> int:
    """A number that clients send as a number or a text. Raises ConfigError."""
    text = str(choice[name]).strip()
    if not text.isdecimal() or int(text) < least:
        raise ConfigError(f"{name}: expected a whole number from {least}, got '{text}': correct the option")
    return int(text)


def _slice_numbers(written: Any) -> list[int] | None:
    """ "auto" -> None, "12, 20" -> [12, 20]. Raises ConfigError."""
    parts = [part.strip() for part in str(written).split(",")]
    if parts == [AUTO]:
        return None
    if not all(part.isdecimal() for part in parts) or len(parts) > MAX_OWN:
        raise ConfigError(
            f"own_slices: expected '{AUTO}' or up to {MAX_OWN} slice numbers such as 12,20 (0: the lowest), "
            f"got '{written}': correct it"
        )
    return [int(part) for part in parts]
