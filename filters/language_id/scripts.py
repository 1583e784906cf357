"""Which script a text is in: the script of every letter is looked up, which is quick, and sure where no model is."""

from functools import cache

import numpy as np
import numpy.typing as npt

from filters.language_id.labels import UNKNOWN_SCRIPT
from filters.text import characters

HAN = ("Hans", "Hant", "Hani")
SCRIPT_PARTS = {  # scripts of a label that are several scripts of letters
    "Jpan": ("Hira", "Kana", "Hani"),
    "Kore": ("Hang", "Hani"),
    "Hrkt": ("Hira", "Kana"),
    **dict.fromkeys(HAN, ("Hani",)),
}


def script_of(text: str) -> str:
    """ISO 15924 code of the script that most letters of a text are in; "Zzzz" for a text without letters."""
    scripts = script_counts(text)
    if not scripts:
        return UNKNOWN_SCRIPT
    first = next(iter(scripts))
    if first in ("Hira", "Kana") or (first == "Hani" and scripts.get("Hira", 0) + scripts.get("Kana", 0) > 0):
        kana = scripts.get("Hira", 0) + scripts.get("Kana", 0)
        return "Jpan" if 20 * kana >= scripts.get("Hani", 0) else han_form(text)
    return han_form(text) if first == "Hani" else first


def script_counts(text: str) -> dict[str, int]:
    """How many characters of a text are in each script, most first; digits and signs left out."""
    counts = np.bincount(characters.scripts()[_codes(text)], minlength=len(_script_names()))
    names = _script_names()
    order = sorted(np.flatnonzero(counts), key=lambda number: (-int(counts[number]), names[number]))
    return {names[number]: int(counts[number]) for number in order if names[number]}


def han_form(text: str) -> str:
    """Whether a Chinese text is simplified, "Hans", or traditional, "Hant".

    A character that GB 2312 has and Big5 lacks counts as simplified, the other way round as traditional. "Hans" where
    both are as many.
    """
    traditional = int(_han_forms()[_codes(text)].sum(dtype=np.int64))
    return "Hant" if traditional > 0 else "Hans"


def _codes(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


@cache
def _script_names() -> list[str]:
    names = [""] * (max(characters.SCRIPTS.values()) + 1)
    for name, number in characters.SCRIPTS.items():
        names[number] = names[number] or name
    return names


@cache
def _han_forms() -> npt.NDArray[np.int8]:
    """1 for a traditional character, -1 for a simplified one, 0 for all others; int8 (0x110000,)."""
    table = np.zeros(0x110000, dtype=np.int8)
    ideographs = range(0x4E00, 0xA000)
    lines = "\n".join(map(chr, ideographs))
    big5, gb2312 = (lines.encode(charset, "replace").split(b"\n") for charset in ("big5", "gb2312"))
    table[ideographs.start : ideographs.stop] = np.array([one != b"?" for one in big5], np.int8) - np.array(
        [one != b"?" for one in gb2312], np.int8
    )
    return table
