"""Gopher's signals of quality and repetition. Rae et al. 2021, Scaling Language Models, arXiv 2112.11446, table A1.

On the words of another tool they decide as that tool does: tests/benchmarks/measures.py compares them with datatrove.
Our own words hold no punctuation, so shares per word are some 10 % higher.
"""

from collections.abc import Callable

from filters.signals import counting, lines, repetition
from filters.signals.batch import Numbers, Signal, TextBatch, share

_SOURCE = "Gopher: Rae et al. 2021, arXiv 2112.11446, table A1"


def _mean_word_length(batch: TextBatch) -> Numbers:
    """Characters of a word on average, words of punctuation alone left out."""
    shapes = batch.word_shapes
    return share(shapes[:, counting.CHARACTERS_OF_NOT_SIGNS], shapes[:, counting.NOT_SIGNS])


def _alphabetic_words(batch: TextBatch) -> Numbers:
    """Share of the words that hold a letter."""
    return share(batch.word_shapes[:, counting.WITH_LETTER], batch.word_counts)


def _hash_signs(batch: TextBatch) -> Numbers:
    """Number signs (#) per word: many in tags and programs."""
    return share(batch.lines[:, lines.HASHES], batch.word_counts)


def _ellipses(batch: TextBatch) -> Numbers:
    """Ellipses ("..." or "…") per word: many in teasers that are cut short."""
    return share(batch.lines[:, lines.ELLIPSES], batch.word_counts)


def _bullet_lines(batch: TextBatch) -> Numbers:
    """Share of the lines that begin with a bullet or a hyphen."""
    return share(batch.lines[:, lines.BULLETS], batch.lines[:, lines.ALL_LINES])


def _ellipsis_lines(batch: TextBatch) -> Numbers:
    """Share of the lines that end in an ellipsis."""
    return share(batch.lines[:, lines.ELLIPSES_AT_END], batch.lines[:, lines.ALL_LINES])


def _different_function_words(batch: TextBatch) -> Numbers | None:
    """How many different function words the document has."""
    return None if batch.function_words is None else batch.function_words[:, 1]


def _repeated_lines(batch: TextBatch) -> Numbers:
    """Share of the lines that occurred before in the document."""
    counts = batch.repeated_lines
    return share(counts[:, repetition.REPEATED_LINES], counts[:, repetition.SPLIT_LINES])


def _repeated_paragraphs(batch: TextBatch) -> Numbers:
    """Share of the paragraphs, separated by empty lines, that occurred before in the document."""
    counts = batch.repeated_lines
    return share(counts[:, repetition.REPEATED_PARAGRAPHS], counts[:, repetition.PARAGRAPHS])


def _repeated_line_characters(batch: TextBatch) -> Numbers:
    """Share of the characters that are in lines that occurred before."""
    return share(
        batch.repeated_lines[:, repetition.REPEATED_LINE_CHARACTERS], batch.characters[:, counting.ALL_CHARACTERS]
    )


def _repeated_paragraph_characters(batch: TextBatch) -> Numbers:
    """Share of the characters that are in paragraphs that occurred before."""
    return share(
        batch.repeated_lines[:, repetition.REPEATED_PARAGRAPH_CHARACTERS], batch.characters[:, counting.ALL_CHARACTERS]
    )


def _gram_share(column: int, meaning: str) -> Callable[[TextBatch], Numbers]:
    def gram_share(batch: TextBatch) -> Numbers:
        return share(batch.repeated_words[:, column], batch.characters[:, counting.ALL_CHARACTERS])

    gram_share.__doc__ = meaning
    return gram_share


_TOP_GRAMS = {
    f"top_{n}_gram": Signal(
        _gram_share(n - 2, f"The most frequent {n}-gram of words: its length times its count, per character."),
        "characters / characters", 0, None, _SOURCE,
    )
    for n in repetition.TOP_SIZES
}  # fmt: skip
_REPEATED_GRAMS = {
    f"repeated_{n}_grams": Signal(
        _gram_share(n - 2, f"Share of the characters that are in {n}-grams of words that occurred before."),
        "characters / characters", 0, 1, _SOURCE,
    )
    for n in repetition.REPEATED_SIZES
}  # fmt: skip

GOPHER_SIGNALS = {
    "mean_word_length": Signal(_mean_word_length, "characters / words", 0, None, _SOURCE),
    "alphabetic_words": Signal(_alphabetic_words, "words / words", 0, 1, _SOURCE),
    "hash_signs": Signal(_hash_signs, "signs / words", 0, None, _SOURCE),
    "ellipses": Signal(_ellipses, "ellipses / words", 0, None, _SOURCE),
    "bullet_lines": Signal(_bullet_lines, "lines / lines", 0, 1, _SOURCE),
    "ellipsis_lines": Signal(_ellipsis_lines, "lines / lines", 0, 1, _SOURCE),
    "different_function_words": Signal(_different_function_words, "words", 0, None, _SOURCE + " (stop words)"),
    "repeated_lines": Signal(_repeated_lines, "lines / lines", 0, 1, _SOURCE),
    "repeated_paragraphs": Signal(_repeated_paragraphs, "paragraphs / paragraphs", 0, 1, _SOURCE),
    "repeated_line_characters": Signal(_repeated_line_characters, "characters / characters", 0, 1, _SOURCE),
    "repeated_paragraph_characters": Signal(_repeated_paragraph_characters, "characters / characters", 0, 1, _SOURCE),
    **_TOP_GRAMS,
    **_REPEATED_GRAMS,
}
