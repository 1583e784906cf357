"""Kind: one kind of personal data. Candidate: a match of its pattern, with context, that its check decides on.

Tests that the checks of several kinds share are here, too: what stands around a number.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import re2

MEMORY = 64 << 20  # bytes of a pattern's automaton; beyond them RE2 rebuilds it, slower but with the same result
CONTEXT_BYTES = 240  # bytes on each side of a candidate: at least 60 characters in every script
_GROUP_BEFORE = re.compile(r"(?<![\d+])(\d{1,6})[ \xa0-]$")


class Span(NamedTuple):
    """One piece of personal data: its kind and its characters [start, end) of the text. Never the value."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Candidate:
    """A match of a kind's pattern, with the text around it."""

    text: str
    before: str  # up to CONTEXT_BYTES bytes, cut between characters
    after: str
    regions: Sequence[str] = ()  # countries (ISO 3166) whose numbers are likely here, most likely first


def seen_in(pattern: str) -> Callable[[str], bool]:
    """A test whether a pattern, in RE2's syntax and without regard to case, is in a text.

    RE2 searches a hundred cue words at once; `re` tries each word at each position and takes 30 times as long.
    """
    options = re2.Options()
    options.case_sensitive = False
    options.never_capture = True
    options.max_mem = MEMORY
    options.log_errors = False
    search = re2.compile(pattern, options).search
    return lambda text: search(text.encode("utf-8", "surrogatepass")) is not None


_Check = Callable[[Candidate], tuple[int, int] | None]


@dataclass(frozen=True)
class Kind:
    """One kind of personal data.

    `pattern` is in RE2's syntax and of bounded length, so a search is linear in any text. `gate` is a small pattern
    that is part of every match of `pattern`: one pass over the text tries the gates of all kinds. `check` sees each
    match and returns the characters to replace, counted from its start, or None if the match is no personal data.
    `finds` and `spares` are tested examples; double angle brackets mark what must be found.
    """

    name: str
    tag: str  # ROOTS writes it after `PI:`
    words: str  # the rule in words
    gate: str
    pattern: str
    check: _Check
    finds: tuple[str, ...] = ()
    spares: tuple[str, ...] = ()
    context: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # context words by language
    by_default: bool = True
    reach: int = CONTEXT_BYTES  # bytes after a match that its check must see


def is_word(char: str) -> bool:
    """Whether the character can be part of a word in a script with spaces; "" cannot."""
    return char == "_" or (char.isalnum() and not is_unspaced(char))


def is_unspaced(char: str) -> bool:
    """Whether the character belongs to a script written without spaces: Thai to Khmer, Han, kana, Hangul."""
    code = ord(char)
    return (
        0x0E00 <= code <= 0x109F
        or 0x1780 <= code <= 0x17FF
        or 0x2E80 <= code <= 0xA4CF
        or 0xAC00 <= code <= 0xD7AF
        or 0xF900 <= code <= 0xFAFF
        or 0x20000 <= code <= 0x323AF
    )


def digits_of(text: str) -> str:
    """The digits of a folded text."""
    return "".join(char for char in text if char.isdigit())


def touches_number(candidate: Candidate) -> bool:
    """Whether the candidate is part of a longer number, word or path."""
    return goes_on_before(candidate.before) or goes_on_behind(candidate.after)


def goes_on_before(before: str) -> bool:
    """Whether the text before a number belongs to the same number, word or path."""
    last, second = before[-1:], before[-2:-1]
    return is_word(last) or last == "+" or (last in tuple("-.,/:") and (second.isdigit() or last == "/"))


def follows_group(before: str) -> bool:
    """Whether a short group of digits comes right before, as in one number; a year or a long number may."""
    found = _GROUP_BEFORE.search(before)
    return found is not None and not found[1].startswith(("19", "20"))


def goes_on_behind(after: str) -> bool:
    """Whether the text after a number belongs to the same number or word."""
    return is_word(after[:1]) or (after[:1] in tuple("-.,/:") and after[1:2].isdigit())
