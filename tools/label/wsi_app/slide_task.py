"""What the WSI bundle says of a region of a slide, as annotations for QuPath and Digital Slide Archive."""

from __future__ import annotations

import html
import math
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType
from monailabel.utils.others.pathology import create_asap_annotations_xml, create_dsa_annotations_json
from wsi_app.annotations import Region, limit_tissue, parse_region, to_elements

from common.errors import InputError
from common.io.files import plain_json
from common.report.wording import weights_note

KEPT_VERDICTS = 32
"""Slides whose verdict is remembered: the search takes minutes, a region of a known slide seconds."""


class SlideTask(InferTask):
    """Reads, searches and maps with the bundle's own pipeline.

    Args:
        bundle: the bundle's folder.
    """

    def __init__(self, bundle: Path) -> None:
        sys.path.insert(0, str(bundle))
        parser = ConfigParser()
        parser.read_config(str(bundle / "configs" / "inference.json"))
        parser.read_meta(str(bundle / "configs" / "metadata.json"))
        parser["bundle_root"] = str(bundle)
        self.path = bundle / "models" / "model.pt"
        self.pipeline = parser.get_parsed_content("evaluator")
        self.colors = {row.name: list(row.color) for row in self.pipeline.inferer.spec.labels}
        self.verdicts: OrderedDict[str, Any] = OrderedDict()
        labels = {row.name: row.value for row in self.pipeline.inferer.spec.labels}
        config = {"map_scale": "", "mpp": ""}
        super().__init__(InferType.SEGMENTATION, labels, 2, parser["_meta_"]["description"], config)

    def is_valid(self) -> bool:
        return True

    def info(self) -> dict[str, Any]:
        """As MONAI Label's pathology models; QuPath reads "pathology" and "nuclick"."""
        facts = {"type": self.type, "labels": self.labels, "dimension": 2, "description": self.description}
        return {**facts, "config": self.config(), "pathology": True, "nuclick": False}

    def config(self) -> dict[str, Any]:
        return self._config

    def get_path(self, validate: bool = True) -> str:
        return str(self.path)

    def clear_cache(self) -> None:
        self.verdicts.clear()

    def set_loglevel(self, level: str) -> None:
        """Nothing: what this task logs does not depend on requests."""

    def __call__(
        self, request: Mapping[str, Any], callbacks: Any = None
    ) -> tuple[str | None, dict[str, Any]]:
        """Answer a request.

        Args:
            request: "image" (path), "location" and "size" (level-0 pixels; size 0 is the whole slide),
                "min_poly_area" (level-0 pixels squared), "output" ("asap", "dsa" or "json"), and the options
                "map_scale" ("x20", "0.5mpp"; empty follows the verdict) and "mpp" (empty: the file's own).
            callbacks: not used.

        Returns:
            File of the annotations (None for "json"), and the same as JSON.

        Raises:
            BundleError: as the pipeline.
        """
        started = time.perf_counter()
        answer = self.describe_region(request)
        answer["latencies"] = {"total": round(time.perf_counter() - started, 2)}
        # MONAI Label writes texts into the XML as they are
        texts = {key: html.escape(str(answer[key])) for key in ("name", "description", "model")}
        writers = {"asap": create_asap_annotations_xml, "dsa": create_dsa_annotations_json}
        if request.get("output") not in writers:
            return None, answer
        file, _ = writers[request["output"]](answer | texts, "WARNING")
        return file, answer

    def describe_region(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The annotations of a region with the verdict that they rest on. Raises BundleError."""
        from scale_selector.pipeline import preprocess, read
        from scale_selector.results import describe_verdict

        item = {"image": Path(str(request["image"])), "mpp": read_number(request, "mpp")}
        with read(item) as slide:
            region = parse_region(request, slide)
            _, tissue = preprocess(slide)
            search = self._search(slide, tissue)
            elements, facts = self._map(slide, search, limit_tissue(tissue, slide, region), region, request)
        verdict, note = (
            describe_verdict(search),
            weights_note({"purpose": self.pipeline.inferer.spec.purpose}),
        )
        return {
            "name": f"MONAILabel Annotations - {request['model']} for {list(region.box)}",
            "description": f"{verdict['sentence']} Map: {facts['reason']}. {note}",
            "model": request["model"],
            "location": list(region.location),
            "size": list(region.size),
            "annotations": [{"annotation": {"labels": self.colors, "elements": elements}}],
            "verdict": plain_json(verdict),
            "class_map": plain_json(facts),
        }

    def _search(self, slide: Any, tissue: Any) -> Any:
        """The verdict on a slide, from memory where the file and its pixel size are the same."""
        key = f"{slide.fingerprint()} {slide.mpp}"
        if key not in self.verdicts:
            pipeline = self.pipeline
            self.verdicts[key] = pipeline.inferer(
                slide, pipeline.network, engine=pipeline.engine, tissue=tissue
            )
        self.verdicts.move_to_end(key)
        while len(self.verdicts) > KEPT_VERDICTS:
            self.verdicts.popitem(last=False)
        return self.verdicts[key]

    def _map(
        self, slide: Any, search: Any, tissue: Any, region: Region, request: Mapping[str, Any]
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Outlines of the classes, and how the map was made; no outlines where there is no tissue."""
        from scale_selector.class_map import build_class_map
        from scale_selector.pipeline import choose_map_downsample
        from scale_selector.results import describe_class_map

        pipeline, spec = self.pipeline, self.pipeline.inferer.spec
        scale = str(request.get("map_scale") or "") or pipeline.class_map.scale
        settings = replace(pipeline.class_map, scale=scale)
        smallest = read_number(request, "min_poly_area") or 0.0
        downsample, reason = choose_map_downsample(search, pipeline.inferer, settings)
        if not tissue.any():
            return [], {"reason": "no tissue in this region", "areas_mm2": {}}
        with tempfile.TemporaryDirectory() as workdir:
            found = build_class_map(
                slide,
                pipeline.network,
                pipeline.engine,
                downsample=downsample,
                stride_px=settings.stride_px,
                workdir=Path(workdir),
                tissue=tissue,
                min_tissue=settings.min_tissue,
                batch_size=settings.batch_size,
                progress=False,
            )
            elements = to_elements(found.grid(), spec.labels, region, smallest)
            return elements, describe_class_map(found, reason, spec)


def read_number(request: Mapping[str, Any], name: str) -> float | None:
    """A positive number of a request, None where it is empty. Raises InputError."""
    written = str(request.get(name) or "").strip()
    try:
        number = float(written) if written else None
    except ValueError:
        number = math.nan
    if number is not None and not 0 < number < math.inf:
        raise InputError(f"{name}: expected a positive number, got '{written}': correct the option")
    return number
