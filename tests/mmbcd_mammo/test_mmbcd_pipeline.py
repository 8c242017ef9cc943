"""From a study folder to all results; patients' data stay out of logs, bad input leaves nothing behind."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import highdicom as hd
import numpy as np
import pydicom
import pytest
from PIL import Image
from toy_mammo import (
    STUDY_UID,
    TWO_BOXES,
    draw_breast,
    find_dicom_errors,
    make_boxes,
    make_network,
    write_boxes,
    write_study,
)

from common.errors import ConfigError, InputError, OutputError
from common.networks.card import WeightsCard
from mmbcd.calibration import Calibration, LevelCalibration, OperatingPoint, Scoring, write_calibration
from mmbcd.classifier import Mmbcd
from mmbcd.history_use import HistorySource
from mmbcd.inferer import MmbcdInferer
from mmbcd.pipeline import MammoPipeline, build_dataset
from mmbcd.regions import build_regions

BOTH = (("R", "CC"), ("L", "CC"))
SECRETS = ("Secret", "P-4711", "lump in the left breast", STUDY_UID)
FILES = {
    *("report.html", "result.json", "overview.png", "R_CC.png", "L_CC.png", "R_MLO.png", "L_MLO.png"),
    *("dicom/result_sr.dcm", "dicom/overview_sc.dcm"),
    *(f"dicom/{name}_gsps.dcm" for name in ("R_CC", "L_CC", "R_MLO", "L_MLO")),
}


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def uids_of(folder: Path) -> dict[str, str]:
    return {path.name: pydicom.dcmread(path).SOPInstanceUID for path in (folder / "dicom").iterdir()}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Mmbcd:
    network = make_network(tmp_path_factory.mktemp("text"))
    network.card = WeightsCard("toy", "1", "demonstration", "none", "ab" * 32)
    return network


class Run(NamedTuple):
    """result.json, the folder of results, and all lines of logs and warnings."""

    record: dict[str, Any]
    output: Path
    said: list[str]


class Listener(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Setup:
    """Pipelines over toy studies with given boxes."""

    def __init__(self, network: Mmbcd, folder: Path) -> None:
        self.network, self.folder, self.output = network, folder, folder / "out"

    def pipeline(
        self,
        study: Path,
        boxes: dict[str, Any] | None = None,
        calibration: Path | None = None,
        histories: HistorySource | None = None,
    ) -> MammoPipeline:
        given = write_boxes(self.folder / "boxes.json", make_boxes() if boxes is None else boxes)
        return MammoPipeline(
            build_dataset(study),
            self.network,
            build_regions(boxes=given),
            MmbcdInferer("torch"),
            histories or HistorySource(),
            Scoring(calibration),
            self.output,
        )

    def run(self, study: Path, **settings: Any) -> dict[str, Any]:
        self.pipeline(study, **settings).run()
        return json.loads((self.output / "result.json").read_text(encoding="utf-8"))


@pytest.fixture
def setup(network: Mmbcd, tmp_path: Path) -> Setup:
    return Setup(network, tmp_path)


def write_fit(path: Path, sha256: str = "ab" * 32) -> Path:
    point = OperatingPoint(0.01, "a rule", 0.9, 0.5)
    level = LevelCalibration("temperature", 2.0, operating_point=point, cases=9, malignant=3)
    levels = dict.fromkeys(("image", "breast", "study"), level)
    write_calibration(Calibration(levels, sha256, fitted_on="toys"), path)
    return path


@pytest.fixture(scope="module")
def whole(network: Mmbcd, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Four views with a history in the header, calibrated; with everything that was said on the way."""
    setup = Setup(network, tmp_path_factory.mktemp("whole"))
    study = write_study(setup.folder / "study", AdditionalPatientHistory="lump in the left breast")
    handler = Listener()
    logging.getLogger().addHandler(handler)
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.DEBUG)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        record = setup.run(study, calibration=write_fit(setup.folder / "c.json"))
    logging.getLogger().setLevel(level)
    logging.getLogger().removeHandler(handler)
    return Run(record, setup.output, [*handler.lines, *(str(one.message) for one in warned)])


def test_a_study_leaves_everything(whole: Run):
    result = whole.record
    assert files_of(whole.output) == FILES
    assert set(result["files"]) | {"report.html", "result.json"} == FILES
    assert [row["name"] for row in result["images"]] == ["R CC", "L CC", "R MLO", "L MLO"]
    assert (result["weights"]["name"], result["detector"]["name"]) == ("toy", "boxes of boxes.json")


def test_the_history_of_the_header_is_used_for_its_breast(whole: Run):
    history = whole.record["history"]
    assert (history["status"], history["length"]) == ("used", 23) and "0010,21B0" in history["source"]
    assert history["breasts"] == {"R": "missing", "L": "used"}


def test_scores_are_summed_up(whole: Run):
    left = next(row for row in whole.record["breasts"] if row["laterality"] == "L")
    views = [row["score"] for row in whole.record["images"] if row["laterality"] == "L"]
    assert left["score"] == max(views) and whole.record["study"]["score"] >= left["score"]
    assert left["history_change"] == pytest.approx(left["score"] - left["image_only_score"])


def test_patients_data_stay_out_of_logs_and_reports(whole: Run):
    assert any("operating point" in line for line in whole.said)
    assert not [line for line in whole.said for secret in SECRETS if secret in line]
    for name in ("report.html", "result.json"):
        text = (whole.output / name).read_text(encoding="utf-8")
        assert not [secret for secret in SECRETS[:3] if secret in text]


def test_regions_keep_their_places(whole: Run):
    """The boxes come back in pixels of the stored picture, by attention, with the detector's scores."""
    for row in whole.record["images"]:
        assert [region["rank"] for region in row["regions"]] == [1, 2]
        assert row["regions"][0]["attention"] >= row["regions"][1]["attention"]
        found = {(*region["box_px"], round(region["detector_score"], 3)) for region in row["regions"]}
        assert found == set(TWO_BOXES)


def test_the_report_has_regions_and_scores(whole: Run):
    report = hd.sr.srread(whole.output / "dicom" / "result_sr.dcm")
    regions = report.content.get_planar_roi_measurement_groups()
    assert len(regions) == 8 and report.StudyInstanceUID == STUDY_UID
    first = whole.record["images"][0]["regions"][0]
    x0, y0, x1, y1 = first["box_px"]
    np.testing.assert_allclose(regions[0].roi.value[[0, 2]], [[x0, y0], [x1, y1]])
    amounts = {m.name.meaning: m.value for m in regions[0].get_measurements()}
    assert amounts["Score of the detector"] == pytest.approx(first["detector_score"], abs=1e-4)
    groups = report.content.get_image_measurement_groups()
    assert [group.tracking_identifier for group in groups[:3]] == ["study", "R breast", "L breast"]
    amounts = {m.name.meaning: m.value for m in groups[0].get_measurements()}
    assert amounts["Probability of cancer"] == pytest.approx(
        100 * whole.record["study"]["probability"], abs=1e-3
    )
    words = " ".join(item.TextValue for item in report.ContentSequence if item.ValueType == "TEXT")
    assert "Demonstration weights, not for diagnosis." in words and "23 characters) was used" in words


def test_the_capture_is_the_overview(whole: Run):
    capture = pydicom.dcmread(whole.output / "dicom" / "overview_sc.dcm")
    shown = np.asarray(Image.open(whole.output / "overview.png").convert("RGB"))
    np.testing.assert_array_equal(capture.pixel_array, shown)


def test_dicom_outputs_belong_to_the_study(whole: Run):
    for path in (whole.output / "dicom").iterdir():
        written = pydicom.dcmread(path)
        assert written.StudyInstanceUID == STUDY_UID and written.PatientID == "P-4711"
        assert not find_dicom_errors(path)
        assert "not for diagnosis" in written.ManufacturerModelName


def test_calibration_gives_probabilities_and_calls(whole: Run):
    score = whole.record["study"]["score"]
    margin = np.log(score / (1 - score)) / 2
    assert whole.record["study"]["probability"] == pytest.approx(1 / (1 + np.exp(-margin)))
    assert whole.record["study"]["suspicious"] is True and whole.record["calibration"]["fitted_on"] == "toys"
    assert "Above the operating point" in (whole.output / "report.html").read_text(encoding="utf-8")


def test_the_same_again_has_the_same_uids(setup: Setup):
    study = write_study(setup.folder / "study", (("L", "CC"),))
    setup.run(study)
    first = uids_of(setup.output)
    setup.run(study)
    assert first == uids_of(setup.output)
    assert len(set(first.values())) == len(first) == 3


def test_a_given_history_changes_the_scores(setup: Setup):
    study = write_study(setup.folder / "study", BOTH)
    missing = setup.run(study)
    given = setup.run(study, histories=HistorySource("bilateral lumps", show_history=True))
    assert missing["history"]["status"] == "missing" and given["history"]["source"] == "given"
    assert given["study"]["score"] != missing["study"]["score"]
    for one, other in zip(missing["images"], given["images"], strict=True):
        assert one["image_only_score"] == pytest.approx(other["image_only_score"], abs=1e-6)
        assert one["history_change"] is None and other["history_change"] is not None
    assert given["history"]["text"] == "bilateral lumps"
    assert "bilateral lumps" in (setup.output / "report.html").read_text(encoding="utf-8")
    report = pydicom.dcmread(setup.output / "dicom" / "result_sr.dcm")
    assert "bilateral lumps" in [item.get("TextValue") for item in report.ContentSequence]


def test_a_view_without_regions_has_no_say(setup: Setup):
    boxes = make_boxes() | {"R_CC.dcm": []}
    result = setup.run(write_study(setup.folder / "study", (*BOTH, ("R", "MLO"))), boxes=boxes)
    right = result["images"][0]
    assert (right["score"], right["regions"]) == (None, []) and result["breasts"][0]["score"] is not None
    assert "R CC: no region was found" in (setup.output / "report.html").read_text(encoding="utf-8")


def test_no_region_at_all_is_a_result_that_says_so(setup: Setup):
    result = setup.run(write_study(setup.folder / "study", BOTH), boxes=dict.fromkeys(make_boxes(), ()))
    assert result["study"]["score"] is None
    assert files_of(setup.output) == {name for name in FILES if "MLO" not in name}
    page = (setup.output / "report.html").read_text(encoding="utf-8")
    assert "No result: no region was found in any view" in page
    assert not find_dicom_errors(setup.output / "dicom" / "result_sr.dcm")


def test_one_view_is_a_study(setup: Setup):
    result = setup.run(write_study(setup.folder / "study", (("L", "MLO"),)))
    assert [row["laterality"] for row in result["breasts"]] == ["L"]
    assert "There is no picture of the right breast" in (setup.output / "report.html").read_text("utf-8")


def test_pictures_have_no_dicom_outputs(setup: Setup):
    (setup.folder / "study").mkdir()
    Image.fromarray((draw_breast("L") // 16).astype(np.uint8)).save(setup.folder / "study" / "L_CC.png")
    (setup.folder / "study" / "L_CC.json").write_text('{"laterality": "L", "view": "CC", "history": "lump"}')
    result = setup.run(setup.folder / "study", boxes={"L_CC.png": TWO_BOXES})
    assert result["source"]["format"] == "pictures" and result["history"]["status"] == "used"
    assert not (setup.output / "dicom").exists() and (setup.output / "L_CC.png").is_file()


def test_a_folder_of_studies(setup: Setup):
    for number in range(2):
        uid = {"StudyInstanceUID": f"1.2.{number}", "PatientID": f"Q-{number}"}
        write_study(setup.folder / "all" / f"s{number}", (("L", "CC"),), **uid)
    pipeline = setup.pipeline(setup.folder / "all")
    files = pipeline.run()
    assert files[-1].name == "summary.json"
    assert {path.name for path in setup.output.iterdir()} == {"s0", "s1", "summary.json"}
    with pytest.raises(ConfigError, match="clinical_history: expected one study for the history"):
        setup.pipeline(setup.folder / "all", histories=HistorySource("lump")).run()


def test_bad_input_leaves_nothing(setup: Setup, tmp_path: Path):
    with pytest.raises(InputError, match="R_CC.dcm: expected boxes inside its 64x96 pixels, got 1 not in it"):
        boxes = make_boxes() | {"R_CC.dcm": [(200.0, 5.0, 210.0, 15.0, 0.5)]}
        setup.pipeline(write_study(tmp_path / "study"), boxes=boxes).run()
    assert not setup.output.exists()


def test_a_refusal_while_writing_leaves_nothing(setup: Setup, monkeypatch: pytest.MonkeyPatch):
    """The pictures are drawn already when the DICOM objects are refused."""

    def refuse(*_: object) -> None:
        raise InputError("headers that DICOM objects cannot follow")

    monkeypatch.setattr("mmbcd.results.write_dicom", refuse)
    with pytest.raises(InputError, match="headers that DICOM objects cannot follow"):
        setup.run(write_study(setup.folder / "study", BOTH))
    assert files_of(setup.output) == set()


def test_two_studies_are_never_mixed_in_one_folder(setup: Setup):
    setup.run(write_study(setup.folder / "study"))
    (setup.output / "notes.txt").write_text("of the site")
    assert files_of(setup.output) == FILES | {"notes.txt"}
    setup.run(write_study(setup.folder / "other", BOTH))
    assert files_of(setup.output) == {name for name in FILES if "MLO" not in name} | {"notes.txt"}


def test_only_files_of_the_folder_are_removed(setup: Setup):
    setup.output.mkdir()
    (setup.folder / "kept").touch()
    (setup.output / "result.json").write_text('{"files": ["../kept"]}')
    setup.run(write_study(setup.folder / "study", BOTH))
    assert (setup.folder / "kept").is_file()


def test_an_output_that_cannot_be_written_is_refused(setup: Setup):
    setup.output.touch()
    with pytest.raises(OutputError, match="out: expected a writable folder, got"):
        setup.run(write_study(setup.folder / "study", BOTH))


def test_two_patients_in_one_folder_are_refused(setup: Setup, tmp_path: Path):
    study = write_study(tmp_path / "study", (("L", "CC"),))
    write_study(study, (("R", "CC"),), PatientID="other", StudyInstanceUID="1.2.9")
    with pytest.raises(InputError, match="study: expected one patient in a folder, got 2"):
        setup.pipeline(study).run()
    assert not setup.output.exists()


def test_settings_that_contradict_are_refused(setup: Setup, tmp_path: Path):
    study = write_study(tmp_path / "study")
    setup.output = study / "results"
    with pytest.raises(ConfigError, match="output_dir: expected a folder outside the input"):
        setup.pipeline(study).run()
    with pytest.raises(
        ConfigError, match="expected one fitted for the weights abababab, got one for cdcdcdcd"
    ):
        setup.pipeline(study, calibration=write_fit(tmp_path / "c.json", "cd" * 32))
    with pytest.raises(ConfigError, match="regions: expected detector_weights or boxes, got neither"):
        build_regions()


def test_the_dataset_names_its_studies(tmp_path: Path):
    dataset = build_dataset(write_study(tmp_path / "study"))
    assert len(dataset) == 1 and [row["name"] for row in dataset] == ["study"]
