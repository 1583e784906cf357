"""Signals of lines: FineWeb's, C4's and MADLAD-400's.

C4 edits documents: it leaves out bad lines, then drops what has too few sentences. Nothing is edited here; its signals
say how much of the document C4 would have kept, and whether it would have been dropped.
"""

from filters.signals import counting, lines
from filters.signals.batch import Signal, SignalValues, TextBatch, share

_FINEWEB = "FineWeb: Penedo et al. 2024, arXiv 2406.17557, section 3.6"
C4 = "C4: Raffel et al. 2020, arXiv 1910.10683, section 2.2"
_MADLAD = "MADLAD-400: Kudugunta et al. 2023, arXiv 2309.04662, section 2.2"


def punctuated_lines(batch: TextBatch) -> SignalValues:
    """Share of the lines with text that end in a sentence mark of any script."""
    return share(batch.lines[:, lines.PUNCTUATED], batch.lines[:, lines.FILLED_LINES])


def short_lines(batch: TextBatch) -> SignalValues:
    """Share of the lines with text that have at most 30 characters."""
    return share(batch.lines[:, lines.SHORT_LINES], batch.lines[:, lines.FILLED_LINES])


def repeated_text(batch: TextBatch) -> SignalValues:
    """Share of the characters, line feeds left out, that are in lines that stood before."""
    counts = batch.lines
    return share(
        counts[:, lines.REPEATED_CHARACTERS], batch.characters[:, counting.ALL_CHARACTERS] - counts[:, lines.LINE_FEEDS]
    )


def line_feeds(batch: TextBatch) -> SignalValues:
    """Line feeds per word: many for a list."""
    return share(batch.lines[:, lines.LINE_FEEDS], batch.word_counts)


def c4_lines(batch: TextBatch) -> SignalValues:
    """Share of the lines that C4 keeps.

    Those of three words or more that end in . ! ? or a quotation mark, and speak neither of JavaScript nor of cookies
    and terms of use.
    """
    return share(batch.lines[:, lines.C4_LINES], batch.lines[:, lines.ALL_LINES])


def c4_sentences(batch: TextBatch) -> SignalValues:
    """Sentences in the lines that C4 keeps."""
    return batch.lines[:, lines.C4_SENTENCES]


def lorem_ipsum(batch: TextBatch) -> SignalValues:
    """Lines with the words "lorem ipsum", of those that C4 would have kept."""
    return batch.lines[:, lines.C4_LOREM]


def curly_brackets(batch: TextBatch) -> SignalValues:
    """Lines with an opening curly bracket, of those that C4 would have kept: programs."""
    return batch.lines[:, lines.C4_BRACKETS]


def questionable_lines(batch: TextBatch) -> SignalValues:
    """Share of the lines with text that are questionable.

    Shorter than 20 characters or longer than 500, more than a fifth digits and technical signs, or twelve words and
    more of which more than half begin with a capital letter. MADLAD-400 says it of sentences.
    """
    return share(batch.lines[:, lines.QUESTIONABLE], batch.lines[:, lines.FILLED_LINES])


LINE_SIGNALS = {
    "punctuated_lines": Signal(punctuated_lines, "lines / lines", 0, 1, _FINEWEB),
    "short_lines": Signal(short_lines, "lines / lines", 0, 1, _FINEWEB),
    "repeated_text": Signal(repeated_text, "characters / characters", 0, 1, _FINEWEB),
    "line_feeds": Signal(line_feeds, "line feeds / words", 0, None, _FINEWEB),
    "c4_lines": Signal(c4_lines, "lines / lines", 0, 1, C4),
    "c4_sentences": Signal(c4_sentences, "sentences", 0, None, C4),
    "lorem_ipsum": Signal(lorem_ipsum, "lines", 0, None, C4),
    "curly_brackets": Signal(curly_brackets, "lines", 0, None, C4),
    "questionable_lines": Signal(questionable_lines, "lines / lines", 0, 1, _MADLAD),
}
