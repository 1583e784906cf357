"""Signals of lines, after FineWeb, C4 and MADLAD-400.

C4 edits documents: it leaves out bad lines, then drops documents with too few sentences. Here nothing is edited; the
signals give how much of a document C4 would keep, and whether it would drop it.
"""

from filters.signals import counting, lines
from filters.signals.batch import Numbers, Signal, TextBatch, share

_FINEWEB = "FineWeb: Penedo et al. 2024, arXiv 2406.17557, section 3.6"
C4 = "C4: Raffel et al. 2020, arXiv 1910.10683, section 2.2"
_MADLAD = "MADLAD-400: Kudugunta et al. 2023, arXiv 2309.04662, section 2.2"


def _punctuated_lines(batch: TextBatch) -> Numbers:
    """Share of the lines with text that end in a sentence mark of any script."""
    return share(batch.lines[:, lines.PUNCTUATED], batch.lines[:, lines.FILLED_LINES])


def _short_lines(batch: TextBatch) -> Numbers:
    """Share of the lines with text that have at most 30 characters."""
    return share(batch.lines[:, lines.SHORT_LINES], batch.lines[:, lines.FILLED_LINES])


def _repeated_text(batch: TextBatch) -> Numbers:
    """Share of the characters, line feeds left out, that are in lines that occurred before."""
    counts = batch.lines
    return share(
        counts[:, lines.REPEATED_CHARACTERS], batch.characters[:, counting.ALL_CHARACTERS] - counts[:, lines.LINE_FEEDS]
    )


def _line_feeds(batch: TextBatch) -> Numbers:
    """Line feeds per word: many in a list."""
    return share(batch.lines[:, lines.LINE_FEEDS], batch.word_counts)


def _c4_lines(batch: TextBatch) -> Numbers:
    """Share of the lines that C4 keeps.

    It keeps lines of three words or more that end in . ! ? or a quotation mark, and mention neither JavaScript nor
    cookies and terms of use.
    """
    return share(batch.lines[:, lines.C4_LINES], batch.lines[:, lines.ALL_LINES])


def _c4_sentences(batch: TextBatch) -> Numbers:
    """Sentences in the lines that C4 keeps."""
    return batch.lines[:, lines.C4_SENTENCES]


def _lorem_ipsum(batch: TextBatch) -> Numbers:
    """Lines with the words "lorem ipsum" among those that C4 would keep."""
    return batch.lines[:, lines.C4_LOREM]


def _curly_brackets(batch: TextBatch) -> Numbers:
    """Lines with an opening curly bracket among those that C4 would keep: programs."""
    return batch.lines[:, lines.C4_BRACKETS]


def _questionable_lines(batch: TextBatch) -> Numbers:
    """Share of the lines with text that are questionable.

    Such a line is shorter than 20 characters or longer than 500, or more than a fifth of it are digits and technical
    signs, or it has twelve words or more and most begin with a capital letter. MADLAD-400 judges sentences so.
    """
    return share(batch.lines[:, lines.QUESTIONABLE], batch.lines[:, lines.FILLED_LINES])


LINE_SIGNALS = {
    "punctuated_lines": Signal(_punctuated_lines, "lines / lines", 0, 1, _FINEWEB),
    "short_lines": Signal(_short_lines, "lines / lines", 0, 1, _FINEWEB),
    "repeated_text": Signal(_repeated_text, "characters / characters", 0, 1, _FINEWEB),
    "line_feeds": Signal(_line_feeds, "line feeds / words", 0, None, _FINEWEB),
    "c4_lines": Signal(_c4_lines, "lines / lines", 0, 1, C4),
    "c4_sentences": Signal(_c4_sentences, "sentences", 0, None, C4),
    "lorem_ipsum": Signal(_lorem_ipsum, "lines", 0, None, C4),
    "curly_brackets": Signal(_curly_brackets, "lines", 0, None, C4),
    "questionable_lines": Signal(_questionable_lines, "lines / lines", 0, 1, _MADLAD),
}
