"""How much a text is like text that a person called good, by a fastText classifier of good and bad text.

Raffel et al. 2020 and Penedo et al. 2024 (FineWeb-Edu) filter by what people want of text, not by its numbers alone;
fastText does so at the speed of counting (Li et al. 2024, DataComp-LM, arXiv 2406.11794). No such model comes with the
project: the user says what is good. `roots quality train` makes one, `pipelines.models.files` opens it; without a model
the signal is null.
"""

import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from filters.language_id.fasttext_model import FastTextModel

GOOD, BAD = "__label__good", "__label__bad"
CHARACTERS = 20_000  # of a document that are read: more changes no verdict, and a hostile document may be endless
_SPACE = re.compile(r"\s+")
_NUMBER = re.compile(r"\d")


def quality_line(text: str) -> str:
    """A text as the model reads it, in training and in use: one line in lower case, digits 0."""
    line = text[:CHARACTERS].replace("__label__", " ").lower().encode("utf-8", "replace").decode()
    return _NUMBER.sub("0", _SPACE.sub(" ", line).strip())


def qualities(texts: Iterable[str], model: FastTextModel) -> npt.NDArray[np.float64]:
    """The chance that each text is good, by a classifier with a label GOOD; float64 (texts,), 0 to 1."""
    answers = model.predict([quality_line(text) for text in texts], len(model.labels))
    found = ({label: score for score, label in answer} for answer in answers)
    return np.array([min(1.0, scores.get(GOOD, 0.0)) for scores in found], np.float64)
