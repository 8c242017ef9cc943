"""A task's templates are shown as the network sees them; the record says how it was run."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from toy_prompts import toy_masks
from toy_segmenter import ToyKSam, body_slice, ct_task, segmenter_of

from common.errors import ConfigError
from ksam.frame import build_frame
from ksam.inferer import KnowledgePromptInferer
from ksam.task_segmenter import TaskSegmenter


def test_templates_are_shown_as_the_network_sees_them():
    segmenter = segmenter_of(ct_task())
    ((name, image, masks),) = segmenter.shown(((("a",), ("a",)),))
    assert name == "a" and image.shape == (8, 8, 3) and image.min() >= 0 and image.max() <= 255
    np.testing.assert_array_equal(masks["dark"], toy_masks()["dark"])
    assert segmenter.shown(()) == []


def test_engine_describes_itself():
    segmenter = segmenter_of(ct_task(), retrieval="fixed")
    assert segmenter.describe_run()["engine"]["precision"] == "fp32"
    segmenter.engine = SimpleNamespace(describe=lambda: {"engine": "fast"})
    assert segmenter.describe_run()["engine"] == {"engine": "fast"}
    assert segmenter.describe_run()["settings"]["retrieval"] == "fixed"


def test_consistency_stands_in_the_settings():
    segmenter = segmenter_of(ct_task(), consistency={"smooth_mm": 4.0})
    settings = segmenter.describe_run()["settings"]
    assert settings["consistency"]["smooth_mm"] == 4
    volume = np.repeat(body_slice()[:, :, None], 3, axis=2)
    found = segmenter.predict_volume(volume, build_frame(volume[:, :, 0], "none", 8), 3.0)
    assert found.labels.any()


def test_no_prompts_are_refused():
    with pytest.raises(ConfigError, match="prompts: expected a task folder, got none: set prompts to one"):
        TaskSegmenter(ToyKSam(), KnowledgePromptInferer(None))
