"""The way of the data: read -> preprocess -> predict -> postprocess -> write."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.engines import Engine, build_feature_engine
from common.errors import BundleError, ConfigError, InputError, OutputError
from common.folder_run import Finding
from common.geometry import parse_scale
from common.io.files import write_json
from common.io.slide import Slide, find_slides, open_slide
from common.io.slide_dicom import read_slide_header
from common.transforms.tissue import tissue_mask

from .class_map import ClassMap, build_class_map
from .doctor import examine_resolution
from .inferer import ScaleSearchInferer, SearchResult
from .network import PatchClassifier
from .pictures import read_panels
from .results import Results, describe_class_map, describe_search, write_results
from .verdict import DECIDED, NO_FIT

THUMBNAIL_PX = 2048
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MapSettings:
    """What a user may change about the class map.

    Attributes:
        enabled: False stops after the verdict.
        stride_px: step of the window in patch pixels; divides the patch size (smaller is finer and slower).
        scale: scale of the map ("x20", "0.5mpp") whatever the verdict says; None follows the verdict.
        min_tissue: a window with a smaller share of tissue is not classified.
        batch_size: windows per forward pass.
        min_area_um2: regions below it are left out of the GeoJSON (not of the areas).
    """

    enabled: bool = True
    stride_px: int = 112
    scale: str | float | None = None
    min_tissue: float = 0.1
    batch_size: int = 32
    min_area_um2: float = 0.0


@dataclass(frozen=True)
class Prediction:
    """Search and map of one slide."""

    search: SearchResult
    class_map: ClassMap | None
    map_reason: str
    seconds: dict[str, float]


class SlideDataset:
    """Slides to be read: one file, or every slide of a folder. Files are looked up when they are asked for.

    Args:
        slide: slide file, DICOM series folder, or folder of slides.
        mpp: microns per level-0 pixel as the user knows it; wins over the files' statements.
    """

    def __init__(self, slide: str | Path, mpp: float | None = None) -> None:
        self.path = Path(str(slide))
        self.mpp = mpp

    def paths(self) -> list[Path]:
        """Raises InputError: the path does not exist, or no slide is in the folder."""
        return find_slides(self.path)

    def stands_alone(self, paths: Sequence[Path]) -> bool:
        """Whether the results stand in the output folder itself, not in one of the slide."""
        return not self.path.is_dir() or (len(paths) == 1 and paths[0] == self.path)

    def name_outputs(self, paths: Sequence[Path]) -> dict[str, Path]:
        """Folder name of each slide."""
        return name_outputs(paths)

    def __len__(self) -> int:
        return len(self.paths())

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return ({"image": path, "mpp": self.mpp} for path in self.paths())


def read(item: dict[str, Any]) -> Slide:
    """Open a slide. Raises InputError."""
    return open_slide(item["image"], mpp=item["mpp"])


def preprocess(slide: Slide) -> tuple[np.ndarray, np.ndarray]:
    """Thumbnail (h, w, 3) uint8 and tissue mask (h, w) bool, both over the whole slide."""
    thumbnail, _ = slide.thumbnail(THUMBNAIL_PX)
    return thumbnail, tissue_mask(thumbnail)


def predict(
    slide: Slide,
    tissue: np.ndarray,
    network: PatchClassifier,
    engine: Engine,
    inferer: ScaleSearchInferer,
    settings: MapSettings,
    workdir: Path,
) -> Prediction:
    """Scale search, then the class map at the scale of the verdict."""
    started = time.perf_counter()
    search = inferer(slide, network, engine=engine, tissue=tissue)
    searched = time.perf_counter()
    downsample, reason = choose_map_downsample(search, inferer, settings)
    class_map = None
    if settings.enabled:
        class_map = build_class_map(
            slide,
            network,
            engine,
            downsample=downsample,
            stride_px=settings.stride_px,
            workdir=workdir,
            tissue=tissue,
            min_tissue=settings.min_tissue,
            batch_size=settings.batch_size,
        )
    mapped = time.perf_counter()
    seconds = {"search": round(searched - started, 1), "class map": round(mapped - searched, 1)}
    return Prediction(search, class_map, reason, seconds)


def choose_map_downsample(
    search: SearchResult, inferer: ScaleSearchInferer, settings: MapSettings
) -> tuple[float, str]:
    """Level-0 pixels per patch pixel for the map, and why."""
    gathered, verdict = search.gathered, search.verdict
    if settings.scale is not None:
        return parse_scale(settings.scale) / gathered.base_mpp, "the scale given with map_scale"
    if verdict.decision == DECIDED and verdict.index is not None:
        return float(gathered.downsamples[verdict.index]), "the verdict"
    training_mpp = inferer.spec.training_mpp
    if training_mpp is not None and not search.assumed_mpp:
        reason = "the classifier's training scale, because the search did not decide"
        return training_mpp / gathered.base_mpp, reason
    index = search.aggregations[inferer.settings.aggregation]
    index = len(gathered.mpps) // 2 if index is None else index
    return float(gathered.downsamples[index]), "the best guess; the search did not decide"


class SlidePipeline:
    """Runs the five steps on every slide of a dataset; the `evaluator` of the configs.

    Args:
        dataset: slides.
        network: classifier, eval mode.
        inferer: scale search.
        output_dir: results of a single slide stand here; those of a folder in one subfolder per slide.
        class_map: settings of the map.
        engine: "auto", "torch" or "openvino".
        precision: "auto", "fp32" or "bf16".
        device: torch device of the torch engine.
    """

    def __init__(
        self,
        dataset: SlideDataset,
        network: PatchClassifier,
        inferer: ScaleSearchInferer,
        output_dir: str | Path,
        class_map: MapSettings,
        engine: str = "auto",
        precision: str = "auto",
        device: str | torch.device = "cpu",
    ) -> None:
        self.dataset = dataset
        self.network = network
        self.inferer = inferer
        self.output_dir = Path(str(output_dir))
        self.class_map = class_map
        self.engine_options = {"engine": engine, "precision": precision, "device": str(device)}
        self._engine: Engine | None = None
        self.findings: list[Finding] = []

    @property
    def engine(self) -> Engine:
        """Built at first use and shared by all slides."""
        if self._engine is None:
            size_px = self.inferer.spec.size_px
            self._engine = build_feature_engine(self.network, size_px, **self.engine_options)
        return self._engine

    def run(self) -> list[Path]:
        """Process all slides; returns the files written.

        Raises:
            BundleError: the only slide was refused; or, after all slides of a folder were tried, some were.
        """
        paths = self.dataset.paths()
        if self.dataset.stands_alone(paths):
            return self.run_slide(paths[0], self.output_dir)
        return self._run_folder(paths)

    def _run_folder(self, paths: list[Path]) -> list[Path]:
        written: list[Path] = []
        rows: list[dict[str, Any]] = []
        for name, path in self.dataset.name_outputs(paths).items():
            try:
                files = self.run_slide(path, self.output_dir / name)
                rows.append({"slide": path.name, "folder": name, "status": "done", "files": len(files)})
                written += files
            except OutputError:
                raise  # the next slide could not be written either
            except BundleError as error:
                logger.error("%s", error)
                rows.append({"slide": path.name, "folder": None, "status": "refused", "reason": str(error)})
            write_json(self.output_dir / "summary.json", rows)
        refused = [row for row in rows if row["status"] == "refused"]
        if refused:
            raise InputError(
                f"expected {len(rows)} readable slides, {len(refused)} were refused: {refused[0]['reason']}"
                + (" (the others are in summary.json)" if len(refused) > 1 else "")
            )
        return [*written, self.output_dir / "summary.json"]

    def run_slide(self, path: Path, output_dir: Path) -> list[Path]:
        """One slide through the five steps. Raises BundleError."""
        workdir = output_dir / ".class_map"
        started = time.perf_counter()
        with read({"image": path, "mpp": self.dataset.mpp}) as slide:
            thumbnail, tissue = preprocess(slide)
            prediction = predict(
                slide, tissue, self.network, self.engine, self.inferer, self.class_map, workdir
            )
            results = postprocess(slide, thumbnail, prediction, self.inferer, self.engine)
        results.scale["seconds"] = {**prediction.seconds, "all": round(time.perf_counter() - started, 1)}
        files = write(results, self.inferer, output_dir, self.class_map)
        shutil.rmtree(workdir, ignore_errors=True)
        verdict = results.scale["verdict"]
        self.findings.append(Finding(path.name, verdict["sentence"], verdict["decision"] == NO_FIT))
        logger.info("%s: %s", path.name, verdict["sentence"])
        return files


def postprocess(
    slide: Slide, thumbnail: np.ndarray, prediction: Prediction, inferer: ScaleSearchInferer, engine: Engine
) -> Results:
    """Verdict, evidence, doctor and map as plain values, and the patches that the pictures show."""
    search, class_map = prediction.search, prediction.class_map
    scale = describe_search(slide, search, inferer.spec, engine, inferer.settings)
    if class_map is not None:
        scale["class_map"] = describe_class_map(class_map, prediction.map_reason, inferer.spec)
    doctor = examine_resolution(slide.resolution, search, inferer.spec.training_mpp)
    panels = read_panels(slide, scale, search.margins.scores)
    header = read_slide_header(slide.path) if slide.format == "dicom" else None
    return Results(scale, doctor, panels, class_map, thumbnail, header)


def write(
    results: Results, inferer: ScaleSearchInferer, output_dir: Path, settings: MapSettings
) -> list[Path]:
    """report.html, pictures, class map, DICOM, doctor.json and scale.json. Raises OutputError."""
    return write_results(results, inferer.spec.labels, output_dir, settings.min_area_um2)


def name_outputs(paths: Sequence[Path]) -> dict[str, Path]:
    """Folder name of each slide: its stem, or its whole name where two stems are the same."""
    stems = [path.stem for path in paths]
    return {path.stem if stems.count(path.stem) == 1 else path.name: path for path in paths}


def build_dataset(slide: str | Path, mpp: float | None = None) -> SlideDataset:
    """The dataset of a config; files are looked up when it is iterated."""
    return SlideDataset(slide, mpp)


def build_map_settings(**settings: Any) -> MapSettings:
    """Map settings of a config. Raises ConfigError on values out of range."""
    result = MapSettings(**settings)
    if not isinstance(result.batch_size, int) or result.batch_size < 1:
        raise ConfigError(f"batch_size: expected a whole number >= 1, got {result.batch_size!r}")
    if not 0 <= result.min_tissue <= 1:
        raise ConfigError(f"min_tissue: expected a share from 0 to 1, got {result.min_tissue}")
    if result.scale is not None:
        parse_scale(result.scale)
    return result
