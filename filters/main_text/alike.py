"""Which blocks belong together: by their distance from a node, by the path of their elements, by their text."""

import numpy as np

from filters.main_text import layout as col
from filters.main_text.layout import Floats, Ints
from filters.text.compiled import compiled


@compiled
def distances(centre: int, blocks: Ints, nodes: Ints, up: Floats, down: Floats) -> None:
    """Steps from each block up to the nodes above a centre, and from there down to it; -1 without a centre."""
    if centre < 0:
        up[:], down[:] = -1, -1
        return
    on_way, steps = np.zeros(len(nodes), np.bool_), np.zeros(len(nodes), np.int32)
    meets = np.zeros(len(nodes), np.int32)
    node = centre
    while node >= 0:
        on_way[node] = True
        node = nodes[node, col.N_PARENT]
    for node in range(len(nodes)):
        parent = nodes[node, col.N_PARENT]
        if on_way[node]:
            steps[node], meets[node] = 0, nodes[centre, col.N_DEPTH] - nodes[node, col.N_DEPTH]
        else:
            steps[node], meets[node] = steps[parent] + 1, meets[parent]
    for block in range(len(blocks)):
        node = blocks[block, col.B_NODE]
        up[block], down[block] = steps[node], meets[node]


@compiled
def slots_of(keys: Ints) -> Ints:
    """A number for every group of equal keys, the same for all blocks of a group; (B,)."""
    size = 16
    while size < 2 * len(keys):
        size *= 2
    table, slots = np.full(size, -1, np.int64), np.empty(len(keys), np.int32)
    for block in range(len(keys)):
        slot = (np.int64(keys[block]) * 2654435761 >> 7) & (size - 1)
        while table[slot] != -1 and table[slot] != keys[block]:
            slot = (slot + 1) & (size - 1)
        table[slot] = keys[block]
        slots[block] = slot
    return slots


@compiled
def group_keys(blocks: Ints, nodes: Ints, by_class: bool) -> Ints:
    """Keys of blocks alike: by the path of elements, or by the element and class of a node and the two above; (B,)."""
    keys = np.empty(len(blocks), np.int32)
    for block in range(len(blocks)):
        node = blocks[block, col.B_NODE]
        key = np.int64(nodes[node, col.N_PATH])
        if by_class:
            key = np.int64(7)
            for _ in range(3):
                own = nodes[node, col.N_TAG] * 7919 + nodes[node, col.N_CLASS]
                key = (key * 1000003 ^ own) & 0x3FFFFFFF
                node = max(0, nodes[node, col.N_PARENT])
        keys[block] = key
    return keys
