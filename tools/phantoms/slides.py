"""One generated slide: layout, textures and scanner from a seed, rendered in blocks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import ConfigError
from common.io.files import write_json

from .layout import CELL_PX, Layout, draw_layout, geojson, path_dt_msu
from .pyramid import Pyramid, build_pyramid
from .stain import Scanner, draw_scanner
from .tissues import BACKGROUND, FAMILIES, Maker, Texture, glass

NATIVE_MPP = 0.25
GROWTH_SPREAD = 0.05  # sizes of a class differ this much from slide to slide (relative standard deviation)
BORDER_PX = CELL_PX  # rendered around a block, so that the optics' blur knows its neighbours


@dataclass(frozen=True)
class PhantomSlide:
    """Everything that a seed decides.

    Attributes:
        names: class value -> name; the last is the background.
        textures: class value -> texture, for the classes that this slide has.
    """

    names: dict[int, str]
    layout: Layout
    textures: dict[int, Texture]
    scanner: Scanner

    def render(self, x0: int, y0: int, width: int, height: int) -> np.ndarray:
        """A block at level 0, uint8 RGB (height, width, 3); its corner on a multiple of CELL_PX."""
        x, y = x0 - BORDER_PX, y0 - BORDER_PX
        size = width + 2 * BORDER_PX, height + 2 * BORDER_PX
        haematoxylin, eosin = np.zeros((2, size[1], size[0]), np.float32)
        for value, share in self.layout.weights(x, y, *size).items():
            amounts = self.textures[value].paint(x, y, *size)
            haematoxylin += share * amounts[0]
            eosin += share * amounts[1]
        inner = slice(BORDER_PX, BORDER_PX + height), slice(BORDER_PX, BORDER_PX + width)
        return self.scanner.expose(haematoxylin, eosin, x, y)[inner]

    def pyramid(self, layout: str = "halves") -> Pyramid:
        """Compressed tiles of the whole slide. Raises ConfigError (see `build_pyramid`)."""
        return build_pyramid(self.layout.size_px, layout, self.render)

    def write_annotations(self, path_dt_msu_path: Path, geojson_path: Path) -> None:
        """Ground truth in both forms. Raises OutputError."""
        write_json(path_dt_msu_path, path_dt_msu(self.layout, self.names))
        write_json(geojson_path, geojson(self.layout, self.names))


def build_slide(
    seed: int, size_px: tuple[int, int] = (10240, 8192), family: str = "tissue", mpp: float = NATIVE_MPP
) -> PhantomSlide:
    """Decide a slide; nothing is rendered yet.

    Args:
        seed: the same seed gives the same slide.
        size_px: width and height at level 0, multiples of 16.
        family: "tissue", "foreign" (textures that no classifier of tissue knows), "scale_free" (1/f noise),
            "smooth" (no texture) or "twins" (classes that are exact enlargements of others).
        mpp: microns per level-0 pixel.

    Raises:
        ConfigError: unknown family.
    """
    if family not in FAMILIES:
        raise ConfigError(
            f"family: expected one of {', '.join(FAMILIES)}, got '{family}': choose one of them"
        )
    makers = {**FAMILIES[family], BACKGROUND: glass}
    names = dict(enumerate(makers))
    background = len(makers) - 1
    rng = np.random.default_rng([seed, list(FAMILIES).index(family)])
    layout = draw_layout(rng, size_px, mpp, list(range(background)), background)
    textures = {
        value: makers[name](Maker(rng, layout, value, mpp, float(np.exp(rng.normal(0, GROWTH_SPREAD)))))
        for value, name in names.items()
        if np.any(layout.labels == value)
    }
    return PhantomSlide(names, layout, textures, draw_scanner(rng, mpp))
