"""Repairs of the characters of a document's text: pure functions, each for one habit of the programs that write PDF.

No repair changes how many letters there are, so `page_starts` finds the pages in the repaired text by counting letters.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

from pipelines.documents.layout import HYPHENS

# Latin ligatures and Arabic presentation forms, which are pictures of letters; nothing else is folded, so that ², ½ and
# full width stay as they are.
_PICTURES = re.compile("[\ufb00-\ufb06\ufb13-\ufb17\ufb1d-\ufb4f\ufb50-\ufd3d\ufd50-\ufdfb\ufe70-\ufefc]")
_MARK_FORMS = re.compile("[\ufc5e-\ufc63\ufe70-\ufe7f]")  # of a mark alone: they fold to a space and the mark
_ACCENTS = {
    "\u00b4": "\u0301", "`": "\u0300", "\u02c6": "\u0302", "^": "\u0302", "\u00a8": "\u0308", "\u02dc": "\u0303",
    "\u00b8": "\u0327", "\u02c7": "\u030c", "\u02d8": "\u0306", "\u02da": "\u030a", "\u00af": "\u0304",
    "\u02dd": "\u030b", "\u02d9": "\u0307", "\u02db": "\u0328",
}  # fmt: skip
_SIGNS = "".join(map(re.escape, _ACCENTS))
_BEFORE = re.compile(f"([{_SIGNS}])([^\\W\\d_])")
_INSIDE = re.compile(f"[^\\W\\d_][{_SIGNS}][^\\W\\d_]")
_MARKED = "\ufffe\u0002"  # hyphens at a line's end, as PDFium marks them
_FEW = 3  # accents inside words, from which on a document's spacing accents are taken for accents of letters
_DOTLESS = {"\u0131": "i", "\u0237": "j"}
_BROKEN = re.compile(f"(\\w[\\w\u0300-\u036f\u2019']*)([-{HYPHENS}])\n?(\\w[\\w\u0300-\u036f]*)")
_LETTER_ACCENTS = re.compile("[\u02c6\u02c7]")  # which Unicode calls letters
_BLOCK = 256  # characters whose letters are counted at once
_GAP = 80  # characters without a letter between two pages, of which their border is one
_WORD = re.compile(r"\w[\w\u0300-\u036f\u2019'\u2010-]*")


def letters_of_pictures(text: str) -> str:
    """Ligatures and presentation forms as the letters they show.

    >>> letters_of_pictures("ﬁn, x², ﻻ")
    'fin, x², لا'
    """
    return _PICTURES.sub(_fold, text) if not text.isascii() else text


def _fold(found: re.Match[str]) -> str:
    letters = unicodedata.normalize("NFKC", found[0])
    return letters.lstrip(" ") if _MARK_FORMS.match(found[0]) else letters


def compose_accents(paragraphs: list[str]) -> list[str]:
    """Letters with the accents that stand beside them, as TeX's old fonts give them; a text with few of them stays.

    >>> compose_accents(["la fenˆetre r´ev`ele ¸ca, ´et´e"])
    ['la fenêtre révèle ça, été']
    >>> compose_accents(["the code `a`"])
    ['the code `a`']
    """
    if sum(len(_INSIDE.findall(each)) for each in paragraphs if not each.isascii()) < _FEW:
        return paragraphs
    return [_BEFORE.sub(_compose, each) for each in paragraphs]


def _compose(found: re.Match[str]) -> str:
    letter = _DOTLESS.get(found[2], found[2])
    composed = unicodedata.normalize("NFC", letter + _ACCENTS[found[1]])
    return composed if len(composed) == 1 else found[0]


def join_hyphens(paragraphs: list[str]) -> list[str]:
    """Words that a line end divides, whole again.

    A hyphen that a program set is dropped unless the document has the word with a hyphen; one that may be the author's
    is dropped only if the document has the word without it, or its first part is no word of the document.

    >>> join_hyphens(["a dia‐\\nlog and a well-\\nknown dia-\\nlog", "a well-known dialog", "well"])
    ['a dialog and a well-known dialog', 'a well-known dialog', 'well']
    """
    if not any(sign in each for each in paragraphs for sign in "\n" + _MARKED):
        return paragraphs
    known = Counter(word.casefold() for each in paragraphs for word in _WORD.findall(each.replace("\n", "\n ")))

    def join(found: re.Match[str]) -> str:
        left, sign, right = found.groups()
        if "\n" not in found[0] and sign not in _MARKED:
            return found[0]
        whole = f"{left}{right}".casefold()
        for hyphen in "-\u2010":
            if known[f"{left}{hyphen}{right}".casefold()] > known[whole]:
                return f"{left}{hyphen}{right}"
        parted = sign == "-" and known[left.casefold()]
        if not known[whole] and (parted or right[0].isupper() or left[-1].isdigit()):
            return f"{left}-{right}"
        return left + right

    return [
        re.sub(f"[{HYPHENS}]?\n|[{_MARKED}]", "", _BROKEN.sub(join, _BROKEN.sub(join, each))) for each in paragraphs
    ]


def letters_in(text: str) -> int:
    """How many letters and digits a text has, counted so that no repair changes it.

    >>> letters_in("\ufb01n, x\u00b2, fen\u02c6etre") == letters_in("fin, x\u00b2, fen\u00eatre") == 12
    True
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKD", _LETTER_ACCENTS.sub("", text))
    return sum(map(str.isalnum, text))


def page_starts(text: str, letters: Sequence[int]) -> list[int] | None:
    """Where each page begins in a text, in characters, by how many letters each page has; None if the text has others.

    A page begins with its first line or word, or within a word that a page's end divides. An empty page begins where
    the next one does.

    >>> page_starts("One.\\n- Two three", [3, 3, 0, 5])
    [0, 5, 11, 11]
    """
    counts = [letters_in(text[at : at + _BLOCK]) for at in range(0, len(text), _BLOCK)]
    if not letters or sum(counts) != sum(letters):
        return None
    starts: list[int] = []
    block = before = 0  # the block that is looked at, and the letters before it
    for target in accumulate(letters[:-1], initial=0):
        while block < len(counts) and before + counts[block] <= target:
            before, block = before + counts[block], block + 1
        starts.append(_border(text, _place(text, block * _BLOCK, target - before)) if target else 0)
    return starts


def _place(text: str, start: int, letters: int) -> int:
    """The place of the letter that this many others precede, counted from `start`; the end of the text if none is."""
    for place in range(start, len(text)):
        letters -= letters_in(text[place])
        if letters < 0:
            return place
    return len(text)


def _border(text: str, place: int) -> int:
    """Where a page begins whose first letter is at a place: after the line or space before it."""
    start = place
    while start > max(0, place - _GAP) and not text[start - 1].isalnum():
        start -= 1
    gap = text[start:place]
    if any(map(str.isspace, gap)):
        return start + (gap.rindex("\n") if "\n" in gap else max(map(gap.rfind, filter(str.isspace, gap)))) + 1
    while place > start and unicodedata.category(text[place - 1]) in ("Ps", "Pi"):
        place -= 1
    return place
