"""Signs that the text of a document is not what its reader sees."""

import re
import string
import unicodedata
from collections import Counter

_LEAST_CHARS = 200  # of a text that is judged
_MOST_ILLEGAL = 0.005  # share of characters that no text has: unknown ones, those of a font's own, controls
_MOST_BEGUN = 0.02  # share of words that begin with a mark
_MOST_DOUBLED = 0.03  # share of words with two vowel signs in a row
_MOST_ENDED = 0.03  # share of Arabic words that begin as only an end can
_MOST_BROKEN = 0.05  # share of clustered words with foreign signs between their letters
_FEWEST_VOWELS = 0.25  # share of Latin letters; every language has more than a third
_UNWANTED = re.compile("[\ufffd\ue000-\uf8ff\U000f0000-\U0010ffff\x00-\x08\x0e-\x1f\x7f-\x9f]")
_MARKED_END = re.compile("[\u0002\ufffe]")
# Words of scripts whose letters stand in clusters: South Asian ones, Thai and Lao aside, Burmese, Khmer
_CLUSTER = "\u0900-\u0dff\u1000-\u109f\u1780-\u17ff"
_CLUSTERED = re.compile(f"[{_CLUSTER}][{_CLUSTER}\u200c\u200d]*")
_VOWELS = (
    "[\u093e-\u094c\u09be-\u09cc\u0a3e-\u0a4c\u0abe-\u0acc\u0b3e-\u0b4c"
    "\u0bbe-\u0bcc\u0c3e-\u0c4c\u0cbe-\u0ccc\u0d3e-\u0d4c]"
)
_DOUBLED = re.compile(f"{_VOWELS}{_VOWELS}")
_ARABIC = re.compile("[\u0620-\u064a\u0671-\u06d3]{2,}")
_FOREIGN = r"0-9A-Za-z\u00a1-\u024f()*%#&$<>\[\]+=_"  # no part of a word of these scripts; a danda ends one
_BROKEN = re.compile(f"(?![\u0964\u0965])[{_CLUSTER}][\u200c\u200d]*[{_FOREIGN}]+[.,]?(?![\u0964\u0965])[{_CLUSTER}]")
_FEW_WORDS = 50
_FEW_LETTERS = 200
_NO_LETTERS = bytes({*range(128)} - {*string.ascii_letters.encode()})


def broken_text(text: str) -> str | None:
    """The reason to drop a text, or None.

    Text from a font without a table of its letters has characters that no text has. Where a script's clusters were
    taken apart, words begin with marks or have two vowel signs in a row. Arabic in the order of the eye begins with
    letters that only end a word. Where each letter is shown as another, hardly any is a vowel, or foreign signs stand
    within words.
    """
    if len(text) < _LEAST_CHARS:
        return None
    if illegal_share(text) > _MOST_ILLEGAL or _lacks_vowels(text):
        return "extract.garbled"
    words = _CLUSTERED.findall(unicodedata.normalize("NFC", text))
    if len(words) >= _FEW_WORDS:
        begun = sum(unicodedata.category(word[0])[0] == "M" for word in words)
        doubled = sum(bool(_DOUBLED.search(word)) for word in words)
        broken = len(_BROKEN.findall(text))
        if begun > _MOST_BEGUN * len(words) or max(doubled / _MOST_DOUBLED, broken / _MOST_BROKEN) > len(words):
            return "extract.garbled"
    arabic = _ARABIC.findall(text)
    if len(arabic) >= _FEW_WORDS:
        firsts = Counter(word[0] for word in arabic)
        if firsts["\u0629"] + firsts["\u0649"] > _MOST_ENDED * len(arabic):
            return "extract.order"
    return None


def illegal_share(text: str) -> float:
    """The share of characters that no text has; a hyphen that PDFium marks is none of them."""
    kept = _MARKED_END.sub("", text)
    return len(_UNWANTED.findall(kept)) / max(1, len(kept))


def _lacks_vowels(text: str) -> bool:
    """Whether a text in Latin letters has too few vowels for any language."""
    plain = text.encode() if text.isascii() else unicodedata.normalize("NFD", text).encode("ascii", "ignore")
    letters = plain.translate(None, _NO_LETTERS)
    vowels = len(letters) - len(letters.translate(None, b"aeiouyAEIOUY"))
    return len(letters) >= max(_FEW_LETTERS, len(text) / 4) and vowels < _FEWEST_VOWELS * len(letters)
