"""What a model must beat: bits per byte of counting, on the same held-out bytes.

Byte unigram (add-one), and byte n-grams interpolated in two ways: by Witten and Bell's rule (1991; Chen and Goodman
1999, section 2.4), the usual one for bytes (PPM is its relative), and by modified Kneser and Ney's (Chen and Goodman
1999, section 3), the best known. All are fitted on the training text only.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainer import corpus

_Bytes = npt.NDArray[np.uint8]
_Codes = npt.NDArray[np.uint64]

_Counts = npt.NDArray[np.int64]
_Numbers = npt.NDArray[np.float64]

_ORDER = 5  # bytes in the n-grams that a model is held against
_LONGEST = 8  # bytes in an n-gram: what 64 bits hold


def _text_of(paths: Iterable[Path], limit: int) -> _Bytes:
    """The first `limit` bytes of the documents, each followed by a zero byte."""
    parts: list[bytes] = []
    size = 0
    for _, text in corpus.documents(list(paths)):
        raw = text.encode() + b"\0"
        parts.append(raw)
        size += len(raw)
        if size >= limit:
            break
    return np.frombuffer(b"".join(parts)[:limit], dtype=np.uint8)


def unigram(train: _Bytes, held_out: _Bytes) -> float:
    """Bits per byte of add-one byte frequencies, over the text: the zero bytes between documents cost nothing."""
    counts = np.bincount(train, minlength=256) + 1.0
    return float(-np.log2(counts / counts.sum())[held_out[held_out > 0]].mean())


def _codes(data: _Bytes, order: int) -> _Codes:
    """The `order` bytes that end at each position, as one number; positions before the start hold zero bytes."""
    padded = np.concatenate([np.zeros(order - 1, np.uint8), data]).astype(np.uint64)
    found = np.zeros(len(data), dtype=np.uint64)
    for back in range(order):
        found = (found << np.uint64(8)) | padded[back : back + len(data)]
    return found


def _count_of(codes: _Codes, known: _Codes, counts: _Numbers) -> _Numbers:
    at = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    return np.where(known[at] == codes, counts[at], 0).astype(np.float64)


def ngram(train: _Bytes, held_out: _Bytes, order: int = 5, rule: str = "witten_bell") -> float:
    """Bits per byte of interpolated byte n-grams of up to `order` bytes, over the text as `unigram`."""
    return float(ngram_bits(train, held_out, order, rule)[held_out > 0].mean())


_Weights = tuple[_Numbers, _Numbers, _Numbers]  # of each n-gram, its own; and what its context divides by, and spares


def _witten_bell(counts: _Counts, starts: _Counts) -> _Weights:
    """A context that stood n times, with k kinds of bytes after it, spares k / (n + k) for the shorter one."""
    kinds = np.diff(np.concatenate([starts, [len(counts)]])).astype(np.float64)
    return counts.astype(np.float64), np.add.reduceat(counts, starts) + kinds, kinds


def _kneser_ney(counts: _Counts, starts: _Counts) -> _Weights:
    """Every n-gram gives up a part of a count, another one for what stood once, twice, and more often."""
    taken = _discounts(counts)[np.minimum(counts, 3)]
    return counts - taken, np.add.reduceat(counts, starts).astype(np.float64), np.add.reduceat(taken, starts)


def _discounts(counts: _Counts) -> _Numbers:
    """What n-grams that stood 0, 1, 2, and 3 or more times give up (Chen and Goodman 1999, equation 26).

    Half a count where the text is too small or too regular for the estimate.
    """
    of = [int((counts == times).sum()) for times in range(1, 5)]
    found = [0.0, 0.5, 0.5, 0.5]
    if of[0] and of[1]:
        share = of[0] / (of[0] + 2 * of[1])
        for times in (1, 2, 3):
            if of[times - 1]:
                estimate = times - (times + 1) * share * of[times] / of[times - 1]
                found[times] = min(max(estimate, 0.05), times - 0.05)
    return np.array(found)


RULES: Mapping[str, Callable[[_Counts, _Counts], _Weights]] = {"witten_bell": _witten_bell, "kneser_ney": _kneser_ney}


def _counted(train: _Bytes, order: int, rule: str) -> list[tuple[_Codes, _Counts]]:
    """The n-grams of every length from 1 to `order`, with how often they stood.

    By Kneser and Ney a shorter one counts the kinds of bytes that stood before it, not how often it stood.
    """
    found = [np.unique(_codes(train, order), return_counts=True)]
    for length in range(order - 1, 0, -1):
        longer, mask = found[-1][0], np.uint64((1 << (8 * length)) - 1)
        ends = longer & mask if rule == "kneser_ney" else _codes(train, length)
        found.append(np.unique(ends, return_counts=True))
    return found[::-1]


def ngram_bits(train: _Bytes, held_out: _Bytes, order: int, rule: str = "witten_bell") -> _Numbers:
    """Bits of each byte of `held_out` by n-grams of up to `order` bytes; `rule` is a key of RULES.

    Raises ValueError for an order beyond 8.
    """
    if not 1 <= order <= _LONGEST:
        raise ValueError(f"order must lie between 1 and {_LONGEST}")
    chance = np.full(len(held_out), 1 / 256)
    for length, (known, counts) in enumerate(_counted(train, order, rule), start=1):
        contexts = known >> np.uint64(8)
        starts = np.flatnonzero(np.concatenate([[True], contexts[1:] != contexts[:-1]]))
        own, whole, spared = RULES[rule](counts, starts)
        here = _codes(held_out, length)
        before = here >> np.uint64(8)
        divisor = _count_of(before, contexts[starts], whole)
        spare = _count_of(before, contexts[starts], spared)
        hits = _count_of(here, known, own)
        chance = np.where(divisor > 0, (hits + spare * chance) / np.where(divisor > 0, divisor, 1), chance)
    bits: _Numbers = -np.log2(chance)
    return bits


@dataclass(frozen=True)
class _Baselines:
    """Bits per byte of counting."""

    unigram: float
    ngram: float  # by Witten and Bell
    kneser_ney: float
    order: int
    train_bytes: int
    held_out_bytes: int


def measure_baselines(
    train: Iterable[Path], held_out: Iterable[Path], limit: int = 20_000_000, held_limit: int = 200_000
) -> _Baselines:
    """Fit on up to `limit` bytes of the training shards, judge on `held_limit` bytes of the held-out ones."""
    fitted, judged = _text_of(train, limit), _text_of(held_out, held_limit)
    witten_bell, kneser_ney = (ngram(fitted, judged, _ORDER, rule) for rule in ("witten_bell", "kneser_ney"))
    return _Baselines(unigram(fitted, judged), witten_bell, kneser_ney, _ORDER, len(fitted), len(judged))
