"""How much a text is like text that a person called good: a fastText classifier of good and bad, named by path.

Raffel et al. 2020 and Penedo et al. 2024 (FineWeb-Edu) filter by what people want of text, not by its numbers alone;
fastText does so at the speed of counting (Li et al. 2024, DataComp-LM, arXiv 2406.11794). No such model comes with the
project: what is good is the user's word. `roots quality train` makes one; without a model the signal is null.
"""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from filters.language_id.fasttext_model import FastTextModel, read_model
from roots.errors import InputError, SettingsError

GOOD, BAD = "__label__good", "__label__bad"
CHARACTERS = 20_000  # of a document that are read: more changes no verdict, and a hostile one may be endless
_SPACE = re.compile(r"\s+")
_NUMBER = re.compile(r"\d")


def normal(text: str) -> str:
    """A text as the model reads it, in training and ever after: one line in lower case, digits 0."""
    line = text[:CHARACTERS].replace("__label__", " ").lower().encode("utf-8", "replace").decode()
    return _NUMBER.sub("0", _SPACE.sub(" ", line).strip())


@cache
def _classifier(path: str) -> FastTextModel:
    if not Path(path).is_file():
        raise SettingsError(f"no quality model {path}")
    try:
        model = read_model(Path(path))
    except InputError as error:
        raise SettingsError(str(error)) from None
    if GOOD not in model.labels:
        raise SettingsError(f"{path} is no fastText model with a label {GOOD}: make one with `roots quality train`")
    return model


def quality(texts: Iterable[str], model: str) -> npt.NDArray[np.float64]:
    """The chance that each text is good, by the classifier at path `model`; float64 (texts,), 0 to 1.

    Raises SettingsError for a model that is not there, or is none.
    """
    classifier = _classifier(model)
    answers = classifier.predict([normal(text) for text in texts], len(classifier.labels))
    found = ({label: score for score, label in answer} for answer in answers)
    return np.array([min(1.0, scores.get(GOOD, 0.0)) for scores in found], np.float64)
