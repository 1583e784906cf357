"""What a model must beat: bits per byte of n-gram models on the same held-out bytes.

A byte unigram (add-one), and byte n-grams interpolated in two ways: Witten-Bell (1991; Chen and Goodman 1999, section
2.4), which is usual for bytes (PPM is related), and modified Kneser-Ney (Chen and Goodman 1999, section 3), the best
known. All are fitted on the training text only.
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

_ORDER = 5  # bytes in the n-grams that models are compared with
_LONGEST = 8  # bytes in an n-gram that fit in 64 bits


def _text_of(paths: Iterable[Path], limit: int) -> _Bytes:
    """Return the first `limit` bytes of the documents, each followed by a zero byte."""
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
    """Return the bits per byte of add-one byte frequencies; the zero bytes between documents cost nothing."""
    counts = np.bincount(train, minlength=256) + 1.0
    return float(-np.log2(counts / counts.sum())[held_out[held_out > 0]].mean())


def _codes(data: _Bytes, order: int) -> _Codes:
    """Return the `order` bytes that end at each position as one number; zero bytes stand before the start."""
    padded = np.concatenate([np.zeros(order - 1, np.uint8), data]).astype(np.uint64)
    found = np.zeros(len(data), dtype=np.uint64)
    for back in range(order):
        found = (found << np.uint64(8)) | padded[back : back + len(data)]
    return found


def _count_of(codes: _Codes, known: _Codes, counts: _Numbers) -> _Numbers:
    at = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    return np.where(known[at] == codes, counts[at], 0).astype(np.float64)


def ngram(train: _Bytes, held_out: _Bytes, order: int = 5, rule: str = "witten_bell") -> float:
    """Return the bits per byte of interpolated n-grams of up to `order` bytes, without the zero bytes."""
    return float(ngram_bits(train, held_out, order, rule)[held_out > 0].mean())


_Weights = tuple[
    _Numbers, _Numbers, _Numbers
]  # count of each n-gram; divisor of its context; what it leaves to shorter ones


def _witten_bell(counts: _Counts, starts: _Counts) -> _Weights:
    """A context seen n times with k different bytes after it leaves k / (n + k) to the shorter context."""
    kinds = np.diff(np.concatenate([starts, [len(counts)]])).astype(np.float64)
    return counts.astype(np.float64), np.add.reduceat(counts, starts) + kinds, kinds


def _kneser_ney(counts: _Counts, starts: _Counts) -> _Weights:
    """Every n-gram gives up part of a count: different parts for n-grams seen once, twice, and more often."""
    taken = _discounts(counts)[np.minimum(counts, 3)]
    return counts - taken, np.add.reduceat(counts, starts).astype(np.float64), np.add.reduceat(taken, starts)


def _discounts(counts: _Counts) -> _Numbers:
    """Return what n-grams seen 0, 1, 2, and 3 or more times give up (Chen and Goodman 1999, equation 26).

    Half a count if the text is too small or too regular for the estimate.
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
    """Return the n-grams of every length from 1 to `order` with their counts.

    For Kneser-Ney, the count of a shorter n-gram is the number of different bytes before it.
    """
    found = [np.unique(_codes(train, order), return_counts=True)]
    for length in range(order - 1, 0, -1):
        longer, mask = found[-1][0], np.uint64((1 << (8 * length)) - 1)
        ends = longer & mask if rule == "kneser_ney" else _codes(train, length)
        found.append(np.unique(ends, return_counts=True))
    return found[::-1]


def ngram_bits(train: _Bytes, held_out: _Bytes, order: int, rule: str = "witten_bell") -> _Numbers:
    """Return the bits of each byte of `held_out` by n-grams of up to `order` bytes; `rule` is a key of RULES.

    Raises ValueError for an order above 8.
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
    """Bits per byte of the n-gram models."""

    unigram: float
    ngram: float  # Witten-Bell
    kneser_ney: float
    order: int
    train_bytes: int
    held_out_bytes: int


def measure_baselines(
    train: Iterable[Path], held_out: Iterable[Path], limit: int = 20_000_000, held_limit: int = 200_000
) -> _Baselines:
    """Fit on up to `limit` bytes of the training shards, measure on `held_limit` bytes of the held-out ones."""
    fitted, judged = _text_of(train, limit), _text_of(held_out, held_limit)
    witten_bell, kneser_ney = (ngram(fitted, judged, _ORDER, rule) for rule in ("witten_bell", "kneser_ney"))
    return _Baselines(unigram(fitted, judged), witten_bell, kneser_ney, _ORDER, len(fitted), len(judged))
