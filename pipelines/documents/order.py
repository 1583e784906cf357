"""The order of letters in a line that is read from right to left, by their places on the page.

Programs write such lines in the order of reading, in that of the eye, or as a mixture; engines guess which. Where each
letter stands is certain, so the line is read from there.
"""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

_INK_GAP, _GAP = 0.2, 0.1  # heights of a line between two words: between their ink, and the spaces of their glyphs
_SEPARATORS = frozenset(",.:/-+\u066b\u066c")  # between two digits they belong to the number
_LAM, _ALEFS = "\u0644", frozenset("\u0622\u0623\u0625\u0627\u0671")


class Glyph(NamedTuple):
    """A character, where its ink is, and the space that its glyph takes."""

    text: str
    left: float
    right: float
    from_: float
    to: float
    height: float


def logical_line(glyphs: Sequence[Glyph], rightward: bool = False) -> str:
    """The text of a line in the order of reading; `rightward` if the page is read from left to right.

    >>> logical_line([Glyph(sign, n, n + 1, n, n + 1, 9) for n, sign in enumerate("\u05d2\u05d1\u05d0 12")])
    '12 \u05d0\u05d1\u05d2'
    """
    seen = _once(sorted(_units(glyphs), key=lambda glyph: (glyph.left + glyph.right, -_is_mark(glyph.text))))
    units = _with_spaces(seen)
    kinds = _settled(units, rightward)
    runs: list[tuple[str, list[str]]] = []
    for unit, kind in zip(units, kinds, strict=True):
        if not runs or runs[-1][0] != kind:
            runs.append((kind, []))
        runs[-1][1].append(unit)
    parts = ["".join(reversed(run) if kind == "R" else run) for kind, run in (runs if rightward else reversed(runs))]
    return unicodedata.normalize("NFC", "".join(parts))


def _is_mark(text: str) -> bool:
    return unicodedata.combining(text[0]) != 0


def _units(glyphs: Sequence[Glyph]) -> list[Glyph]:
    """The characters, with those that one glyph shows as one: letters before marks, lam before alef."""
    units: list[Glyph] = []
    for glyph in glyphs:
        last = units[-1] if units else None
        same = last and (glyph.from_, glyph.to) == (last.from_, last.to)
        if last is None or not same or glyph.text.isspace():
            units.append(glyph)
            continue
        text = last.text + glyph.text
        if _is_mark(last.text) or (glyph.text == _LAM and last.text in _ALEFS):
            text = glyph.text + last.text
        units[-1] = last._replace(text=text, left=min(last.left, glyph.left), right=max(last.right, glyph.right))
    return units


def _once(glyphs: Sequence[Glyph]) -> list[Glyph]:
    """The glyphs without a mark's that repeats the letter which it belongs to."""
    kept: list[Glyph] = []
    for glyph in glyphs:
        twins = (each for each in kept[-3:] if len(glyph.text) > 1 and each.right > glyph.left)
        if any(sorted(each.text) == sorted(glyph.text) for each in twins):
            continue
        kept.append(glyph)
    return kept


def _with_spaces(glyphs: Sequence[Glyph]) -> list[str]:
    """The characters from left to right, with a space where a gap is."""
    units: list[str] = []
    ink = edge = float("inf")
    drawn = False
    for glyph in glyphs:
        if glyph.text.isspace():
            drawn = drawn or glyph.right > glyph.left  # PDFium makes up spaces, too, that take no place
            continue
        apart = glyph.left - ink > _INK_GAP * glyph.height and glyph.from_ - edge > _GAP * glyph.height
        if (apart or drawn) and units and not _is_mark(glyph.text):
            units.append(" ")
        drawn = False
        units.append(glyph.text)
        ink = glyph.right if ink == float("inf") else max(ink, glyph.right)
        edge = glyph.to if edge == float("inf") else max(edge, glyph.to)
    return units


def _kind(text: str) -> str:
    """R, L, D for a digit, M for a mark, N for a sign that has no direction of its own."""
    found = unicodedata.bidirectional(text[0])
    return {"R": "R", "AL": "R", "NSM": "M", "L": "L", "EN": "D", "AN": "D"}.get(found, "N")


def _settled(units: Sequence[str], rightward: bool) -> list[str]:
    """L or R for each unit: marks go with their letters, digits and signs with what stands around them.

    Source: Unicode Standard Annex #9, rules W4 to N2, for one line without embeddings.
    """
    kinds = [_kind(unit) for unit in units]
    for number in reversed(range(len(kinds))):  # a mark stands at or left of its letter, or right of a Latin one
        if kinds[number] == "M":
            beside = kinds[number - 1] if number and kinds[number - 1] == "L" else None
            kinds[number] = beside or (kinds[number + 1] if number + 1 < len(kinds) else "R")
    start = 0
    base = "L" if rightward else "R"
    for end in range(len(kinds) + 1):
        if end == len(kinds) or kinds[end] == "R":
            kinds[start:end] = _between(units[start:end], kinds[start:end], base)
            start = end + 1
    return kinds


def _between(units: Sequence[str], kinds: Sequence[str], base: str) -> list[str]:
    """The directions of units between letters that are read to the left."""
    places = [number for number, kind in enumerate(kinds) if kind in "LD"]
    if "L" in kinds:
        return [("L" if places[0] <= number <= places[-1] else base) for number in range(len(kinds))]
    digits = set(places)
    separators = {n for n in range(len(kinds)) if units[n] in _SEPARATORS and n - 1 in digits and n + 1 in digits}
    return ["L" if number in digits or number in separators else base for number in range(len(kinds))]
