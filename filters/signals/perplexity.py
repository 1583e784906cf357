"""Perplexity of a text under a KenLM model that the user names: ROOTS's eighth indicator.

Neither the model nor its libraries come with the project (`pip install 'roots-corpus[perplexity]'`). ROOTS used the
models of `edugp/kenlm`: Wikipedia, 5-grams over SentencePiece pieces. Without a model the signal is null.
"""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from roots.errors import SettingsError

# Unicode punctuation as ASCII, so that typography does not count as surprise. As ROOTS did, which took it from CCNet;
# the full-width 1, which becomes a quotation mark there, is left to the rule for digits here.
_PLAIN = {
    '"': "„”“«»」「《》", "'": "´’", ",": "，、", ".": "。", ":": "∶：", "?": "？", "!": "！", "(": "（", ")": "）",
    ";": "；", "-": "–━►", " - ": "—", ". ": "．", "~": "～", "...": "…", "<": "〈", ">": "〉",
    "[": "【", "]": "】", "%": "％",
}  # fmt: skip
_PUNCTUATION = str.maketrans({mark: plain for plain, marks in _PLAIN.items() for mark in marks})
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SPACES = re.compile("[\x84\xa0\u2002\u2003\u2005\u2008\u2009\u200a\u202f\u3000\ufffc]")
_DIGITS = re.compile(r"\d")


def normalise(text: str) -> str:
    """The text as the models were trained on it: spaces plain, digits 0, punctuation ASCII, control characters gone.

    Line feeds are control characters: a document is scored as one line.
    """
    text = _DIGITS.sub("0", _SPACES.sub(" ", text.strip()))
    return _CONTROLS.sub("", text.translate(_PUNCTUATION))


@cache
def _language_model(path: str) -> Any:
    try:
        import kenlm
    except ImportError:
        raise SettingsError("perplexity needs KenLM: pip install 'roots-corpus[perplexity]'") from None
    if not Path(path).is_file():
        raise SettingsError(f"no language model {path}")
    try:
        return kenlm.Model(path)
    except OSError as error:
        raise SettingsError(f"{path} is no KenLM model: {error}") from None


@cache
def _pieces(path: str) -> Any:
    try:
        import sentencepiece
    except ImportError:
        raise SettingsError("pieces need SentencePiece: pip install 'roots-corpus[perplexity]'") from None
    if not Path(path).is_file():
        raise SettingsError(f"no SentencePiece model {path}")
    try:
        return sentencepiece.SentencePieceProcessor(model_file=path)
    except (OSError, RuntimeError) as error:
        raise SettingsError(f"{path} is no SentencePiece model: {error}") from None


def cut_pieces(line: str, pieces: str) -> str:
    """A normalised text as the pieces of a SentencePiece model with spaces between. Raises SettingsError."""
    return " ".join(_pieces(pieces).encode(line, out_type=str))


def perplexity(texts: Iterable[str], model: str, pieces: str = "") -> npt.NDArray[np.float64]:
    """Perplexity of each text: 10 ** (-log10 probability / (pieces + 1)), to one decimal; float64 (texts,).

    `model` is the path of a KenLM model, `pieces` that of the SentencePiece model whose pieces it counts, empty for one
    that counts words between spaces. Raises SettingsError for a model or library that is not there.
    """
    scorer = _language_model(model)
    values = []
    for text in texts:
        line = normalise(text)
        if pieces:
            line = cut_pieces(line, pieces)
        values.append(round(10.0 ** (-scorer.score(line) / (len(line.split()) + 1)), 1))
    return np.array(values, np.float64)
