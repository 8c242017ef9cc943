"""Masking of the most relevant words in training, so that the network cannot lean on them (paper: 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.errors import ConfigError, InputError

from .tfidf import WORD, find_relevant


class HistoryMask:
    """Puts the tokenizer's mask token in place of relevant words, each time at random.

    The words are replaced, not deleted (as the released code would): their place stays, and the encoder knows
    the token from its own training.

    Args:
        histories: of the training split, and of no other.
        token: the tokenizer's mask token, `TextEncoder.mask_token`.
        count: how many words are relevant (paper: 100); the highest scores of `score_terms`.
        rate: share of their occurrences that is masked (paper: 0.2).

    Attributes:
        words: in lower case, the most relevant first.

    Raises:
        ConfigError: a rate that is not in [0, 1].
        InputError: there is no history with a word.
    """

    def __init__(self, histories: Sequence[str], token: str, count: int = 100, rate: float = 0.2) -> None:
        if not 0 <= rate <= 1:
            raise ConfigError(f"mask_rate: expected 0 to 1, got {rate}: the paper has 0.2")
        self.token, self.rate = token, rate
        self.words = find_relevant(histories, count)
        if count and not self.words:
            raise InputError(
                f"training: expected histories to find words to mask, got {len(histories)} without a word: "
                "set mask_rate to 0, or bring histories"
            )
        self._known = frozenset(self.words)

    def __call__(self, history: str, rng: np.random.Generator) -> str:
        """The history with some words masked."""

        def replace(word: str) -> str:
            masked = word.lower() in self._known and rng.random() < self.rate
            return self.token if masked else word

        return WORD.sub(lambda found: replace(found[0]), history)
