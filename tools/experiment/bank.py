"""Features are computed once per slide and classifier and serve every criterion and aggregation."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from common.engines import Engine
from common.io.files import atomic_path
from common.io.slide import Slide
from scale_selector.classifier import ClassifierSpec
from scale_selector.inferer import ScaleSearchInferer, SearchSettings
from scale_selector.search import ScaleFeatures, gather_features

Key = tuple[float, float, float]


class FeatureBank:
    """Features of one slide under one classifier, by place and level-0 pixels per patch pixel; kept on disk.

    Args:
        path: `.npz`; read if it is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[Key, np.ndarray] = {}
        self.is_changed = False
        if path.is_file():
            with np.load(path) as stored:
                keys = map(tuple, stored["keys"].tolist())
                self.rows = dict(zip(keys, stored["features"], strict=True))

    def save(self) -> None:
        """Raises OutputError."""
        if self.is_changed:
            with atomic_path(self.path) as temporary:
                features = np.stack(list(self.rows.values()))
                np.savez(temporary, keys=np.array(list(self.rows)), features=features)
            self.is_changed = False


class BankedInferer(ScaleSearchInferer):
    """The bundle's search, its features taken from a bank where they are known."""

    def __init__(self, settings: SearchSettings, spec: ClassifierSpec, bank: FeatureBank) -> None:
        super().__init__(settings, spec)
        self.bank = bank

    def _gather(
        self, slide: Slide, engine: Engine, xy_px: np.ndarray, mpps: np.ndarray, base_mpp: float
    ) -> ScaleFeatures:
        keys = [[key_of(place, mpp / base_mpp) for mpp in mpps] for place in xy_px]
        for rows, columns in self._missing(keys):
            places, scales = xy_px[list(rows)], mpps[columns]
            new = gather_features(
                slide, engine, self.spec.size_px, places, scales, base_mpp, self.settings.batch_size
            )
            for row, per_scale in zip(rows, new.features, strict=True):
                self.bank.rows |= {keys[row][j]: value for j, value in zip(columns, per_scale, strict=True)}
            self.bank.is_changed = True
        features = np.stack([[self.bank.rows[key] for key in row] for row in keys])
        return ScaleFeatures(mpps, base_mpp, xy_px, features)

    def _missing(self, keys: list[list[Key]]) -> list[tuple[tuple[int, ...], list[int]]]:
        """Rectangles (points, scales) that the bank lacks."""
        columns: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for j in range(len(keys[0])):
            columns[tuple(i for i, row in enumerate(keys) if row[j] not in self.bank.rows)].append(j)
        return [(rows, where) for rows, where in columns.items() if rows]


def key_of(place: np.ndarray, downsample: float) -> Key:
    return round(float(place[0]), 3), round(float(place[1]), 3), round(float(downsample), 6)
