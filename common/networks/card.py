"""What is known of the weights that a network runs on; every result names it."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class WeightsCard:
    """Where the trained part of a network comes from.

    Attributes:
        name: of the weights.
        version: of the weights.
        purpose: "untrained", "demonstration", "research", ...; pictures and reports say it in plain sight.
        training_data: what it was trained on, and under which licence.
        sha256: of the file; empty as long as there is none.
    """

    name: str = "untrained"
    version: str = "0"
    purpose: str = "untrained"
    training_data: str = "none"
    sha256: str = ""

    def as_json(self) -> dict[str, str]:
        """For results and metadata."""
        return asdict(self)
