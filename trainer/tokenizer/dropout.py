"""BPE with some merges left out at random: the same text in another cut every time it is read.

A model that reads a small corpus many times learns its cuts by heart; other cuts of the same words keep it from that
(Provilkov et al. 2020, BPE-Dropout, arXiv 1910.13267). The library has this too, but draws from a generator that cannot
be seeded; here equal seeds give equal cuts.
"""

import json
import random
from itertools import pairwise

from tokenizers import Tokenizer

from roots.errors import InputError


class DropoutEncoder:
    """The merges of a byte-level BPE tokenizer. Raises InputError for another kind of tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        model = json.loads(tokenizer.to_str())["model"]
        if model["type"] != "BPE" or tokenizer.pre_tokenizer is None:
            raise InputError(f"merges can be left out of a byte-level BPE tokenizer only, not of {model['type']}")
        self._cutter = tokenizer.pre_tokenizer
        self._ids: dict[str, int] = model["vocab"]
        pairs = (tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in model["merges"])
        self._ranks = {pair: rank for rank, pair in enumerate(pairs)}

    def encode(self, text: str, dropout: float, rng: random.Random) -> list[int]:
        """Token ids of a text, where each merge that could be made is passed over with that chance, at every step.

        A dropout of 0 gives the tokenizer's own ids, 1 gives bytes.
        """
        found: list[int] = []
        for piece, _ in self._cutter.pre_tokenize_str(text):
            found += (self._ids[symbol] for symbol in self._merged(list(piece), dropout, rng))
        return found

    def _merged(self, symbols: list[str], dropout: float, rng: random.Random) -> list[str]:
        """One piece, merged: always the earliest merge learned of those that are not passed over, leftmost first."""
        while len(symbols) > 1:
            open_ = [
                (rank, at)
                for at, pair in enumerate(pairwise(symbols))
                if (rank := self._ranks.get(pair)) is not None and (not dropout or rng.random() >= dropout)
            ]
            if not open_:
                break
            _, at = min(open_)
            symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]
        return symbols
