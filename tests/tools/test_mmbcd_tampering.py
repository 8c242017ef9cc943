"""Histories that were tampered with, and what the table says of scores whose answer is known."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
import torch
from experiment.mmbcd_histories import (
    IRRELEVANT,
    LANGUAGES,
    TAMPERS,
    digress,
    swap_sides,
    translate,
    translate_text,
)
from experiment.mmbcd_tampering import build_evaluator, main, make_rows, parse, read_settings
from phantoms.mammo_history import EXTRAS, OPENINGS, PHRASES
from toy_mammo_training import OPTIONS, draw_datalist

from common.errors import ConfigError, InputError
from common.networks.card import WeightsCard
from common.training.datalist import hash_patient
from mmbcd.case_scores import CaseScore
from mmbcd.datalist import Entry, Header
from mmbcd.laterality import history_for_breast, named_sides
from mmbcd.network import build_mmbcd
from mmbcd.weights import save_weights


def entries_of(*histories: str | None) -> list[Entry]:
    header = Header("toy", "none", "synthetic")
    return [
        Entry(header, Path(f"{number}{side}.png"), str(number), "s", side, "CC", False, history=text)
        for number, text in enumerate(histories)
        for side in "LR"
    ]


def test_sides_are_swapped_and_nothing_else():
    swapped = swap_sides(entries_of("Left lump, Rt breast pain since Right mastectomy", None), 0)
    assert swapped[0].history == "Right lump, Lt breast pain since Left mastectomy"
    assert swapped[2].history is None
    again = swap_sides(swapped, 0)
    assert again[0].history == "Left lump, Rt breast pain since Right mastectomy"


def test_both_breasts_of_a_study_get_the_same_history_of_other_organs():
    entries = entries_of("lump", "pain", None, "screening", "discharge")
    changed = digress(entries, 1)
    assert all(left.history == right.history for left, right in zip(changed[::2], changed[1::2], strict=True))
    assert {entry.history for entry in changed} <= {*IRRELEVANT, None}
    assert changed[4].history is None
    assert digress(entries, 1) == changed
    for text in IRRELEVANT:
        assert not named_sides(text)
        assert history_for_breast(text, "L") == text


def test_the_longest_phrase_is_translated_and_unknown_words_stay():
    text = "C/o painless Hard lump left breast for 3 months, fibromatosis."
    assert translate_text(text, "Spanish") == (
        "refiere indoloro nódulo duro mama izquierda durante 3 meses, fibromatosis."
    )
    assert translate_text("paining lumpy", "Spanish") == "paining lumpy"
    (entry, _) = translate("Hindi", entries_of("screening"), 0)
    assert entry.history == "जांच"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_glossary_knows_what_the_phantoms_say(language):
    """Nine of ten words of the templates are translated."""
    slots = {"side": "left breast", "where": "upper outer quadrant", "since": "since 2 months"}
    texts = [p.format(**slots) for phrases in PHRASES.values() for p in phrases] + [*OPENINGS, *EXTRAS]
    kept, total = 0, 0
    for text in texts:
        words = set(re.findall(r"[a-z]{3,}", text.lower()))
        total += len(words)
        kept += len(words & set(re.findall(r"[a-z]{3,}", translate_text(text, language).lower())))
    assert kept / total < 0.1


def case(name: str, score: float, alone: float, malignant: bool) -> CaseScore:
    return CaseScore(name, name, "s", "L", "", malignant, score, alone, 3, True, None, None, None)


def test_rows_of_hand_worked_scores():
    """Own: all right. Shuffled: of four pairs one is wrong. Alone: all level."""
    truth = {"a": True, "b": True, "c": False, "d": False}
    own = dict(zip(truth, (0.9, 0.8, 0.2, 0.1), strict=True))
    shuffled = own | {"b": 0.15}
    found = {
        name: [case(key, value, 0.5, truth[key]) for key, value in scores.items()]
        for name, scores in (("own", own), ("shuffled", shuffled))
    }
    first, second, third = make_rows(found, 50, 0)
    assert (first["histories"], first["AUC"], first["less than own"]) == ("own", 1.0, None)
    assert (second["AUC"], second["less than own"]) == (0.75, 0.25)
    assert second["mean change of score"] == pytest.approx(0.65 / 4)
    assert second["AUC, 95 %"].endswith(" to 1.000")
    assert (third["histories"], third["AUC"]) == ("picture alone", 0.5)
    assert third["mean change of score"] == pytest.approx((0.4 + 0.3 + 0.3 + 0.4) / 4)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command line for weights that were never trained."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tampering")
    path = draw_datalist(folder / "data")
    network = build_mmbcd(text_folder=path.parent / "text", vision="tiny", text="tiny", rois=3, **OPTIONS)
    notes = {"training_patients": [hash_patient("training0")]}
    card = WeightsCard("toy", "1", "demonstration", "generated")
    save_weights(network, folder / "mmbcd.safetensors", card, notes=notes)
    settings = {"boxes": path.parent / "boxes.json", "text_folder": path.parent / "text", "rois": 3}
    settings |= {"bootstrap": 20, "engine": "torch", "precision": "fp32", "cache_dir": folder / "regions"}
    given = ["--datalist", str(path), "--weights", str(folder / "mmbcd.safetensors")]
    return [*given, *(f"{key}={value}" for key, value in settings.items())]


def test_every_kind_of_history_has_a_row_and_own_is_the_evaluation(words, tmp_path, capsys):
    main([*words[:4], "--output", str(tmp_path), *words[4:]])
    lines = (tmp_path / "tampering.md").read_text().splitlines()
    assert capsys.readouterr().out.splitlines() == lines
    assert lines[-1] == "24 images, weights toy (demonstration)."
    with (tmp_path / "tampering.csv").open(newline="") as file:
        rows = {row["histories"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["own", "missing", "shuffled", *TAMPERS, "picture alone"]
    breasts = build_evaluator(parse([*words[:4], "--output", str(tmp_path), *words[4:]])).run()["levels"][
        "breast"
    ]
    assert float(rows["own"]["AUC"]) == pytest.approx(breasts["auc"][0])
    assert float(rows["picture alone"]["AUC"]) == pytest.approx(breasts["auc_image_only"][0])
    assert float(rows["missing"]["mean change of score"]) > 0


def test_training_patients_are_refused(words, tmp_path):
    with pytest.raises(InputError, match="expected patients that toy was not trained on, got 1"):
        main([*words[:4], "--output", str(tmp_path), *words[4:], "part=training"])


def test_refusals(words, tmp_path):
    for pair in ("boxes", "colour=red"):
        with pytest.raises(ConfigError, match=f"settings: expected KEY=VALUE of evaluate.json, got '{pair}'"):
            read_settings([pair], {"boxes": None})
    assert read_settings(["boxes=null"], {"boxes": 1}) == {"boxes": None}
    with pytest.raises(ConfigError, match="part: expected one of"):
        build_evaluator(parse([*words[:4], "--output", str(tmp_path), *words[4:], "part=none"]))
