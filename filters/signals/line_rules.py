"""Signals of lines: FineWeb's, C4's and MADLAD-400's.

C4 edits documents: it leaves out bad lines, then drops what has too few sentences. Nothing is edited here; its signals
say how much of the document C4 would have kept, and whether it would have been dropped.
"""

from filters.signals import counting, lines
from filters.signals.batch import Batch, Measure, Numbers, share

_FINEWEB = "FineWeb: Penedo et al. 2024, arXiv 2406.17557, section 3.6"
C4 = "C4: Raffel et al. 2020, arXiv 1910.10683, section 2.2"
_MADLAD = "MADLAD-400: Kudugunta et al. 2023, arXiv 2309.04662, section 2.2"


def punctuated_lines(batch: Batch) -> Numbers:
    """Share of the lines with text that end in a sentence mark of any script."""
    return share(batch.lines[:, lines.PUNCTUATED], batch.lines[:, lines.LINES])


def short_lines(batch: Batch) -> Numbers:
    """Share of the lines with text that have at most 30 characters."""
    return share(batch.lines[:, lines.SHORT], batch.lines[:, lines.LINES])


def repeated_text(batch: Batch) -> Numbers:
    """Share of the characters, line feeds left out, that are in lines that stood before."""
    counts = batch.lines
    return share(counts[:, lines.REPEATED_CHARACTERS], batch.characters[:, counting.ALL] - counts[:, lines.LINE_FEEDS])


def line_feeds(batch: Batch) -> Numbers:
    """Line feeds per word: many for a list."""
    return share(batch.lines[:, lines.LINE_FEEDS], batch.word_counts)


def c4_lines(batch: Batch) -> Numbers:
    """Share of the lines that C4 keeps.

    Those of three words or more that end in . ! ? or a quotation mark, and speak neither of JavaScript nor of cookies
    and terms of use.
    """
    return share(batch.lines[:, lines.C4_LINES], batch.lines[:, lines.ALL_LINES])


def c4_sentences(batch: Batch) -> Numbers:
    """Sentences in the lines that C4 keeps."""
    return batch.lines[:, lines.C4_SENTENCES]


def lorem_ipsum(batch: Batch) -> Numbers:
    """Lines with the words "lorem ipsum", of those that C4 would have kept."""
    return batch.lines[:, lines.C4_LOREM]


def curly_brackets(batch: Batch) -> Numbers:
    """Lines with an opening curly bracket, of those that C4 would have kept: programs."""
    return batch.lines[:, lines.C4_BRACKETS]


def questionable_lines(batch: Batch) -> Numbers:
    """Share of the lines with text that are questionable.

    Shorter than 20 characters or longer than 500, more than a fifth digits and technical signs, or twelve words and
    more of which more than half begin with a capital letter. MADLAD-400 says it of sentences.
    """
    return share(batch.lines[:, lines.QUESTIONABLE], batch.lines[:, lines.LINES])


MEASURES = {
    "punctuated_lines": Measure(punctuated_lines, "lines / lines", 0, 1, _FINEWEB),
    "short_lines": Measure(short_lines, "lines / lines", 0, 1, _FINEWEB),
    "repeated_text": Measure(repeated_text, "characters / characters", 0, 1, _FINEWEB),
    "line_feeds": Measure(line_feeds, "line feeds / words", 0, None, _FINEWEB),
    "c4_lines": Measure(c4_lines, "lines / lines", 0, 1, C4),
    "c4_sentences": Measure(c4_sentences, "sentences", 0, None, C4),
    "lorem_ipsum": Measure(lorem_ipsum, "lines", 0, None, C4),
    "curly_brackets": Measure(curly_brackets, "lines", 0, None, C4),
    "questionable_lines": Measure(questionable_lines, "lines / lines", 0, 1, _MADLAD),
}
