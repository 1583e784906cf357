"""Letters as a model of languages knows them: Urdu that was typed with the letters of Arabic keyboards."""

import re

_ARABIC = str.maketrans("\u064a\u0643\u0647", "\u06cc\u06a9\u06c1")  # yeh, kaf, heh -> the letters of Urdu
_URDU = re.compile("[\u0679\u0688\u0691\u06ba\u06d2]")  # tteh, ddal, rreh, noon ghunna, yeh barree
# Letters of Sindhi, Pashto, Kurdish and Saraiki, which also have some of Urdu's.
_FOREIGN = re.compile(
    "[\u067a-\u067d\u067f\u0680\u0681\u0683-\u0685\u0687\u0689\u068a\u068c\u068d\u068f\u0693\u0695\u0696"
    "\u0699\u069a\u06a6\u06a7\u06aa\u06ab\u06b1\u06b3\u06b5\u06bb\u06bc\u06c6\u06cd\u06ce\u06d0\u06fd\u06fe\u0759]"
)
_LEAST = 0.015  # share of letters that only Urdu has in a text in Urdu


def urdu_letters(text: str) -> str:
    """The text with Urdu's own letters where it is Urdu with Arabic's yeh, kaf and heh, as old sites write it."""
    if "\u064a" not in text and "\u0643" not in text and "\u0647" not in text:
        return text
    found = len(_URDU.findall(text))
    if found < 2 or found < _LEAST * len(text) or _FOREIGN.search(text):
        return text
    return text.translate(_ARABIC)
