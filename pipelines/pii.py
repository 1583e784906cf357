"""pii: how well personal data are found: precision, recall and F1 by kind and language, ours beside others'.

A found span is right when a labelled span of its kind overlaps it; `exact` counts those with the same two ends.
Only kinds that the labels know are judged, and a contender only on kinds it knows. Values are never printed: a false
positive is shown by its shape (letters as a, digits as 9) and by where it stands.

An address that nobody on the internet can have (private, reserved) leads to no person. Where published labels call it
an IP address all the same, finding it is neither right nor wrong, for every contender.
"""

import gzip
import ipaddress
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from filters.personal_data import KINDS, Span
from pipelines.pii_generate import VALUES, Labelled, generate
from pipelines.pii_peers import PEERS, Contender, contenders
from roots.errors import InputError, SettingsError, unknown_name

# Names of kinds in published sets -> ours. What is not here is an identity number of some country, or not judged.
LABELS: Mapping[str, str] = {
    "EMAIL": "email", "EMAIL_ADDRESS": "email", "PHONE": "phone", "PHONE_NUMBER": "phone", "IP_ADDRESS": "ip_address",
    "CREDIT_CARD": "payment_card", "IBAN": "iban", "IBAN_CODE": "iban", "KEY": "key", "US_SSN": "national_id",
    "IN_AADHAAR": "national_id", "SA_ID": "national_id", "CN_ID": "national_id", "FR_NIR": "national_id",
    "BR_CPF": "national_id", "ES_DNI": "national_id",
}  # fmt: skip


@dataclass(frozen=True)
class PiiEval:
    """Settings of the measurement."""

    data: str = (
        ""  # labelled text, JSONL or JSONL.gz: {"text", "lang", "spans": [{"start", "end", "type"}]}; empty: none
    )
    per_kind: int = 40  # generated documents a language and kind; 0: none
    seed: int = 1
    languages: tuple[str, ...] = ()  # empty: all
    peers: tuple[str, ...] = tuple(PEERS)  # of these, those that are installed

    def __post_init__(self) -> None:
        for peer in self.peers:
            if peer not in PEERS:
                raise SettingsError(unknown_name("peer", peer, PEERS))


@dataclass
class Counts:
    """What was found, of one kind in some documents."""

    hit: int = 0  # labelled spans that were found
    exact: int = 0  # of them, with the same ends
    missed: int = 0
    right: int = 0  # found spans that are labelled
    wrong: int = 0
    documents: list[tuple[int, int, int]] = field(default_factory=list)  # (right, wrong, missed) of each with any

    def add(self, other: "Counts") -> None:
        """Count another's as well."""
        for name in ("hit", "exact", "missed", "right", "wrong"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.documents += other.documents

    @property
    def precision(self) -> float:
        """Share of found spans that are right; NaN when nothing was found."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else math.nan

    @property
    def recall(self) -> float:
        """Share of labelled spans that were found; NaN when there were none."""
        return self.hit / (self.hit + self.missed) if self.hit + self.missed else math.nan

    @property
    def f1(self) -> float:
        """2 right / (2 right + wrong + missed), counted over labelled spans."""
        total = 2 * self.hit + self.wrong + self.missed
        return 2 * self.hit / total if total else math.nan

    def f1_interval(self, seed: int = 0, rounds: int = 500) -> tuple[float, float]:
        """95 % interval of F1 by the bootstrap over documents (Efron 1979)."""
        if not self.documents:
            return math.nan, math.nan
        table = np.array(self.documents, dtype=np.int64)
        rng = np.random.default_rng(seed)
        weights = rng.multinomial(len(table), np.full(len(table), 1 / len(table)), size=rounds)
        right, wrong, missed = (weights @ table).T
        f1 = 2 * right / np.maximum(2 * right + wrong + missed, 1)
        low, high = np.quantile(f1, [0.025, 0.975])
        return float(low), float(high)


def wilson(right: int, total: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927); (NaN, NaN) for none."""
    if not total:
        return math.nan, math.nan
    z, share = 1.959964, right / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return middle - half, middle + half


@dataclass(frozen=True)
class FalsePositive:
    """A span that is none of what it was taken for: its shape and its place, never its value."""

    document: str
    language: str
    kind: str
    start: int
    shape: str


@dataclass(frozen=True)
class Report:
    """What each contender found: contender -> (kind, language) -> counts; and our false positives."""

    source: str
    scores: Mapping[str, Mapping[tuple[str, str], Counts]]
    wrong: Sequence[FalsePositive]

    def total(self, contender: str, kind: str) -> Counts:
        """Counts of a kind over all languages."""
        total = Counts()
        for (name, _), counts in sorted(self.scores[contender].items()):
            if name == kind:
                total.add(counts)
        return total

    def kinds(self, contender: str) -> list[str]:
        """The kinds a contender was judged on."""
        judged = {kind for kind, _ in self.scores[contender]}
        return [kind for kind in KINDS if kind in judged]

    def lines(self, by_language: bool = True) -> Iterator[str]:
        """The report as text."""
        yield f"{self.source}: by kind, all languages; 95 % intervals (Wilson; F1: bootstrap over documents)"
        yield f"{'kind':<15}{'who':<11}{'spans':>6}  {'precision':<21}{'recall':<21}{'F1':<21}{'exact':>6}"
        for kind in self.kinds("ours"):
            for contender in self.scores:
                if kind in self.kinds(contender):
                    yield _line(kind, contender, self.total(contender, kind))
        if by_language:
            yield ""
            yield "ours, F1 (spans) by language"
            yield from self._by_language()
        yield ""
        yield f"false positives of ours: {len(self.wrong)}"
        for each in self.wrong:
            yield f"  {each.kind:<15}{each.language:<5}{each.document} at {each.start}: {each.shape}"

    def _by_language(self) -> Iterator[str]:
        scores = self.scores["ours"]
        kinds = self.kinds("ours")
        yield f"{'':<6}" + "".join(f"{kind[:13]:>15}" for kind in kinds)
        for language in sorted({language for _, language in scores}):
            cells = []
            for kind in kinds:
                counts = scores.get((kind, language), Counts())
                spans = counts.hit + counts.missed
                cells.append(f"{counts.f1:.3f} ({spans})" if spans or counts.wrong else "-")
            yield f"{language:<6}" + "".join(f"{cell:>15}" for cell in cells)


def _line(kind: str, contender: str, counts: Counts) -> str:
    spans = counts.hit + counts.missed
    cells = [
        _cell(counts.precision, wilson(counts.right, counts.right + counts.wrong)),
        _cell(counts.recall, wilson(counts.hit, spans)),
        _cell(counts.f1, counts.f1_interval()),
    ]
    exact = f"{counts.exact / spans:.3f}" if spans else "-"
    return f"{kind:<15}{contender:<11}{spans:>6}  {''.join(f'{cell:<21}' for cell in cells)}{exact:>6}"


def _cell(value: float, interval: tuple[float, float]) -> str:
    return "-" if math.isnan(value) else f"{value:.3f} [{interval[0]:.3f},{interval[1]:.3f}]"


def read_labelled(path: Path) -> Iterator[Labelled]:
    """Labelled documents of a JSONL file. Raises InputError for what is none."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for number, line in enumerate(file):
                row = json.loads(line)
                spans = [Span(LABELS[s["type"]], s["start"], s["end"]) for s in row["spans"] if s["type"] in LABELS]
                spans.sort(key=lambda span: span.start)
                apart = [span for span in spans if _leads_to_nobody(row["text"], span)]
                judged = tuple(span for span in spans if span not in apart)
                yield Labelled(str(row.get("id", number)), row["lang"], row["text"], judged, tuple(apart))
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise InputError(f"{path} is not labelled text, one JSON object a line: {error!r}") from None


def _leads_to_nobody(text: str, span: Span) -> bool:
    try:
        return span.kind == "ip_address" and not ipaddress.ip_address(text[span.start : span.end]).is_global
    except ValueError:
        return False


def score(labelled: Sequence[Span], found: Sequence[Span], kind: str) -> Counts:
    """Counts of one kind in one document."""
    truth = [span for span in labelled if span.kind == kind]
    guesses = [span for span in found if span.kind == kind]
    counts = Counts()
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


def shape(text: str) -> str:
    """A text with every letter as a and every digit as 9: what it looks like, without what it says."""
    return "".join("9" if char.isdigit() else "a" if char.isalpha() else char for char in text[:60])


def judge(source: str, documents: Iterable[Labelled], who: Mapping[str, Contender], kinds: Sequence[str]) -> Report:
    """Let every contender search every document, and count. `kinds` are those the labels know."""
    scores: dict[str, dict[tuple[str, str], Counts]] = {name: {} for name in who}
    wrong: list[FalsePositive] = []
    for document in documents:
        for name, contender in who.items():
            found = [
                span
                for span in contender.find(document.text, document.language)
                if not any(_overlap(span, other) for other in document.unjudged)
            ]
            for kind in kinds:
                if kind in contender.kinds:
                    counts = score(document.spans, found, kind)
                    scores[name].setdefault((kind, document.language), Counts()).add(counts)
            if name == "ours":
                wrong += [each for each in _false_positives(document, found) if each.kind in kinds]
    return Report(source, scores, wrong)


def _false_positives(document: Labelled, found: Sequence[Span]) -> Iterator[FalsePositive]:
    for span in found:
        if not any(_overlap(span, truth) and truth.kind == span.kind for truth in document.spans):
            text = shape(document.text[span.start : span.end])
            yield FalsePositive(document.id, document.language, span.kind, span.start, text)


def evaluate(settings: PiiEval) -> list[Report]:
    """Measure on the labelled text named and on generated text. Raises InputError for data that cannot be read."""
    who = contenders(settings.peers)
    reports: list[Report] = []
    if settings.data:
        documents = [
            each
            for each in read_labelled(Path(settings.data))
            if not settings.languages or each.language in settings.languages
        ]
        known = Counter(span.kind for document in documents for span in document.spans)
        reports.append(judge(Path(settings.data).name, documents, who, [kind for kind in KINDS if known[kind]]))
    if settings.per_kind:
        made = list(generate(settings.seed, settings.per_kind, settings.languages))
        reports.append(judge(f"generated, seed {settings.seed}", made, who, [kind for kind in KINDS if kind in VALUES]))
    return reports
