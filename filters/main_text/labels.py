"""Which blocks of a page are in its gold text: what a training learns from.

A block's place in the gold text is that of its rarest run of three words. Blocks whose places ascend are wanted, so a
teaser that repeats a sentence is not; short blocks are wanted between wanted ones.
"""

import re
import unicodedata
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from filters.main_text.layout import Floats

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(f"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\\W_])+")
_RUN = 3  # words that give a place
_SHORT = _RUN + 1  # words below which a block has no place of its own
_CLOSE = 25  # blocks within which a wanted neighbour counts
_SLACK, _WIDE_SLACK = 6, 12  # words by which a short block's place may differ from where its neighbours are
_FAR = 400  # words between neighbours beyond which a short block's place says little
_MOST = 1500  # blocks of a page that are put in order


def words(text: str) -> list[str]:
    """The words of a text, and characters where a script puts no space between words; marks are left out."""
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())


def label(blocks: Sequence[str], gold: str) -> Floats:
    """How much of each block is in the gold text, from 0 to 1; (B,)."""
    held, wanted = [words(block) for block in blocks], words(gold)
    found = np.zeros(len(held), np.float32)
    if not wanted:
        return found
    places, shares = _places(held, wanted)
    covered = np.zeros(len(wanted) + 1, np.bool_)
    chain = _in_order(places, held)
    for block in chain:
        found[block] = shares[block]
        covered[max(0, places[block]) : places[block] + len(held[block])] = True
    for block in sorted(places.keys() - set(chain)):  # out of order, yet nobody else has its place
        own = covered[max(0, places[block]) : places[block] + len(held[block])]
        if len(own) and own.mean() <= 0.5:
            found[block] = shares[block]
            own[:] = True
    _label_short(held, wanted, {tuple(words(line)) for line in gold.split("\n")}, places, found)
    return found


def _places(held: list[list[str]], wanted: list[str]) -> tuple[dict[int, int], dict[int, float]]:
    """Of each block that is in the gold text: the word at which it begins there, and the share of its runs there."""
    at: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place in range(len(wanted) - _RUN + 1):
        at[tuple(wanted[place : place + _RUN])].append(place)
    places: dict[int, int] = {}
    shares: dict[int, float] = {}
    last = 0
    for block, own in enumerate(held):
        if len(own) < _SHORT:
            continue
        runs = [at.get(tuple(own[place : place + _RUN])) for place in range(len(own) - _RUN + 1)]
        hits = [(place, found) for place, found in enumerate(runs) if found]
        if 2 * len(hits) < len(runs):
            continue
        place, found = min(hits, key=lambda hit: len(hit[1]))
        next_one = bisect_left(found, last - 5)
        places[block] = (found[next_one] if next_one < len(found) else found[0]) - place
        shares[block] = len(hits) / len(runs)
        if len(found) == 1 or next_one < len(found):
            last = places[block]
    return places, shares


def _in_order(places: dict[int, int], held: list[list[str]]) -> list[int]:
    """The blocks with the most words whose places ascend."""
    blocks = sorted(places)
    if not blocks or len(blocks) > _MOST:
        return blocks
    at, sizes = np.array([places[block] for block in blocks]), np.array([len(held[block]) for block in blocks])
    weights, before = sizes.astype(np.float64), np.full(len(blocks), -1)
    for number in range(1, len(blocks)):
        earlier = np.flatnonzero(at[:number] < at[number])
        if len(earlier):
            best = earlier[::-1][np.argmax(weights[earlier[::-1]])]  # the nearest of equals: teasers are far away
            weights[number] += weights[best]
            before[number] = best
    chain, number = [], int(np.argmax(weights))
    while number >= 0:
        chain.append(blocks[number])
        number = int(before[number])
    return chain[::-1]


def _label_short(
    held: list[list[str]], wanted: list[str], lines: set[tuple[str, ...]], places: dict[int, int], found: Floats
) -> None:
    """Label blocks of one to three words: they are wanted where the gold text has them between wanted neighbours."""
    first: dict[str, list[int]] = defaultdict(list)
    for place, word in enumerate(wanted):
        first[word].append(place)
    kept = [block for block in range(len(held)) if found[block] >= 0.5]
    for block, own in enumerate(held):
        if not own or len(own) >= _SHORT:
            continue
        starts = [place for place in first.get(own[0], ()) if wanted[place : place + len(own)] == own]
        is_line = tuple(own) in lines
        if not starts:
            continue
        number = bisect_left(kept, block)
        before = kept[number - 1] if number and block - kept[number - 1] <= _CLOSE else None
        after = kept[number] if number < len(kept) and kept[number] - block <= _CLOSE else None
        if before is None and after is None:
            found[block] = float(is_line and not kept)
            continue
        slack = _WIDE_SLACK if is_line else _SLACK
        low = places[before] + len(held[before]) - _RUN if before is not None else None
        high = places[after] if after is not None else None
        low = low if low is not None else (high or 0) - 2 * slack
        high = high if high is not None else low + 2 * slack
        low, high = min(low, high), max(low, high)
        if high - low > _FAR and not is_line:
            found[block] = 0.4
        elif any(low - 2 <= place <= high + 2 for place in starts):
            found[block] = 1.0
