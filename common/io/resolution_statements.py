"""Every statement that a file makes about its pixel size or its objective, as written and in microns.

Names of properties are OpenSlide's (one page on each vendor); plain pictures bring theirs in the same form.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Statement:
    """One statement of a file, or of the user, about level 0.

    Attributes:
        source: where it stands, e.g. "aperio.MPP", "tiff.XResolution", "dicom.PixelSpacing", "user".
        value: as it was written.
        mpp_x: microns per pixel along x, None where it says nothing about it.
        mpp_y: microns per pixel along y.
        magnification: the objective's x-factor, None where it says nothing about it.
        note: why it is not used, empty where it may be.
    """

    source: str
    value: str
    mpp_x: float | None = None
    mpp_y: float | None = None
    magnification: float | None = None
    note: str = ""


_DICOM_MEASURES = "dicom.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing"
_MIRAX_SECTION = "mirax.LAYER_0_LEVEL_0_SECTION.MICROMETER_PER_PIXEL"

_SIZES = (
    # source, property along x, property along y, microns per unit
    ("aperio.MPP", "aperio.MPP", "aperio.MPP", 1.0),
    ("mirax.MICROMETER_PER_PIXEL", f"{_MIRAX_SECTION}_X", f"{_MIRAX_SECTION}_Y", 1.0),
    ("ventana.ScanRes", "ventana.ScanRes", "ventana.ScanRes", 1.0),
    ("zeiss.Scaling", "zeiss.Scaling.Items.X.Value", "zeiss.Scaling.Items.Y.Value", 1e6),
    ("dicom.PixelSpacing", f"{_DICOM_MEASURES}[1]", f"{_DICOM_MEASURES}[0]", 1e3),
)

_EXTENTS = (
    # source, whole width, whole height, pixels across, pixels down, microns per unit
    (
        "hamamatsu.PhysicalWidth",
        ("hamamatsu.PhysicalWidth", "hamamatsu.PhysicalHeight"),
        ("openslide.level[0].width", "openslide.level[0].height"),
        1e-3,
    ),
    (
        "dicom.ImagedVolumeWidth",
        ("dicom.ImagedVolumeWidth", "dicom.ImagedVolumeHeight"),
        ("dicom.TotalPixelMatrixColumns", "dicom.TotalPixelMatrixRows"),
        1e3,
    ),
)

_POWERS = (
    ("aperio.AppMag", r"aperio\.AppMag"),
    ("hamamatsu.SourceLens", r"hamamatsu\.SourceLens"),
    ("leica.objective", r"leica\.objective"),
    ("mirax.OBJECTIVE_MAGNIFICATION", r"mirax\.GENERAL\.OBJECTIVE_MAGNIFICATION"),
    ("ventana.Magnification", r"ventana\.Magnification"),
    ("trestle.Objective Power", r"trestle\.Objective Power"),
    ("sakura.NominalLensMagnification", r"sakura\.NominalLensMagnification"),
    ("argos.ObjectiveMagnification", r"argos\.ObjectiveMagnification"),
    ("zeiss.NominalMagnification", r"zeiss\.Information\.Instrument\.Objectives\..*\.NominalMagnification"),
    ("dicom.ObjectiveLensPower", r"dicom\.OpticalPathSequence\[0\]\.ObjectiveLensPower"),
    ("openslide.objective-power", r"openslide\.objective-power"),
)

_MICRONS_PER_TIFF_UNIT = {"inch": 25400.0, "centimeter": 10000.0}

_MICRONS_PER_OME_UNIT = {"pm": 1e-6, "nm": 1e-3, "µm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}

_IMAGEJ_MICRONS = re.compile(r"^unit=(?:micron|um|µm|\\u00B5m)$", re.MULTILINE)


def collect_statements(properties: Mapping[str, str]) -> list[Statement]:
    """Every statement in order of trust: explicit microns first, resolution tags next, objectives last."""
    description = properties.get("tiff.ImageDescription", "")
    return [
        *_ome_sizes(description),
        *_vendor_sizes(properties),
        *_philips_sizes(properties),
        *_extents(properties),
        *_tiff_sizes(properties, description),
        *_picture_sizes(properties),
        *_openslide_sizes(properties),
        *_powers(properties),
    ]


def _statement(source: str, written: str, mpp_x: float | None, mpp_y: float | None) -> Statement:
    if mpp_x is None or mpp_y is None:
        return Statement(source, written, note="not a number")
    return Statement(source, written, mpp_x, mpp_y)


def _vendor_sizes(properties: Mapping[str, str]) -> Iterator[Statement]:
    for source, key_x, key_y, unit in _SIZES:
        yield from _pair(source, properties.get(key_x), properties.get(key_y), unit)


def _openslide_sizes(properties: Mapping[str, str]) -> Iterator[Statement]:
    yield from _pair(
        "openslide.mpp", properties.get("openslide.mpp-x"), properties.get("openslide.mpp-y"), 1.0
    )


def _pair(source: str, x: str | None, y: str | None, unit: float) -> Iterator[Statement]:
    """One statement from the text for x and for y; either stands for both."""
    if x is None and y is None:
        return
    x, y = x or y or "", y or x or ""
    yield _statement(source, x if x == y else f"{x} x {y}", _scaled(x, unit), _scaled(y, unit))


def _philips_sizes(properties: Mapping[str, str]) -> Iterator[Statement]:
    """Millimetres as '"row" "column"': row spacing, which is along y, comes first."""
    text = properties.get("philips.DICOM_PIXEL_SPACING")
    if text is not None:
        numbers = [_scaled(part.strip('"'), 1e3) for part in text.split()]
        y, x = numbers if len(numbers) == 2 else (None, None)
        yield _statement("philips.DICOM_PIXEL_SPACING", text, x, y)


def _extents(properties: Mapping[str, str]) -> Iterator[Statement]:
    """A whole width and height, divided by the number of pixels."""
    for source, extents, counts, unit in _EXTENTS:
        texts = [properties.get(key) for key in (*extents, *counts)]
        width, height, columns, rows = (None if text is None else _scaled(text, 1.0) for text in texts)
        if width and height and columns and rows:
            yield _statement(source, f"{texts[0]} x {texts[1]}", width * unit / columns, height * unit / rows)


def _tiff_sizes(properties: Mapping[str, str], description: str) -> Iterator[Statement]:
    x, y = properties.get("tiff.XResolution"), properties.get("tiff.YResolution")
    x, y = x or y, y or x
    if x is None or y is None:
        return
    unit = properties.get("tiff.ResolutionUnit", "inch")
    if properties.get("openslide.vendor") == "trestle":  # Trestle stores microns per pixel in these tags
        yield from _pair("trestle tiff.XResolution", x, y, 1.0)
        return
    if description.startswith("ImageJ=") and _IMAGEJ_MICRONS.search(description):
        yield _statement("imagej.XResolution", f"{x} px/um", _inverse(x, 1.0), _inverse(y, 1.0))
        return
    written = f"{x if x == y else f'{x} x {y}'} px/{unit}"
    microns = _MICRONS_PER_TIFF_UNIT.get(unit)
    if microns is None:
        yield Statement("tiff.XResolution", written, note="without a unit")
        return
    yield _statement("tiff.XResolution", written, _inverse(x, microns), _inverse(y, microns))


def _picture_sizes(properties: Mapping[str, str]) -> Iterator[Statement]:
    """PNG pHYs and JPEG density, which Pillow gives as dots per inch."""
    for source in ("png.pHYs", "jpeg.density"):
        x, y = (properties.get(f"{source}.{axis}-dpi") for axis in "xy")
        if x is not None and y is not None:
            yield _statement(source, f"{x} x {y} dpi", _inverse(x, 25400.0), _inverse(y, 25400.0))


def _ome_sizes(description: str) -> Iterator[Statement]:
    """OME-XML: PhysicalSizeX of the first image; microns where no unit is given."""
    pixels = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", description)
    if pixels is None:
        return
    found = dict(re.findall(r'(PhysicalSize[XY](?:Unit)?)="([^"]*)"', pixels[0]))
    sizes = [
        _scaled(found[f"PhysicalSize{axis}"], _MICRONS_PER_OME_UNIT.get(_ome_unit(found, axis), math.nan))
        for axis in "XY"
        if f"PhysicalSize{axis}" in found
    ]
    if sizes:
        written = " x ".join(f"{found[k]} {_ome_unit(found, k[-1])}" for k in found if not k.endswith("Unit"))
        yield _statement("ome.PhysicalSize", written, sizes[0], sizes[-1])


def _ome_unit(found: Mapping[str, str], axis: str) -> str:
    unit = found.get(f"PhysicalSize{axis}Unit", "µm")
    return unit.replace("&#181;", "µ").replace("&#xB5;", "µ").replace("\u03bc", "µ")


def _powers(properties: Mapping[str, str]) -> Iterator[Statement]:
    for source, pattern in _POWERS:
        for key, text in properties.items():
            if re.fullmatch(pattern, key):
                power = _scaled(text.strip().strip("xX"), 1.0)
                note = "" if power else "not a number"
                yield Statement(source, text, magnification=power or None, note=note)


def _scaled(text: str, unit: float) -> float | None:
    """The number in a text (a comma may stand for the point) times a unit; None where there is none."""
    try:
        number = float(text.strip().replace(",", ".")) * unit
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _inverse(text: str, microns: float) -> float | None:
    density = _scaled(text, 1.0)
    return microns / density if density else None
