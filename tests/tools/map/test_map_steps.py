"""The steps of an image: complete, and without anything of the machine that writes them."""

from __future__ import annotations

import re
import shlex

import pytest
from map_image.containerfile import write_base, write_map
from map_image.manifests import ENVIRONMENT

LABELS = {"org.opencontainers.image.title": 'KSAM "kidney" $HOME'}
INSTRUCTIONS = {"ARG", "FROM", "RUN", "ENV", "COPY", "LABEL", "WORKDIR", "USER", "ENTRYPOINT"}


def read(text: str) -> list[tuple[str, str]]:
    """(instruction, words) of a Containerfile, continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", text)
    return [tuple(line.split(" ", 1)) for line in joined.splitlines() if line and not line.startswith("#")]  # type: ignore[misc]


@pytest.mark.parametrize(
    "text", [write_base("cpu", "pip.whl"), write_base("cuda", "pip.whl"), write_map(LABELS)]
)
def test_steps_are_whole_and_name_no_registry(text: str) -> None:
    assert {word for word, _ in read(text)} <= INSTRUCTIONS
    assert "@" not in text
    assert set(re.findall(r"[\w-]+\.(?:io|org|com|net)\b(?!\.image)", text)) <= {"docker.io"}
    assert "http" not in text and ("pip install" in text) == ("--no-index" in text)


def test_only_the_cpu_base_has_stand_ins_and_the_cuda_base_is_checked_by_pip() -> None:
    assert "standins.py" in write_base("cpu", "pip.whl") and "pip check" not in write_base("cpu", "pip.whl")
    assert "standins.py" not in write_base("cuda", "pip.whl") and "pip check" in write_base("cuda", "pip.whl")


def test_a_value_with_quotes_stays_one_value() -> None:
    (label,) = [words for word, words in read(write_map(LABELS)) if word == "LABEL"]
    assert shlex.split(label) == ['org.opencontainers.image.title=KSAM "kidney" HOME']


def test_the_image_sets_the_variables_of_its_manifest_and_ends_as_an_ordinary_user() -> None:
    steps = read(write_map(LABELS))
    (variables,) = [words for word, words in steps if word == "ENV"]
    assert dict(pair.split("=", 1) for pair in shlex.split(variables)) == ENVIRONMENT
    assert steps[-2:] == [("USER", "1000:1000"), ("ENTRYPOINT", '["/usr/local/bin/map-entry"]')]
