"""Measure how well personal data is found in a labelled file of yours: `roots pii eval`.

A found span is right if a labelled span of its kind overlaps it. Only kinds that the labels contain are counted. No
value is ever printed: a false positive is shown by its shape (letters as a, digits as 9) and its position.

A private or reserved IP address identifies nobody. Where the labels still call it an IP address, a match there counts
neither as right nor as wrong.
"""

import gzip
import ipaddress
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from filters.personal_data import KINDS, REDACTION_PRESETS, Span, SpanFinder, regions_of
from roots.errors import InputError
from roots.intervals import wilson

# Names of kinds in published sets -> ours. Spans with other labels are not counted.
_LABELS: Mapping[str, str] = {name: name for name in KINDS} | {
    "EMAIL": "email", "EMAIL_ADDRESS": "email", "PHONE": "phone", "PHONE_NUMBER": "phone", "IP_ADDRESS": "ip_address",
    "CREDIT_CARD": "payment_card", "IBAN": "iban", "IBAN_CODE": "iban", "KEY": "key", "US_SSN": "national_id",
    "IN_AADHAAR": "national_id", "SA_ID": "national_id", "CN_ID": "national_id", "FR_NIR": "national_id",
    "BR_CPF": "national_id", "ES_DNI": "national_id", "US_DRIVER_LICENSE": "national_id",
}  # fmt: skip
_SHAPE_CHARACTERS = 60  # of a false positive that are shown


@dataclass(frozen=True)
class Labelled:
    """A text whose personal data is known."""

    id: str
    language: str
    text: str
    spans: tuple[Span, ...]
    unjudged: tuple[Span, ...] = ()  # a match here counts neither as right nor as wrong


@dataclass(frozen=True)
class Detector:
    """A function (text, language) -> spans, and the kinds it knows."""

    find: Callable[[str, str], list[Span]]
    kinds: frozenset[str]


def detector_of(preset: str) -> Detector:
    """The rules of a preset, with the kinds that are on by default."""
    chosen = [kind for kind in REDACTION_PRESETS[preset].kinds.values() if kind.by_default]
    finder = SpanFinder(chosen)
    return Detector(lambda text, language: finder.find(text, regions_of(language)), frozenset(k.name for k in chosen))


def read_labelled(path: Path) -> Iterator[Labelled]:
    """Labelled documents of a JSONL file, plain or gzip, one object a line.

    An object has `text`, `lang` and `spans`, a list of {"start", "end", "type"} in characters; `id` is optional.
    Raises InputError for a file of another form.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for number, line in enumerate(file):
                row = json.loads(line)
                spans = [Span(_LABELS[s["type"]], s["start"], s["end"]) for s in row["spans"] if s["type"] in _LABELS]
                spans.sort(key=lambda span: span.start)
                unjudged = tuple(span for span in spans if _identifies_nobody(row["text"], span))
                judged = tuple(span for span in spans if span not in unjudged)
                yield Labelled(str(row.get("id", number)), row["lang"], row["text"], judged, unjudged)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise InputError(f"{path} is not labelled text, one JSON object a line: {error!r}") from None


def _identifies_nobody(text: str, span: Span) -> bool:
    try:
        return span.kind == "ip_address" and not ipaddress.ip_address(text[span.start : span.end]).is_global
    except ValueError:
        return False


@dataclass
class DetectionCounts:
    """Hits and misses of one kind over some documents."""

    hit: int = 0  # labelled spans that were found
    exact: int = 0  # of them, with the same start and end
    missed: int = 0
    right: int = 0  # found spans that are labelled
    wrong: int = 0
    documents: list[tuple[int, int, int]] = field(default_factory=list)  # (hit, wrong, missed) of each with any

    def add(self, other: "DetectionCounts") -> None:
        """Add the counts of other documents."""
        for name in ("hit", "exact", "missed", "right", "wrong"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.documents += other.documents

    @property
    def precision(self) -> float:
        """Share of found spans that are right; NaN if nothing was found."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else math.nan

    @property
    def recall(self) -> float:
        """Share of labelled spans that were found; NaN if there are none."""
        return self.hit / (self.hit + self.missed) if self.hit + self.missed else math.nan

    @property
    def f1(self) -> float:
        """2 hit / (2 hit + wrong + missed); NaN if there is nothing to count."""
        total = 2 * self.hit + self.wrong + self.missed
        return 2 * self.hit / total if total else math.nan

    def f1_interval(self, seed: int = 0, rounds: int = 500) -> tuple[float, float]:
        """95 % interval of F1 by the bootstrap over documents (Efron 1979)."""
        if not self.documents:
            return math.nan, math.nan
        table = np.array(self.documents, dtype=np.int64)
        rng = np.random.default_rng(seed)
        weights = rng.multinomial(len(table), np.full(len(table), 1 / len(table)), size=rounds)
        hit, wrong, missed = (weights @ table).T
        f1 = 2 * hit / np.maximum(2 * hit + wrong + missed, 1)
        low, high = np.quantile(f1, [0.025, 0.975])
        return float(low), float(high)


def count_spans(labelled: Sequence[Span], found: Sequence[Span], kind: str) -> DetectionCounts:
    """Compare the spans of one kind in one document."""
    truth = [span for span in labelled if span.kind == kind]
    guesses = [span for span in found if span.kind == kind]
    counts = DetectionCounts()
    for span in truth:
        counts.hit += any(_overlap(span, guess) for guess in guesses)
        counts.exact += span in guesses
    counts.missed = len(truth) - counts.hit
    counts.right = sum(any(_overlap(span, guess) for span in truth) for guess in guesses)
    counts.wrong = len(guesses) - counts.right
    if truth or guesses:
        counts.documents.append((counts.hit, counts.wrong, counts.missed))
    return counts


def _overlap(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end


@dataclass(frozen=True)
class _FalsePositive:
    """A found span that is not labelled: its shape and its position, never its value."""

    document: str
    language: str
    kind: str
    start: int
    shape: str


def shape(text: str) -> str:
    """The start of a text with every letter as a and every digit as 9."""
    return "".join("9" if char.isdigit() else "a" if char.isalpha() else char for char in text[:_SHAPE_CHARACTERS])


@dataclass(frozen=True)
class DetectionReport:
    """Counts of each detector by (kind, language), and the false positives of ours."""

    source: str
    counts: Mapping[str, Mapping[tuple[str, str], DetectionCounts]]
    false_positives: Sequence[_FalsePositive]

    def total(self, detector: str, kind: str) -> DetectionCounts:
        """Counts of a kind over all languages."""
        total = DetectionCounts()
        for (name, _), counts in sorted(self.counts[detector].items()):
            if name == kind:
                total.add(counts)
        return total

    def kinds(self, detector: str) -> list[str]:
        """The kinds that were counted for a detector."""
        counted = {kind for kind, _ in self.counts[detector]}
        return [kind for kind in KINDS if kind in counted]

    def lines(self) -> Iterator[str]:
        """The report as text."""
        yield f"{self.source}: by kind, all languages; 95 % intervals (Wilson; F1: bootstrap over documents)"
        yield _head("rules")
        for kind in self.kinds("ours"):
            for detector in self.counts:
                if kind in self.kinds(detector):
                    yield _line(kind, detector, self.total(detector, kind))
        yield from ("", "ours, by kind and language; 95 % intervals", _head("language"))
        order = list(KINDS)
        for kind, language in sorted(self.counts["ours"], key=lambda key: (order.index(key[0]), key[1])):
            yield _line(kind, language, self.counts["ours"][kind, language])
        yield from ("", f"false positives of ours: {len(self.false_positives)}")
        for each in self.false_positives:
            yield f"  {each.kind:<15}{each.language:<5}{each.document} at {each.start}: {each.shape}"


def _head(second: str) -> str:
    return f"{'kind':<15}{second:<11}{'spans':>6}  {'precision':<21}{'recall':<21}{'F1':<21}{'exact':>6}"


def _line(kind: str, second: str, counts: DetectionCounts) -> str:
    spans = counts.hit + counts.missed
    cells = [
        _cell(counts.precision, wilson(counts.right, counts.right + counts.wrong)),
        _cell(counts.recall, wilson(counts.hit, spans)),
        _cell(counts.f1, counts.f1_interval()),
    ]
    exact = f"{counts.exact / spans:.3f}" if spans else "-"
    return f"{kind:<15}{second:<11}{spans:>6}  {''.join(f'{cell:<21}' for cell in cells)}{exact:>6}"


def _cell(value: float, interval: tuple[float, float]) -> str:
    return "-" if math.isnan(value) else f"{value:.3f} [{interval[0]:.3f},{interval[1]:.3f}]"


def compare_detectors(
    source: str, documents: Iterable[Labelled], detectors: Mapping[str, Detector], kinds: Sequence[str]
) -> DetectionReport:
    """Run every detector over every document and count. `kinds` are those the labels know."""
    counts: dict[str, dict[tuple[str, str], DetectionCounts]] = {name: {} for name in detectors}
    false_positives: list[_FalsePositive] = []
    for document in documents:
        for name, detector in detectors.items():
            found = [
                span
                for span in detector.find(document.text, document.language)
                if not any(_overlap(span, other) for other in document.unjudged)
            ]
            for kind in kinds:
                if kind in detector.kinds:
                    here = count_spans(document.spans, found, kind)
                    counts[name].setdefault((kind, document.language), DetectionCounts()).add(here)
            if name == "ours":
                false_positives += _false_positives(document, [span for span in found if span.kind in kinds])
    return DetectionReport(source, counts, false_positives)


def _false_positives(document: Labelled, found: Sequence[Span]) -> Iterator[_FalsePositive]:
    for span in found:
        if not any(_overlap(span, truth) and truth.kind == span.kind for truth in document.spans):
            text = shape(document.text[span.start : span.end])
            yield _FalsePositive(document.id, document.language, span.kind, span.start, text)


def evaluate_detection(
    path: Path, languages: Sequence[str] = (), detectors: Mapping[str, Detector] | None = None
) -> DetectionReport:
    """Measure the presets, or the detectors given, on a labelled file (see `read_labelled`).

    `languages` are values of `lang`; all if empty. Raises InputError for a file without a label that is ours.
    """
    documents = [each for each in read_labelled(path) if not languages or each.language in languages]
    known = {span.kind for document in documents for span in document.spans}
    if not known:
        raise InputError(f"{path} has no span of a kind that can be counted: known are {', '.join(_LABELS)}")
    detectors = detectors or {name: detector_of(name) for name in REDACTION_PRESETS}
    return compare_detectors(path.name, documents, detectors, [kind for kind in KINDS if kind in known])
