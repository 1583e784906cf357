"""Words as FineWeb-2's filters have them: cut as spaCy, or as the IndicNLP library, cuts them.

Punctuation marks are words of their own here. spaCy itself is asked, from the extra `fineweb2`: it cuts each piece
between white space by itself, so a table keeps the words of the pieces met so far, and only new ones reach spaCy. Of
Chinese, Vietnamese, Japanese, Korean and Thai it cuts whole texts, and is asked for each.

    spacy:fr     spaCy's rules of a language by its code; "spacy:xx" are those of no language
    indic        IndicNLP's rules, written again: at spaces, tabs and punctuation, but not at the other white space;
                 "12 , 5" is the one word "12,5"
    indic-urdu   the same with the punctuation of Urdu, and numbers cut
"""

from collections.abc import Sequence
from functools import cache
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from filters.language import SPACY
from filters.text import characters
from filters.text.affixes import ASK, Affixes
from filters.text.characters import SPACE
from filters.text.compiled import compiled, inlined
from filters.text.words import Codes, CutTexts, Hashes, Offsets, Words, hash_spans

_Table = npt.NDArray[np.uint16]
_ASCII = tuple(code for code in range(33, 127) if not chr(code).isalnum() and chr(code) != "\\")  # as in IndicNLP
_INDIC = (*_ASCII, 0x964, 0x965, 0xAAF1, 0xAAF0, 0xABEB, 0xABEC, 0xABED, 0xABEE, 0xABEF, 0x1C7E, 0x1C7F)
_URDU = (*_ASCII, 0x609, 0x60A, 0x60C, 0x61E, 0x66A, 0x66B, 0x66C, 0x66D, 0x6D4)
_JOINING = ",.:/"  # between two numbers

_MOST_PIECES = 1 << 19  # in a table, which then holds some 40 MB; a full one is emptied
_AT_ONCE = 2000  # pieces that spaCy cuts in one text
_LONGEST = 500  # characters of a piece that spaCy is asked about, as its time is quadratic; a longer one is a word
_BETWEEN = "\n\n"  # a word of white space for spaCy, so that no rule sees two pieces together


def split_words(codes: Codes, offsets: Offsets, segmenter: str) -> CutTexts:
    """Cut decoded texts into words, by a segmenter named above; words are equal if all their characters are.

    Raises ModuleNotFoundError without the library that it needs, KeyError for another segmenter.
    """
    if segmenter.startswith(SPACY):
        starts, ends, firsts = _spacy_pieces(segmenter.removeprefix(SPACY)).cut(codes, offsets)
    else:
        joining = np.array([ord(sign) for sign in _JOINING] if segmenter == "indic" else [], np.int32)
        starts, ends, firsts = _cut_indic(codes, offsets, _signs(segmenter))
        extra, starts, ends, firsts = _join_numbers(codes, firsts, starts, ends, joining, characters.classes())
        codes = np.concatenate([codes, extra])  # the texts end before it
    return CutTexts(codes, offsets, Words(starts, ends, hash_spans(codes, starts, ends, *characters.exact()), firsts))


@cache
def _signs(segmenter: str) -> npt.NDArray[np.uint8]:
    """What parts words: 1 for a space, 2 for a sign, which is a word; uint8 (0x110000,)."""
    table = np.zeros(characters.SIZE, np.uint8)
    table[[9, 32]] = 1
    table[list({"indic": _INDIC, "indic-urdu": _URDU}[segmenter])] = 2
    return table


@compiled
def _cut_indic(codes: Codes, offsets: Offsets, signs: npt.NDArray[np.uint8]) -> tuple[Offsets, Offsets, Offsets]:
    """Starts and ends of what is between spaces, tabs and signs, and of the signs; the first of each text."""
    starts, ends = np.empty(len(codes), np.int64), np.empty(len(codes), np.int64)
    firsts = np.empty(len(offsets), np.int64)
    count = 0
    for text in range(len(offsets) - 1):
        firsts[text] = count
        begin = offsets[text]
        for at in range(offsets[text], offsets[text + 1] + 1):
            kind = signs[codes[at]] if at < offsets[text + 1] else 1
            if kind == 0:
                continue
            if begin < at:
                starts[count], ends[count] = begin, at
                count += 1
            if kind == 2:
                starts[count], ends[count] = at, at + 1
                count += 1
            begin = at + 1
    firsts[-1] = count
    return starts[:count].copy(), ends[:count].copy(), firsts


@inlined
def _is_digit(code: int) -> bool:
    return 48 <= code <= 57


@inlined
def _joins(codes: Codes, starts: Offsets, ends: Offsets, at: int, last: int, joining: Codes) -> bool:
    """Whether word `at` ends in a digit, the next is a joining sign, and the one after begins with a digit."""
    if at + 2 >= last or not _is_digit(codes[ends[at] - 1]) or not _is_digit(codes[starts[at + 2]]):
        return False
    return ends[at + 1] - starts[at + 1] == 1 and bool(np.any(joining == codes[starts[at + 1]]))


@compiled
def _first_free(codes: Codes, starts: Offsets, ends: Offsets, first: int, last: int, joining: Codes) -> int:
    """The first word of a text that may be joined: the original leaves a row of numbers cut that a text begins with."""
    while _joins(codes, starts, ends, first, last, joining):
        for at in range(starts[first], ends[first]):
            if not _is_digit(codes[at]):
                return first
        first += 2
    return first


@compiled
def _join_numbers(
    codes: Codes, offsets: Offsets, starts: Offsets, ends: Offsets, joining: Codes, table: _Table
) -> tuple[Codes, Offsets, Offsets, Offsets]:
    """The words without outer white space, and with numbers joined, which are written behind the texts.

    `offsets` are the first words of the texts. Returns the joined words' characters, then starts, ends and the first
    word of each text.
    """
    extra = np.empty(len(codes) if len(joining) else 0, np.int32)
    new_starts, new_ends = np.empty(len(starts), np.int64), np.empty(len(starts), np.int64)
    firsts = np.empty(len(offsets), np.int64)
    count, written = 0, 0
    for text in range(len(offsets) - 1):
        firsts[text] = count
        word, last = offsets[text], offsets[text + 1]
        free = _first_free(codes, starts, ends, word, last, joining)
        while word < last:
            start, end = starts[word], ends[word]
            while start < end and table[codes[start]] & SPACE:
                start += 1
            begin = written
            while word >= free and _joins(codes, starts, ends, word, last, joining):
                extra[written : written + end - start] = codes[start:end]
                extra[written + end - start] = codes[starts[word + 1]]
                written += end - start + 1
                word += 2
                start, end = starts[word], ends[word]
            while end > start and table[codes[end - 1]] & SPACE:
                end -= 1
            if written > begin:
                extra[written : written + end - start] = codes[start:end]
                written += end - start
                start, end = len(codes) + begin, len(codes) + written
            if start < end:
                new_starts[count], new_ends[count] = start, end
                count += 1
            word += 1
    firsts[-1] = count
    return extra[:written].copy(), new_starts[:count].copy(), new_ends[:count].copy(), firsts


class _Phrases(NamedTuple):
    """Words of a language that hold a space, such as "EE. UU."; phrase i is codes[offsets[i]:offsets[i + 1]]."""

    codes: Codes
    offsets: Offsets
    spaces: Offsets  # (phrases,): where the first space of each is
    begins: npt.NDArray[np.bool_]  # (65536,): whether any has these characters around it (`_around`)


@compiled
def _around(codes: Codes, space: int) -> int:
    """The characters before and after a space, in 16 bits."""
    return int((codes[space - 1] * 256 + codes[space + 1]) & 0xFFFF)


def _pack(phrases: Sequence[str]) -> _Phrases:
    codes = np.array([ord(character) for phrase in phrases for character in phrase], np.int32)
    offsets = np.cumsum([0, *map(len, phrases)]).astype(np.int64)
    spaces = np.array([phrase.index(" ") for phrase in phrases], np.int64)
    begins = np.zeros(1 << 16, np.bool_)
    for first in (offsets[:-1] + spaces).tolist():
        begins[_around(codes, first)] = True
    return _Phrases(codes, offsets, spaces, begins)


@compiled
def _inside(codes: Codes, start: int, end: int, phrases: _Phrases) -> npt.NDArray[np.bool_]:
    """Which characters of a text are inside a phrase, where a space parts no pieces; bool (end - start,)."""
    inside = np.zeros(end - start, np.bool_)
    for at in range(start + 1, end - 1):
        if codes[at] != 32 or not phrases.begins[_around(codes, at)]:
            continue
        for phrase in range(len(phrases.spaces)):
            wanted = phrases.codes[phrases.offsets[phrase] : phrases.offsets[phrase + 1]]
            first = at - phrases.spaces[phrase]
            last = first + len(wanted)
            if first >= start and last <= end and np.array_equal(codes[first:last], wanted):
                inside[first - start : last - start] = True
    return inside


@compiled
def _find_pieces(codes: Codes, offsets: Offsets, table: _Table, phrases: _Phrases) -> tuple[Offsets, Offsets, Offsets]:
    """Starts and ends of what is between white space, and the first piece of each text."""
    starts, ends = np.empty(len(codes), np.int64), np.empty(len(codes), np.int64)
    firsts = np.empty(len(offsets), np.int64)
    count = 0
    for text in range(len(offsets) - 1):
        firsts[text] = count
        begin, end = offsets[text], offsets[text + 1]
        inside = _inside(codes, begin, end, phrases) if len(phrases.spaces) else np.zeros(0, np.bool_)
        for at in range(begin, end + 1):
            if at < end and not table[codes[at]] & SPACE:
                continue
            if at < end and len(inside) and inside[at - offsets[text]]:
                continue
            if begin < at:
                starts[count], ends[count] = begin, at
                count += 1
            begin = at + 1
    firsts[-1] = count
    return starts[:count].copy(), ends[:count].copy(), firsts


@compiled
def _rows_of(hashes: Hashes, keys: Hashes, rows: Offsets) -> Offsets:
    """The row of each piece in the table, -1 for a piece that it lacks."""
    found = np.empty(len(hashes), np.int64)
    mask = np.uint64(len(keys) - 1)
    for piece in range(len(hashes)):
        slot = hashes[piece] & mask
        while rows[slot] >= 0 and keys[slot] != hashes[piece]:
            slot = (slot + np.uint64(1)) & mask
        found[piece] = rows[slot]
    return found


@compiled
def _add_rows(hashes: Hashes, first: int, keys: Hashes, rows: Offsets) -> None:
    """Give new pieces the rows from `first` on."""
    mask = np.uint64(len(keys) - 1)
    for piece in range(len(hashes)):
        slot = hashes[piece] & mask
        while rows[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        keys[slot], rows[slot] = hashes[piece], first + piece


@compiled
def _words_of(
    starts: Offsets, firsts: Offsets, found: Offsets, bounds: Offsets, words: npt.NDArray[np.int32]
) -> tuple[Offsets, Offsets, Offsets]:
    """Starts and ends of the words of all pieces, whose rows are `found`; the first word of each text."""
    total = 0
    for row in found:
        total += bounds[row + 1] - bounds[row]
    word_starts, word_ends = np.empty(total, np.int64), np.empty(total, np.int64)
    first_words = np.empty(len(firsts), np.int64)
    count = 0
    for text in range(len(firsts) - 1):
        first_words[text] = count
        for piece in range(firsts[text], firsts[text + 1]):
            for word in range(bounds[found[piece]], bounds[found[piece] + 1]):
                word_starts[count] = starts[piece] + words[word, 0]
                word_ends[count] = starts[piece] + words[word, 1]
                count += 1
    first_words[-1] = count
    return word_starts, word_ends, first_words


@compiled
def _fill_words(affixes: Offsets, sizes: Offsets, counts: Offsets, cut: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Where the words of pieces begin and end: a prefix, a word and signs, or the next words of `cut`."""
    words = np.empty((counts.sum(), 2), np.int32)
    count, used = 0, 0
    for piece in range(len(sizes)):
        head, signs = affixes[piece]
        if signs == ASK:
            words[count : count + counts[piece]] = cut[used : used + counts[piece]]
            used += counts[piece]
            count += counts[piece]
            continue
        if head:
            words[count, 0], words[count, 1] = 0, head
            count += 1
        words[count, 0], words[count, 1] = head, sizes[piece] - signs
        count += 1
        for at in range(sizes[piece] - signs, sizes[piece]):
            words[count, 0], words[count, 1] = at, at + 1
            count += 1
    return words


class _SpacyPieces:
    """The words that spaCy's rules of a language cut: a table of pieces, and spaCy for those it lacks.

    The words of piece r are words[bounds[r]:bounds[r + 1]]: where each begins and ends in the piece.
    """

    def __init__(self, code: str) -> None:
        self._language = _spacy_language(code)
        rules = getattr(self._language.tokenizer, "rules", None)
        self._whole = rules is None  # finds words by a dictionary, over white space
        self._phrases = _pack(sorted(rule for rule in rules or () if " " in rule.strip()))
        self._jieba = self._language.tokenizer.jieba_seg.cut if code == "zh" else None
        self._affixes = None if self._whole else Affixes.of(self._language.tokenizer)
        self._empty()

    def _empty(self) -> None:
        self._keys = np.zeros(4 * _MOST_PIECES, np.uint64)
        self._rows = np.full(4 * _MOST_PIECES, -1, np.int64)
        self._bounds = np.zeros(1, np.int64)
        self._words = np.zeros((0, 2), np.int32)

    def cut(self, codes: Codes, offsets: Offsets) -> tuple[Offsets, Offsets, Offsets]:
        """Starts and ends of all words, and the first word of each text."""
        if self._whole:
            return self._cut_whole(codes, offsets)
        starts, ends, firsts = _find_pieces(codes, offsets, characters.classes(), self._phrases)
        hashes = hash_spans(codes, starts, ends, *characters.exact())
        found = _rows_of(hashes, self._keys, self._rows)
        if (found < 0).any():
            if len(self._bounds) > _MOST_PIECES:
                self._empty()
                found = np.full(len(hashes), -1, np.int64)
            new, places = np.unique(hashes[found < 0], return_index=True)
            places = np.flatnonzero(found < 0)[places]
            text = _text_of(codes, 0, len(codes))
            spans = zip(starts[places].tolist(), ends[places].tolist(), strict=True)
            self._learn(new, [text[start:end] for start, end in spans])
            found = _rows_of(hashes, self._keys, self._rows)
        return _words_of(starts, firsts, found, self._bounds, self._words)

    def _learn(self, hashes: Hashes, pieces: Sequence[str]) -> None:
        """Add new pieces, those that are more than a word between affixes as spaCy cuts them."""
        affixes = self._affixes.cut(pieces) if self._affixes else np.full((len(pieces), 2), ASK)
        sizes = np.array([len(piece) for piece in pieces], np.int64)
        affixes[(affixes[:, 1] == ASK) & (sizes > _LONGEST)] = 0
        asked = np.flatnonzero(affixes[:, 1] == ASK)
        counts, cut = self._ask([pieces[place] for place in asked.tolist()])
        all_counts = (affixes[:, 0] > 0) + 1 + affixes[:, 1]
        all_counts[asked] = counts
        words = _fill_words(affixes, sizes, all_counts, cut)
        _add_rows(hashes, len(self._bounds) - 1, self._keys, self._rows)
        self._bounds = np.concatenate([self._bounds, self._bounds[-1] + np.cumsum(all_counts)])
        self._words = np.concatenate([self._words, words])

    def _ask(self, pieces: Sequence[str]) -> tuple[Offsets, npt.NDArray[np.int32]]:
        """How many words spaCy cuts each piece into, and where they begin and end in it."""
        words: list[npt.NDArray[np.int32]] = [np.zeros((0, 2), np.int32)]
        counts: list[int] = []
        for first in range(0, len(pieces), _AT_ONCE):
            some = pieces[first : first + _AT_ONCE]
            places = np.cumsum([0, *(len(piece) + len(_BETWEEN) for piece in some)])
            tokens = [(start, start + len(text)) for start, text in self._tokens(_BETWEEN.join(some)) if text.strip()]
            spans = np.array(tokens, np.int64).reshape(-1, 2)
            piece_of = np.searchsorted(places, spans[:, 0], side="right") - 1
            words.append((spans - places[piece_of, None]).astype(np.int32))
            counts += np.bincount(piece_of, minlength=len(some)).tolist()
        return np.array(counts, np.int64), np.concatenate(words)

    def _cut_whole(self, codes: Codes, offsets: Offsets) -> tuple[Offsets, Offsets, Offsets]:
        spans: list[tuple[int, int]] = []
        firsts = [0]
        for first, last in pairwise(offsets.tolist()):
            for start, text in self._tokens(_text_of(codes, first, last)):
                if word := text.strip():
                    begin = first + start + text.index(word)
                    spans.append((begin, begin + len(word)))
            firsts.append(len(spans))
        starts, ends = np.array(spans, np.int64).reshape(-1, 2).T.copy()
        return starts, ends, np.array(firsts, np.int64)

    def _tokens(self, text: str) -> list[tuple[int, str]]:
        """Where each of spaCy's tokens begins, and its text."""
        if self._jieba:  # spaCy would take as long again to write down what jieba cuts
            words = list(self._jieba(text))
            return list(zip(accumulate(map(len, words), initial=0), words, strict=False))
        with self._language.memory_zone():
            return [(token.idx, token.text) for token in self._language.tokenizer(text)]


def _text_of(codes: Codes, start: int, end: int) -> str:
    return codes[start:end].astype("<i4").tobytes().decode("utf-32-le", "replace")


@cache
def _spacy_pieces(code: str) -> _SpacyPieces:
    return _SpacyPieces(code)


def _spacy_language(code: str) -> Any:
    """spaCy's rules of a language, as datatrove asks for them: Chinese is cut by jieba."""
    import spacy  # takes a second, and only FineWeb-2's definitions need it

    config = {"nlp": {"tokenizer": {"segmenter": "jieba"}}} if code == "zh" else {}
    return spacy.blank(code, config=config)
