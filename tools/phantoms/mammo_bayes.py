"""What the best possible reader could reach on the phantoms: worked out from the tables, nothing is drawn.

A breast is read from evidence E: its look in the picture, the complaint with the side it names, or both. No
reader has a larger area under the ROC than the one who sorts by P(E | malignant) / P(E | not malignant)
(Neyman and Pearson). Both probabilities follow from the tables, because picture and text are independent
given the condition of the index breast and whether this breast is the one. Of the faint findings, the share
MISSED is taken for nothing, as a reader would; otherwise every look is recognised. Networks read worse.

With the tables as they are the area per breast is 0.89 for the picture, 0.83 for the text with the side it
names (0.69 for the complaint without the side), and 0.95 for both. Neither alone is perfect, and text adds to
the picture about what Table 2 of the paper finds that it adds. A logistic regression on the words alone
(tools/experiment/mmbcd_words.py) came to 0.79 after 160 patients and to 0.82 after 2,000, on 2,000 others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from .mammo_tables import APPEARANCES, COMPLAINTS, CONDITIONS, GENERAL, NAMED, SUBTLE

MISSED = 0.4


@dataclass(frozen=True)
class Evidence:
    """One possible breast.

    Attributes:
        share: its probability.
        malignant: the truth.
        look: as recognised in the picture.
        complaint: of the history.
        named: "this" breast, the "other" one, or "none".
    """

    share: float
    malignant: bool
    look: str
    complaint: str
    named: str


def breasts() -> Iterator[Evidence]:
    """Every possible breast; the shares sum to 1."""
    for condition, prior in CONDITIONS.items():
        for is_index in (True, False):
            for look, look_share in _recognised(condition if is_index else "clear").items():
                for complaint, row in COMPLAINTS.items():
                    for named, named_share in _named(complaint, is_index).items():
                        share = prior * 0.5 * look_share * row[condition] * named_share
                        yield Evidence(share, is_index and condition == "cancer", look, complaint, named)


def _recognised(condition: str) -> dict[str, float]:
    missed = SUBTLE * MISSED
    seen = {look: share * (1 - missed) for look, share in APPEARANCES[condition].items() if look != "nothing"}
    return {**seen, "nothing": 1 - sum(seen.values())}


def _named(complaint: str, is_index: bool) -> dict[str, float]:
    if complaint in GENERAL:
        return {"none": 1.0}
    right, wrong = NAMED["index"], NAMED["other"]
    this, other = (right, wrong) if is_index else (wrong, right)
    return {"this": this, "other": other, "none": NAMED["none"] + NAMED["both"]}


def area(cases: Iterable[Evidence], seen: Callable[[Evidence], object]) -> float:
    """Area under the ROC of the best reader who sees `seen` of each breast; ties count half."""
    totals: defaultdict[object, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for case in cases:
        totals[seen(case)][case.malignant] += case.share
    ordered = sorted(totals.values(), key=lambda pair: pair[1] / (pair[0] + pair[1] + 1e-300))
    benign = [sum(column) for column in zip(*ordered, strict=True)]
    below, found = 0.0, 0.0
    for other, malignant in ordered:
        found += malignant * (below + other / 2)
        below += other
    return found / (benign[0] * benign[1])
