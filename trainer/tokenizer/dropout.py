"""BPE dropout: skip merges at random, so that the same text is cut in another way each time.

A model that reads a small corpus many times memorises how its words are cut; other cuts prevent that (Provilkov et al.
2020, arXiv 1910.13267). The library has BPE dropout, but its generator cannot be seeded; here equal seeds give equal
cuts.
"""

import json
import random
from itertools import pairwise

from tokenizers import Tokenizer

from roots.errors import InputError


class DropoutEncoder:
    """Encodes with the merges of a byte-level BPE tokenizer. Raises InputError for another kind of tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        model = json.loads(tokenizer.to_str())["model"]
        if model["type"] != "BPE" or tokenizer.pre_tokenizer is None:
            raise InputError(f"BPE dropout needs a byte-level BPE tokenizer, not {model['type']}")
        self._cutter = tokenizer.pre_tokenizer
        self._ids: dict[str, int] = model["vocab"]
        pairs = (tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in model["merges"])
        self._ranks = {pair: rank for rank, pair in enumerate(pairs)}

    def encode(self, text: str, dropout: float, rng: random.Random) -> list[int]:
        """Return the token ids of a text; at every step, each possible merge is skipped with probability `dropout`.

        A dropout of 0 gives the ids of the tokenizer, 1 gives bytes.
        """
        found: list[int] = []
        for piece, _ in self._cutter.pre_tokenize_str(text):
            found += (self._ids[symbol] for symbol in self._merged(list(piece), dropout, rng))
        return found

    def _merged(self, symbols: list[str], dropout: float, rng: random.Random) -> list[str]:
        """Merge one piece: at each step the earliest learned merge that is not skipped, leftmost first."""
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
