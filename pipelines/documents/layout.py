"""From the lines of pages to paragraphs: columns, running heads, page numbers, line ends.

A line has its place on the page, so most questions are about geometry: a line ends a paragraph if the first word of the
next line would have fitted on it. Coordinates are points with the origin at the lower left, as in PDF.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

_EDGE = 3  # lines at an edge of a page that may be running heads
_FEWEST, _SHARE = 3, 0.3  # pages, and share of pages, that a running head is on: even and odd pages may differ
_APART = 1.8  # times the usual distance of lines, between blocks of one column
_PITCH = 1.6  # times the usual distance of lines, which parts paragraphs
_INDENT, _MOST_INDENT = 1.5, 12  # widths of a letter by which a first line is set in
_NUMBER = re.compile(r"[^\w]*(?:page\s+|p\.\s*)?(\d{1,4}|[ivxlc]{1,7})(?:\s*(?:/|of)\s*\d{1,4})?[^\w]*", re.IGNORECASE)
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_NEAR = 4  # letters by which the beginnings of a column's lines may differ
_SPACES = re.compile("[ \t]+")
_STOPS = frozenset(".!?:;…。！？।॥؟۔።")
_CLOSING = "\"'»”’)]」』"
# Scripts written without spaces between words: no space where a line ends. Tibetan has its own sign between syllables.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u0f0b-\u0f14\u1000-\u109f\u1780-\u17ff\u2e80-\u303f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uff60"
    "\U00020000-\U0003ffff]"
)
RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
HYPHENS = "\u00ad\u2010\ufffe\u0002"  # at a line's end: set there by the program that broke the line


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a page. A line without a place has `right` = `left`."""

    text: str
    left: float
    right: float
    y: float  # of its baseline

    @property
    def letter(self) -> float:
        """Width of a letter in the mean, in points."""
        return (self.right - self.left) / max(1, len(self.text))


Page = Sequence[Line]


def columns(page: Page) -> list[Line]:
    """The lines in reading order where their order is not that of the columns; else as they are.

    A gap that hardly any line crosses parts two columns. Lines that cross it (titles) part the page into bands.
    """
    lines = list(page)
    gap = _gap(lines) if _jumps(lines) > 2 else None
    if gap is None:
        return lines
    right_first = sum(bool(RIGHT_TO_LEFT.search(line.text)) for line in lines) > len(lines) / 2
    bands: list[list[Line]] = [[]]
    for line in sorted(lines, key=lambda line: (-line.y, line.left)):
        if line.left < gap < line.right:
            bands += [[line], []]
        else:
            bands[-1].append(line)
    return [line for band in bands for line in sorted(band, key=lambda line: (line.left > gap) != right_first)]


def _jumps(lines: Sequence[Line]) -> int:
    """How often the next line begins above the last one."""
    return sum(after.y > before.y - 1 for before, after in pairwise(lines))


def _gap(lines: Sequence[Line]) -> float | None:
    """Where a page of two columns is parted, or None."""
    if len(lines) < 8:
        return None
    left, right = min(line.left for line in lines), max(line.right for line in lines)
    places = [left + (right - left) * part / 100 for part in range(30, 71)]
    crossed = {place: sum(line.left < place < line.right for line in lines) for place in places}
    fewest = min(crossed.values())
    best = [place for place in places if crossed[place] == fewest]
    place = best[len(best) // 2]
    sides = sum(line.right <= place for line in lines), sum(line.left >= place for line in lines)
    return place if fewest <= len(lines) / 10 and min(sides) >= len(lines) / 4 else None


def without_heads(pages: Sequence[Page]) -> list[list[Line]]:
    """The pages without running heads and page numbers.

    A running head is a line at an edge that many pages have, whatever its digits. A page number is alone in its line
    and counts with the pages.
    """
    edges = [_edges(page) for page in pages]
    times = Counter(key for page, edge in zip(pages, edges, strict=True) for key in {_key(page[n].text) for n in edge})
    least = max(_FEWEST, _SHARE * len(pages))
    offset = _offset(pages, edges)
    kept = []
    for number, (page, edge) in enumerate(zip(pages, edges, strict=True)):
        heads = {n for n in edge if times[_key(page[n].text)] >= least or offset in _offsets_of(page[n].text, number)}
        kept.append([line for n, line in enumerate(page) if n not in heads])
    return kept


def _edges(page: Page) -> set[int]:
    """Which lines are at an edge: the first and last as written, the upper and lower ones as seen."""
    order = range(len(page))
    seen = sorted(order, key=lambda n: page[n].y)
    return {*order[:_EDGE], *order[-_EDGE:], *seen[:_EDGE], *seen[-_EDGE:]}


def _key(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"\d", "0", text)).strip()


def _offset(pages: Sequence[Page], edges: Sequence[set[int]]) -> int | None:
    """By how much page numbers differ from the place of their page; None if most pages have none."""
    found = Counter(
        offset
        for number, (page, edge) in enumerate(zip(pages, edges, strict=True))
        for offset in {offset for n in edge for offset in _offsets_of(page[n].text, number)}
    )
    if not found:
        return None
    offset, times = max(found.items(), key=lambda item: (item[1], -abs(item[0] - 1)))
    return offset if times > len(pages) / 2 and (times >= _FEWEST or offset == 1) else None


def _offsets_of(text: str, page: int) -> list[int]:
    """The number that a line consists of, less the place of its page; none for another line."""
    found = _NUMBER.fullmatch(text.strip())
    if found is None:
        return []
    if found[1].isdigit():
        return [int(found[1]) - page]
    values = [_ROMAN[sign] for sign in found[1].lower()]
    return [sum(-a if a < b else a for a, b in pairwise([*values, 0])) - page]


def paragraphs(pages: Sequence[Page]) -> Iterator[str]:
    """The paragraphs of a document, with the marks of `HYPHENS` and "-" kept before a joined line end, as "-\\n"."""
    held: list[str] = []
    last: Line | None = None
    edge = 0.0
    for page in pages:
        top = True  # of the page
        for block in _blocks(page):
            side, pitch = _right_edge(block, page), _pitch(block)
            left = _quantile([line.left for line in block], 0.1)
            for number, line in enumerate(block):
                parted = number == 0 and not top and last is not None and line.y < last.y
                place = (edge, left, None) if number == 0 else (side, left, pitch)
                if last is not None and (parted or not _goes_on(last, line, *place)):
                    yield _joined(held)
                    held = []
                held.append(line.text)
                last, top = line, False
            edge = side
    if held:
        yield _joined(held)


def _blocks(page: Page) -> Iterator[list[Line]]:
    """Runs of lines from top to bottom: the columns of a page, and what stands apart in them, such as a title."""
    block: list[Line] = []
    apart = _APART * _pitch(page)
    for line in page:
        far = apart and block and block[-1].y - line.y > apart
        if block and (far or line.y > block[-1].y + 1 or line.left > max(each.right for each in block)):
            yield block
            block = []
        block.append(line)
    if block:
        yield block


def _right_edge(block: Sequence[Line], page: Page) -> float:
    """Where full lines of a block's column end, in the direction of reading."""
    near = _NEAR * _quantile([line.letter for line in block], 0.5)
    if _reads_left(block):
        start = max(line.right for line in block)
        return -_quantile([-line.left for line in page if abs(line.right - start) <= near], 0.9)
    start = min(line.left for line in block)
    return _quantile([line.right for line in page if abs(line.left - start) <= near], 0.9)


def _reads_left(lines: Sequence[Line]) -> bool:
    return sum(bool(RIGHT_TO_LEFT.search(line.text)) for line in lines) * 2 > len(lines)


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _pitch(block: Sequence[Line]) -> float:
    steps = [before.y - after.y for before, after in pairwise(block) if before.y - after.y > 1]
    return median(steps) if steps else 0.0


def _goes_on(last: Line, line: Line, edge: float, left: float, pitch: float | None) -> bool:
    """Whether a paragraph goes on in the next line. `pitch` is None where a column or page begins."""
    if not last.text or not line.text or line.right <= line.left or last.right <= last.left:
        return bool(last.text) and last.text.rstrip(_CLOSING)[-1:] not in _STOPS
    leftward = bool(RIGHT_TO_LEFT.search(last.text)) and bool(RIGHT_TO_LEFT.search(line.text))
    word = line.text.split(maxsplit=1)[0] if line.text.strip() else ""
    letters = 1 if _UNSPACED.match(line.text) else len(word) + 1
    room = (last.left - edge) if leftward else (edge - last.right)
    if last.text[-1] not in HYPHENS + "-" and room > letters * line.letter * 1.1 + line.letter:
        return False
    if pitch is None:
        first = line.text.lstrip("\"'«“([")[:1]
        return last.text.rstrip(_CLOSING)[-1:] not in _STOPS and not first.isupper() and not first.isdigit()
    if pitch and last.y - line.y > _PITCH * pitch:
        return False
    indent = (line.left - left) / line.letter
    return leftward or not (_INDENT < indent < _MOST_INDENT and last.left - left < line.letter)


def _joined(lines: Sequence[str]) -> str:
    """Lines as one text: a space between them, where their script has one, and a line feed after a hyphen."""
    text = ""
    for line in lines:
        if not text:
            text = line
        elif text[-1] in HYPHENS or (text[-1] == "-" and text[-2:-1].isalpha()):
            text += "\n" + line
        else:
            text += ("" if _UNSPACED.match(text[-1]) and _UNSPACED.match(line) else " ") + line
    return unicodedata.normalize("NFC", _SPACES.sub(" ", text))
