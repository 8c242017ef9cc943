"""What the histories say without any picture: a logistic regression on their words.

    python3 tools/experiment/mmbcd_words.py --datalist DATALIST.json [--output FILE.json]

fits the words of the training part and prints the area under the ROC per breast on the other parts, with its
95 % interval over patients. Each breast gets the text that concerns it, as in the bundle. A network that is
given pictures too has to be better than this to have used them.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "bundles" / "mmbcd_mammo")]
import _venv  # noqa: E402

if __name__ == "__main__":
    _venv.enter_venv()

import numpy as np  # noqa: E402
from scipy.optimize import minimize  # noqa: E402

from common.errors import BundleError  # noqa: E402
from common.io.files import write_json  # noqa: E402
from mmbcd.datalist import Entry, check_both_classes, load_datalist  # noqa: E402
from mmbcd.laterality import history_for_breast, named_sides  # noqa: E402
from mmbcd.statistics import Interval, Scores, auc, bootstrap  # noqa: E402
from mmbcd.tfidf import find_words  # noqa: E402

SMOOTHING = 1.0
"""Half of this weighs the squared coefficients (choice: small texts, strong smoothing)."""

FEWEST = 3
"""Words of fewer training breasts are left out (choice: they could only be learned by heart)."""

DRAWS = 1000
SIDES = ("left", "lt", "right", "rt")
"""Not counted as words: what they say is which breast is meant."""


def main(arguments: list[str]) -> int:
    """Print the areas. Returns the exit status."""
    parser = argparse.ArgumentParser(description="The area under the ROC that words alone reach.")
    parser.add_argument("--datalist", type=Path, required=True, help="datalist of mammograms (JSON)")
    parser.add_argument("--output", type=Path, help="write the areas here too (JSON)")
    options = parser.parse_args(arguments)
    try:
        found = measure_words(options.datalist)
        if options.output:
            write_json(options.output, {part: row._asdict() for part, row in found.items()})
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for part, row in found.items():
        print(f"{part}: area of the words alone {row.value:.3f} ({row.low:.3f} to {row.high:.3f})")
    return 0


def measure_words(datalist: Path) -> dict[str, Interval]:
    """Area per breast on validation and test. Raises InputError: not a datalist, or one class only."""
    training = read_breasts(datalist, "training")
    model = WordModel([features_of(entry) for entry in training], np.array([e.malignant for e in training]))
    found = {}
    for part in ("validation", "test"):
        breasts = read_breasts(datalist, part)
        scores = Scores(
            np.array([model.score(features_of(entry)) for entry in breasts]),
            np.array([entry.malignant for entry in breasts]),
            tuple(entry.patient for entry in breasts),
        )
        found[part] = bootstrap(scores.patients, partial(_measure, scores), DRAWS, 0)["auc"]
    return found


def _measure(scores: Scores, weights: np.ndarray) -> dict[str, np.ndarray]:
    return {"auc": auc(scores, weights)}


def read_breasts(datalist: Path, part: str) -> list[Entry]:
    """One entry for each breast. Raises InputError."""
    entries = load_datalist(datalist, part)
    check_both_classes(entries, part)
    return list({(entry.patient, entry.study, entry.laterality): entry for entry in entries}.values())


def features_of(entry: Entry) -> frozenset[str]:
    """Words that concern the breast, and marks: no history, nothing left for it, its side is named."""
    if not entry.history:
        return frozenset({"<none>"})
    words = set(find_words(history_for_breast(entry.history, entry.laterality))) - set(SIDES)
    sides = named_sides(entry.history)
    marks = {"<this side>"} if entry.laterality in sides else {"<other side>"} if sides else {"<no side>"}
    return frozenset(words | marks)


class WordModel:
    """Logistic regression with smoothing on which words are there.

    Args:
        cases: words of each training case.
        labels: (N,) bool.
    """

    def __init__(self, cases: Sequence[frozenset[str]], labels: np.ndarray) -> None:
        count = Counter(word for case in cases for word in case)
        self.words = sorted(word for word, number in count.items() if number >= FEWEST)
        table = np.stack([self._row(case) for case in cases])
        signs = np.where(labels, 1.0, -1.0)

        def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
            margin = signs * (table @ weights)
            slope = -signs / (1 + np.exp(np.clip(margin, -50, 50)))
            smooth = np.append(weights[:-1], 0) * SMOOTHING
            return float(np.logaddexp(0, -margin).sum() + weights @ smooth / 2), table.T @ slope + smooth

        self.weights = minimize(loss, np.zeros(table.shape[1]), jac=True, method="L-BFGS-B").x

    def score(self, case: frozenset[str]) -> float:
        """Probability, 0..1."""
        return float(1 / (1 + np.exp(-self._row(case) @ self.weights)))

    def _row(self, case: frozenset[str]) -> np.ndarray:
        return np.array([*(word in case for word in self.words), 1.0], float)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
