"""Learn byte-pair merges from counted pieces: the merges of `tokenizers.trainers.BpeTrainer`, in half its CPU time.

The library cuts texts slowly and counts pairs in 32 bits. Here one call of `regex` cuts a text, each distinct piece is
stored once with its count, and compiled loops learn the merges with 64-bit counts. The rules are those of the library
(bpe/trainer.rs), and tests compare the results: the most frequent pair comes first, and of equally frequent pairs the
one with the smallest ids. Source: Sennrich et al. 2016, arXiv 1508.07909.
"""

import heapq
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
import pyarrow as pa
import regex
from numba import types
from numba.typed import Dict

F = TypeVar("F", bound=Callable[..., object])
_Array = np.ndarray[Any, Any]

LONG_TEXT = 1_000_000  # characters; a longer text is counted piece by piece: a list takes ten times its size


def _compiled(function: F) -> F:
    """Compile with Numba, cached beside the source, or for this process alone if nothing may be written there.

    filters/text/compiled.py has these lines, too: trainer/ may not import filters/, and roots/ may not import Numba.
    """
    try:
        return cast(F, numba.njit(cache=True)(function))
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        return cast(F, numba.njit(function))


def count_pieces(texts: Iterable[str], pattern: str) -> Counter[str]:
    r"""Count the pieces that the pattern cuts the texts into.

    Patterns use what Oniguruma (in the tokenizer) and `regex` have in common; "&&" in a class and \x{200C} are
    rewritten for `regex`. The two may differ on the newest letters if they know different versions of Unicode.
    """
    cutter = regex.compile("(?V1)" + re.sub(r"\\x\{(\w{4})\}", r"\\u\1", pattern))
    pieces: Counter[str] = Counter()
    for text in texts:
        long = len(text) > LONG_TEXT
        pieces.update((found[0] for found in cutter.finditer(text)) if long else cutter.findall(text))
    return pieces


class _Words(NamedTuple):
    """Pieces as runs of ids, which every merge shortens."""

    ids: _Array
    starts: _Array
    ends: _Array
    counts: _Array


class _Chains(NamedTuple):
    """Linked lists of words, one for each pair in the heap; a list is the index of its last word."""

    word: _Array
    before: _Array  # index of the word before; -1 ends the list
    used: _Array  # one number: how many entries are used


class _Around(NamedTuple):
    """How one merge changes the counts of pairs with its neighbours, by id; row 0 is the left side, row 1 the right."""

    lost: _Array  # how often the pair with a part of the new token disappeared
    won: _Array  # how often the pair with the new token appeared
    chain: _Array  # the words where it appeared
    touched: _Array  # ids with changes, in the order they were met
    number: _Array  # how many of them
    lengths: _Array  # bytes of each token
    room: _Array  # one number: a neighbour shorter than this may still be merged with the new token


def learn_merges(
    pieces: Mapping[str, int], before: Sequence[str], size: int, min_frequency: int, max_bytes: int
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Learn a vocabulary (token -> id) of at most `size` tokens of at most `max_bytes`, and its merges in order.

    `before` holds the tokens of the first ids: special tokens, then the byte-level alphabet, sorted. Pairs seen less
    often than `min_frequency` are not merged. The order of the pieces does not matter.
    """
    codes = [ord(name) for name in before[-256:]]
    shown = [code for code in codes if code < 256]  # bytes written as themselves; the others start at U+0100
    ids = np.empty(256, np.int32)
    ids[[*shown, *sorted({*range(256)} - {*shown})]] = np.arange(len(before) - 256, len(before))
    spelt = pa.array(list(pieces), pa.large_string())
    _, offsets, letters = spelt.buffers()
    starts = np.frombuffer(offsets, np.int64)[: len(spelt) + 1].copy()
    symbols = ids[np.frombuffer(letters, np.uint8)[: starts[-1]]] if letters else np.empty(0, np.int32)
    counts = np.fromiter(pieces.values(), np.int64, len(pieces))
    words = _Words(symbols, starts[:-1], starts[1:].copy(), counts)
    # A letter starts one pair and a merge starts two; a word has fewer merges than letters. Untouched memory is free.
    most = 3 * len(symbols)
    place = np.int32 if most < 2**31 else np.int64
    chains = _Chains(np.empty(most, np.int32), np.empty(most, place), np.zeros(1, np.int64))
    around = _nothing(max(size, len(before)))
    around.lengths[: len(before)] = 1
    merges = _learn(words, chains, around, (len(before), size, min_frequency, max_bytes))
    names = list(before)
    for left, right in merges:
        names.append(names[left] + names[right])
    return {name: at for at, name in enumerate(names)}, [(names[left], names[right]) for left, right in merges]


def _nothing(size: int) -> _Around:
    """Return no changes, with room for `size` ids."""
    lost, won, chain, touched = (np.full((2, size), value, np.int64) for value in (0, 0, -1, 0))
    return _Around(lost, won, chain, touched, *(np.zeros(length, np.int64) for length in (2, size, 1)))


@_compiled
def _chained(chains: _Chains, chain: int, word: int) -> int:
    """Return the chain with this word at its end. Words come in order, so no chain holds one twice."""
    if chain >= 0 and chains.word[chain] == word:
        return chain
    place: int = chains.used[0]
    chains.word[place] = word
    chains.before[place] = chain
    chains.used[0] += 1
    return place


@_compiled
def _first_pairs(words: _Words, chains: _Chains, size: int) -> tuple[_Array, _Array]:
    """Count each pair of `size` ids, and list the words that hold it."""
    seen = np.zeros((size, size), np.int64)
    chain = np.full((size, size), -1, np.int64)
    for word in range(len(words.counts)):
        for at in range(words.starts[word], words.ends[word] - 1):
            pair = words.ids[at], words.ids[at + 1]
            seen[pair] += words.counts[word]
            chain[pair] = _chained(chains, chain[pair], word)
    return seen, chain


@_compiled
def _note(side: int, neighbour: int, word: int, times: int, around: _Around, chains: _Chains) -> None:
    """Record that a pair beside this neighbour was merged, in a word that occurs this many times."""
    if not around.lost[side, neighbour]:
        around.touched[side, around.number[side]] = neighbour
        around.number[side] += 1
    around.lost[side, neighbour] += times
    if around.lengths[neighbour] < around.room[0]:
        around.won[side, neighbour] += times
        around.chain[side, neighbour] = _chained(chains, around.chain[side, neighbour], word)


@_compiled
def _merge(words: _Words, word: int, merge: tuple[int, int, int], around: _Around, chains: _Chains) -> None:
    """Replace every occurrence of the pair in one word by the new id, from the left, and note its neighbours."""
    left, right, new = merge
    times, end = words.counts[word], words.ends[word]
    at = to = start = words.starts[word]
    while at < end:
        if words.ids[at] == left and at + 1 < end and words.ids[at + 1] == right:
            if to > start:
                _note(0, words.ids[to - 1], word, times, around, chains)
            at += 1
            if at + 1 < end:
                _note(1, words.ids[at + 1], word, times, around, chains)
            words.ids[to] = new
        else:
            words.ids[to] = words.ids[at]
        at += 1
        to += 1
    words.ends[word] = to


@_compiled
def _settle(merge: tuple[int, int, int], around: _Around, known: Any, heap: list[tuple[int, int, int]]) -> None:
    """Update the counts of pairs after a merge, and push the new pairs on the heap."""
    left, right, new = merge
    for side in range(2):
        for neighbour in around.touched[side, : around.number[side]]:
            pair = _pair(neighbour, left) if side == 0 else _pair(right, neighbour)
            known[pair] = known.get(pair, 0) - around.lost[side, neighbour]
            around.lost[side, neighbour] = 0
    for side in range(2):
        for neighbour in around.touched[side, : around.number[side]]:
            if around.won[side, neighbour]:
                pair = _pair(neighbour, new) if side == 0 else _pair(new, neighbour)
                known[pair] = known.get(pair, 0) + around.won[side, neighbour]
                if known[pair] > 0:
                    heapq.heappush(heap, (-known[pair], pair, around.chain[side, neighbour]))
                around.won[side, neighbour] = 0
                around.chain[side, neighbour] = -1
        around.number[side] = 0


@_compiled
def _pair(left: int, right: int) -> int:
    """Pack two ids into one number that sorts as the pair does."""
    return left << 32 | right


@_compiled
def _learn(words: _Words, chains: _Chains, around: _Around, bounds: tuple[int, int, int, int]) -> list[tuple[int, int]]:
    """Return the pairs in the order they are merged; each makes the next id, from `first` to below `size`.

    No token gets two ids: wherever its bytes become one token, no merge crossed their ends, so the same merges happened
    inside in the same order.
    """
    first, size, min_frequency, max_bytes = bounds
    seen, chain = _first_pairs(words, chains, first)
    known = Dict.empty(types.int64, types.int64)  # current count of each pair
    heap = [(0, 0, 0) for _ in range(0)]  # empty; Numba takes the type from the expression
    for left, right in zip(*np.nonzero(seen)):  # noqa: B905  Numba's zip knows no strict
        known[_pair(left, right)] = seen[left, right]
        heap.append((-seen[left, right], _pair(left, right), chain[left, right]))
    heapq.heapify(heap)
    merges = [(0, 0) for _ in range(0)]
    while len(merges) < size - first and len(heap):
        said, pair, place = heapq.heappop(heap)
        if known[pair] != -said:  # the count fell since: put the pair back at its new position
            heapq.heappush(heap, (-known[pair], pair, place))
            continue
        if -said < min_frequency:
            break
        left, right, new = pair >> 32, pair & 0xFFFFFFFF, first + len(merges)
        merges.append((left, right))
        around.lengths[new] = around.lengths[left] + around.lengths[right]
        around.room[0] = max_bytes - around.lengths[new]
        while place >= 0:
            _merge(words, chains.word[place], (left, right, new), around, chains)
            place = chains.before[place]
        _settle((left, right, new), around, known, heap)
    return merges
