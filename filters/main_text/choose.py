"""Which blocks are the main text, and their text: paragraphs, items of lists, rows of tables, preformatted text.

What main text is: README.md of this room says it in one page.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from filters.main_text import layout as col
from filters.main_text.answers import answers
from filters.main_text.features import FEATURES, features
from filters.main_text.forest import Forest
from filters.main_text.layout import Floats, Ints, Page
from filters.main_text.tags import NAMES, numbers_of_tags
from filters.text.compiled import compiled

Mask = npt.NDArray[np.bool_]
_SINCE_HEADLINE, _TITLED = FEATURES.index("headline_before"), FEATURES.index("titled")
_LIKE_TITLE = 0.6  # of the headline's words that are in the title
_UNSEEN_BLOCKS = 2  # of a hidden element that is left out
_COPIES = 4  # of a block that stand for one
_BESIDE = 0.9  # of the text beside a table that is taken, for which the table is
_REPEATED = 60  # characters of a block whose copies are left out; a refrain is shorter
_PAGE_LEAST = 0.15  # the answer from which a block is content of the page
_TABLE, _TR, _LI, _H1 = numbers_of_tags("table tr li h1")
_CELLS = np.zeros(len(NAMES), np.bool_)
_CELLS[numbers_of_tags("td th")] = True
_HEADS = np.zeros(len(NAMES), np.bool_)  # they say that a table holds data
_HEADS[numbers_of_tags("th thead caption")] = True
_LAYOUT = np.zeros(len(NAMES), np.bool_)  # in a cell they say that a table lays out the page
_LAYOUT[numbers_of_tags("div section article ul ol h1 h2 h3 blockquote center form")] = True
_RUNNING = 100  # characters of a cell of several lines from which it is running text
_DATA_ROWS = 3  # rows of two cells or more, for which a table with running text holds data


@dataclass(frozen=True)
class Model:
    """What a training gives: two forests, and for every slot of a class word how often it is of main text, (65536,)."""

    first: Forest
    second: Forest
    word_weights: Floats

    def judge(self, page: Page) -> Floats:
        """The probability that each block is main text, (B,)."""
        numbers = features(page, self.word_weights)
        first = self.first.answer(numbers)
        found = self.second.answer(np.concatenate([numbers, answers(page, first)]))
        found[_unseen(page.blocks, page.nodes)] = 0
        found[: _above_headline(page, numbers)] = 0
        return found


def _above_headline(page: Page, numbers: Floats) -> int:
    """How many blocks stand above the headline, but for the line right above it; 0 where there is no sure headline.

    The only h1 of a page is the headline if most of its words are in the title. Lists of teasers stand above it, too.
    """
    headline = -int(numbers[_SINCE_HEADLINE, 0])
    tags = page.nodes[page.blocks[:, col.B_NODE], col.N_TAG]
    if not 0 < headline < len(tags) or tags[headline] != _H1 or (tags == _H1).sum() > 1:
        return 0
    return headline - 1 if numbers[_TITLED, headline] > _LIKE_TITLE else 0


@compiled
def _unseen(blocks: Ints, nodes: Ints) -> Mask:
    """Which blocks no reader sees. What holds more than a few is shown later by a script; (B,)."""
    top = np.full(len(nodes), -1, np.int32)
    for node in range(1, len(nodes)):
        top[node] = top[nodes[node, col.N_PARENT]]
        if top[node] < 0 and nodes[node, col.N_FLAGS] & col.IS_UNSEEN:
            top[node] = node
    found = np.zeros(len(blocks), np.bool_)
    for block in range(len(blocks)):
        node = top[blocks[block, col.B_NODE]]
        found[block] = node >= 0 and nodes[node, col.N_BLOCKS] <= _UNSEEN_BLOCKS
    return found


@dataclass(frozen=True)
class Choice:
    """Blocks that are taken, and the F1 that the answers let expect of them."""

    taken: Mask  # (B,)
    expected: float
    share: float  # of the page's characters


def choose(page: Page, judged: Floats, whole: bool = False) -> Choice:
    """The blocks with the greatest expected F1; for the `whole` content, all that are not clearly something else."""
    chars = page.blocks[:, col.B_CHARS].astype(np.float64)
    if not len(chars):
        return Choice(np.zeros(0, np.bool_), 0.0, 0.0)
    order = np.argsort(-judged, kind="stable")
    wanted = np.cumsum((judged * chars)[order])
    held = np.cumsum(chars[order])
    scores = 2 * wanted / (held + wanted[-1] + 1e-9)
    best = int(np.argmax(scores))
    taken = np.zeros(len(chars), np.bool_)
    taken[order[: best + 1]] = True
    if whole:
        taken |= judged >= _PAGE_LEAST
    _take_whole(page.blocks, page.nodes, places_of(page.blocks, page.nodes)[:, 3].copy(), taken)
    _take_once(page, taken)
    return Choice(taken, float(scores[best]), float(chars[taken].sum() / held[-1]))


@compiled
def _take_whole(blocks: Ints, nodes: Ints, units: Ints, taken: Mask) -> None:
    """Take a table of data or preformatted text as a whole, where most of it is taken, or most text beside it."""
    chars = np.zeros(len(nodes), np.int64)
    for block in range(len(blocks)):
        if taken[block]:
            chars[blocks[block, col.B_NODE]] += blocks[block, col.B_CHARS]
    for node in range(len(nodes) - 1, 0, -1):
        chars[nodes[node, col.N_PARENT]] += chars[node]
    for block in range(len(blocks)):
        unit = units[block]
        if unit < 0 or taken[block]:
            continue
        own, around = nodes[unit, col.N_CHARS], nodes[unit, col.N_PARENT]
        while around > 0 and nodes[around, col.N_CHARS] == own:
            around = nodes[around, col.N_PARENT]
        beside = nodes[around, col.N_CHARS] - own
        taken[block] = chars[unit] > own / 2 or (beside >= own and chars[around] - chars[unit] >= _BESIDE * beside)


def _take_once(page: Page, taken: Mask) -> None:
    """Leave out later copies of a long block: pages repeat text for phones, desks and print, and quote it.

    More copies are repetition, which signals of the text measure.
    """
    held = np.flatnonzero(taken & (page.blocks[:, col.B_CHARS] >= _REPEATED))
    keys = page.blocks[held, col.B_HASH].astype(np.int64) << 20 | page.blocks[held, col.B_CHARS]
    _, first, group, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    copies = np.delete(np.arange(len(held)), first)
    taken[held[copies[counts[group[copies]] <= _COPIES]]] = False


def text_of(page: Page, taken: Mask) -> str:
    """The text of the blocks that are taken: a line each, `- ` before an item, `| a | b |` for a row of data."""
    parts = places_of(page.blocks, page.nodes)
    lines: list[str] = []
    cells: list[str] = []
    row = cell = -1
    for block in np.flatnonzero(taken).tolist():
        text = page.block_text(block)
        new_row, new_cell, is_item, _ = parts[block].tolist()
        if cells and new_row != row:
            lines.append(_as_row(cells))
            cells = []
        if new_row < 0:
            lines.append(f"- {text}" if is_item and not text.startswith("- ") else text)
        elif cells and new_cell == cell:
            cells[-1] += " " + text
        else:
            cells.append(text)
        row, cell = new_row, new_cell
    if cells:
        lines.append(_as_row(cells))
    return "\n".join(lines)


def _as_row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("\n", " ") if len(cells) > 1 else cells[0]


@compiled
def places_of(blocks: Ints, nodes: Ints) -> Ints:
    """Of each block its row and cell in a table of data, whether it begins an item, and the node of its table or
    preformatted text; -1 for none; (B, 4).
    """
    places = np.full((4, len(nodes)), -1, np.int32)
    table, row, cell, item = places[0], places[1], places[2], places[3]
    layout, head = np.zeros(len(nodes), np.bool_), np.zeros(len(nodes), np.bool_)
    for node in range(1, len(nodes)):
        parent, tag = nodes[node, col.N_PARENT], nodes[node, col.N_TAG]
        table[node], row[node], cell[node], item[node] = table[parent], row[parent], cell[parent], item[parent]
        if tag == _TABLE:
            if table[parent] >= 0:
                layout[table[parent]] = True
            table[node], row[node], cell[node] = node, -1, -1
        elif tag == _TR:
            row[node], cell[node] = node, -1
        elif _CELLS[tag]:
            cell[node] = node
        elif tag == _LI:
            item[node] = node
        if table[node] >= 0:
            head[table[node]] |= _HEADS[tag]
            layout[table[node]] |= _LAYOUT[tag] and cell[node] >= 0
    _find_layout(blocks, places, head, layout)
    found, begun = np.empty((len(blocks), 4), np.int32), np.zeros(len(nodes), np.bool_)
    for block in range(len(blocks)):
        node = blocks[block, col.B_NODE]
        is_data = cell[node] >= 0 and row[node] >= 0 and not layout[table[node]]
        found[block, 0], found[block, 1] = (row[node], cell[node]) if is_data else (-1, -1)
        found[block, 2] = item[node] >= 0 and not begun[item[node]]
        found[block, 3] = table[node] if is_data else node if blocks[block, col.B_PRE] else -1
        if item[node] >= 0:
            begun[item[node]] = True
    return found


@compiled
def _find_layout(blocks: Ints, places: Ints, head: Mask, layout: Mask) -> None:
    """Mark tables without two cells beside each other, or with running text but neither a head nor three rows."""
    table, row, cell = places[0], places[1], places[2]
    filled, lines, chars = np.zeros_like(table), np.zeros_like(table), np.zeros_like(table)
    data_rows, running = np.zeros_like(table), np.zeros(len(table), np.bool_)
    for block in range(len(blocks)):
        node = blocks[block, col.B_NODE]
        held = cell[node]
        if held >= 0 and row[node] >= 0:
            if not lines[held]:
                filled[row[node]] += 1
                data_rows[table[node]] += filled[row[node]] == 2
            lines[held] += 1
            chars[held] += blocks[block, col.B_CHARS] + 2 * blocks[block, col.B_UNSPACED]
            running[table[node]] |= lines[held] > 1 and chars[held] >= _RUNNING
    for node in range(len(table)):
        if table[node] == node:
            layout[node] |= data_rows[node] == 0 or (running[node] and not head[node] and data_rows[node] < _DATA_ROWS)
