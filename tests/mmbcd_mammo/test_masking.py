"""Masking of relevant words: which, how many, by what, and that the tokenizer understands it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from common.errors import ConfigError, InputError
from common.networks.text_encoders import build_text_encoder
from common.networks.text_folders import write_tiny_folder
from mmbcd.masking import WordMasker, fit_masker
from mmbcd.options import find_options

HISTORIES = ["Lump in the left breast", "Screening", "lump with pain", "", "Known carcinoma, lump"]


def test_words_are_replaced_not_deleted() -> None:
    masker = WordMasker(("lump", "pain"), 1.0, "<mask>")
    assert masker("LUMP, no pain; lumps stay") == "<mask>, no <mask>; lumps stay"


def test_a_rate_of_zero_leaves_all() -> None:
    masker = WordMasker(("lump",), 0.0, "<mask>")
    assert masker("lump lump") == "lump lump"


def test_the_rate_is_a_share_of_occurrences_and_the_generator_decides() -> None:
    masker = WordMasker(("lump",), 0.2, "<mask>")
    text = "lump " * 5000
    one, two, other = (masker(text, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert one == two != other
    assert one.count("<mask>") / 5000 == pytest.approx(0.2, abs=0.02)
    assert len(one.split()) == 5000


def test_it_is_fitted_on_the_histories_that_it_is_given() -> None:
    masker = fit_masker(HISTORIES, find_options(given={"mask_words": 2}), "[MASK]")
    assert masker.words == ("lump", "screening")
    assert masker.rate == 0.2 and masker.token == "[MASK]"


def test_the_tokenizer_reads_one_mask_token(tmp_path: Path) -> None:
    write_tiny_folder(tmp_path, HISTORIES * 3)
    encoder = build_text_encoder(tmp_path, "tiny")
    masked = WordMasker(("lump",), 1.0, encoder.mask_token)("left lump seen")
    assert (encoder.tokenize([masked])["input_ids"] == encoder.mask_token_id).sum() == 1


def test_a_rate_out_of_range_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"mask_rate: expected a number from 0 to 1 \(paper: 0.2\), got 1.5"
    ):
        WordMasker((), 1.5, "<mask>")


def test_histories_without_words_are_refused_where_words_are_to_be_masked() -> None:
    with pytest.raises(InputError, match="expected histories to find words to mask, got 1 of 2 with text"):
        fit_masker(["12", ""], find_options(), "<mask>")
    assert fit_masker([""], find_options(given={"mask_rate": 0.0}), "<mask>").words == ()
