"""The chosen blocks of a page as Markdown: headings, lists, quotes, tables, code and formulas.

It is CommonMark with the tables of GFM. What a block is, and which are taken, is the same as for plain text. What
Markdown would read as markup is escaped.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from filters.main_text import layout as col
from filters.main_text.choose import Mask, places_of
from filters.main_text.layout import Page
from filters.main_text.tags import numbers_of_tags

_HEADINGS = {tag: level for level, tag in enumerate(numbers_of_tags("h1 h2 h3 h4 h5 h6"), 1)}
_OL, _LI, _QUOTE = numbers_of_tags("ol li blockquote")
_LISTS = frozenset(numbers_of_tags("ul ol menu dir"))
_LINE = 100  # characters of a longest line that a line break ends; behind a longer one it ends the paragraph
_DEEPEST = 12  # levels of lists and quotes; a page of nested ones would grow with their square

_FORMULA = re.compile(r"\\\((.+?)\\\)", re.DOTALL)  # as the scanner gives it
_INLINE = re.compile(r"[\\`*]|(?<!\w)_|_(?!\w)|~~|<(?=[A-Za-z/!?])|\](?=[(\[])|&(?=#?\w{1,32};)|\$")
_FIRST = re.compile(r"(?:#{1,6}(?=\s|$)|[-+](?=\s|$)|>|=+\s*$|-{2,}\s*$|\|)")
_CLOSING = re.compile(r"(?<!\S)#+$")  # at the end of a heading, where they are no text
_ESCAPED = r"\\\g<0>"
_NUMBERED = re.compile(r"(\d{1,9})([.)])(?=\s|$)")


@dataclass
class _Writer:
    """What is known of the page, and the lines that are written."""

    page: Page
    numbers: dict[int, int]  # node of an item in a numbered list -> its number
    begun: dict[int, int] = field(default_factory=dict)  # node of an item whose marker is written -> its width
    lines: list[str] = field(default_factory=list)
    prefix: str = ""  # of the last line, for the blank line after it
    list_: int = -1  # the outermost list that the last block is in, -1 for none


def markdown_of(page: Page, taken: Mask) -> str:
    """The text of the blocks that are taken, as Markdown."""
    writer = _Writer(page, _numbers(page))
    places = places_of(page.blocks, page.nodes)
    table: dict[int, dict[int, list[str]]] = {}  # row -> cell -> lines
    unit = last = -1
    for block in [*np.flatnonzero(taken).tolist(), -1]:
        row, cell, held = (-1, -1, -1) if block < 0 else (places[block, n].tolist() for n in (0, 1, 3))
        if table and (row < 0 or held != unit):
            _write(writer, unit, list(_table([*map(list, (cells.values() for cells in table.values()))])))
            table = {}
        if block < 0:
            break
        if row >= 0:
            unit = held
            table.setdefault(row, {}).setdefault(cell, []).append(page.block_text(block))
        else:
            _write_block(writer, block, last, bool(places[block, 2]))
        last = block
    return "\n".join(writer.lines)


def _numbers(page: Page) -> dict[int, int]:
    """The numbers of the items in numbered lists."""
    found: dict[int, int] = {}
    counts: defaultdict[int, int] = defaultdict(int)
    for node in np.flatnonzero(page.nodes[:, col.N_TAG] == _LI).tolist():
        parent = int(page.nodes[node, col.N_PARENT])
        if page.nodes[parent, col.N_TAG] == _OL:
            counts[parent] += 1
            found[node] = counts[parent]
    return found


def _write_block(writer: _Writer, block: int, last: int, is_item: bool) -> None:
    """Write one block that stands in no table: a heading, code, or a line of text."""
    blocks = writer.page.blocks
    node, text = int(blocks[block, col.B_NODE]), writer.page.block_text(block)
    if blocks[block, col.B_PRE]:
        _write(writer, node, _code(text))
        return
    level = next((_HEADINGS[tag] for tag in _tags_above(writer.page, node) if tag in _HEADINGS), 0)
    if level:
        _write(writer, node, [f"{'#' * level} {_CLOSING.sub(_ESCAPED, _inline(text))}"])
        return
    goes_on = blocks[block, col.B_AFTER_BREAK] and last == block - 1 and blocks[last, col.B_NODE] == node
    if goes_on and writer.lines and blocks[last, col.B_CHARS] <= _LINE:
        writer.lines[-1] += "\\"  # a line break within a paragraph
        writer.lines.append(writer.prefix + _line(text))
        return
    _write(writer, node, [_line(text.removeprefix("- ") if is_item else text)])


def _tags_above(page: Page, node: int) -> Iterator[int]:
    """The elements around a block from within outwards, up to the first that holds other blocks, too."""
    first = node
    while node > 0 and page.nodes[node, col.N_BLOCKS] == page.nodes[first, col.N_BLOCKS]:
        yield int(page.nodes[node, col.N_TAG])
        node = int(page.nodes[node, col.N_PARENT])


def _write(writer: _Writer, node: int, lines: Sequence[str]) -> None:
    """Write the lines of a block behind the marks of the lists and quotes that it is in."""
    first, rest, outermost, begins = _prefixes(writer, node)
    if writer.lines and not (begins and writer.list_ == outermost >= 0):
        writer.lines.append(_common(writer.prefix, first if begins else rest).rstrip())
    writer.lines += [(first if not number else rest) + line for number, line in enumerate(lines)]
    writer.prefix, writer.list_ = rest, outermost


def _prefixes(writer: _Writer, node: int) -> tuple[str, str, int, bool]:
    """What stands before a block's first line, and before the others; its outermost list; whether it begins an item."""
    nodes = writer.page.nodes
    around, outermost = [], -1
    while node > 0:
        tag = int(nodes[node, col.N_TAG])
        if tag in (_LI, _QUOTE):
            around.append(node)
        elif tag in _LISTS:
            outermost = node
        node = int(nodes[node, col.N_PARENT])
    first = rest = ""
    begins = False
    for each in around[::-1][:_DEEPEST]:
        if nodes[each, col.N_TAG] == _QUOTE:
            first, rest = f"{first}> ", f"{rest}> "
        elif each in writer.begun:
            first, rest = first + " " * writer.begun[each], rest + " " * writer.begun[each]
        elif not begins:
            mark = f"{writer.numbers[each]}. " if each in writer.numbers else "- "
            writer.begun[each] = len(mark)
            first, rest, begins = first + mark, rest + " " * len(mark), True
    return first, rest, outermost, begins


def _common(one: str, other: str) -> str:
    """The beginning that two prefixes share."""
    length = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]


def _code(text: str) -> list[str]:
    """Preformatted text in a fence that is longer than any in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence, *text.split("\n"), fence]


def _table(rows: Sequence[Sequence[Sequence[str]]]) -> Iterator[str]:
    """The lines of a table. Its first row is the head, which GFM asks for; only that is filled up to the widest row."""
    width = max(map(len, rows))
    for number, row in enumerate(rows):
        cells = [_inline(" ".join(cell)).replace("\n", " ").replace("|", "\\|") for cell in row]
        if number:
            yield f"| {' | '.join(cells)} |"
        else:
            yield f"| {' | '.join(cells + [''] * (width - len(cells)))} |"
            yield f"|{' --- |' * width}"


def _line(text: str) -> str:
    """A line of text, which no first sign makes a heading, an item or a quote."""
    text = _inline(text)
    if _FIRST.match(text):
        return f"\\{text}"
    return _NUMBERED.sub(r"\1\\\2", text, count=1) if _NUMBERED.match(text) else text


def _inline(text: str) -> str:
    """Text with a backslash before what Markdown would read as markup, and formulas between dollars."""
    found = []
    end = 0
    for formula in _FORMULA.finditer(text):
        found += [_INLINE.sub(_ESCAPED, text[end : formula.start()]), f"${formula[1].strip()}$"]
        end = formula.end()
    return "".join([*found, _INLINE.sub(_ESCAPED, text[end:])])
