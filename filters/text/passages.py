"""Where two texts differ, as passages for a person to read."""

import difflib
import re
import unicodedata
from collections.abc import Iterator, Sequence

PASSAGE = 160  # characters of the longest passage
CONTEXT = 40  # shown before and after it
MOST_COMPARED = 3000  # words, or lines, of each side that are compared, which takes 0.2 s


def differing(one: Sequence[str], other: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The passages in which two texts, given as lines, differ: pairs of one and the other, "" where one has none.

    A line that another line replaces is shown whole where both are short, else word by word.
    """
    for low, high, start, end in changes(one, other):
        paired = min(high - low, end - start)
        for left, right in zip(one[low : low + paired], other[start : start + paired], strict=True):
            yield from [(left, right)] if max(len(left), len(right)) <= PASSAGE else parted(left, right)
        yield from ((beginning(line), "") for line in one[low + paired : high])
        yield from (("", beginning(line)) for line in other[start + paired : end])


def changes(one: Sequence[str], other: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    """The replaced items: ranges (low, high) of one and (start, end) of the other.

    Only the first MOST_COMPARED items from the first difference are compared, since the time grows with their square.
    The rest, without the common end, is one change.
    """
    head = _common(one, other)
    tail = _common(one[head:][::-1], other[head:][::-1])
    left, right = one[head : len(one) - tail], other[head : len(other) - tail]
    for tag, low, high, start, end in difflib.SequenceMatcher(
        None, left[:MOST_COMPARED], right[:MOST_COMPARED]
    ).get_opcodes():
        if tag != "equal":
            yield head + low, head + high, head + start, head + end
    if max(len(left), len(right)) > MOST_COMPARED:
        low, start = min(len(left), MOST_COMPARED), min(len(right), MOST_COMPARED)
        yield head + low, head + len(left), head + start, head + len(right)


def parted(one: str, other: str) -> Iterator[tuple[str, str]]:
    """The words in which two lines differ, with some context; in scripts without spaces, the characters."""
    left, right = ([match.span() for match in re.finditer(r"\S+\s*", text)] for text in (one, other))
    here, there = [one[low:high] for low, high in left], [other[low:high] for low, high in right]
    for low, high, start, end in changes(here, there):
        (first, last), (begin, stop) = _span(left, low, high, len(one)), _span(right, start, end, len(other))
        before = _common(one[first:last], other[begin:stop])
        first, begin = first + before, begin + before
        after = _common(one[first:last][::-1], other[begin:stop][::-1])
        yield _window(one, first, last - after), _window(other, begin, stop - after)


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the common beginning of two texts or sequences."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _span(words: Sequence[tuple[int, int]], low: int, high: int, length: int) -> tuple[int, int]:
    """Where words low to high stand in their text; an empty range where there are none."""
    start = words[low][0] if low < len(words) else length
    return start, words[high - 1][1] if high > low else start


def _window(text: str, low: int, high: int) -> str:
    """A part of a text with its context, "" for an empty part."""
    if low >= high:
        return ""
    start, end = max(0, low - CONTEXT), min(len(text), min(high, low + PASSAGE) + CONTEXT)
    return ("\u2026" if start else "") + cut_between_letters(text, start, end) + ("\u2026" if end < len(text) else "")


def beginning(text: str) -> str:
    """At most PASSAGE characters from the beginning of a text."""
    return text if len(text) <= PASSAGE else cut_between_letters(text, 0, PASSAGE - 1) + "\u2026"


def cut_between_letters(text: str, start: int, end: int) -> str:
    """text[start:end], or a little more, so that no letter is cut off from its marks."""
    while 0 < start < len(text) and unicodedata.category(text[start]).startswith("M"):
        start -= 1
    while end < len(text) and unicodedata.category(text[end]).startswith("M"):
        end += 1
    return text[start:end]


_ISOLATE, _POP = "\u2068", "\u2069"  # UAX #9: text between them does not order the text around them
_STEERING = {"\u061c", "\u200e", "\u200f", *map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A)))}
_BREAKS = "\t\n\r\u2028\u2029"


def for_terminal(text: str) -> str:
    """Text of others, safe to print: one line, without characters that steer a terminal or the writing direction.

    Text with letters that run from right to left is isolated, so that the text around it stays in place.
    """
    clean = "".join(
        " " if sign in _BREAKS else "\ufffd" if unicodedata.category(sign) in ("Cc", "Cs") else sign
        for sign in text
        if sign not in _STEERING
    )
    rtl = any(unicodedata.bidirectional(sign) in ("R", "AL", "AN") for sign in clean)
    return f"{_ISOLATE}{clean}{_POP}" if rtl else clean
