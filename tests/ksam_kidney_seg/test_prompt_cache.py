"""Features on disk are found again, never when they are stale or damaged; memory keeps its limit."""

import os
from pathlib import Path

import pytest
import torch
from torch import nn
from toy_prompts import toy_template

from ksam import prompt_cache
from ksam.prompt_cache import FeatureFiles, RecentStore, count_bytes, hash_settings, hash_weights

EMBEDDING = torch.arange(8.0).reshape(1, 2, 2, 2)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    files, template = FeatureFiles(tmp_path, "key"), toy_template()
    assert files.read(template) is None
    files.write(template, EMBEDDING)
    torch.testing.assert_close(FeatureFiles(tmp_path, "key").read(toy_template()), EMBEDDING)


def test_another_key_or_another_picture_is_not_found(tmp_path: Path) -> None:
    FeatureFiles(tmp_path, "key").write(toy_template(), EMBEDDING)
    assert FeatureFiles(tmp_path, "other").read(toy_template()) is None
    assert FeatureFiles(tmp_path, "key").read(toy_template(dark_hu=-154)) is None


def test_a_damaged_file_is_computed_again(tmp_path: Path) -> None:
    files, template = FeatureFiles(tmp_path, "key"), toy_template()
    files.write(template, EMBEDDING)
    path = next((tmp_path / "cache").iterdir())
    path.write_bytes(path.read_bytes()[:20])
    assert files.read(template) is None
    files.write(template, EMBEDDING)
    assert files.read(template) is not None


def test_old_versions_of_a_template_go(tmp_path: Path) -> None:
    other = toy_template("a-b")
    FeatureFiles(tmp_path, "key").write(other, EMBEDDING)
    for age, key in enumerate("abcde"):
        FeatureFiles(tmp_path, key).write(toy_template(), EMBEDDING)
        newest = max((tmp_path / "cache").glob("a-*"), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (age, age))
    kept = [key for key in "abcde" if FeatureFiles(tmp_path, key).read(toy_template()) is not None]
    assert len(kept) == prompt_cache.KEPT_VERSIONS
    assert FeatureFiles(tmp_path, "key").read(other) is not None


def test_a_place_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder would be")
    files = FeatureFiles(tmp_path, "key")
    files.write(toy_template(), EMBEDDING)
    assert files.read(toy_template()) is None
    assert FeatureFiles(None, "key").read(toy_template()) is None
    FeatureFiles(None, "key").write(toy_template(), EMBEDDING)


def test_the_hash_of_weights_sees_values_names_and_types() -> None:
    torch.manual_seed(0)
    first = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    hashes = {hash_weights(first), hash_weights(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))}
    hashes.add(hash_weights(nn.ModuleDict({"a": first[0], "b": first[1]})))
    same = hash_weights(first)
    hashes.add(hash_weights(first.bfloat16()))
    assert len(hashes) == 4
    assert same in hashes


@pytest.mark.parametrize("other", [("w", "bf16", 8), ("v", "fp32", 8), ("w", "fp32", 16)])
def test_the_hash_of_settings_sees_each_of_them(other: tuple) -> None:
    assert hash_settings("w", "fp32", 8) != hash_settings(*other)


def test_memory_stays_within_its_limit() -> None:
    store: RecentStore[torch.Tensor] = RecentStore(3 * 32)
    for key in "abc":
        store.put(key, EMBEDDING)
    assert store.get("a") is not None  # used, so that "b" is the oldest
    store.put("d", EMBEDDING)
    assert [key for key in "abcd" if store.get(key) is not None] == ["a", "c", "d"]
    store.put("a", EMBEDDING)
    assert len(store) == 3
    store.put("large", torch.zeros(100))
    assert len(store) == 1
    assert store.get("large") is not None


def test_bytes_of_tuples_are_counted() -> None:
    assert count_bytes((EMBEDDING, (EMBEDDING, "text"))) == 64
