"""What the phantoms' tables promise: neither picture nor text is enough, both together are better."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from phantoms.mammo_bayes import Evidence, area, breasts
from phantoms.mammo_history import write_history
from phantoms.mammo_tables import (
    APPEARANCES,
    COMPLAINTS,
    CONDITIONS,
    GENERAL,
    NAMED,
    Case,
    complaints,
    conditions,
    draw_case,
)

from common.errors import ConfigError


def drawn(count: int) -> list[tuple[Case, str | None]]:
    found = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        case = draw_case(rng)
        found.append((case, write_history(rng, case, np.array([0.5, 0.3, 0.3]))))
    return found


def test_every_table_sums_to_one():
    tables = [CONDITIONS, NAMED, *APPEARANCES.values(), *(complaints(name) for name in CONDITIONS)]
    for table in (*tables, conditions(0.1)):
        assert sum(table.values()) == pytest.approx(1)
    assert set(APPEARANCES) == set(CONDITIONS)
    assert set(GENERAL) < set(COMPLAINTS)
    assert conditions(0.1)["cancer"] == 0.1


def test_a_share_outside_0_to_1_is_refused():
    with pytest.raises(ConfigError, match=r"malignant: expected a share 0..1, got 1.5: 0.4 is usual"):
        conditions(1.5)


def test_area_of_a_hand_worked_reader():
    """One of two looks, seen in 3 of 4 cancers and 1 of 4 others: 0.75 * 0.75 + half of the ties."""
    cases = [
        Evidence(0.375, True, "mass", "", ""),
        Evidence(0.125, True, "nothing", "", ""),
        Evidence(0.125, False, "mass", "", ""),
        Evidence(0.375, False, "nothing", "", ""),
    ]
    ties = 0.75 * 0.25 + 0.25 * 0.75
    assert area(cases, lambda case: case.look) == pytest.approx(0.75 * 0.75 + ties / 2)
    assert area(cases, lambda case: case.complaint) == pytest.approx(0.5)


def test_best_readers_are_as_the_docstring_says():
    cases = list(breasts())
    assert sum(case.share for case in cases) == pytest.approx(1)
    assert sum(case.share for case in cases if case.malignant) == pytest.approx(CONDITIONS["cancer"] / 2)
    found = [
        area(cases, seen)
        for seen in (
            lambda case: case.look,
            lambda case: (case.complaint, case.named),
            lambda case: case.complaint,
            lambda case: (case.look, case.complaint, case.named),
        )
    ]
    assert found == pytest.approx([0.893, 0.826, 0.688, 0.950], abs=5e-4)


def test_cases_are_drawn_as_the_tables_say():
    cases = [case for case, _ in drawn(1600)]
    count = Counter(case.condition for case in cases)
    for condition, share in CONDITIONS.items():
        assert count[condition] / len(cases) == pytest.approx(share, abs=0.04)
    ill = [case for case in cases if case.condition == "cancer"]
    looks = Counter(case.looks[case.side] for case in ill)
    assert looks["spiculated"] / len(ill) == pytest.approx(APPEARANCES["cancer"]["spiculated"], abs=0.06)
    written = Counter(case.complaint for case in ill)
    assert written["hard lump"] / len(ill) == pytest.approx(COMPLAINTS["hard lump"]["cancer"], abs=0.05)
    assert all(case.is_malignant(case.side) for case in ill)
    assert not any(case.is_malignant("L" if case.side == "R" else "R") for case in ill)


def test_histories_have_the_lengths_of_the_paper():
    texts = [text for _, text in drawn(1200) if text is not None]
    words = [len(text.split()) for text in texts]
    assert min(words) == 1
    assert 30 < max(words) <= 45
    assert 7 <= np.mean(words) <= 9
    assert len(set(texts)) > 0.5 * len(texts)


def test_histories_name_the_side_of_the_case():
    right, left = re.compile(r"\b(right|rt)\b", re.I), re.compile(r"\b(left|lt)\b", re.I)
    for case, text in drawn(400):
        if case.complaint == "missing":
            assert text is None
        elif case.named in ("index", "other"):
            named = case.side if case.named == "index" else {"R": "L", "L": "R"}[case.side]
            assert bool(right.search(text)) == (named == "R")
            assert bool(left.search(text)) == (named == "L")
        else:
            assert not right.search(text) and not left.search(text)


def test_quadrant_of_the_finding_is_often_named():
    case = Case("cancer", "L", {}, {}, "lump", "index")
    names = {(0.9, 0.3, 0.3): "retroareolar", (0.5, 0.4, -0.3): "lower outer", (0.5, 0.0, 0.3): "12 o'clock"}
    names |= {(0.5, -0.4, 0.3): "upper inner", (0.5, 0.05, -0.3): "6 o'clock"}
    for place, name in names.items():
        texts = [write_history(np.random.default_rng(s), case, np.array(place)) for s in range(150)]
        places = [
            text for text in texts if text and ("palpable" in text.lower() or "nodularity" in text.lower())
        ]
        assert 0.5 < np.mean([name in text for text in places]) < 0.95
