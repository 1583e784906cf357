"""Fingerprints: a few hashes of a text, chosen so that every long enough run that stands in two places shares one.

A *gram* is `gram` units in a row. Every gram of a text has a hash. Of each `window` grams in a row the lowest hash is
kept, with its place: a *print* (winnowing: Schleimer, Wilkerson and Aiken 2003, SIGMOD). Two equal runs of
gram + window - 1 units hold a whole window each, so they share a print. About 2 / (window + 1) of all grams are kept.

The units are the integers of an array: code points of a text, folded letters, or bytes. Grams never cross from one
text into the next. Where a text repeats itself with a period shorter than a gram, a window has the lowest hash several
times, and two copies may keep different ones; only such runs may be missed.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from filters.near_duplicates.shingles import mix
from filters.text.compiled import compiled
from filters.text.words import Hashes, Offsets

Units = npt.NDArray[Any]  # integers, (units,)
Contexts = npt.NDArray[np.uint32]
CONTEXTS = 4  # runs around a print that are hashed too
_BASE = np.uint64(0xD1342543DE82EF95)  # of the polynomial: odd, with a good spectrum (Steele and Vigna 2021)
_ONE = np.uint64(1)


class Prints(NamedTuple):
    """The grams that are kept, by text and place; all arrays are (prints,)."""

    text: Offsets  # row of the text
    place: Offsets  # of the gram's first unit, in its text
    key: Hashes  # equal for equal grams, and evenly spread


def winnow(units: Units, offsets: Offsets, gram: int, window: int) -> Prints:
    """Keep the lowest hash of each `window` grams; text t is units[offsets[t]:offsets[t + 1]].

    A text with fewer than `window` grams keeps one, a text shorter than a gram none. A window of 1 keeps all grams.
    """
    if gram < 1 or window < 1:
        raise ValueError(f"gram = {gram} and window = {window} must be 1 or more")
    return Prints(*_winnow(units, offsets, gram, window))


def lengths_for(least: int) -> tuple[int, int]:
    """Gram and window with which two equal runs of `least` units share a print."""
    gram = max(1, least // 4)
    return gram, least - gram + 1


@compiled
def _power(exponent: int) -> np.uint64:
    value = _ONE
    for _ in range(exponent):
        value = value * _BASE
    return value


@compiled
def _add_up(units: Units, sums: Hashes) -> None:
    """Running sums of the polynomial over the units of a text, (units + 1,)."""
    sums[0] = np.uint64(0)
    for at in range(len(units)):
        sums[at + 1] = sums[at] * _BASE + np.uint64(units[at]) + _ONE


@compiled
def _longest(offsets: Offsets) -> int:
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    return longest


@compiled
def _hash_grams(sums: Hashes, gram: int, power: np.uint64, values: Hashes) -> None:
    for at in range(len(values)):
        values[at] = mix(sums[at + gram] - sums[at] * power)


@compiled
def _lowest(values: Hashes, window: int, found: Offsets) -> int:
    """The places of the lowest hash of each window, each once; returns how many are in `found`."""
    count, lowest, least, fresh = 0, 0, values[0], True
    first = min(window, len(values)) - 1  # the first window ends here
    for at in range(len(values)):
        if values[at] < least:
            lowest, least, fresh = at, values[at], True
        elif lowest + window <= at:  # the lowest is no longer in the window
            lowest, least, fresh = at, values[at], True
            for earlier in range(at - 1, at - window, -1):
                if values[earlier] < least:
                    lowest, least = earlier, values[earlier]
        if fresh and at >= first:
            found[count] = lowest
            count, fresh = count + 1, False
    return count


@compiled
def _winnow(units: Units, offsets: Offsets, gram: int, window: int) -> tuple[Offsets, Offsets, Hashes]:
    longest = _longest(offsets)
    sums, values, found = np.empty(longest + 1, np.uint64), np.empty(longest, np.uint64), np.empty(longest, np.int64)
    room = 1024 + 4 * len(units) // (window + 1)
    texts, places, keys = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.uint64)
    power, total = _power(gram), 0
    for text in range(len(offsets) - 1):
        grams = offsets[text + 1] - offsets[text] - gram + 1
        if grams < 1:
            continue
        _add_up(units[offsets[text] : offsets[text + 1]], sums)
        _hash_grams(sums, gram, power, values[:grams])
        count = _lowest(values[:grams], window, found)
        while total + count > room:
            texts, places = np.concatenate((texts, texts)), np.concatenate((places, places))
            keys, room = np.concatenate((keys, keys)), 2 * room
        for index in range(count):
            texts[total], places[total] = text, found[index]
            keys[total] = mix(values[found[index]] + _BASE)  # the lowest hashes are small numbers: spread them again
            total += 1
    return texts[:total].copy(), places[:total].copy(), keys[:total].copy()


@compiled
def context_keys(units: Units, offsets: Offsets, prints: Prints, gram: int, reach: int) -> Contexts:
    """Hashes of runs of gram + reach units that hold each print, uint32 (prints, CONTEXTS).

    The first begins `reach` units before the gram, the last ends `reach` units after it. A run that is not inside its
    text has 0. `prints` are in order.
    """
    found = np.zeros((len(prints.place), CONTEXTS), np.uint32)
    sums, power = np.empty(_longest(offsets) + 1, np.uint64), _power(gram + reach)
    last = -1
    for index in range(len(prints.place)):
        text = prints.text[index]
        if text != last:
            _add_up(units[offsets[text] : offsets[text + 1]], sums)
            last = text
        for context in range(CONTEXTS):
            low = prints.place[index] - reach + reach * context // (CONTEXTS - 1)
            high = low + gram + reach
            if low >= 0 and high <= offsets[text + 1] - offsets[text]:
                value = mix(sums[high] - sums[low] * power) >> np.uint64(32)
                found[index, context] = np.uint32(max(value, _ONE))
    return found
