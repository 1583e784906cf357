"""What a signal is, and the batch it is measured on: texts of one language, with counts that several signals share."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.language import Reading
from filters.language_id.fasttext_model import FastTextModel
from filters.signals import counting, lines, repetition, roots_view
from filters.signals.counting import Counts, Table
from filters.signals.perplexity import PerplexityModel
from filters.text import characters
from filters.text.splitters import split_words
from filters.text.words import SEGMENTERS, CutTexts, Folding, code_points, cut_words, hash_words

Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class SignalModels:
    """The models of the signals `perplexity` and `quality`; None: that signal is null."""

    perplexity: PerplexityModel | None = None
    quality: FastTextModel | None = None


NO_MODELS = SignalModels()


class TextBatch:
    """Texts to measure. Every count is made once, when a signal first asks for it."""

    def __init__(
        self,
        texts: CutTexts,
        reading: Reading,
        folding: Folding | None = None,
        models: SignalModels = NO_MODELS,
        sizes: Numbers | None = None,
    ) -> None:
        self.texts = texts
        self.sizes = sizes  # bytes of each text in UTF-8, before `roots_view`
        self.reading = reading
        self.models = models
        self.folding = folding or characters.folding()  # with which the words of `texts` are hashed
        self.published = reading.definitions == "fineweb2"  # as FineWeb-2's own code counts

    @classmethod
    def of(cls, texts: pa.Array, reading: Reading, models: SignalModels = NO_MODELS) -> "TextBatch":
        """Cut an Arrow array of strings into words, by the definitions of the reading."""
        codes, offsets = code_points(texts)
        sizes = pc.binary_length(texts).fill_null(0).to_numpy(zero_copy_only=False)
        folding = characters.folding()
        if reading.definitions == "roots":
            codes, offsets = roots_view.view(codes, offsets, reading.longest_word)
            folding = characters.lower_only()
        elif reading.definitions == "fineweb2":
            folding = characters.exact()
        if reading.segmenter not in SEGMENTERS:
            return cls(split_words(codes, offsets, reading.segmenter), reading, folding, models, sizes)
        return cls(cut_words(codes, offsets, reading.segmenter, folding), reading, folding, models, sizes)

    @property
    def _classes(self) -> Table:
        """The class bits of characters by the definitions of the reading."""
        return characters.datatrove_classes() if self.published else characters.classes()

    def strings(self) -> Iterator[str]:
        """The texts as strings again, for models that take strings."""
        for start, end in pairwise(self.texts.offsets.tolist()):
            yield self.texts.codes[start:end].astype("<i4").tobytes().decode("utf-32-le", "replace")

    @cached_property
    def characters(self) -> Counts:
        """Characters of each text by class: see `counting.count_characters`."""
        script = characters.SCRIPTS.get(self.reading.script, 0)
        return counting.count_characters(
            self.texts.codes, self.texts.offsets, characters.classes(), characters.scripts(), script
        )

    @cached_property
    def word_counts(self) -> Counts:
        """Words of each text; int64 (texts,)."""
        return np.diff(self.texts.words.offsets)

    @cached_property
    def word_shapes(self) -> Counts:
        """Words by what they hold, and their characters: see `counting.count_word_shapes`."""
        table = self._classes & np.uint16(0xFFFF ^ characters.SPACE) if self.published else self._classes
        return counting.count_word_shapes(self.texts.codes, self.texts.words, table)

    @cached_property
    def lines(self) -> Counts:
        """Lines of each text by kind: see `lines.count_line_kinds`."""
        tables = lines.LineTables(
            self._classes, characters.lower(), characters.same(), lines.PHRASES, lines.CITATION_PHRASES
        )
        return lines.count_line_kinds(self.texts.codes, self.texts.offsets, tables)

    @cached_property
    def repeated_lines(self) -> Counts:
        """Repeated lines and paragraphs: see `repetition.count_repeated_lines`."""
        return repetition.count_repeated_lines(
            self.texts.codes, self.texts.offsets, characters.classes(), characters.SPACE, self.published
        )

    @cached_property
    def repeated_words(self) -> Counts:
        """Characters in repeated word n-grams: see `repetition.count_repeated_words`."""
        return repetition.count_repeated_words(self.texts.words, self.texts.codes, self.published)

    def listed(self, words: tuple[str, ...]) -> Counts | None:
        """Words of each text that are in a list, and how many different ones; None for an empty list."""
        if not words:
            return None
        joiner = self.reading.joiner
        code = -1 if joiner is None else ord(joiner) if joiner else 0
        listed = hash_words(words, self.folding)
        return counting.count_listed(self.texts.codes, self.texts.words, listed, code, self.folding)

    @cached_property
    def function_words(self) -> Counts | None:
        """Function words of each text, and different ones."""
        return self.listed(self.reading.function_words)


def share(parts: Numbers, wholes: Numbers) -> Numbers:
    """parts / wholes, and 0 where the whole is 0."""
    return np.divide(parts, wholes, out=np.zeros(len(parts), np.float64), where=wholes > 0)


@dataclass(frozen=True)
class Signal:
    """A signal: its function, unit, range and source."""

    function: Callable[[TextBatch], Numbers | None]
    unit: str
    low: float
    high: float | None  # None: no limit
    source: str

    @property
    def type(self) -> pa.DataType:
        """Type of its column: int32 for a count, float32 for a share."""
        return pa.float32() if "/" in self.unit else pa.int32()

    @property
    def meaning(self) -> str:
        """The first paragraph of the function's docstring."""
        return " ".join((self.function.__doc__ or "").split("\n\n")[0].split())
