"""Repairs of the characters of a document's text: pure functions, each for one habit of the programs that write PDF."""

import re
import unicodedata
from collections import Counter

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
