"""Resolution doctor, content side: does what the classifier sees agree with what the file says?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from common.io.resolution import Resolution

from .inferer import SearchResult
from .verdict import DECIDED

TOLERANCE = 1.25 * (1 + 1e-6)
"""The widest step between neighbours of the paper's set (x20 to x25): a search cannot be more exact."""


def examine_resolution(
    resolution: Resolution, result: SearchResult, training_mpp: float | None
) -> dict[str, Any]:
    """Content of doctor.json: the file's statements, the one in use, contradictions, the content's word.

    A classifier trained at t um/px that reads this slide best at d level-0 pixels per patch pixel suggests
    that a level-0 pixel measures t / d um. The stated value agrees when it lies within the bootstrap
    interval, widened by `TOLERANCE` on both sides.
    """
    content = _examine_content(resolution, result, training_mpp)
    contradictions = list(resolution.contradictions)
    if content["agrees"] is False:
        contradictions.append(content["sentence"])
    return {
        "statements": [asdict(statement) for statement in resolution.statements],
        "chosen": {"mpp": resolution.mpp, "source": resolution.chosen_source},
        "contradictions": contradictions,
        "content": content,
    }


def _examine_content(
    resolution: Resolution, result: SearchResult, training_mpp: float | None
) -> dict[str, Any]:
    verdict, interval = result.verdict, result.interval
    chosen = verdict.index if verdict.decision == DECIDED else None
    if chosen is None or interval.low is None or interval.high is None:
        sentence = f"The content gives no opinion, because the verdict is: {verdict.decision}."
        return _content(None, None, None, sentence)
    if training_mpp is None:
        step = result.gathered.downsamples[chosen]
        sentence = (
            "The classifier does not state the resolution that it was trained at, so the content says only "
            f"that it reads best at {step:.2f} slide pixels per patch pixel."
        )
        return _content(None, None, None, sentence)
    sizes = [float(training_mpp / step) for step in result.gathered.downsamples]
    estimate, low, high = sizes[chosen], sizes[interval.low], sizes[interval.high]
    looks = f"The content looks as if a pixel measured about {estimate:.3f} um ({low:.3f} to {high:.3f})"
    if resolution.mpp is None:
        return _content(None, estimate, [low, high], f"{looks}; the file itself does not say.")
    agrees = low / TOLERANCE <= resolution.mpp <= high * TOLERANCE
    source = f"{resolution.chosen_source} says {resolution.mpp:.3f} um"
    sentence = f"{looks}, which agrees with {source}." if agrees else f"{looks}, but {source}."
    return _content(bool(agrees), estimate, [low, high], sentence)


def _content(
    agrees: bool | None, estimated_mpp: float | None, interval_mpp: list[float] | None, sentence: str
) -> dict[str, Any]:
    return {
        "agrees": agrees,
        "estimated_mpp": estimated_mpp,
        "interval_mpp": interval_mpp,
        "sentence": sentence,
    }
