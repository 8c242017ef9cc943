"""The class map as DICOM SEG: its pixels lie on the glass where the slide's own pixels of that class lie."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from dicom_checks import find_errors, needs_dciodvfy
from phantoms.slide_dicom import write_dicom_slide
from pydicom.dataset import Dataset

from common.errors import InputError
from common.io.slide_dicom import lies_on_slide, read_slide_header
from common.report import slide_seg
from common.report.provenance import Algorithm
from common.report.slide_seg import build_slide_class, write_slide_seg

METHOD = Algorithm("WSI", "1.0", "ab" * 32, "toy")
CELL_PX, MPP = 16, 0.5
COLORS = ((200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 90, 90))
CLASSES = [
    build_slide_class("adipose", COLORS[0], ("SCT", "55603005", "Adipose tissue")),
    build_slide_class("background", COLORS[1], None),
    build_slide_class("debris", COLORS[2], ("SCT", "257159000", "Debris")),
    build_slide_class("mucus", COLORS[3], ("SCT", "91720002", "Body substance")),
]
ORIENTATIONS = {
    "usual": ((0, -1, 0, -1, 0, 0), (20.0, 40.0)),
    "plain": ((1, 0, 0, 0, 1, 0), (3.25, 1.5)),
    "turned": ((0.6, 0.8, 0, -0.8, 0.6, 0), (11.0, 7.0)),
}


def draw_labels() -> np.ndarray:
    """(21, 33) without any symmetry; class 3 is empty, much was not read."""
    labels = np.full((21, 33), -1, np.int16)
    labels[2:9, 3:20], labels[5, 7:9], labels[15:, 25:28] = 0, 2, 1
    labels[20, 0] = 2
    return labels


def paint(labels: np.ndarray) -> np.ndarray:
    """A slide whose pixels have the colour of their cell's class, cut off within the last cells."""
    colors = np.array([*COLORS, (250, 250, 250)], np.uint8)[labels]
    return colors.repeat(CELL_PX, 0).repeat(CELL_PX, 1)[:-4, :-8]


def write_seg(folder: Path, labels: np.ndarray, orientation: str = "usual", cell_px: float = CELL_PX) -> Path:
    turn, origin = ORIENTATIONS[orientation]
    write_dicom_slide(folder / "slide", paint(draw_labels()), MPP, orientation=turn, origin_mm=origin)
    header = read_slide_header(folder / "slide")
    write_slide_seg(labels, CLASSES, header, cell_px, METHOD, folder / "seg.dcm")
    return folder / "seg.dcm"


def to_mm(header: Dataset, spacing: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(n, 3) of places in pixels, counted from the matrix's corner."""
    cosines = np.array(header.ImageOrientationSlide, float)
    origin = header.TotalPixelMatrixOriginSequence[0]
    start = [getattr(origin, f"{axis}OffsetInSlideCoordinateSystem") for axis in "XYZ"]
    along = columns[:, None] * spacing[1] * cosines[:3] + rows[:, None] * spacing[0] * cosines[3:]
    return np.array(start, float) + along


def spacing_of(header: Dataset) -> np.ndarray:
    measures = header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    return np.array(measures.PixelSpacing, float)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("level", [0, 1])
def test_segments_lie_where_the_slide_has_their_colour(tmp_path: Path, orientation: str, level: int):
    """From the SEG's own attributes to the glass, from there by the level's own attributes to its pixels."""
    seg = pydicom.dcmread(write_seg(tmp_path, draw_labels(), orientation))
    image = pydicom.dcmread(tmp_path / "slide" / f"level_{level}.dcm")
    tiles = image.pixel_array.reshape(-1, 256, 256, 3)
    across = -(-image.TotalPixelMatrixColumns // 256)
    axes = np.array(image.ImageOrientationSlide, float).reshape(2, 3)
    found = np.zeros(len(CLASSES), int)
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    for frame, group in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        place = group.PlanePositionSlideSequence[0]
        rows, columns = np.nonzero(frame)
        rows = rows + place.RowPositionInTotalImagePixelMatrix - 1 + 0.5
        columns = columns + place.ColumnPositionInTotalImagePixelMatrix - 1 + 0.5
        glass = to_mm(seg, spacing_of(seg), rows, columns) - to_mm(
            image, spacing_of(image), *np.zeros((2, 1))
        )
        x, y = ((glass @ axes.T) / spacing_of(image)[::-1]).T.astype(int)
        shown = tiles[y // 256 * across + x // 256, y % 256, x % 256]
        np.testing.assert_array_equal(shown, np.tile(COLORS[number - 1], (len(x), 1)))
        found[number - 1] += len(x)
    assert found.tolist() == [int((draw_labels() == n).sum()) for n in range(4)]


def test_highdicom_reads_the_same_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(slide_seg, "TILE_CELLS", 8)  # 3 x 5 tiles, the last ones filled up
    seg = hd.seg.segread(write_seg(tmp_path, draw_labels()))
    matrix = seg.get_total_pixel_matrix(combine_segments=True)
    np.testing.assert_array_equal(matrix.astype(int) - 1, draw_labels())
    assert (seg.TotalPixelMatrixRows, seg.TotalPixelMatrixColumns, seg.Rows) == (21, 33, 8)


def test_the_grid_is_that_of_the_map(tmp_path: Path):
    seg = pydicom.dcmread(write_seg(tmp_path, draw_labels(), cell_px=224.375))
    header = pydicom.dcmread(tmp_path / "slide" / "level_0.dcm")
    np.testing.assert_allclose(spacing_of(seg), 224.375 * MPP / 1000, rtol=1e-9)
    for keyword in ("FrameOfReferenceUID", "StudyInstanceUID", "PatientID", "ContainerIdentifier"):
        assert seg[keyword].value == header[keyword].value
    assert seg.ImageOrientationSlide == header.ImageOrientationSlide
    reference = seg.ReferencedSeriesSequence[0]
    assert reference.SeriesInstanceUID == header.SeriesInstanceUID
    assert reference.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == header.SOPInstanceUID
    assert (seg.SegmentationType, seg.SegmentsOverlap, seg.SeriesNumber) == ("BINARY", "NO", 9000)


def test_segments_are_coded(tmp_path: Path):
    seg = pydicom.dcmread(write_seg(tmp_path, draw_labels()))
    rows = [
        (
            one.SegmentLabel,
            one.SegmentedPropertyTypeCodeSequence[0].CodeValue,
            one.SegmentedPropertyCategoryCodeSequence[0].CodeMeaning,
        )
        for one in seg.SegmentSequence
    ]
    assert rows == [
        ("adipose", "55603005", "Tissue"),
        ("background", "background", "Spatial and Relational Concept"),
        ("debris", "257159000", "Tissue"),
        ("mucus", "91720002", "Tissue"),
    ]
    assert seg.SegmentSequence[1].SegmentedPropertyTypeCodeSequence[0].CodingSchemeDesignator == "99CMB"
    assert seg.SegmentSequence[3].SegmentDescription == "automatic; nothing was found"


def test_an_empty_map_is_a_valid_object(tmp_path: Path):
    path = write_seg(tmp_path, np.full((21, 33), -1, np.int16))
    seg = pydicom.dcmread(path)
    assert (seg.NumberOfFrames, seg.pixel_array.sum()) == (4, 0)
    assert seg.ContentDescription == "Automatic class map: nothing was classified"


def test_uids_follow_from_the_content(tmp_path: Path):
    labels = draw_labels()
    uids = [pydicom.dcmread(write_seg(tmp_path, labels)).SOPInstanceUID for _ in range(2)]
    changed = labels.copy()
    changed[0, 0] = 1
    others = [(changed, CELL_PX), (labels, 17.0), (labels.reshape(33, 21), CELL_PX)]
    uids += [pydicom.dcmread(write_seg(tmp_path, map_, cell_px=cell)).SOPInstanceUID for map_, cell in others]
    assert uids[0] == uids[1] and len(set(uids)) == 4


@needs_dciodvfy
@pytest.mark.parametrize("empty", [False, True])
def test_an_independent_validator_finds_no_error(tmp_path: Path, empty: bool):
    labels = draw_labels() if not empty else np.full((21, 33), -1, np.int16)
    assert find_errors(write_seg(tmp_path, labels)) == []
    assert find_errors(tmp_path / "slide" / "level_0.dcm") == []


def test_labels_without_a_class_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="class map: expected labels below 4, got 4: name all classes"):
        write_seg(tmp_path, draw_labels() + 2)


def test_a_header_that_cannot_be_built_upon_is_refused(tmp_path: Path):
    write_dicom_slide(tmp_path, paint(draw_labels()), tags={"TotalPixelMatrixOriginSequence": None})
    header = read_slide_header(tmp_path)
    assert not lies_on_slide(header)
    with pytest.raises(InputError, match="class map: expected headers that a DICOM SEG can follow, got"):
        write_slide_seg(draw_labels(), CLASSES, header, CELL_PX, METHOD, tmp_path / "seg.dcm")
    assert not (tmp_path / "seg.dcm").exists()
