"""Figure 1 of the MMBCD paper on your data: words and pairs of words that mark each diagnosis.

    python3 tools/experiment/mmbcd_figure1.py --datalist DATALIST.json --out out/figure1

Of the training part, as in the paper: (a) words of high tf-idf that stand in more studies of one diagnosis
than of the other, (b) the pairs of neighbouring words that most studies of a diagnosis hold. One text for
each study, however many pictures it has; a study is malignant where one of its breasts is. Writes
figure1.csv, .md and .png. The table shows words of histories: keep it where the histories are kept.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from experiment.mmbcd_runs import start

DIAGNOSES = ("malignant", "not malignant")
KINDS = ("words", "pairs")
Term = tuple[str, float]


def main(arguments: list[str]) -> None:
    """Count and write. Raises BundleError."""
    parser = argparse.ArgumentParser(description="Figure 1 of MMBCD.", allow_abbrev=False)
    parser.add_argument("--datalist", type=Path, required=True, help="its training part is counted")
    parser.add_argument("--out", type=Path, required=True, help="folder for table and figure")
    parser.add_argument("--terms", type=int, default=10, help="of each kind and diagnosis")
    options = parser.parse_args(arguments)
    texts = read_texts(options.datalist)
    found = {
        (kind, diagnosis): (find_words if kind == "words" else find_pairs)(texts, diagnosis, options.terms)
        for kind in KINDS
        for diagnosis in DIAGNOSES
    }
    publish(options.out, found, {name: len(rows) for name, rows in texts.items()})


def read_texts(datalist: Path) -> dict[str, list[str]]:
    """Histories of the training studies by diagnosis.

    Raises:
        InputError: not a datalist, or a diagnosis without any history.
    """
    from common.errors import InputError
    from mmbcd.datalist import load_datalist

    studies: dict[tuple[str, str], tuple[bool, str]] = {}
    for entry in load_datalist(datalist, "training"):
        malignant, text = studies.get((entry.patient, entry.study), (False, ""))
        studies[entry.patient, entry.study] = malignant or entry.malignant, text or entry.history or ""
    texts: dict[str, list[str]] = {name: [] for name in DIAGNOSES}
    for malignant, text in studies.values():
        if text:
            texts[DIAGNOSES[not malignant]].append(text)
    for name, rows in texts.items():
        if not rows:
            raise InputError(f"training: expected histories of {name} studies, got none: bring histories")
    return texts


def find_words(texts: Mapping[str, Sequence[str]], diagnosis: str, count: int) -> list[Term]:
    """Words with their tf-idf in all training histories, times how much larger the share of studies is here.

    The paper shows words "unique to each diagnosis" and not how they were found: the share of this
    diagnosis' studies that hold a word minus that of the other's (choice) is 1 for a word that is unique.
    """
    from mmbcd.tfidf import score_terms

    both = [*texts[DIAGNOSES[0]], *texts[DIAGNOSES[1]]]
    whole = score_terms(both)
    shares = {name: count_shares(rows, 1) for name, rows in texts.items()}
    other = DIAGNOSES[diagnosis == DIAGNOSES[0]]
    scores = {
        word: score * (shares[diagnosis].get(word, 0) - shares[other].get(word, 0))
        for word, score in whole.items()
    }
    ranked = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
    return [(word, score) for word, score in ranked[:count] if score > 0]


def find_pairs(texts: Mapping[str, Sequence[str]], diagnosis: str, count: int) -> list[Term]:
    """Pairs of neighbouring words by the share of this diagnosis' studies that hold them."""
    shares = count_shares(texts[diagnosis], 2)
    return sorted(shares.items(), key=lambda pair: (-pair[1], pair[0]))[:count]


def count_shares(texts: Sequence[str], length: int) -> dict[str, float]:
    """Term -> share of the texts that hold it."""
    from mmbcd.tfidf import find_terms

    found = Counter(term for text in texts for term in set(find_terms(text, length)))
    return {term: number / len(texts) for term, number in found.items()}


def publish(out: Path, found: Mapping[tuple[str, str], Sequence[Term]], studies: Mapping[str, int]) -> None:
    """CSV, Markdown and heat maps, each normalised by its largest value (paper). Raises OutputError."""
    from common.io.files import write_text
    from experiment.command import format_rows

    rows: list[dict[str, Any]] = [
        {"kind": kind, "diagnosis": name, "term": term, "score": score, "normalised": score / terms[0][1]}
        for (kind, name), terms in found.items()
        for term, score in terms
    ]
    table, text = format_rows(rows)
    counts = ", ".join(f"{number} {name}" for name, number in studies.items())
    write_text(out / "figure1.csv", table)
    write_text(out / "figure1.md", f"{text}\nTraining studies with a history: {counts}.\n")
    draw(out / "figure1.png", found, counts)
    print(text)


def draw(path: Path, found: Mapping[tuple[str, str], Sequence[Term]], counts: str) -> None:
    """Four columns of terms, the darker the higher. Raises OutputError."""
    import numpy as np

    from common.report.canvas import new_figure, save_figure

    longest = max(len(terms) for terms in found.values())
    figure = new_figure(11.0, 0.32 * longest + 0.7)
    for place, ((kind, name), terms) in enumerate(found.items(), 1):
        axes = figure.add_subplot(1, len(found), place)
        values = np.full((longest, 1), np.nan)
        values[: len(terms), 0] = [score / terms[0][1] for _, score in terms]
        axes.imshow(values, aspect="auto", cmap="Blues", vmin=0, vmax=1.2)
        for row, (term, _) in enumerate(terms):
            axes.text(0, row, term, ha="center", va="center", fontsize=9)
        axes.set_title(f"{kind}, {name}", fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
    save_figure(figure, path, f"Training studies with a history: {counts}")


if __name__ == "__main__":
    sys.exit(start(main))
