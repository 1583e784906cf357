"""What a model must beat: bits per byte of counting, on the same held-out bytes.

Byte unigram (add-one), and byte n-grams interpolated by Witten and Bell's rule (Witten and Bell 1991; Chen and Goodman
1999, section 2.4). Both are fitted on the training text only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainer import corpus

Bytes = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.uint64]

LONGEST = 8  # bytes in an n-gram: what 64 bits hold


def text_of(paths: Iterable[Path], limit: int) -> Bytes:
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


def unigram(train: Bytes, held_out: Bytes) -> float:
    """Bits per byte of add-one byte frequencies, over the text: the zero bytes between documents cost nothing."""
    counts = np.bincount(train, minlength=256) + 1.0
    return float(-np.log2(counts / counts.sum())[held_out[held_out > 0]].mean())


def _codes(data: Bytes, order: int) -> Codes:
    """The `order` bytes that end at each position, as one number; positions before the start hold zero bytes."""
    padded = np.concatenate([np.zeros(order - 1, np.uint8), data]).astype(np.uint64)
    found = np.zeros(len(data), dtype=np.uint64)
    for back in range(order):
        found = (found << np.uint64(8)) | padded[back : back + len(data)]
    return found


def _count_of(codes: Codes, known: Codes, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    at = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    return np.where(known[at] == codes, counts[at], 0).astype(np.float64)


def ngram(train: Bytes, held_out: Bytes, order: int = 5) -> float:
    """Bits per byte of interpolated byte n-grams of up to `order` bytes, over the text as `unigram`."""
    return float(ngram_bits(train, held_out, order)[held_out > 0].mean())


def ngram_bits(train: Bytes, held_out: Bytes, order: int) -> npt.NDArray[np.float64]:
    """Bits of each byte of `held_out` by n-grams of up to `order` bytes.

    Raises ValueError for an order beyond 8.
    """
    if not 1 <= order <= LONGEST:
        raise ValueError(f"order must lie between 1 and {LONGEST}")
    chance = np.full(len(held_out), 1 / 256)
    for length in range(1, order + 1):
        known, counts = np.unique(_codes(train, length), return_counts=True)
        contexts = known >> np.uint64(8)
        starts = np.flatnonzero(np.concatenate([[True], contexts[1:] != contexts[:-1]]))
        seen = np.add.reduceat(counts, starts)  # how often each context stood
        kinds = np.diff(np.concatenate([starts, [len(contexts)]]))  # with how many different bytes after it
        here = _codes(held_out, length)
        of_context = _count_of(here >> np.uint64(8), contexts[starts], seen)
        of_kinds = _count_of(here >> np.uint64(8), contexts[starts], kinds)
        hits = _count_of(here, known, counts)
        whole = of_context + of_kinds
        chance = np.where(whole > 0, (hits + of_kinds * chance) / np.maximum(whole, 1), chance)
    bits: npt.NDArray[np.float64] = -np.log2(chance)
    return bits


@dataclass(frozen=True)
class Baselines:
    """Bits per byte of counting."""

    unigram: float
    ngram: float
    order: int
    train_bytes: int
    held_out_bytes: int


def measure(
    train: Iterable[Path], held_out: Iterable[Path], limit: int = 20_000_000, held_limit: int = 200_000
) -> Baselines:
    """Fit on up to `limit` bytes of the training shards, judge on `held_limit` bytes of the held-out ones."""
    fitted, judged = text_of(train, limit), text_of(held_out, held_limit)
    return Baselines(unigram(fitted, judged), ngram(fitted, judged), 5, len(fitted), len(judged))


def lowest(found: Mapping[str, Baselines]) -> dict[str, float]:
    """The better of the two, for each language."""
    return {language: min(b.unigram, b.ngram) for language, b in found.items()}
