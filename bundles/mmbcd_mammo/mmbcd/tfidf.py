"""Which words of clinical histories say most: tf-idf, without another library."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

# Words of grammar, which say nothing of a patient; "no" and "not" do.
_GRAMMAR = (
    "a an and are as at be been but by for from had has have he her his if in into is it its of "
    "on or our per she so than that the their then there these they this those to was we were "
    "which who will with"
)
STOP_WORDS = frozenset(_GRAMMAR.split())
WORD = re.compile(r"[^\W\d_]{2,}", re.UNICODE)  # two letters or more, in any script


def find_words(text: str) -> list[str]:
    """Words of two letters and more in lower case, without those of grammar."""
    return [word for word in WORD.findall(text.lower()) if word not in STOP_WORDS]


def find_terms(text: str, length: int = 1) -> list[str]:
    """Runs of `length` neighbouring words (2: bigrams), joined by a space."""
    words = find_words(text)
    return [" ".join(words[start : start + length]) for start in range(len(words) - length + 1)]


def score_terms(histories: Iterable[str], length: int = 1) -> dict[str, float]:
    """The mean tf-idf of every term over the histories, the highest first, then by the alphabet.

    In a history, tf is how often the term stands in it and idf = ln((1 + n) / (1 + df)) + 1, where df of the
    n histories hold the term; each history's vector is brought to length 1 (as scikit-learn's
    TfidfVectorizer does by default). The mean over histories is a choice; the paper does not say how the
    scores of a corpus are made of those of its texts.

    Args:
        histories: texts; those without a word count in n.
        length: words of a term.
    """
    counts = [Counter(find_terms(text, length)) for text in histories]
    found = Counter(term for count in counts for term in count)
    idf = {term: math.log((1 + len(counts)) / (1 + df)) + 1 for term, df in found.items()}
    totals = dict.fromkeys(found, 0.0)
    for count in counts:
        vector = {term: number * idf[term] for term, number in count.items()}
        norm = math.sqrt(sum(value * value for value in vector.values()))
        for term, value in vector.items():
            totals[term] += value / norm
    ranked = sorted(totals.items(), key=lambda pair: (-pair[1], pair[0]))
    return {term: total / len(counts) for term, total in ranked}


def find_relevant(histories: Sequence[str], count: int) -> tuple[str, ...]:
    """The `count` words of the highest score."""
    return tuple(score_terms(histories))[:count]
