"""Which pieces of text spaCy's rules leave whole but for signs at their ends, found without asking spaCy.

spaCy searches each piece for a prefix, a suffix and infixes with three regular expressions of hundreds of alternatives,
which takes it 15 microseconds. RE2 searches all new pieces at once for anything that any alternative could match. It
has no look-around, so a look-around becomes a part of the match, or is left out if it is negative: what RE2 does not
find, spaCy does not find either. A piece without a match is one word. A piece whose only match is its last character is
the word before it and that character. A piece that begins with a match has the prefix that spaCy's expression finds.
Nothing else is decided here.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import re2

ASK = -1  # what is not decided here
_NONE = -1  # where a piece has no match
_MEMORY = 64 << 20  # bytes, for RE2's automata
_NEGATIVE = re.compile(r"\(\?<?!\[[^\]]*\]\)")  # look-arounds of a class of characters
_CODE = re.compile(r"\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})")
_DEPTH = 3  # signs at the end of a piece that are looked at


class Affixes:
    """The rules of one of spaCy's languages, as far as RE2 can tell what they do not match."""

    def __init__(self, searches: Sequence[Any], rules: Mapping[str, object], whole: Any) -> None:
        """`searches` find a prefix, a suffix and infixes; `rules` are pieces with words of their own.

        `whole`, if not None, says of a piece whether it stays whole whatever its signs.
        """
        found = [each for search in searches for each in _alternatives(search.__self__.pattern)]
        options = re2.Options()
        options.max_mem = _MEMORY
        self._any = re2.compile("(?m)" + "|".join(map(_widened, found)), options)
        plain = [each for each in found if "(?<=" not in each]
        self._without_behind = re2.compile("(?m)" + "|".join(map(_widened, plain)), options)
        self._find_prefix = searches[0]
        self._rules = rules
        self._longest = max(map(len, rules), default=0)
        self._whole = whole

    @classmethod
    def of(cls, tokenizer: Any) -> "Affixes | None":
        """Those of a tokenizer of spaCy's, None where one of its patterns is not understood."""
        try:
            searches = (tokenizer.prefix_search, tokenizer.suffix_search, tokenizer.infix_finditer)
            return cls(searches, tokenizer.rules, tokenizer.token_match)
        except (AttributeError, ValueError, re2.error):
            return None

    def cut(self, pieces: Sequence[str]) -> npt.NDArray[np.int64]:
        """How each piece is cut: characters of a prefix, and signs at the end; int64 (pieces, 2).

        What is between is one word, and each sign is one. (ASK, ASK) for a piece that is cut in another way, or about
        which nothing is known.
        """
        starts = _first_matches(self._any, pieces)
        signs = self._count_signs(pieces, starts, _DEPTH)
        found = np.stack([np.where(np.array(signs, np.int64) == ASK, ASK, 0), np.array(signs, np.int64)], axis=1)
        begun = [place for place, start in enumerate(starts) if start == 0 and self._may_begin(pieces[place])]
        lengths = [self._prefix_of(pieces[place]) for place in begun]
        rests = [pieces[place][length:] for place, length in zip(begun, lengths, strict=True)]
        after = self._count_signs(rests, _first_matches(self._any, rests), _DEPTH)
        for place, length, count in zip(begun, lengths, after, strict=True):
            if length and count != ASK and len(pieces[place]) > length + count:
                found[place] = length, count
        return found

    def _may_begin(self, piece: str) -> bool:
        """Whether only a prefix and signs can be words of their own: no rule is how the piece begins, or all of it."""
        if " " in piece or (self._whole and self._whole(piece)):
            return False
        return not any(piece[:size] in self._rules for size in range(2, min(self._longest, len(piece)) + 1))

    def _prefix_of(self, piece: str) -> int:
        """Characters of the prefix that spaCy finds."""
        match = self._find_prefix(piece)
        return match.end() - match.start() if match else 0

    def _count_signs(self, pieces: Sequence[str], starts: Sequence[int], depth: int) -> list[int]:
        """How many characters at the end of each piece are words of their own, behind one word; ASK if unknown.

        `starts` are the first matches in the pieces.
        """
        plain = [piece not in self._rules and " " not in piece for piece in pieces]
        known = [0 if start == _NONE and yes else ASK for start, yes in zip(starts, plain, strict=True)]
        ending = [
            place
            for place, (piece, start, yes) in enumerate(zip(pieces, starts, plain, strict=True))
            if yes and start >= max(1, len(piece) - 2)
        ]
        behind = _first_matches(self._without_behind, [pieces[place] for place in ending])
        ending = [
            place
            for place, start in zip(ending, behind, strict=True)
            if start in (_NONE, len(pieces[place]) - 1) and not (self._whole and self._whole(pieces[place]))
        ]
        if depth and ending:
            cores = [pieces[place][:-1] for place in ending]
            before = self._count_signs(cores, _first_matches(self._any, cores), depth - 1)
            for place, signs in zip(ending, before, strict=True):
                known[place] = ASK if signs == ASK else self._one_more(pieces[place], signs + 1)
        return known

    def _one_more(self, piece: str, signs: int) -> int:
        """The count, unless characters at the end make a word of their own together, such as a smiley."""
        apart = piece[:-1] not in self._rules and not any(piece[-k:] in self._rules for k in range(2, signs + 1))
        return signs if apart else ASK


def _first_matches(pattern: Any, pieces: Sequence[str]) -> list[int]:
    """Where the first match begins in each piece, _NONE where there is none."""
    begins, end = [], 0
    for piece in pieces:
        begins.append(end)
        end += len(piece) + 1
    found = [_NONE] * len(pieces)
    place = 0
    for match in pattern.finditer("\n".join(pieces)):
        start = match.start()
        place = bisect_right(begins, start, place) - 1
        if found[place] == _NONE:
            found[place] = start - begins[place]
    return found


def _alternatives(pattern: str) -> list[str]:
    """The alternatives of a regular expression, cut at each bar that is in no group and no class."""
    parts, depth, inside, start = [], 0, False, 0
    escaped = False
    for at, sign in enumerate(pattern):
        if escaped:
            escaped = False
        elif sign == "\\":
            escaped = True
        elif inside:
            inside = sign != "]"
        elif sign == "[":
            inside = True
        elif sign in "()":
            depth += 1 if sign == "(" else -1
        elif sign == "|" and depth == 0:
            parts.append(pattern[start:at])
            start = at + 1
    return [*parts, pattern[start:]]


def _widened(alternative: str) -> str:
    """An alternative in RE2's syntax that matches wherever it does. Raises ValueError where that is not known."""
    text = _CODE.sub(lambda code: rf"\x{{{code[1] or code[2]}}}", _NEGATIVE.sub("", alternative))
    if "(?<=" in text.removeprefix("^")[1:] or "(?!" in text or "(?<!" in text:
        raise ValueError(f"a look-around is not understood in {alternative[:100]!r}")
    return text.replace("(?<=", "(?:").replace("(?=", "(?:")
