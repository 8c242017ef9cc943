"""Masking of the most relevant words in training, so that the network cannot lean on them (paper: 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from common.errors import ConfigError, InputError

from .options import MmbcdOptions
from .tfidf import WORD, find_relevant


class WordMasker:
    """Puts the tokenizer's mask token in place of relevant words, each time at random.

    The words are replaced, not deleted (as the released code would): their place stays, and the encoder knows
    the token from its own training.

    Args:
        words: in lower case, see `fit_masker`.
        rate: share of their occurrences that is masked (paper: 0.2).
        token: the tokenizer's mask token, `TextEncoder.mask_token`.

    Raises:
        ConfigError: a rate that is not in [0, 1].
    """

    def __init__(self, words: Sequence[str], rate: float, token: str) -> None:
        if not 0 <= rate <= 1:
            raise ConfigError(
                f"mask_rate: expected a number from 0 to 1 (paper: 0.2), got {rate}: correct it"
            )
        self.words, self.rate, self.token = tuple(words), rate, token
        self._known = frozenset(words)

    def __call__(self, history: str, generator: torch.Generator | None = None) -> str:
        """The history with some words masked.

        Args:
            history: text.
            generator: of the random numbers; None: torch's own.
        """

        def replace(word: str) -> str:
            if word.lower() not in self._known:
                return word
            return self.token if torch.rand((), generator=generator) < self.rate else word

        return WORD.sub(lambda found: replace(found[0]), history)


def fit_masker(histories: Sequence[str], options: MmbcdOptions, token: str) -> WordMasker:
    """A masker for the most relevant words of the training split, and of no other.

    Args:
        histories: of the training split; blank ones are left out.
        options: how many words, and at which rate.
        token: the tokenizer's mask token.

    Raises:
        InputError: there is no history with a word, though words are to be masked.
    """
    given = [text for text in histories if text.strip()]
    words = find_relevant(given, options.mask_words)
    if options.mask_rate and options.mask_words and not words:
        raise InputError(
            f"training: expected histories to find words to mask, got {len(given)} of {len(histories)} with "
            "text and none with a word: set mask_rate to 0, or bring histories"
        )
    return WordMasker(words, options.mask_rate, token)
