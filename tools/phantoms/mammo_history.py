"""Clinical histories as doctors jot them down: short, abbreviated, mostly right, at times about nothing.

1 to 45 words, about 8 on average (paper, section 2). A text is drawn from what the history is about and the
side it names (`mammo_tables`), never from the label. {side} becomes "right breast", "Lt breast", ...; {where}
a quadrant, which is the finding's own in two of three texts that name one; {since} a time.
"""

from __future__ import annotations

import numpy as np

from .mammo_tables import Case, draw

WORDS = {
    "right": ("right", "right", "right", "Rt", "rt", "Rt."),
    "left": ("left", "left", "left", "Lt", "lt"),
}
BOTH = ("both breasts", "bilateral breasts", "b/l breast", "both breasts")
QUADRANTS = (
    "upper outer quadrant",
    "UOQ",
    "upper inner quadrant",
    "lower outer quadrant",
    "lower inner quadrant",
    "retroareolar region",
    "12 o'clock",
    "6 o'clock",
)
OPENINGS = ("", "", "", "c/o ", "C/o ", "Complains of ", "H/o ", "presents with ", "Pt c/o ")
EXTRAS = (
    "No family history.",
    "No nipple discharge.",
    "Post menopausal.",
    "P2L2.",
    "On HRT.",
    "No fever.",
    "Diabetic, on treatment.",
    "Mother had breast cancer at 50.",
    "No previous mammogram.",
    "Hypothyroid.",
)
LONG_EXTRAS = (
    "Last childbirth 6 yrs back, breast fed, menarche at 13, no oral contraceptives.",
    "K/c/o hypertension, on regular treatment for 5 years, no other complaints, no weight loss.",
    "Referred by surgery OPD, previous films not available, USG outside shows fibrocystic changes both "
    "breasts, no axillary nodes, no history of trauma or fever, on OCP.",
)
EXTRA_SHARES = {"": 0.6, "short": 0.34, "long": 0.06}
PHRASES: dict[str, tuple[str, ...]] = {
    "hard lump": (
        "hard lump {side} {since}",
        "hard fixed lump in {where} {side}",
        "lump {side} rapidly increasing in size {since}",
        "firm to hard irregular mass {where} {side} {since}",
        "painless hard lump {side}",
        "progressively enlarging painless lump {side} {since}",
    ),
    "lump": (
        "lump {side}",
        "lump {side} {since}",
        "palpable lump {where} {side}",
        "lump in {side} {since}, no pain",
        "mass felt in {side} {since}",
        "breast lump, {side}",
        "nodularity {where} {side}",
    ),
    "bloody discharge": (
        "blood stained nipple discharge {side} {since}",
        "bloody discharge from nipple {side}",
        "serosanguinous discharge {side}",
    ),
    "skin": (
        "nipple retraction {side} {since}",
        "skin dimpling {side}",
        "thickening of skin {side} {since}",
        "ulcer over {side}",
        "nipple inversion and skin puckering {side}",
        "peau d'orange {side}",
    ),
    "axilla": (
        "axillary swelling, {side} {since}",
        "palpable axillary node, {side}",
        "swelling in armpit and heaviness {side}",
    ),
    "pain": (
        "pain {side}",
        "pain {side} {since}",
        "cyclical mastalgia {side}",
        "mastalgia {side} {since}",
        "heaviness and tenderness {side}",
        "dull aching pain {where} {side} {since}",
    ),
    "discharge": ("milky discharge {side}", "greenish discharge {side} {since}", "watery discharge {side}"),
    "known benign": (
        "known fibroadenoma {side}, follow up",
        "soft mobile lump {side} {since}",
        "small mobile lump {side}, stable {since}",
        "simple cyst {side} on previous ultrasound",
        "fibroadenosis {side}, for review",
        "well defined smooth lump {side}, not growing",
    ),
    "operation": (
        "s/p lumpectomy {side} {since}",
        "post op scar {where} {side}",
        "excision biopsy {side} {since}, benign",
        "operated for fibroadenoma {side} {since}",
        "previous surgery {side}, follow up",
    ),
    "family": (
        "family history of breast cancer",
        "mother had ca breast at 48 years",
        "sister with breast carcinoma, for screening",
        "strong family history, asymptomatic",
        "maternal aunt ca ovary",
    ),
    "screening": (
        "screening",
        "routine screening",
        "screening mammogram",
        "annual check up",
        "asymptomatic, for screening",
        "health check",
        "screening, no complaints",
        "opportunistic screening",
    ),
    "vague": (
        "for evaluation",
        "mammography",
        "breast complaints",
        "to rule out pathology",
        "review",
        "referred from OPD",
    ),
}
TIMES = ("days", "weeks", "months", "months", "months", "mths", "years", "yrs")


def write_history(rng: np.random.Generator, case: Case, place: np.ndarray | None) -> str | None:
    """The history of a case, None where it is missing.

    Args:
        rng: of the wording.
        case: what it is about and which side it names.
        place: (3,) breast coordinates of the finding on the index side; None without one.
    """
    if case.complaint == "missing":
        return None
    phrase = str(rng.choice(PHRASES[case.complaint]))
    phrase = phrase.format(side=_side(rng, case), where=_quadrant(rng, place), since=_since(rng))
    opening = "" if case.named == "none" and len(phrase.split()) < 3 else str(rng.choice(OPENINGS))
    extra = {"": ("",), "short": EXTRAS, "long": LONG_EXTRAS}[draw(rng, EXTRA_SHARES)]
    text = " ".join(f"{opening}{phrase}. {rng.choice(extra)}".split()).replace(" ,", ",")
    text = text[: -1 if rng.random() < 0.6 and text.count(".") == 1 else None]
    return text[0].upper() + text[1:] if rng.random() < 0.6 else text


def _side(rng: np.random.Generator, case: Case) -> str:
    if case.named == "both":
        return str(rng.choice(BOTH))
    if case.named == "none":
        return "breast"
    right = (case.side == "R") == (case.named == "index")
    return f"{rng.choice(WORDS['right' if right else 'left'])} breast"


def _quadrant(rng: np.random.Generator, place: np.ndarray | None) -> str:
    if place is None or rng.random() < 1 / 3:
        return str(rng.choice(QUADRANTS))
    a, x, z = place
    if a > 0.75:
        return "retroareolar region"
    if abs(x) < 0.15:
        return "12 o'clock" if z > 0 else "6 o'clock"
    name = f"{'upper' if z > 0 else 'lower'} {'outer' if x > 0 else 'inner'} quadrant"
    return "UOQ" if name == "upper outer quadrant" and rng.random() < 0.5 else name


def _since(rng: np.random.Generator) -> str:
    joint = str(rng.choice(["since", "for", "x", "for the last", "since last"]))
    return f"{joint} {rng.integers(1, 12)} {rng.choice(TIMES)}"
