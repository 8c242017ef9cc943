"""Masking of relevant words: which, how many, by what, and that the tokenizer understands it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import ConfigError, InputError
from common.networks.text_encoders import build_text_encoder
from common.networks.text_folders import write_tiny_folder
from mmbcd.masking import HistoryMask

HISTORIES = ["Lump in the left breast", "Screening", "lump with pain", "Known carcinoma, lump"]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_words_are_replaced_not_deleted() -> None:
    mask = HistoryMask(["lump pain"], "<mask>", rate=1.0)
    assert mask("LUMP, no pain; lumps stay", rng()) == "<mask>, no <mask>; lumps stay"


def test_a_rate_of_zero_leaves_all() -> None:
    assert HistoryMask(["lump"], "<mask>", rate=0.0)("lump lump", rng()) == "lump lump"


def test_the_rate_is_a_share_of_occurrences_and_the_generator_decides() -> None:
    mask, text = HistoryMask(["lump"], "<mask>"), "lump " * 5000
    one, two, other = (mask(text, rng(seed)) for seed in (0, 0, 1))
    assert one == two != other
    assert one.count("<mask>") / 5000 == pytest.approx(0.2, abs=0.02)
    assert len(one.split()) == 5000


def test_it_is_fitted_on_the_histories_that_it_is_given() -> None:
    mask = HistoryMask(HISTORIES, "[MASK]", count=2)
    assert mask.words == ("lump", "screening")
    assert mask("a new lump, first screening, mass", rng(0)).count("[MASK]") <= 2
    assert HistoryMask(HISTORIES, "[MASK]", count=0).words == ()


def test_the_tokenizer_reads_one_mask_token(tmp_path: Path) -> None:
    write_tiny_folder(tmp_path, HISTORIES * 3)
    encoder = build_text_encoder(tmp_path, "tiny")
    masked = HistoryMask(["lump"], encoder.mask_token, rate=1.0)("left lump seen", rng())
    assert (encoder.tokenize([masked])["input_ids"] == encoder.mask_token_id).sum() == 1


def test_a_rate_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="mask_rate: expected 0 to 1, got 1.5: the paper has 0.2"):
        HistoryMask(["lump"], "<mask>", rate=1.5)


def test_histories_without_words_are_refused() -> None:
    with pytest.raises(InputError, match="expected histories to find words to mask, got 2 without a word"):
        HistoryMask(["12", ""], "<mask>")
