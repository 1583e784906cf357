"""A batch of texts, cut once into code points and words for all measures.

All texts are one array of code points, with the offset at which each begins. A word is a start and an end in that
array, with a hash that ignores case and normal form. Compiled passes run over these arrays, so that forty measures of
a document cost less than one regular expression. No text is changed and no mark is stripped.

Words by segmenter (SEGMENTERS):

    unicode   Unicode word boundaries (UAX #29): letters, marks and digits, with an apostrophe or full stop between
              two letters, a comma or full stop between two digits; each ideograph alone
    elision   the same, but an apostrophe ends a word: French "l'|eau", "lorsqu'|il", Catalan "d'|aigua", "veure'|l";
              not between two parts of three or more letters: "aujourd'hui"
    icu       ICU's dictionaries, for Chinese, Thai, Lao, Khmer and Burmese
    roots     as ROOTS cut them: at space, tab and newline, special characters taken off both ends
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.text import characters
from filters.text.characters import (
    APOSTROPHE,
    CONNECTOR,
    IDEOGRAPH,
    JOINER,
    LETTER,
    MARK,
    MID_LETTER,
    MID_NUMBER,
    NUMBER,
    ROOTS_SPECIAL,
)
from filters.text.compiled import compiled, inlined

Codes = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Folding = tuple[Codes, Hashes]  # which words are equal: see characters.folding

_WORD = LETTER | NUMBER
_EXTENDS = MARK | JOINER
_INSIDE = _WORD | _EXTENDS | CONNECTOR


class Words(NamedTuple):
    """The words of a batch: word i is codes[starts[i]:ends[i]]; those of document d are offsets[d] to offsets[d + 1].

    `hashes` are 64-bit digests under `characters.folding`: words that differ only in case or in normal form have equal
    ones.
    """

    starts: Offsets
    ends: Offsets
    hashes: Hashes
    offsets: Offsets


@dataclass(frozen=True)
class CutTexts:
    """A batch of texts: document d is codes[offsets[d]:offsets[d + 1]]; `words` are its words."""

    codes: Codes
    offsets: Offsets
    words: Words

    def __len__(self) -> int:
        return len(self.offsets) - 1


def code_points(texts: pa.Array) -> tuple[Codes, Offsets]:
    """Code points of an Arrow string array, and where each text begins: int32 (characters,), int64 (texts + 1,).

    A null is an empty text. Bytes that are not UTF-8 become U+FFFD.
    """
    wide = texts.cast(pa.large_string())
    _, offsets_buffer, data_buffer = wide.buffers()
    if len(wide) == 0:
        return np.zeros(0, np.int32), np.zeros(1, np.int64)
    offsets = np.frombuffer(offsets_buffer, np.int64)[wide.offset : wide.offset + len(wide) + 1]
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer is not None else np.zeros(0, np.uint8)
    return _decode(data, offsets)


@compiled
def _decode(data: npt.NDArray[np.uint8], offsets: Offsets) -> tuple[Codes, Offsets]:
    codes = np.empty(offsets[-1] - offsets[0], np.int32)
    starts = np.empty(len(offsets), np.int64)
    out = 0
    for text in range(len(offsets) - 1):
        starts[text] = out
        at, end = offsets[text], offsets[text + 1]
        while at < end:
            lead = data[at]
            if lead < 0x80:
                codes[out] = lead
                at += 1
                out += 1
                continue
            size = 2 if 0xC0 <= lead < 0xE0 else 3 if 0xE0 <= lead < 0xF0 else 4 if 0xF0 <= lead < 0xF8 else 0
            code = lead & (0x7F >> size) if size else 0
            whole = size > 0 and at + size <= end
            if whole:
                for step in range(1, size):
                    code = (code << 6) | (data[at + step] & 0x3F)
                    whole = whole and (data[at + step] & 0xC0) == 0x80
            codes[out] = code if whole and code < 0x110000 else 0xFFFD
            at += size if whole else 1
            out += 1
    starts[-1] = out
    return codes[:out].copy(), starts


@compiled
def fold_letters(
    codes: Codes, start: int, end: int, bases: Codes, marks: Hashes, value: np.uint64, pending: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """Add codes[start:end] to a digest (FNV-1a over letters); `pending` are the marks of the last letter."""
    for at in range(start, end):
        code = codes[at]
        base = bases[code]
        if base < 0:
            pending += marks[code]
            continue
        if pending:
            value = (value ^ pending) * np.uint64(0x100000001B3)
        value = (value ^ np.uint64(base)) * np.uint64(0x100000001B3)
        pending = marks[code]
    return value, pending


@compiled
def close_digest(value: np.uint64, pending: np.uint64) -> np.uint64:
    """End a digest: add the last marks and mix the bits (Murmur3's last step)."""
    if pending:
        value = (value ^ pending) * np.uint64(0x100000001B3)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@compiled
def hash_spans(codes: Codes, starts: Offsets, ends: Offsets, bases: Codes, marks: Hashes) -> Hashes:
    """The digest of each codes[starts[i]:ends[i]] under a folding (`characters.folding`); uint64 (spans,)."""
    hashes = np.empty(len(starts), np.uint64)
    for span in range(len(starts)):
        value, pending = fold_letters(
            codes, starts[span], ends[span], bases, marks, np.uint64(0xCBF29CE484222325), np.uint64(0)
        )
        hashes[span] = close_digest(value, pending)
    return hashes


def hash_words(words: Sequence[str], folding: Folding | None = None) -> Hashes:
    """The hashes of a list of words, sorted, to compare the words of a text with; uint64 (different words,)."""
    codes, offsets = code_points(pa.array(words, pa.large_string()))
    return np.unique(hash_spans(codes, offsets[:-1], offsets[1:], *(folding or characters.folding())))


@compiled
def _is_elided(codes: Codes, start: int, at: int, end: int, table: npt.NDArray[np.uint16]) -> bool:
    """Whether the apostrophe at `at` ends the word from `start` on: one part is short, or the first ends in "u"."""
    if at - start < 3 or codes[at - 1] == 117 or codes[at - 1] == 85 or end - at < 4:
        return True
    return not (table[codes[at + 2]] & _WORD and table[codes[at + 3]] & _WORD)


@compiled
def _word_end(codes: Codes, at: int, end: int, table: npt.NDArray[np.uint16], elision: bool) -> int:
    """Where the word that begins at `at` ends: UAX #29's rules for letters, digits and signs between them."""
    start = at
    last = table[codes[at]]
    ideograph = last & IDEOGRAPH
    at += 1
    while at < end:
        bits = table[codes[at]]
        if bits & _EXTENDS:
            at += 1
            continue
        if ideograph or bits & IDEOGRAPH:
            return at
        if bits & (_WORD | CONNECTOR):
            last = bits
            at += 1
            continue
        following = table[codes[at + 1]] if at + 1 < end else 0
        joins = (bits & MID_LETTER and last & LETTER and following & LETTER and not following & IDEOGRAPH) or (
            bits & MID_NUMBER and last & NUMBER and following & NUMBER
        )
        if not joins or (elision and bits & APOSTROPHE and _is_elided(codes, start, at, end, table)):
            return at
        last = following
        at += 2
    return at


@inlined
def _roots_word(codes: Codes, at: int, end: int, table: npt.NDArray[np.uint16]) -> tuple[int, int, int]:
    """The next piece between spaces, as ROOTS cut it: where its word begins and ends, and where the piece ends."""
    stop = at
    while stop < end and codes[stop] != 32 and codes[stop] != 10 and codes[stop] != 9:
        stop += 1
    first, last = at, stop
    while first < last and table[codes[first]] & ROOTS_SPECIAL:
        first += 1
    while last > first and table[codes[last - 1]] & ROOTS_SPECIAL:
        last -= 1
    return first, last, stop


@compiled
def _spans(
    codes: Codes, offsets: Offsets, table: npt.NDArray[np.uint16], elision: bool, roots: bool
) -> tuple[Offsets, Offsets, Offsets]:
    """Starts and ends of all words, and the first word of each text; by ROOTS's rules or by Unicode's."""
    most = len(codes) // 2 + len(offsets) if roots else len(codes)
    starts, ends = np.empty(most, np.int64), np.empty(most, np.int64)
    firsts = np.empty(len(offsets), np.int64)
    count = 0
    for text in range(len(offsets) - 1):
        firsts[text] = count
        at, end = offsets[text], offsets[text + 1]
        while at < end:
            if roots:
                first, last, stop = _roots_word(codes, at, end, table)
                at = stop + 1
            elif table[codes[at]] & _WORD:
                first, last = at, _word_end(codes, at, end, table, elision)
                at = last
            else:
                at += 1
                continue
            if first < last:
                starts[count], ends[count] = first, last
                count += 1
    firsts[-1] = count
    return starts[:count].copy(), ends[:count].copy(), firsts


@compiled
def _words_of_pieces(
    codes: Codes, pieces: Offsets, counts: Offsets, table: npt.NDArray[np.uint16]
) -> tuple[Offsets, Offsets, Offsets]:
    """The pieces that hold a letter or a digit; `pieces` are lengths, `counts` how many each text has."""
    starts = np.empty(len(pieces), np.int64)
    ends = np.empty(len(pieces), np.int64)
    firsts = np.empty(len(counts) + 1, np.int64)
    count, piece, at = 0, 0, 0
    for text in range(len(counts)):
        firsts[text] = count
        for _ in range(counts[text]):
            end = at + pieces[piece]
            for place in range(at, end):
                if table[codes[place]] & _WORD:
                    starts[count] = at
                    ends[count] = end
                    count += 1
                    break
            at = end
            piece += 1
    firsts[-1] = count
    return starts[:count].copy(), ends[:count].copy(), firsts


_Spans = tuple[Offsets, Offsets, Offsets]


def _cut_unicode(codes: Codes, offsets: Offsets) -> _Spans:
    return _spans(codes, offsets, characters.classes(), False, False)


def _cut_elision(codes: Codes, offsets: Offsets) -> _Spans:
    return _spans(codes, offsets, characters.classes(), True, False)


def _cut_roots(codes: Codes, offsets: Offsets) -> _Spans:
    return _spans(codes, offsets, characters.classes(), False, True)


def _cut_icu(codes: Codes, offsets: Offsets) -> _Spans:
    from icu4py.breakers import WordBreaker  # takes 20 ms to load; only languages written without spaces need it

    pieces: list[int] = []
    counts = np.zeros(len(offsets) - 1, np.int64)
    text = codes.astype("<i4").tobytes().decode("utf-32-le", "replace")
    for document in range(len(offsets) - 1):
        lengths = [len(str(piece)) for piece in WordBreaker(text[offsets[document] : offsets[document + 1]], "zh")]
        counts[document] = len(lengths)
        pieces += lengths
    return _words_of_pieces(codes, np.array(pieces, np.int64), counts, characters.classes())


SEGMENTERS: dict[str, Callable[[Codes, Offsets], _Spans]] = {
    "unicode": _cut_unicode,
    "elision": _cut_elision,
    "icu": _cut_icu,
    "roots": _cut_roots,
}


def cut_words(codes: Codes, offsets: Offsets, segmenter: str, folding: Folding | None = None) -> CutTexts:
    """Cut decoded texts into words, by a segmenter of SEGMENTERS."""
    starts, ends, firsts = SEGMENTERS[segmenter](codes, offsets)
    hashes = hash_spans(codes, starts, ends, *(folding or characters.folding()))
    return CutTexts(codes, offsets, Words(starts, ends, hashes, firsts))


def cut_texts(texts: pa.Array, segmenter: str = "unicode") -> CutTexts:
    """Decode an Arrow string array and cut it into words."""
    return cut_words(*code_points(texts), segmenter)


def remove_spans(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Remove spans, (start, end) in characters and in order, from a text.

    Raises ValueError if spans overlap or are not inside the text.
    """
    parts: list[str] = []
    at = 0
    for start, end in spans:
        if not at <= start <= end <= len(text):
            raise ValueError(f"a line from {start} to {end} is not in a text of {len(text)} characters")
        parts.append(text[at:start])
        at = end
    return "".join([*parts, text[at:]])


def moved(places: Sequence[int], spans: Sequence[tuple[int, int]], lengths: Sequence[int]) -> list[int]:
    """Where ascending places of a text are once each span is replaced by a text of its length, or removed (0).

    A place within a span goes to where the span began.

    >>> moved([0, 4, 6, 9], [(2, 5), (6, 7)], [0, 3])
    [0, 2, 3, 8]
    """
    found: list[int] = []
    shift = at = 0
    for place in places:
        while at < len(spans) and spans[at][1] <= place:
            shift += lengths[at] - (spans[at][1] - spans[at][0])
            at += 1
        inside = at < len(spans) and spans[at][0] < place
        found.append((spans[at][0] if inside else place) + shift)
    return found
