"""A set of 64-bit digests for compiled passes: what was met since a stamp changed. A new stamp empties it, for free."""

from typing import NamedTuple

import numpy as np

from filters.signals.counting import size_for
from filters.text.compiled import compiled
from filters.text.words import Hashes, Offsets


class Seen(NamedTuple):
    """Slots of an open hash table, a power of two of them; a slot is taken where its stamp is the current one."""

    keys: Hashes
    stamps: Offsets


@compiled
def blank(most: int) -> Seen:
    """A set with room for so many digests at one stamp."""
    size = size_for(most)
    return Seen(np.empty(size, np.uint64), np.zeros(size, np.int64))


@compiled
def seen(held: Seen, mask: np.uint64, stamp: int, key: np.uint64) -> bool:
    """Whether `key` was met since the stamp changed; from now on it was. `mask` is the slots in use, less one."""
    slot = key & mask
    while held.stamps[slot] == stamp and held.keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    if held.stamps[slot] == stamp:
        return True
    held.stamps[slot], held.keys[slot] = stamp, key
    return False
