"""A set of 64-bit digests for compiled passes. It holds those of the current stamp, so a new stamp empties it."""

from typing import NamedTuple

import numpy as np

from filters.signals.counting import size_for
from filters.text.compiled import compiled
from filters.text.words import Hashes, Offsets


class Seen(NamedTuple):
    """Slots of an open-addressing table, a power of two; a slot is taken if its stamp is the current one."""

    keys: Hashes
    stamps: Offsets


@compiled
def blank(most: int) -> Seen:
    """An empty set with room for `most` digests at one stamp."""
    size = size_for(most)
    return Seen(np.empty(size, np.uint64), np.zeros(size, np.int64))


@compiled
def seen(held: Seen, mask: np.uint64, stamp: int, key: np.uint64) -> bool:
    """Whether the set holds `key`, which is then added; `mask` is the number of slots in use, less one."""
    slot = key & mask
    while held.stamps[slot] == stamp and held.keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    if held.stamps[slot] == stamp:
        return True
    held.stamps[slot], held.keys[slot] = stamp, key
    return False
