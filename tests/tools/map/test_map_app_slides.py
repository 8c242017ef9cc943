"""Whole slides through the application: DICOM with the tiles that scanners write, and TIFF."""

from __future__ import annotations

import json

import cv2
import numpy as np
import openslide
import pydicom
import pytest
import tifffile
from phantoms.slide_dicom import write_dicom_slide
from pydicom.uid import JPEG2000, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit
from run_case import run_case
from toy_map import ROOT
from toy_slides import SETTINGS, draw_slide, write_classifier

WSI = ROOT / "bundles" / "wsi_scale_selector"
WORST = {JPEG2000Lossless: 0.0, JPEGBaseline8Bit: 3.0, JPEG2000: 3.0}
"""Transfer syntax -> mean difference of pixels that is accepted, grey levels of 255."""


def draw_smooth():
    """Colours without noise, which no lossy coder keeps."""
    return cv2.GaussianBlur(draw_slide(), (0, 0), 3)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run a slide in one transfer syntax: folder of the input, folder of the output."""
    classifier = write_classifier(tmp_path_factory.mktemp("toy") / "classifier")

    def run_one(transfer_syntax=None, **more):
        folder = tmp_path_factory.mktemp("slide")
        if transfer_syntax is None:
            (folder / "in" / "series").mkdir(parents=True)
            tifffile.imwrite(folder / "in" / "series" / "slide.tif", draw_smooth(), tile=(256, 256))
        else:
            write_dicom_slide(folder / "in" / "series", draw_smooth(), 0.5, transfer_syntax=transfer_syntax)
        settings = SETTINGS | {"classifier": str(classifier), "points": 3, "stride_px": 64} | more
        found = run_case(WSI, folder / "in", folder / "out", settings)
        assert found.exit_code == 0, found.message
        return folder / "in" / "series", folder / "out"

    return run_one


@pytest.fixture(scope="module")
def plain(run):
    return run(ExplicitVRLittleEndian)


def read_labels(output):
    """Number of cells of each class in the GeoJSON, and the frames of the SEG."""
    areas = {}
    for feature in json.loads(next(output.glob("*.geojson")).read_text())["features"]:
        name = feature["properties"]["classification"]["name"]
        areas[name] = areas.get(name, 0) + feature["properties"]["measurements"]["Cells"]
    return areas, pydicom.dcmread(output / "dicom" / "class_map_seg.dcm").PixelData


@pytest.mark.parametrize("transfer_syntax", WORST)
def test_compressed_tiles_are_read_as_what_was_drawn(run, plain, transfer_syntax):
    source, output = run(transfer_syntax)
    header = pydicom.dcmread(source / "level_0.dcm", stop_before_pixels=True)
    assert header.file_meta.TransferSyntaxUID == transfer_syntax
    with openslide.OpenSlide(source / "level_0.dcm") as slide:
        pixels = np.asarray(slide.read_region((0, 0), 0, slide.dimensions))[..., :3]
    drawn = draw_smooth()
    assert np.abs(pixels.astype(int) - drawn).mean() <= WORST[transfer_syntax]
    seg = pydicom.dcmread(output / "dicom" / "class_map_seg.dcm")
    assert seg.StudyInstanceUID == header.StudyInstanceUID
    assert seg.FrameOfReferenceUID == header.FrameOfReferenceUID
    report = pydicom.dcmread(output / "dicom" / "scale_sr.dcm")
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    named = {
        one.ReferencedSOPInstanceUID
        for row in study.ReferencedSeriesSequence
        for one in row.ReferencedSOPSequence
    }
    assert header.SOPInstanceUID in named
    if transfer_syntax == JPEG2000Lossless:
        assert read_labels(output) == read_labels(plain[1])
        assert read_labels(output)[0]


def test_a_tiff_gets_geojson_and_ome_tiff_and_no_dicom(run):
    _, output = run(mpp=0.5)
    names = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    assert {"scale.json", "run.json"} <= names and not [name for name in names if name.endswith(".dcm")]
    (picture,) = output.glob("*.ome.tif")
    assert tifffile.imread(picture).max() > 0
    (outlines,) = output.glob("*.geojson")
    assert json.loads(outlines.read_text())["features"]
