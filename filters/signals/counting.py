"""Compiled passes that count characters by class, repeated n-grams and words of a list; `measures` gives them meaning.

All take the arrays of `filters.text.words` and return one row per text. They hold some 50 MB at most.
"""

import numpy as np
import numpy.typing as npt

from filters.text.characters import LETTER, NUMBER, PUNCTUATION, ROOTS_SPECIAL, SPACE, SPECIAL, SYMBOL
from filters.text.compiled import compiled
from filters.text.words import Codes, Folding, Hashes, Offsets, Words, close_digest, fold_letters

Counts = npt.NDArray[np.int64]
_Ratios = npt.NDArray[np.float64]
Table = npt.NDArray[np.uint16]

# Columns of `count_characters`.
ALL_CHARACTERS, ROOTS_SPECIALS, SPECIALS, LETTER_CHARACTERS, NUMBERS, SIGNS, SPACES, IN_SCRIPT = range(8)

_GRAMS_AT_ONCE = 1 << 21  # n-grams in one hash table; longer texts are counted in several passes
_SMALL = 4096  # counts below this are tallied by their value


@compiled
def count_characters(
    codes: Codes, offsets: Offsets, table: Table, scripts: npt.NDArray[np.uint8], script: int
) -> Counts:
    """Characters of each text by class; int64 (texts, 8), columns as named above."""
    counts = np.zeros((len(offsets) - 1, 8), np.int64)
    for text in range(len(offsets) - 1):
        # Counted in local variables: adding to the array at every character takes twice as long.
        roots, special, number, sign, space, letter, inside = 0, 0, 0, 0, 0, 0, 0
        for at in range(offsets[text], offsets[text + 1]):
            bits = table[codes[at]]
            roots += (bits & ROOTS_SPECIAL) != 0
            special += (bits & SPECIAL) != 0
            number += (bits & NUMBER) != 0
            sign += (bits & (PUNCTUATION | SYMBOL)) != 0
            space += (bits & SPACE) != 0
            if bits & LETTER:
                letter += 1
                inside += scripts[codes[at]] == script
        row = counts[text]
        row[ALL_CHARACTERS] = offsets[text + 1] - offsets[text]
        row[ROOTS_SPECIALS], row[SPECIALS], row[LETTER_CHARACTERS], row[NUMBERS] = roots, special, letter, number
        row[SIGNS], row[SPACES], row[IN_SCRIPT] = sign, space, inside
    return counts


# Columns of `count_word_shapes`.
_CHARACTERS_OF_WORDS, WITH_LETTER, NOT_SIGNS, CHARACTERS_OF_NOT_SIGNS = range(4)


@compiled
def count_word_shapes(codes: Codes, words: Words, table: Table) -> Counts:
    """Words of each text by what they hold; int64 (texts, 4), columns as named above."""
    starts, ends, _, offsets = words
    counts = np.zeros((len(offsets) - 1, 4), np.int64)
    for text in range(len(offsets) - 1):
        row = counts[text]
        for word in range(offsets[text], offsets[text + 1]):
            length = ends[word] - starts[word]
            bits, all_signs = 0, True
            for at in range(starts[word], ends[word]):
                own = table[codes[at]]
                bits |= own
                all_signs = all_signs and (own & (PUNCTUATION | SYMBOL | SPACE)) != 0
            row[_CHARACTERS_OF_WORDS] += length
            row[WITH_LETTER] += (bits & LETTER) != 0
            if not all_signs:
                row[NOT_SIGNS] += 1
                row[CHARACTERS_OF_NOT_SIGNS] += length
    return counts


@compiled
def mix_bits(value: np.uint64) -> np.uint64:
    """Mix the bits of a digest, so that its low bits can choose a slot (from Murmur3)."""
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    return value ^ (value >> np.uint64(33))


@compiled
def _add(keys: Hashes, counts: npt.NDArray[np.int32], mask: np.uint64, key: np.uint64) -> np.int64:
    """Count `key` in an open-addressing table; returns its slot."""
    slot = key & mask
    while counts[slot] and keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    keys[slot] = key
    counts[slot] += 1
    return np.int64(slot)


@compiled
def size_for(grams: int) -> int:
    """Slots of a table for that many different n-grams: a power of two, at most half full."""
    size = 16
    while size < 2 * grams:
        size *= 2
    return size


@compiled
def _top_share(tally: Counts, large: Counts, distinct: int, total: int, capped: bool) -> float:
    """Share of all n-grams that the k most frequent ones make up."""
    most = int(np.sqrt(float(distinct)))
    if capped:
        most = min(most, distinct - tally[1])
    left, covered = most, 0
    ordered = np.sort(large)
    for place in range(len(large) - 1, -1, -1):
        if left:
            covered += ordered[place]
            left -= 1
    count = _SMALL - 1
    while left > 0 and count > 0:
        taken = min(left, tally[count])
        covered += taken * count
        left -= taken
        count -= 1
    return covered / total


@compiled
def _take_large(counts: npt.NDArray[np.int32], large: Counts, larges: int) -> int:
    """Append the counts of _SMALL and more to `large`, which holds `larges` already; returns how many it holds then."""
    for count in counts:
        if count >= _SMALL:
            large[larges] = count
            larges += 1
    return larges


@compiled
def _power(base: np.uint64, n: int) -> np.uint64:
    power = np.uint64(1)
    for _ in range(n):
        power *= base
    return power


@compiled
def top_character_grams(codes: Codes, offsets: Offsets, n: int, capped: bool) -> _Ratios:
    """Share of each text's character n-grams that are among its k most frequent ones; float64 (texts,).

    k = floor(sqrt(N)) for N different n-grams; `capped` also keeps it to those that occur more than once.
    """
    ratios = np.zeros(len(offsets) - 1, np.float64)
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    size = size_for(min(longest, _GRAMS_AT_ONCE))
    keys, counts = np.empty(size, np.uint64), np.empty(size, np.int32)
    large = np.empty(longest // _SMALL + 2, np.int64)
    tally = np.empty(_SMALL, np.int64)
    base = np.uint64(0x9E3779B97F4A7C15)
    power = _power(base, n)
    for text in range(len(offsets) - 1):
        first, total = offsets[text], offsets[text + 1] - offsets[text] - n + 1
        if total <= 0:
            continue
        passes = (total + _GRAMS_AT_ONCE - 1) // _GRAMS_AT_ONCE
        slots = size_for(min(total, _GRAMS_AT_ONCE)) if passes == 1 else size
        mask = np.uint64(slots - 1)
        tally[:] = 0
        larges, distinct, frequent = 0, 0, False
        for step in range(passes):
            counts[:slots] = 0
            rolling = np.uint64(0)
            for at in range(n - 1):
                rolling = rolling * base + np.uint64(codes[first + at])
            for at in range(total):
                rolling = rolling * base + np.uint64(codes[first + at + n - 1])
                if at:
                    rolling -= power * np.uint64(codes[first + at - 1])
                key = mix_bits(rolling)
                if passes == 1 or (key >> np.uint64(40)) % np.uint64(passes) == np.uint64(step):
                    # Tallied here, since a pass over the table afterwards costs a seventh of all measuring.
                    count = counts[_add(keys, counts, mask, key)]
                    if count == 1:
                        distinct += 1
                        tally[1] += 1
                    elif count < _SMALL:
                        tally[count - 1] -= 1
                        tally[count] += 1
                    elif count == _SMALL:
                        tally[_SMALL - 1] -= 1
                        frequent = True
            if frequent:
                larges = _take_large(counts[:slots], large, larges)
        ratios[text] = _top_share(tally, large[:larges], distinct, total, capped)
    return ratios


@compiled
def repeated_word_grams(hashes: Hashes, offsets: Offsets, n: int) -> _Ratios:
    """Share of each text's word n-grams that occur more than once in it; float64 (texts,)."""
    ratios = np.zeros(len(offsets) - 1, np.float64)
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    size = size_for(longest)
    keys, counts = np.empty(size, np.uint64), np.empty(size, np.int32)
    for text in range(len(offsets) - 1):
        first, total = offsets[text], offsets[text + 1] - offsets[text] - n + 1
        if total <= 0:
            continue
        slots = size_for(total)
        mask = np.uint64(slots - 1)
        counts[:slots] = 0
        repeated = 0
        for at in range(total):
            count = counts[_add(keys, counts, mask, _gram_of(hashes, first + at, n))]
            repeated += 2 if count == 2 else count > 2
        ratios[text] = repeated / total
    return ratios


@compiled
def _gram_of(hashes: Hashes, at: int, n: int) -> np.uint64:
    """64-bit digest of the n words from `at` on."""
    value = np.uint64(0)
    for place in range(at, at + n):
        value = mix_bits(value * np.uint64(0x9E3779B97F4A7C15) + hashes[place])
    return value


@compiled
def _word_set(listed: Hashes) -> tuple[Hashes, npt.NDArray[np.bool_]]:
    """Hashes of words in an open-addressing table, its length a power of two; and which slots are taken."""
    size = size_for(2 * len(listed))
    mask = np.uint64(size - 1)
    known, used = np.zeros(size, np.uint64), np.zeros(size, np.bool_)
    for key in listed:
        slot = key & mask
        while used[slot]:
            slot = (slot + np.uint64(1)) & mask
        known[slot], used[slot] = key, True
    return known, used


@compiled
def _slot_of(known: Hashes, used: npt.NDArray[np.bool_], mask: np.uint64, key: np.uint64) -> np.int64:
    """The slot of `key` in a set, or -1."""
    slot = key & mask
    while used[slot]:
        if known[slot] == key:
            return np.int64(slot)
        slot = (slot + np.uint64(1)) & mask
    return np.int64(-1)


@compiled
def _pair_hash(
    codes: Codes, starts: Offsets, ends: Offsets, at: int, joiner: int, bases: Codes, marks: Hashes
) -> np.uint64:
    """Hash of two words written together with `joiner` (0: nothing) between.

    Seven arguments, because a tuple of arrays handed over for every word takes half as long again.
    """
    value, pending = fold_letters(
        codes, starts[at], ends[at], bases, marks, np.uint64(0xCBF29CE484222325), np.uint64(0)
    )
    if joiner:
        if pending:
            value = (value ^ pending) * np.uint64(0x100000001B3)
            pending = np.uint64(0)
        value = (value ^ np.uint64(joiner)) * np.uint64(0x100000001B3)
    value, pending = fold_letters(codes, starts[at + 1], ends[at + 1], bases, marks, value, pending)
    return close_digest(value, pending)


@compiled
def count_listed(codes: Codes, words: Words, listed: Hashes, joiner: int, folding: Folding) -> Counts:
    """Words of each text that are in a list, and how many different ones; int64 (texts, 2).

    `listed` are hashes of the list's words, each once. With `joiner` >= 0 every pair of neighbours, joined by that code
    point (0: by nothing), is looked up as well.
    """
    starts, ends, hashes, offsets = words
    bases, marks = folding
    known, used = _word_set(listed)
    mask = np.uint64(len(known) - 1)
    seen = np.full(len(known), -1, np.int64)
    counts = np.zeros((len(offsets) - 1, 2), np.int64)
    for text in range(len(offsets) - 1):
        for at in range(offsets[text], offsets[text + 1]):
            pairs = 2 if joiner >= 0 and at + 1 < offsets[text + 1] else 1
            for pair in range(pairs):
                key = hashes[at] if pair == 0 else _pair_hash(codes, starts, ends, at, joiner, bases, marks)
                slot = _slot_of(known, used, mask, key)
                if slot >= 0:
                    counts[text, 0] += 1
                    if seen[slot] != text:
                        seen[slot] = text
                        counts[text, 1] += 1
    return counts
