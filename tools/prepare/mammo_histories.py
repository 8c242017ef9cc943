"""Templated histories for data sets without text: made of what is known before reading, never of the label.

The sentences are of the kind that the paper's set holds (1 to 45 words, section 2). Which wording is taken
depends on the patient's pseudonym and the seed alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from .mammo_entries import Known

AGES = ("{age:.0f} year old woman.", "Age {age:.0f} years.", "{age:.0f} yo.")
DENSITIES = {
    "A": ("Breasts known to be almost entirely fatty.", "Earlier density A."),
    "B": ("Known scattered fibroglandular densities.", "Earlier density B."),
    "C": ("Known heterogeneously dense breasts.", "Earlier density C."),
    "D": ("Known extremely dense breasts.", "Earlier density D."),
}
VISITS = {
    "screening": ("Screening mammogram.", "Routine screening.", "Comes for screening, no complaint stated."),
    "diagnostic": ("Diagnostic mammogram requested.", "Referred for diagnostic mammography."),
}
SYMPTOMS = ("Complains of {symptoms}.", "c/o {symptoms}.")
SURGERIES = ("Prior {surgery}.", "History of {surgery}.")


def template_history(known: Known, patient: str, seed: int = 0) -> str | None:
    """A history in a few words.

    Args:
        known: before reading.
        patient: pseudonym; the same patient always gets the same wording.
        seed: of the wording.

    Returns:
        None where nothing is known.
    """
    sentences = []
    if known.age is not None:
        sentences.append(_choose(AGES, patient, seed, "age").format(age=known.age))
    if known.visit in VISITS:
        sentences.append(_choose(VISITS[known.visit], patient, seed, "visit"))
    if known.symptoms:
        sentences.append(_choose(SYMPTOMS, patient, seed, "symptoms").format(symptoms=known.symptoms))
    if known.surgery:
        sentences.append(_choose(SURGERIES, patient, seed, "surgery").format(surgery=known.surgery))
    if known.density in DENSITIES:
        sentences.append(_choose(DENSITIES[known.density], patient, seed, "density"))
    return " ".join(sentences) or None


def _choose(wordings: Sequence[str], patient: str, seed: int, topic: str) -> str:
    digest = hashlib.sha256(f"{seed} {topic} {patient}".encode()).digest()
    return wordings[digest[0] % len(wordings)]
