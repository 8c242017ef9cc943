"""Which pixel size is believed, and which contradictions are named. Numbers are worked by hand."""

from __future__ import annotations

import pytest

from common.errors import InputError
from common.io.resolution import Resolution, Statement, collect_statements, reconcile

SPACING = "dicom.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing"


def read(properties: dict[str, str], mpp: float | None = None) -> Resolution:
    return reconcile(collect_statements(properties), mpp)


@pytest.mark.parametrize(
    ("properties", "source", "mpp_x", "mpp_y"),
    [
        ({"aperio.MPP": "0.2325"}, "aperio.MPP", 0.2325, 0.2325),
        ({"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.26"}, "openslide.mpp", 0.25, 0.26),
        (
            {
                "mirax.LAYER_0_LEVEL_0_SECTION.MICROMETER_PER_PIXEL_X": "0,2325",
                "mirax.LAYER_0_LEVEL_0_SECTION.MICROMETER_PER_PIXEL_Y": "0.2330",
            },
            "mirax.MICROMETER_PER_PIXEL",
            0.2325,
            0.2330,
        ),
        ({"ventana.ScanRes": "0.465"}, "ventana.ScanRes", 0.465, 0.465),
        ({"zeiss.Scaling.Items.X.Value": "2.2e-07"}, "zeiss.Scaling", 0.22, 0.22),
        (
            {f"{SPACING}[0]": "0.0005", f"{SPACING}[1]": "0.00025"},  # rows are 0.5 um apart: that is y
            "dicom.PixelSpacing",
            0.25,
            0.5,
        ),
        (
            {"philips.DICOM_PIXEL_SPACING": '"0.000227" "0.000226"'},
            "philips.DICOM_PIXEL_SPACING",
            0.226,
            0.227,
        ),
        (
            {
                "hamamatsu.PhysicalWidth": "23000000",  # nm over 50000 px
                "hamamatsu.PhysicalHeight": "18400000",
                "openslide.level[0].width": "50000",
                "openslide.level[0].height": "40000",
            },
            "hamamatsu.PhysicalWidth",
            0.46,
            0.46,
        ),
        (
            {
                "dicom.ImagedVolumeWidth": "15.0",  # mm over 60000 px
                "dicom.ImagedVolumeHeight": "10.0",
                "dicom.TotalPixelMatrixColumns": "60000",
                "dicom.TotalPixelMatrixRows": "40000",
            },
            "dicom.ImagedVolumeWidth",
            0.25,
            0.25,
        ),
        (
            {"tiff.XResolution": "40000", "tiff.YResolution": "20000", "tiff.ResolutionUnit": "centimeter"},
            "tiff.XResolution",
            0.25,
            0.5,
        ),
        ({"tiff.XResolution": "50800", "tiff.ResolutionUnit": "inch"}, "tiff.XResolution", 0.5, 0.5),
        (
            {"tiff.XResolution": "0.5", "tiff.ResolutionUnit": "inch", "openslide.vendor": "trestle"},
            "trestle tiff.XResolution",
            0.5,
            0.5,
        ),
        (
            {
                "tiff.XResolution": "4",
                "tiff.ResolutionUnit": "none",
                "tiff.ImageDescription": "ImageJ=1.54f\nunit=micron\n",
            },
            "imagej.XResolution",
            0.25,
            0.25,
        ),
        (
            {
                "tiff.ImageDescription": '<OME><Image><Pixels PhysicalSizeX="250" PhysicalSizeXUnit="nm" '
                'PhysicalSizeY="0.26"/></Image></OME>'
            },
            "ome.PhysicalSize",
            0.25,
            0.26,
        ),
        ({"png.pHYs.x-dpi": "50800", "png.pHYs.y-dpi": "50800"}, "png.pHYs", 0.5, 0.5),
        ({"jpeg.density.x-dpi": "25400", "jpeg.density.y-dpi": "25400"}, "jpeg.density", 1.0, 1.0),
    ],
)
def test_pixel_sizes_in_microns(properties: dict[str, str], source: str, mpp_x: float, mpp_y: float) -> None:
    (statement,) = (s for s in collect_statements(properties) if s.mpp_x is not None)
    assert statement.source == source
    assert (statement.mpp_x, statement.mpp_y) == pytest.approx((mpp_x, mpp_y))


@pytest.mark.parametrize(
    ("key", "text", "source", "power"),
    [
        ("aperio.AppMag", "20", "aperio.AppMag", 20),
        ("hamamatsu.SourceLens", "40", "hamamatsu.SourceLens", 40),
        ("leica.objective", "20x", "leica.objective", 20),
        ("mirax.GENERAL.OBJECTIVE_MAGNIFICATION", "20", "mirax.OBJECTIVE_MAGNIFICATION", 20),
        ("ventana.Magnification", "40", "ventana.Magnification", 40),
        ("trestle.Objective Power", "40", "trestle.Objective Power", 40),
        ("sakura.NominalLensMagnification", "20", "sakura.NominalLensMagnification", 20),
        ("argos.ObjectiveMagnification", "40", "argos.ObjectiveMagnification", 40),
        (
            "zeiss.Information.Instrument.Objectives.Objective:1.NominalMagnification",
            "20",
            "zeiss.NominalMagnification",
            20,
        ),
        ("dicom.OpticalPathSequence[0].ObjectiveLensPower", "40", "dicom.ObjectiveLensPower", 40),
        ("openslide.objective-power", "40", "openslide.objective-power", 40),
    ],
)
def test_objectives_stand_in_for_a_missing_pixel_size(key: str, text: str, source: str, power: float) -> None:
    resolution = read({key: text})
    assert resolution.statements[0].magnification == power
    assert (resolution.mpp, resolution.chosen_source) == (pytest.approx(10 / power), source)


def test_nothing_said_is_nothing_known() -> None:
    assert read({}) == Resolution(None, None, (), ())


def test_agreement_is_silent_and_the_vendors_tag_is_named() -> None:
    resolution = read(
        {
            "aperio.MPP": "0.4990",
            "openslide.mpp-x": "0.499",
            "openslide.mpp-y": "0.499",
            "aperio.AppMag": "20",
            "openslide.objective-power": "20",
        }
    )
    assert (resolution.mpp, resolution.chosen_source) == (0.499, "aperio.MPP")
    assert len(resolution.statements) == 4 and resolution.contradictions == ()


def test_magnification_against_pixel_size_is_one_sentence() -> None:
    resolution = read(
        {
            "aperio.MPP": "0.2325",
            "openslide.mpp-x": "0.2325",
            "openslide.mpp-y": "0.2325",
            "aperio.AppMag": "20",
            "openslide.objective-power": "20",
        }
    )
    assert resolution.mpp == 0.2325
    assert resolution.contradictions == (
        "aperio.AppMag says x20 (0.500 um/px) but aperio.MPP says 0.2325 um/px (x43)",
    )


@pytest.mark.parametrize(
    ("mpp", "silent"), [(0.2265, True), (0.29, True), (0.21, True), (0.2, False), (0.31, False)]
)
def test_nominal_lens_names_are_given_a_fifth(mpp: float, silent: bool) -> None:
    resolution = read({"aperio.MPP": str(mpp), "aperio.AppMag": "40"})
    assert (resolution.contradictions == ()) == silent


def test_two_pixel_sizes_that_differ_are_named_beyond_two_percent() -> None:
    tags = {"tiff.XResolution": "40000", "tiff.ResolutionUnit": "centimeter"}  # 0.25 um
    assert read({"aperio.MPP": "0.2540", **tags}).contradictions == ()
    assert read({"aperio.MPP": "0.2560", **tags}).contradictions == (
        "tiff.XResolution says 0.25 um/px (x40) but aperio.MPP says 0.256 um/px (x39.1)",
    )


def test_the_user_wins_and_the_contradictions_stay() -> None:
    resolution = read({"aperio.MPP": "0.25", "aperio.AppMag": "20"}, mpp=0.5)
    assert (resolution.mpp, resolution.chosen_source) == (0.5, "user")
    assert resolution.statements[0] == Statement("user", "0.5", 0.5, 0.5)
    assert resolution.contradictions == (
        "the user says 0.5 um/px (x20) but aperio.MPP says 0.25 um/px (x40)",
        "aperio.AppMag says x20 (0.500 um/px) but aperio.MPP says 0.25 um/px (x40)",
    )


@pytest.mark.parametrize("dpi", [72, 96, 150, 300])
def test_print_settings_are_listed_but_neither_used_nor_a_contradiction(dpi: int) -> None:
    resolution = read(
        {
            "tiff.XResolution": str(dpi),
            "tiff.ResolutionUnit": "inch",
            "openslide.mpp-x": str(25400 / dpi),
            "openslide.mpp-y": str(25400 / dpi),
        },
        mpp=0.25,
    )
    assert resolution.mpp == 0.25 and resolution.contradictions == ()
    assert [s.note for s in resolution.statements[1:]] == [f"{dpi} dpi, a screen or print setting"] * 2


def test_a_tag_without_unit_is_listed_but_not_used() -> None:
    resolution = read({"tiff.XResolution": "1", "tiff.ResolutionUnit": "none"})
    assert resolution.mpp is None and resolution.contradictions == ()
    assert resolution.statements[0].note == "without a unit"


@pytest.mark.parametrize(
    ("properties", "sentence"),
    [
        (
            {"aperio.MPP": "499"},
            "aperio.MPP says '499': outside 0.02 to 20 um/px, not a microscope; it is not used",
        ),
        (
            {"aperio.MPP": "0"},
            "aperio.MPP says '0': outside 0.02 to 20 um/px, not a microscope; it is not used",
        ),
        ({"aperio.MPP": "n/a"}, "aperio.MPP says 'n/a': not a number; it is not used"),
        ({"aperio.MPP": "nan"}, "aperio.MPP says 'nan': not a number; it is not used"),
        ({"aperio.AppMag": ""}, "aperio.AppMag says '': not a number; it is not used"),
        (
            {"aperio.AppMag": "9999"},
            "aperio.AppMag says '9999': outside x0.5 to x500, not a microscope; it is not used",
        ),
    ],
)
def test_impossible_statements_are_named(properties: dict[str, str], sentence: str) -> None:
    resolution = read(properties)
    assert resolution.mpp is None and resolution.contradictions == (sentence,)


def test_pixels_that_are_not_square_are_named_and_averaged() -> None:
    properties = {f"{SPACING}[0]": "0.00036", f"{SPACING}[1]": "0.00025"}
    resolution = read(properties)
    sentence = "dicom.PixelSpacing says that pixels are not square (0.25 x 0.36 um)"
    assert resolution.mpp == pytest.approx(0.3)  # sqrt(0.25 * 0.36)
    assert resolution.contradictions == (f"{sentence}; their mean, 0.3 um, is used",)
    assert read(properties, mpp=0.3).contradictions == (sentence,)


@pytest.mark.parametrize("mpp", [0.0, -0.25, 101.0, float("nan"), float("inf")])
def test_impossible_user_statements_are_refused(mpp: float) -> None:
    with pytest.raises(InputError, match="mpp: expected 0 < um/px <= 100, got"):
        reconcile([], mpp)
