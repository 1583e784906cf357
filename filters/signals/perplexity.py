"""Perplexity of a text under a KenLM model that the user names: ROOTS's eighth indicator.

Neither the model nor its libraries come with the project (`pip install 'roots-corpus[perplexity]'`);
`pipelines.models.files` opens them. ROOTS used the models of `edugp/kenlm`: Wikipedia, 5-grams over SentencePiece
pieces. Without a model the signal is null.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

# Unicode punctuation -> ASCII, as ROOTS and CCNet did, but for the full-width 1, which they make a quotation mark.
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


class _Scorer(Protocol):
    """What is used of a KenLM model."""

    def score(self, sentence: str) -> float:
        """Log10 of the probability of a sentence whose words stand between spaces."""


@dataclass(frozen=True)
class PerplexityModel:
    """A KenLM model, and how a normalised text is cut into the pieces it counts; None: at spaces."""

    model: _Scorer
    cut: Callable[[str], str] | None = None  # gives the pieces with spaces between


def perplexities(texts: Iterable[str], model: PerplexityModel) -> npt.NDArray[np.float64]:
    """Perplexity of each text: 10 ** (-log10 probability / (pieces + 1)), to one decimal; float64 (texts,)."""
    values = []
    for text in texts:
        line = normalise(text)
        if model.cut:
            line = model.cut(line)
        values.append(round(10.0 ** (-model.model.score(line) / (len(line.split()) + 1)), 1))
    return np.array(values, np.float64)
