"""The bundle inside MONAI Label: the pipeline's own steps behind the three hooks that it calls.

MONAI Label runs `preprocessing` on a dictionary whose "image" is a path, `inferer(tensor, network)` and then
`postprocessing`; it makes them anew for every request, from `inference.json` with the client's choices in
`displayable_configs`. What was found travels with the tensor, in its `meta`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from common.errors import InputError
from common.io.files import plain_json
from common.io.mammogram import MammoCase, find_studies

from .calibration import Scoring
from .classifier import Mmbcd
from .history_use import HistorySource
from .inferer import MmbcdInferer
from .pipeline import describe_run, postprocess, predict, preprocess, read
from .regions import Regions

_CASE, _VISIT, _RECORD = "mmbcd_case", "mmbcd_visit", "mmbcd_record"


class FindStudy:
    """`preprocessing`: what "image" names: a DICOM file, a folder or zip of a study, a picture and sidecar.

    Args:
        visit: see `pipeline.read`.
    """

    def __init__(self, visit: str | None = None) -> None:
        self.visit = visit

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """ "image" becomes an empty tensor that knows its study; the pixels are read view by view.

        Raises:
            InputError: not a path, no mammogram there, or several patients.
        """
        if not isinstance(data["image"], (str, Path)) or not str(data["image"]):
            raise InputError(f"image: expected a path, got {type(data['image']).__name__}: name a study")
        path = Path(data["image"])
        cases = find_studies(path)
        if len(cases) != 1:
            raise InputError(f"{path.name}: expected one patient, got {len(cases)}: name one of them")
        return {**data, "image": MetaTensor(torch.zeros(1), meta={_CASE: cases[0], _VISIT: self.visit})}


class LabelInferer(MmbcdInferer):
    """`inferer`: the predict step, and for a study of `FindStudy` all that lies between it and the scores.

    Args:
        regions: finds and cuts the regions of a mammogram.
        history: the history as the client wrote it; without one the study's own is used.
        use_history, show_history: see `HistorySource`.
        scoring: rules, calibration and operating points.
        **execution: see `MmbcdInferer`.

    Raises:
        ConfigError: see `MmbcdInferer`.
    """

    def __init__(
        self,
        regions: Regions,
        history: Any,
        use_history: Any,
        show_history: bool,
        scoring: Scoring,
        **execution: Any,
    ) -> None:
        super().__init__(**execution)
        used = str(use_history).strip().lower() not in ("false", "0", "no", "")
        self.histories = HistorySource(history, None, used, show_history)
        self.regions, self.scoring = regions, scoring
        self._key = tuple(sorted(self.settings.items()))

    def __call__(  # type: ignore[override]
        self, inputs: torch.Tensor, network: Mmbcd, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Score (1, 1) of a study of `FindStudy`, NaN without a region; other tensors as the parent does.

        Raises:
            BundleError: as the pipeline.
        """
        meta = getattr(inputs, "meta", {})
        if _CASE not in meta:
            return super().__call__(inputs, network, *args, **kwargs)
        record = self._run(meta[_CASE], meta[_VISIT], network)
        score = record["study"]["score"]
        value = torch.tensor([[float("nan") if score is None else score]])
        return MetaTensor(value, meta={_RECORD: plain_json(record)})

    def _run(self, case: MammoCase, visit: str | None, network: Mmbcd) -> dict[str, Any]:
        """The content of result.json, without what tells about its files."""
        kept = _keep_inferer(network, self._key, self.batch_size)
        self.scoring.settle(network.card.sha256)
        study = read(case, self.histories, network.text is not None, visit)
        views = preprocess(study, self.regions, network.image_size)
        results = postprocess(study, views, predict(views, kept, network), self.scoring)
        return results.record | describe_run(study, network, self.regions, kept, self.histories)


@lru_cache(maxsize=2)
def _keep_inferer(network: Mmbcd, settings: Sequence[tuple[str, str]], batch_size: int) -> MmbcdInferer:
    """The same inferer for all requests: it holds the compiled vision encoder."""
    return MmbcdInferer(**dict(settings), batch_size=batch_size)


class ReportScores:
    """`postprocessing`: the answer in MONAI Label's form of a classification, with result.json beside it."""

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """ "prediction" (empty where no region was found) and "result".

        MONAI Label's own writer would drop "result", so it is skipped. "pred" stays as a word: the last
        step, which MONAI Label appends, asks for its shape, and JSON for a text.
        """
        record = data["pred"].meta[_RECORD]
        score = record["study"]["score"]
        rows = [] if score is None else [(0, "not malignant", 1.0 - score), (1, "malignant", score)]
        prediction = [{"idx": idx, "label": label, "score": value} for idx, label, value in rows]
        answer = {"prediction": prediction, "result": record, "pred": np.str_("see prediction")}
        return {**answer, "skip_writer": True, "latencies": data.get("latencies", {})}
