"""Labelled volumes for the experiments with knowledge prompts, and a network that encodes each slice once."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ksam.datalist import load_datalist
from ksam.engines import build_ksam_engines
from ksam.frame import Window
from ksam.network import build_ksam
from ksam.structures import PALETTE, Structure
from ksam.template_choice import draw_task
from ksam.template_maker import StructureRule, choose_slices, make_templates, read_labelled
from ksam.template_reader import PromptNetwork
from ksam.templates import Task

MARGIN = 5
"""Slices without a label that are predicted too, below and above: what is found there is false."""


@dataclass(frozen=True, eq=False)
class Case:
    """A labelled volume with the task that is put to the network.

    Attributes:
        name: of the case.
        voxels: (R, C, Z) HU around the labelled slices.
        masks: structure name -> (R, C, Z) bool.
        slice_mm: distance of slices.
        task: structures and templates.
        counted: (Z,) bool, slices that are scored: not those that serve as templates.
    """

    name: str
    voxels: np.ndarray
    masks: dict[str, np.ndarray]
    slice_mm: float
    task: Task
    counted: np.ndarray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What both experiments take."""
    parser.add_argument("--delta", type=Path, help="trained part of the network (.safetensors)")
    parser.add_argument("--base", type=Path, required=True, help="weights of the backbone")
    parser.add_argument("--datalist", type=Path, help="volumes: its test part; templates: its training part")
    parser.add_argument("--image", type=Path, help="instead: one volume, whose own slices are the templates")
    parser.add_argument("--masks", nargs="+", default=[], metavar="NAME=FILE", help="with --image")
    parser.add_argument("--own", action="store_true", help="templates from each volume itself")
    parser.add_argument("--templates", type=int, default=3, help="for each structure")
    parser.add_argument("--limit", type=int, default=None, help="volumes of the datalist")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.json")


def build_network(options: argparse.Namespace) -> EncodeOnce:
    """The engine of the command line. Raises BundleError."""
    network = build_ksam(weights=options.base, delta=options.delta)
    return EncodeOnce(build_ksam_engines(network, options.engine, options.precision))


class EncodeOnce:
    """An engine whose embeddings are kept, so that settings are compared on the same ones at little cost."""

    def __init__(self, engine: PromptNetwork) -> None:
        self._engine = engine
        self.image_size, self.network = engine.image_size, engine.network
        self._kept: dict[bytes, torch.Tensor] = {}

    def describe(self) -> dict[str, str]:
        return self._engine.describe()

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        key = hashlib.sha256(image.numpy().tobytes()).digest()
        if key not in self._kept:
            self._kept[key] = self._engine.encode(image)
        return self._kept[key]

    def read_prompt(self, embedding: torch.Tensor, image: torch.Tensor, mask: torch.Tensor) -> Any:
        return self._engine.read_prompt(embedding, image, mask)

    def segment(self, embedding: torch.Tensor, knowledge: Any) -> torch.Tensor:
        return self._engine.segment(embedding, knowledge)

    def forget(self) -> None:
        """Before the next volume."""
        self._kept.clear()


def read_cases(options: argparse.Namespace) -> Iterator[Case]:
    """The volumes of the command line. Raises BundleError."""
    if options.image is not None:
        rules = [StructureRule(name, file=Path(file)) for name, _, file in _split(options.masks)]
        yield _read_case(options.image, None, rules, None, options.templates)
        return
    shared = (
        None if options.own else draw_task(load_datalist(options.datalist, "training"), options.templates, 0)
    )
    for case in load_datalist(options.datalist, "test")[: options.limit]:
        rules = [StructureRule(row.name, row.values) for row in case.header.structures]
        yield _read_case(case.image, case.label, rules, shared, options.templates)


def _split(texts: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    return (text.partition("=") for text in texts)


def _read_case(
    image: Path, label: Path | None, rules: Sequence[StructureRule], task: Task | None, count: int
) -> Case:
    found = read_labelled(image, label, rules)
    labelled = np.flatnonzero(np.any([mask.any(axis=(0, 1)) for mask in found.masks.values()], axis=0))
    near = slice(max(labelled[0] - MARGIN, 0), labelled[-1] + MARGIN + 1)
    counted = np.ones(found.slices.shape[2], bool)
    if task is None:
        chosen = choose_slices(found.masks, count)
        counted[chosen] = False
        structures = tuple(
            Structure(rule.name, place, None, PALETTE[(place - 1) % len(PALETTE)])
            for place, rule in enumerate(rules, 1)
        )
        templates = tuple(make_templates(found, chosen, "own"))
        task = Task("own slices", "CT", Window(40, 400), "body", structures, templates)
    return Case(
        name=image.name.split(".")[0],
        voxels=found.slices[:, :, near],
        masks={name: mask[:, :, near] for name, mask in found.masks.items()},
        slice_mm=found.slice_mm or 1.0,
        task=task,
        counted=counted[near],
    )


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|); 1 where both are empty."""
    total = int(found.sum()) + int(truth.sum())
    return 2 * int((found & truth).sum()) / total if total else 1.0
