"""The signals of a document: MEASURES, one pure function each.

A signal is a number. A language's bounds say whether it is good or bad (`filters.signals.rules`). Every function takes
a batch (`TextBatch`) and returns one number per text. Where a language lacks what a signal needs, such as a list of
function words, the signal is null; a null signal passes every bound.

Three sets of definitions, chosen by `Reading.definitions`:

    repaired   words by Unicode word boundaries; special characters are ROOTS's without the letters and vowel signs
               that were in its list by mistake
    roots      ROOTS's own, on the text as its filters saw it (`filters.signals.roots_view`)
    fineweb2   those of FineWeb-2's code, datatrove: punctuation marks are words, which count for all shares, but not
               for `words` and `mean_word_length`; words are equal if all their characters are
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.language import Reading
from filters.signals import counting, lines, repetition
from filters.signals.batch import NO_MODELS, Numbers, Signal, SignalModels, TextBatch, share
from filters.signals.perplexity import perplexities
from filters.signals.quality import qualities
from filters.text import characters

ROOTS = "Laurençon et al. 2022, The BigScience ROOTS Corpus, arXiv 2303.03915"


def _words(batch: TextBatch) -> Numbers:
    """Words of the document."""
    return batch.word_shapes[:, counting.NOT_SIGNS] if batch.published else batch.word_counts


def _bytes(batch: TextBatch) -> Numbers | None:
    """Bytes of the document in UTF-8."""
    return batch.sizes


def _character_repetition(batch: TextBatch) -> Numbers:
    """Share of the character n-grams that are among the k most frequent ones: one phrase over and over.

    For N different n-grams of which s occur once, k = min(floor(sqrt(N)), N - s), as in the code that made ROOTS: 4/11
    for "ok_ok_good_ok" with n = 3. The paper has no second term, which gives 5/11. 0 for a text shorter than n.
    """
    return counting.top_character_grams(batch.texts.codes, batch.texts.offsets, batch.reading.character_ngram, True)


def _word_repetition(batch: TextBatch) -> Numbers:
    """Share of the word n-grams (lower case) that occur more than once. 0 for a text with fewer than n words."""
    spans = batch.texts.words
    return counting.repeated_word_grams(spans.hashes, spans.offsets, batch.reading.word_ngram)


def _special_characters(batch: TextBatch) -> Numbers:
    """Share of the characters that are punctuation, digits, spaces, symbols or emoji.

    Running text has 0.16 to 0.20 of them from its spaces alone.
    """
    counts = batch.characters
    column = counting.ROOTS_SPECIALS if batch.reading.definitions == "roots" else counting.SPECIALS
    return share(counts[:, column], counts[:, counting.ALL_CHARACTERS])


def _function_words(batch: TextBatch) -> Numbers | None:
    """Share of the words that are function words: running text has many, a list of names or products few."""
    return None if batch.function_words is None else _listed_share(batch.function_words, batch)


def _flagged_words(batch: TextBatch) -> Numbers | None:
    """Share of the words that pornographic spam uses and hardly any other text."""
    counts = batch.listed(batch.reading.flagged_words)
    return None if counts is None else _listed_share(counts, batch)


def _listed_share(counts: counting.Counts, batch: TextBatch) -> Numbers:
    """The share of words in a list, at most 1: where pairs are looked up, a text may have more hits than words."""
    return np.minimum(share(counts[:, 0], batch.word_counts), 1.0)


def _perplexity(batch: TextBatch) -> Numbers | None:
    """How much the document surprises a language model that the user named; null without one."""
    model = batch.models.perplexity
    return perplexities(batch.strings(), model) if model else None


def _quality(batch: TextBatch) -> Numbers | None:
    """The chance that the document is good, by a classifier that the user named; null without one."""
    model = batch.models.quality
    return qualities(batch.strings(), model) if model else None


def _script(batch: TextBatch) -> Numbers | None:
    """Share of the letters that are of the language's script. 1 for a text without letters."""
    if batch.reading.script not in characters.SCRIPTS:
        return None
    counts = batch.characters
    return np.where(
        counts[:, counting.LETTER_CHARACTERS] > 0,
        share(counts[:, counting.IN_SCRIPT], counts[:, counting.LETTER_CHARACTERS]),
        1.0,
    )


def _digits(batch: TextBatch) -> Numbers:
    """Share of the characters other than spaces that are numerals of any script."""
    counts = batch.characters
    return share(counts[:, counting.NUMBERS], counts[:, counting.ALL_CHARACTERS] - counts[:, counting.SPACES])


def _signs(batch: TextBatch) -> Numbers:
    """Share of the characters other than spaces that are punctuation or symbols."""
    counts = batch.characters
    return share(counts[:, counting.SIGNS], counts[:, counting.ALL_CHARACTERS] - counts[:, counting.SPACES])


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
        _gram_share(n - 2, f"Share of the characters that are in the most frequent {n}-gram of words."),
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

_GOPHER_SIGNALS = {
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


_LINE_SIGNALS = {
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


MEASURES: dict[str, Signal] = {
    "words": Signal(_words, "words", 0, None, ROOTS),
    "bytes": Signal(_bytes, "bytes", 0, None, "ROOTS's small_docs_bytes"),
    "character_repetition": Signal(_character_repetition, "n-grams / n-grams", 0, 1, ROOTS),
    "word_repetition": Signal(_word_repetition, "n-grams / n-grams", 0, 1, ROOTS),
    "special_characters": Signal(_special_characters, "characters / characters", 0, 1, ROOTS),
    "function_words": Signal(_function_words, "words / words", 0, 1, ROOTS + " (closed-class words)"),
    "flagged_words": Signal(_flagged_words, "words / words", 0, 1, ROOTS),
    "perplexity": Signal(_perplexity, "1 / probability of a piece", 0, None, ROOTS),
    "quality": Signal(_quality, "good texts / texts", 0, 1, "Li et al. 2024, DataComp-LM, arXiv 2406.11794"),
    "script": Signal(_script, "letters / letters", 0, 1, "Kargaran et al. 2024, GlotCC, arXiv 2410.23825"),
    "digits": Signal(_digits, "characters / characters", 0, 1, "ours: ROOTS counts them as special"),
    "signs": Signal(_signs, "characters / characters", 0, 1, "ours: special characters without digits and spaces"),
    **_GOPHER_SIGNALS,
    **_LINE_SIGNALS,
}

_PIECE_CHARACTERS = 1 << 20  # measured at once, which takes some 50 MB of memory


def measure(texts: pa.Array, reading: Reading, models: SignalModels = NO_MODELS) -> dict[str, pa.Array]:
    """All signals of an Arrow array of strings: name -> int32 or float32 (texts,), null where not applicable.

    `models` are opened from the paths in `reading` by `pipelines.models.files.signal_models`.
    """
    pieces = [_measure_piece(piece, reading, models) for piece in _pieces(texts)]
    return {
        name: pa.chunked_array([piece[name] for piece in pieces], kind.type).combine_chunks()
        if len(pieces) != 1
        else pieces[0][name]
        for name, kind in MEASURES.items()
    }


def _pieces(texts: pa.Array) -> list[pa.Array]:
    """Cut a batch into pieces of _PIECE_CHARACTERS bytes; a longer text is a piece of its own."""
    sizes = pc.binary_length(texts).fill_null(0)
    cuts, held = [0], 0
    for row, size in enumerate(sizes.to_pylist()):
        if held and held + size > _PIECE_CHARACTERS:
            cuts.append(row)
            held = 0
        held += size
    cuts.append(len(texts))
    return [texts.slice(low, high - low) for low, high in pairwise(cuts) if high > low]


def _measure_piece(texts: pa.Array, reading: Reading, models: SignalModels) -> dict[str, pa.Array]:
    batch = TextBatch.of(texts, reading, models)
    found: dict[str, pa.Array] = {}
    for name, kind in MEASURES.items():
        numbers = kind.function(batch)
        found[name] = (
            pa.nulls(len(texts), kind.type) if numbers is None else pa.array(numbers).cast(kind.type, safe=False)
        )
    return found


def prepare() -> None:
    """Compile all passes, or load them from the cache, so that no worker has to."""
    for definitions in ("repaired", "roots", "fineweb2"):
        measure(pa.array(["One line.\nAnd another."]), Reading("Latn", flagged_words=("x",), definitions=definitions))
