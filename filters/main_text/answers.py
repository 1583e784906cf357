"""The numbers by which the second forest judges a block: what the first forest says of it and of what it belongs to."""

import numpy as np

from filters.main_text import layout as col
from filters.main_text.alike import distances, group_keys, slots_of
from filters.main_text.layout import Floats, Ints, Page
from filters.text.compiled import compiled

_AROUND = (-4, -3, -2, -1, 1, 2, 3, 4)
_WINDOWS = (3, 8, 20)
_LEVELS = 4
ANSWERS: tuple[str, ...] = (
    "answer",
    *(f"answer_{place}" for place in _AROUND),
    *(f"answers_{window}" for window in _WINDOWS),
    "answers_page", "answers_before", "answers_chars", "answers_best",
    *(f"answers_level_{level}" for level in range(_LEVELS)),
    "answers_path", "answers_class", "half_wanted_up", "half_wanted_down", "most_wanted_up", "most_wanted_down",
)  # fmt: skip
_AT_WINDOW = 1 + len(_AROUND)
_AT_PAGE = _AT_WINDOW + len(_WINDOWS)
_AT_LEVEL = _AT_PAGE + 4
_AT_GROUP = _AT_LEVEL + _LEVELS
_AT_CENTRE = _AT_GROUP + 2
_BEST_CHARS = 300  # of a block that count for the best one


def answers(page: Page, first: Floats) -> Floats:
    """The features of the second forest alone, (A, B), from the answers of the first, (B,)."""
    found = np.zeros((len(ANSWERS), len(page.blocks)), np.float32)
    if found.size:
        _along(page.blocks, first, found)
        _within(page.blocks, page.nodes, first, found)
    return found


@compiled
def _along(blocks: Ints, first: Floats, found: Floats) -> None:
    """Answers of the blocks around one, and of the whole page, weighted by their text."""
    size, best = len(blocks), 0.0
    wanted, chars = np.zeros(size + 1), np.zeros(size + 1)
    for block in range(size):
        own = float(blocks[block, col.B_CHARS])
        wanted[block + 1], chars[block + 1] = wanted[block] + own * first[block], chars[block] + own
        best = max(best, first[block] * min(own, _BEST_CHARS))
    for block in range(size):
        found[0, block] = first[block]
        for number, step in enumerate(_AROUND):
            other = block + step
            found[1 + number, block] = first[other] if 0 <= other < size else -1
        for number, window in enumerate(_WINDOWS):
            low, high = max(0, block - window), min(size, block + window + 1)
            found[_AT_WINDOW + number, block] = (wanted[high] - wanted[low]) / (chars[high] - chars[low])
        values = (wanted[size] / chars[size], wanted[block] / max(1.0, wanted[size]), wanted[size], best)
        for number, value in enumerate(values):
            found[_AT_PAGE + number, block] = value


@compiled
def _within(blocks: Ints, nodes: Ints, first: Floats, found: Floats) -> None:
    """Mean answers of the elements a block is in and of blocks alike; its distance from where most wanted text is."""
    wanted = np.zeros(len(nodes))
    for block in range(len(blocks)):
        wanted[blocks[block, col.B_NODE]] += blocks[block, col.B_CHARS] * np.float64(first[block])
    for node in range(len(nodes) - 1, 0, -1):
        wanted[nodes[node, col.N_PARENT]] += wanted[node]
    for block in range(len(blocks)):
        node = blocks[block, col.B_NODE]
        for level in range(_LEVELS):
            found[_AT_LEVEL + level, block] = wanted[node] / nodes[node, col.N_CHARS]
            node = max(0, nodes[node, col.N_PARENT])
    for kind in range(2):
        slots = slots_of(group_keys(blocks, nodes, kind == 1))
        sums, counts = np.zeros(4 * len(blocks) + 16), np.zeros(4 * len(blocks) + 16)
        for block in range(len(blocks)):
            sums[slots[block]] += first[block]
            counts[slots[block]] += 1
        for block in range(len(blocks)):
            found[_AT_GROUP + kind, block] = sums[slots[block]] / counts[slots[block]]
    for number, share in enumerate((0.5, 0.8)):
        centre = 0
        for node in range(len(nodes)):
            if wanted[node] >= share * wanted[0] and nodes[node, col.N_DEPTH] > nodes[centre, col.N_DEPTH]:
                centre = node
        distances(centre, blocks, nodes, found[_AT_CENTRE + 2 * number], found[_AT_CENTRE + 2 * number + 1])
