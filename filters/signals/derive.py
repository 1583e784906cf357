"""Derives function words and bounds from text that a person trusts.

The same text, sample and quantile give the same numbers, and each number carries its source. A quantile of a small or
odd sample can be absurd (FineWeb-2 has a mean word length of 3,141 for Xhosa), so every bound stays within LIMITS.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from unicodedata import normalize

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.language import Bound, Reading
from filters.signals.measures import MEASURES, measure
from filters.text import characters
from filters.text.words import cut_texts
from roots.errors import InputError, SettingsError, unknown_name

LEAST_DOCUMENTS = 50  # of a sample: a quantile of fewer means little
_WARN_SHARE = 0.4  # share of a sample: a person should look at bounds that drop more


@dataclass(frozen=True)
class _Limit:
    """How far a derived bound may go: never stricter than `strictest`, never laxer than `laxest`.

    `of_median` tightens the lax end to that share of the sample's median at least. `by_labels` marks signals that get a
    bound only from a speaker's labels, not from good text alone.
    """

    side: str  # "min" or "max"
    strictest: float
    laxest: float
    of_median: float = 0.0
    by_labels: bool = False


# What a speaker would still accept, from bounds of ROOTS (13 languages) and FineWeb-2 (44), and from running text.
LIMITS: dict[str, _Limit] = {
    "character_repetition": _Limit("max", 0.20, 0.40),
    "word_repetition": _Limit("max", 0.40, 0.60),
    "special_characters": _Limit("max", 0.45, 0.55),
    "function_words": _Limit("min", 0.25, 0.01, of_median=0.2),
    "script": _Limit("min", 0.30, 0.20),
    "digits": _Limit("max", 0.22, 0.33),
    "signs": _Limit("max", 0.25, 0.33),
    "mean_word_length": _Limit("max", 10.0, 25.0),
    "repeated_lines": _Limit("max", 0.30, 0.50),
    "top_2_gram": _Limit("max", 0.30, 0.40),
    "top_3_gram": _Limit("max", 0.18, 0.35),
    # Lines of picture books and of verse are all short, so good text alone gives no bound.
    "short_lines": _Limit("max", 0.67, 0.95, by_labels=True),
    "line_feeds": _Limit("max", 0.40, 0.50),  # verse has three words in a line, a menu one or two
}


@dataclass(frozen=True)
class Derived:
    """Bounds, and what they do to the sample they were derived from."""

    bounds: dict[str, Bound]
    documents: int
    dropped: float  # share of the sample that the bounds drop
    warnings: tuple[str, ...] = ()


def word_shares(sources: Mapping[str, Sequence[str]], segmenter: str) -> dict[str, float]:
    """How frequent each word is in all sources: the geometric mean of its share in each.

    `sources` are texts by the name of their source; a topical word is frequent in one source and rare in the others.
    Words with a digit are left out, and sources of fewer than 2,000 words unless all are that small. Raises InputError
    where there is no text.
    """
    counts = {name: _count_words(texts, segmenter) for name, texts in sorted(sources.items())}
    sizes = {name: sum(found.values()) for name, found in counts.items()}
    if not any(sizes.values()):
        raise InputError("no words to derive function words from")
    large = [name for name, size in sizes.items() if size >= 2000] or [name for name, size in sizes.items() if size]
    # No occurrence counts as half of one, so that a small source does not veto a word.
    return {
        word: float(np.exp(np.mean([np.log((counts[name].get(word, 0) + 0.5) / sizes[name]) for name in large])))
        for word in sorted(set().union(*(counts[name] for name in large)))
    }


def derive_function_words(
    sources: Mapping[str, Sequence[str]], segmenter: str, count: int = 100, foreign: Mapping[str, float] | None = None
) -> list[str]:
    """The words that are frequent in every source: words of grammar rather than of a topic.

    `foreign` are the word shares of a language that leaks into the sources (nearly always English); words that are four
    times as frequent there are left out. Returns at most `count` words in lower case, most frequent first.
    """
    shares = word_shares(sources, segmenter)
    own = [word for word, share in shares.items() if share >= 0.25 * (foreign or {}).get(word, 0)]
    return sorted(own, key=lambda word: (-shares[word], word))[:count]


def _count_words(texts: Sequence[str], segmenter: str) -> dict[str, int]:
    """How often each word of letters and marks occurs, in lower case as `filters.text.words` lowers it."""
    batch = cut_texts(pa.array(texts, pa.large_string()), segmenter)
    small = characters.lower()[batch.codes]
    numbers = (characters.classes()[batch.codes] & characters.NUMBER) != 0
    before = np.concatenate([[0], np.cumsum(numbers)])
    spans = batch.words
    plain = before[spans.ends] == before[spans.starts]
    _, first, count = np.unique(spans.hashes[plain], return_index=True, return_counts=True)
    starts, ends = spans.starts[plain][first], spans.ends[plain][first]
    return {
        normalize("NFC", "".join(map(chr, small[start:end]))): number
        for start, end, number in zip(starts.tolist(), ends.tolist(), count.tolist(), strict=True)
    }


def derive_bounds(signals: Mapping[str, pa.Array], source: str, quantile: float = 0.01) -> Derived:
    """Bounds that each drop the outer `quantile` of a trusted sample, or less of a small one, within LIMITS.

    `signals` are the measures of the sample; a signal without numbers gets no bound. Raises InputError for a sample of
    fewer than 50 documents, SettingsError for a quantile outside 0 to 0.5.
    """
    if not 0 < quantile < 0.5:
        raise SettingsError(f"quantile {quantile}: give a number between 0 and 0.5, such as 0.01")
    documents = len(next(iter(signals.values()), []))
    if documents < LEAST_DOCUMENTS:
        raise InputError(f"{documents} documents are too few to derive bounds from: at least {LEAST_DOCUMENTS}")
    bounds: dict[str, Bound] = {}
    failed = np.zeros(documents, np.bool_)
    for signal, limit in LIMITS.items():
        numbers = _numbers(signals, signal)
        if numbers is None or limit.by_labels:
            continue
        value = _outer(numbers, quantile if limit.side == "min" else 1 - quantile, documents * quantile)
        laxest = max(limit.laxest, limit.of_median * float(np.median(numbers)))
        low, high = sorted((limit.strictest, laxest))
        kept = round(min(max(value, low), high), 3)
        note = f"{source}: {'lower' if limit.side == 'min' else 'upper'} {quantile:g} of {documents} documents"
        if not low <= value <= high:
            note += f" is {value:.3g}, kept to our limit"
        bounds[signal] = _bound(limit.side, kept, note)
        failed |= numbers < kept if limit.side == "min" else numbers > kept
    return _with_warnings(bounds, documents, float(failed.mean()))


def _outer(numbers: npt.NDArray[np.float64], quantile: float, beyond: float) -> float:
    """A quantile, moved away from the median by what is uncertain with only `beyond` documents beyond it.

    The next sample holds more unusual documents than a small one shows; a bound must not drop those either.
    """
    value, median = float(np.quantile(numbers, quantile)), float(np.median(numbers))
    return median + (value - median) * (1 + 0.5 / float(np.sqrt(1 + beyond)))


def derive_from_labels(
    signals: Mapping[str, pa.Array], good: npt.NDArray[np.bool_], source: str, lost: float = 0.02
) -> Derived:
    """Bounds from a speaker's labels: each drops as much junk as it can and at most `lost` of the good documents.

    `good` is bool (documents,): what the speaker labelled fine. A signal that would drop a larger share of the good
    than of the junk gets no bound. Raises InputError where one of the two kinds has fewer than ten documents.
    """
    if good.sum() < 10 or (~good).sum() < 10:
        raise InputError(
            f"{int(good.sum())} good and {int((~good).sum())} junk documents: at least 10 of each are needed"
        )
    bounds: dict[str, Bound] = {}
    failed = np.zeros(len(good), np.bool_)
    for signal, limit in LIMITS.items():
        numbers = _numbers(signals, signal)
        if numbers is None:
            continue
        value = float(np.quantile(numbers[good], lost if limit.side == "min" else 1 - lost))
        value = float(np.floor(value * 1000) / 1000 if limit.side == "min" else np.ceil(value * 1000) / 1000)
        crossed = numbers < value if limit.side == "min" else numbers > value
        if crossed[~good].mean() > crossed[good].mean():
            note = f"{source}: drops {crossed[~good].mean():.0%} of {(~good).sum()} junk documents"
            bounds[signal] = _bound(limit.side, value, f"{note}, {crossed[good].mean():.0%} of {good.sum()} good")
            failed |= crossed
    return _with_warnings(bounds, len(good), float(failed.mean()))


def _bound(side: str, value: float, source: str) -> Bound:
    return Bound(min=value, source=source) if side == "min" else Bound(max=value, source=source)


def _numbers(signals: Mapping[str, pa.Array], signal: str) -> npt.NDArray[np.float64] | None:
    if signal not in MEASURES:
        raise SettingsError(unknown_name("signal", signal, MEASURES))
    column = signals.get(signal)
    if column is None or column.null_count:
        return None
    return np.asarray(column, np.float64)


def _with_warnings(bounds: dict[str, Bound], documents: int, dropped: float) -> Derived:
    warnings: tuple[str, ...] = ()
    if dropped > _WARN_SHARE:
        warnings = (
            f"the bounds drop {dropped:.0%} of the {documents} documents they were derived from: look at these",
        )
    return Derived(bounds, documents, dropped, warnings)


def choose_texts(texts: Sequence[str], size: int, seed: int) -> list[str]:
    """At most `size` of the texts, in their order; the same seed chooses the same ones."""
    if len(texts) <= size:
        return list(texts)
    chosen = np.random.default_rng(seed).choice(len(texts), size, replace=False)
    return [texts[place] for place in sorted(chosen.tolist())]


def measure_texts(texts: Sequence[str], reading: Reading) -> dict[str, pa.Array]:
    """The measures of texts."""
    return measure(pa.array(texts, pa.large_string()), reading)


def to_toml(name: str, derived: Derived) -> str:
    """Bounds as a TOML file that `pipelines.job.languages.read_bounds` reads."""
    lines = [f"# Derived from {derived.documents} documents, of which these bounds drop {derived.dropped:.1%}.", ""]
    lines += [f"# Bound set {name}. A limit that does not stand here is that of the default set.", ""]
    for signal, bound in derived.bounds.items():
        lines.append(f"[bounds.{signal}]")
        lines += [f"{side} = {value:g}" for side in ("min", "max") if (value := getattr(bound, side)) is not None]
        source = bound.source.replace("\\", "\\\\").replace('"', '\\"')
        lines += [f'source = "{source}"', ""]
    return "\n".join(lines)
