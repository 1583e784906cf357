"""What a kind of personal data is, and what its check gets to see."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import re2

MEMORY = 64 << 20  # bytes a pattern's automaton may take; past that RE2 starts it afresh, slower but exact
CONTEXT_BYTES = 240  # seen on each side of a candidate: 60 characters or more in every script


class Span(NamedTuple):
    """One piece of personal data: its kind and its characters [start, end) of the text. Never the value."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Candidate:
    """What a kind's pattern matched, with what stands around it."""

    text: str
    before: str  # up to CONTEXT_BYTES bytes, cut between characters
    after: str
    regions: Sequence[str] = ()  # countries (ISO 3166) whose numbers are likely here, the likeliest first


def seen_in(pattern: str) -> Callable[[str], bool]:
    """A test of the text beside a candidate, in RE2's syntax, upper and lower case alike.

    A list of a hundred cue words takes `re` 60 microseconds, which tries each at each place, and RE2 2.
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

    `pattern` is in RE2's syntax and of bounded length, so that a search is linear whatever the text. `gate` is a
    pattern of few states that any match of `pattern` holds: the gates of all kinds are one pass over the text.
    `check` sees each match and gives the characters, counted from its start, that are to go; None when it is no such
    thing after all. `finds` and `spares` are the row's proof: what is to be found stands in double angle brackets.
    """

    name: str
    tag: str  # as ROOTS writes it after `PI:`
    words: str  # what is looked for, in words
    gate: str
    pattern: str
    check: _Check
    finds: tuple[str, ...]
    spares: tuple[str, ...]
    context: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # words that speak for it, by language
    by_default: bool = True
    reach: int = CONTEXT_BYTES  # bytes behind a match that its check must see


def whole(candidate: Candidate) -> tuple[int, int] | None:
    """Take the candidate as it is."""
    return 0, len(candidate.text)


def _stands_alone(candidate: Candidate) -> bool:
    """Whether no letter, digit or underscore of a spaced script touches the candidate: it is not part of a word.

    Han, kana and the scripts of South-East Asia write no spaces, so their letters may touch.
    """
    return not (is_word(candidate.before[-1:]) or is_word(candidate.after[:1]))


def is_word(char: str) -> bool:
    """Whether the character would go on with a word of a spaced script: "" is none."""
    return char == "_" or (char.isalnum() and not is_unspaced(char))


def is_unspaced(char: str) -> bool:
    """Whether the character is of a script written without spaces: Thai to Khmer, Han, kana, Hangul."""
    code = ord(char)
    return (
        0x0E00 <= code <= 0x109F
        or 0x1780 <= code <= 0x17FF
        or 0x2E80 <= code <= 0xA4CF
        or 0xAC00 <= code <= 0xD7AF
        or 0xF900 <= code <= 0xFAFF
        or 0x20000 <= code <= 0x323AF
    )
