"""Which examples hold what is in evaluation files: the same longest field, or a run of the same words.

Words are compared without case and punctuation. In scripts without spaces each character counts as a word.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipelines.prompts.records import read_labelled
from pipelines.prompts.settings import RecordForm

# Han, kana, Thai, Lao, Burmese, Khmer, Tibetan
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]"
)


def _longest_text(value: object) -> str:
    """Return the longest text in a record, wherever in it."""
    return max(_texts(value), key=len, default="")


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, Sequence):
        for item in value:
            yield from _texts(item)


def _words(text: str) -> list[str]:
    """Cut a text into words as they are compared."""
    found: list[str] = []
    for piece in unicodedata.normalize("NFC", text).casefold().split():
        word = "".join(c for c in piece if unicodedata.category(c)[0] not in "PSC")
        if _UNSPACED.search(word):
            found += word
        elif word:
            found.append(word)
    return found


def _digest(words: Sequence[str]) -> bytes:
    return hashlib.blake2b(" ".join(words).encode("utf-8", "replace"), digest_size=8).digest()


class EvaluationTexts:
    """The texts of evaluation files, as digests: of longest fields, and of each run of `gram` words."""

    def __init__(self, files: Sequence[Path], form: RecordForm, gram: int) -> None:
        self._gram = gram
        self._whole: dict[bytes, str] = {}
        self._runs: dict[bytes, str] = {}
        for path in files:
            for record in read_labelled(path, form):
                place = f"{path.name} row {record.place + 1}"
                if longest := _words(_longest_text(record.fields)):
                    self._whole.setdefault(_digest(longest), place)
                for text in _texts(record.fields):
                    for run in self._runs_of(text):
                        self._runs.setdefault(run, place)

    def _runs_of(self, text: str) -> Iterator[bytes]:
        words = _words(text)
        return (_digest(words[at : at + self._gram]) for at in range(len(words) - self._gram + 1))

    def find_record(self, fields: Mapping[str, object]) -> str | None:
        """Return where the longest field of a record is found, in whole or in part; None if it is not."""
        if not self._whole:
            return None
        longest = _longest_text(fields)
        place = self._whole.get(_digest(_words(longest))) if longest.strip() else None
        return f"{place}: the same text" if place else self.find_run(longest)

    def find_run(self, text: str) -> str | None:
        """Return where a run of words of a text is found; None if there is none."""
        place = (
            next((self._runs[run] for run in self._runs_of(text) if run in self._runs), None) if self._runs else None
        )
        return f"{place}: {self._gram} words in a row" if place else None
