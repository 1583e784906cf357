"""The signals of a document: MEASURES, one pure function each.

A signal is a number. A language's bounds say whether it is good or bad (`filters.signals.rules`). Every function takes
a batch (`TextBatch`) and returns one number per text. Where a language lacks what a signal needs, such as a list of
function words, the signal is null; a null signal passes every bound.

Two sets of definitions, chosen by `Reading.definitions`:

    repaired   words by Unicode word boundaries; special characters are ROOTS's without the letters and vowel signs
               that were in its list by mistake
    roots      ROOTS's own, on the text as its filters saw it (`filters.signals.roots_view`)
"""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.language import Reading
from filters.signals import counting, gopher, line_rules
from filters.signals.batch import NO_MODELS, Numbers, Signal, SignalModels, TextBatch, share
from filters.signals.perplexity import perplexities
from filters.signals.quality import qualities
from filters.text import characters

ROOTS = "Laurençon et al. 2022, The BigScience ROOTS Corpus, arXiv 2303.03915"


def _words(batch: TextBatch) -> Numbers:
    """Words of the document."""
    return batch.word_counts


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


MEASURES: dict[str, Signal] = {
    "words": Signal(_words, "words", 0, None, ROOTS),
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
    **gopher.GOPHER_SIGNALS,
    **line_rules.LINE_SIGNALS,
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
    for definitions in ("repaired", "roots"):
        measure(pa.array(["One line.\nAnd another."]), Reading("Latn", flagged_words=("x",), definitions=definitions))
