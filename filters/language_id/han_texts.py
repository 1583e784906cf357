"""Tells Chinese, Cantonese and Japanese apart by their characters, where a model of languages is often wrong.

Short texts without punctuation, verse and lists have few of the character n-grams that a model knows. Their characters
decide: kana in several places make a text Japanese, and a language that is never written in Han is never in such a
text.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from filters.language_id.labels import split_label

_Label = tuple[str, float]
CHINESE = ("zho", "yue", "wuu", "lzh", "hak", "nan")
_EAST_ASIAN = frozenset({"Hans", "Hant", "Hani", "Jpan", "Kore", "Hang"})
_HAN_TEXT = 0.3  # share of Han and kana among the letters from which a text is judged here: one stands for several
_PRESENT = 0.05  # share of the letters in another script from which a language of that script is possible
_HANGUL = 0.1  # Hangul syllables for a Han character from which a text is Korean
_KANA = 0.03  # least share of kana in a Japanese text; a Chinese text that names a Japanese product has as many
_FEW_KANA = 0.01  # the same where the Han characters are Japanese too
_DIFFERENT_RUNS = 2  # runs of kana that a Japanese text has at least; a name is one
_KANA_RUN = re.compile("[\u3041-\u3096\u30a1-\u30fa\u30fc]+")
_CANTONESE = re.compile("[嘅喺咗嚟佢哋啲冇㗎嘢嗰咁唔攞瞓啱嗌睇乜咩噉嘥]")
_LEAST_CANTONESE = 0.02  # share of such characters among the Han characters of a text in Cantonese


def settle_han(found: Sequence[_Label], text: str, counts: Mapping[str, int]) -> list[_Label]:
    """The labels of a text with impossible ones replaced; as they are where little of the text is in Han or kana.

    `counts` are the letters of the text by script. The scores of labels taken out go to Chinese, or to Japanese.
    """
    han, kana = counts.get("Hani", 0), counts.get("Hira", 0) + counts.get("Kana", 0)
    letters = sum(counts.values())
    if han + kana < _HAN_TEXT * letters or not han or counts.get("Hang", 0) > _HANGUL * han:
        return list(found)
    if kana and _is_japanese(text, han, kana):
        return _moved(found, counts, "jpn_Jpan", frozenset(CHINESE))
    cantonese = len(_CANTONESE.findall(text)) >= _LEAST_CANTONESE * han
    chinese = next((label for label, _ in found if label.startswith("zho_")), "zho_Hans")
    return _moved(found, counts, chinese, frozenset({"jpn", "kor"} if cantonese else {"jpn", "kor", "yue"}))


def _moved(found: Sequence[_Label], counts: Mapping[str, int], target: str, wrong: frozenset[str]) -> list[_Label]:
    """The labels without those of `wrong` languages or of absent scripts, whose scores go to `target`."""
    letters = sum(counts.values())
    scores: dict[str, float] = {target: 0.0}
    for label, score in found:
        code, script = split_label(label)
        absent = script not in _EAST_ASIAN and counts.get(script, 0) < _PRESENT * letters
        kept = target if absent or code in wrong else label
        scores[kept] = scores.get(kept, 0.0) + score
    return sorted(((label, min(1.0, score)) for label, score in scores.items()), key=lambda one: (-one[1], one[0]))


def _is_japanese(text: str, han: int, kana: int) -> bool:
    """Whether a text with Han and kana is Japanese rather than Chinese with Japanese names."""
    home = _homes()[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)]
    japanese, chinese = int((home > 0).sum()), int((home < 0).sum())
    if japanese > chinese and kana >= _FEW_KANA * (han + kana):
        return True
    runs = set(_KANA_RUN.findall(text))
    return kana >= _KANA * (han + kana) and len(runs) >= _DIFFERENT_RUNS and kana > chinese


@cache
def _homes() -> npt.NDArray[np.int8]:
    """1 for a character that only Japan's charset has, -1 for one that only Chinese ones have; int8 (0x110000,)."""
    table = np.zeros(0x110000, dtype=np.int8)
    ideographs = range(0x4E00, 0xA000)
    lines = "\n".join(map(chr, ideographs))
    big5, gb2312, jis = (
        np.array([one != b"?" for one in lines.encode(charset, "replace").split(b"\n")])
        for charset in ("big5", "gb2312", "shift_jis")
    )
    chinese = big5 | gb2312
    table[ideographs.start : ideographs.stop] = (jis & ~chinese).astype(np.int8) - (~jis & chinese).astype(np.int8)
    return table
