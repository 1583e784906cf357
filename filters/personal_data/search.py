"""Find personal data and take it out, by span.

One RE2 set over the bytes of a text says which kinds can be in it; only those are searched, and only their matches are
checked by Python. RE2 is linear in the text whatever the pattern, and patterns are of bounded length, so no text can
make a search slow (measured: the set reads about 650 MB/s of mixed-script text on one core; `re` one by one 10-16).
"""

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

import re2

from filters.personal_data.candidate import CONTEXT_BYTES, Candidate, Kind, Span
from filters.personal_data.kinds import KINDS
from roots.errors import SettingsError, unknown_name

MEMORY = 64 << 20  # bytes a pattern's automaton may take; past that RE2 starts it afresh, slower but exact


class Finder:
    """Some kinds, compiled. Make it once and use it for many texts; it holds no state between them."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        options = re2.Options()
        options.max_mem = MEMORY
        options.log_errors = False
        self._kinds = tuple(kinds)
        self._patterns = [re2.compile(kind.pattern, options) for kind in self._kinds]
        self._set = re2.Set.SearchSet(options)
        for kind in self._kinds:
            self._set.Add(kind.pattern)
        if self._kinds:
            self._set.Compile()

    def find(self, text: str, regions: Sequence[str] = ()) -> list[Span]:
        """All spans in a text, in order and apart from each other.

        `regions` are countries (ISO 3166) whose national numbers are likely in it.
        """
        data = text.encode("utf-8", "surrogatepass")
        present = self._set.Match(data) if self._kinds else None
        if not present:
            return []
        claimed = bytearray(len(data))
        found: list[tuple[int, int, str]] = []
        for position in sorted(present):
            kind = self._kinds[position]
            for start, end in _accepted(kind, self._patterns[position], data, regions):
                if claimed.find(1, start, end) < 0:
                    claimed[start:end] = b"\x01" * (end - start)
                    found.append((start, end, kind.name))
        found.sort()
        return _in_characters(found, data, text)


def _accepted(kind: Kind, pattern: "re2._Regexp", data: bytes, regions: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The byte spans of a kind that its check accepts.

    After a refusal the search goes on behind the first word of what was refused: a card number may stand right after
    a year.
    """
    position = 0
    while (match := pattern.search(data, position)) is not None:
        start, end = match.span()
        candidate = Candidate(_decode(data[start:end]), _before(data, start), _after(data, end, kind.reach), regions)
        span = kind.check(candidate)
        if span is None:
            position = start + _first_word(candidate.text)
        else:
            seen = candidate.text if span[1] <= len(candidate.text) else candidate.text + candidate.after
            first = start + len(_encode(seen[: span[0]]))
            last = start + len(_encode(seen[: span[1]]))
            yield first, last
            position = max(last, start + 1)


def _first_word(text: str) -> int:
    """Bytes of the first run of letters and digits, or of the first character when it is neither."""
    length = 0
    while length < len(text) and text[length].isalnum():
        length += 1
    return len(_encode(text[: max(length, 1)]))


def _before(data: bytes, start: int) -> str:
    return _decode(data[max(0, start - CONTEXT_BYTES) : start], "ignore")


def _after(data: bytes, end: int, reach: int) -> str:
    return _decode(data[end : end + reach], "ignore")


def _decode(data: bytes, errors: str = "surrogatepass") -> str:
    return data.decode("utf-8", errors)


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _in_characters(found: Sequence[tuple[int, int, str]], data: bytes, text: str) -> list[Span]:
    """Byte spans as character spans. Marks that sit on a span's last character go with it."""
    spans: list[Span] = []
    place = bytes_done = 0
    for start, end, name in found:
        first = place + len(_decode(data[bytes_done:start]))
        last = first + len(_decode(data[start:end]))
        place, bytes_done = last, end
        while last < len(text) and unicodedata.category(text[last])[0] == "M":
            last += 1
        spans.append(Span(name, first, last))
    return spans


@lru_cache(maxsize=16)
def finder(names: tuple[str, ...]) -> Finder:
    """The compiled finder of those kinds. Raises SettingsError for an unknown name."""
    for name in names:
        if name not in KINDS:
            raise SettingsError(unknown_name("kind of personal data", name, KINDS))
    return Finder(kind for kind in KINDS.values() if kind.name in names)


def find(text: str, kinds: Iterable[str], regions: Sequence[str] = ()) -> list[Span]:
    """The personal data of those kinds in a text: spans in characters, in order, apart from each other.

    Raises SettingsError for an unknown kind.
    """
    return finder(tuple(kinds)).find(text, regions)


def redact(text: str, spans: Sequence[Span], style: str) -> str:
    """The text with every span replaced; all else stays as it is.

    Spans are as `find` gives them. Raises SettingsError for an unknown style.
    """
    if style not in STYLES:
        raise SettingsError(unknown_name("style of redaction", style, STYLES))
    write = STYLES[style]
    parts: list[str] = []
    place = 0
    for span in spans:
        parts += [text[place : span.start], write(KINDS[span.kind])]
        place = span.end
    return "".join([*parts, text[place:]])


STYLES: Mapping[str, Callable[[Kind], str]] = {
    "roots": lambda kind: f"PI:{kind.tag}",
    "starcoder": lambda kind: f"<{kind.tag}>",
}
