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
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filters.personal_data import KINDS, Span
from pipelines.pii_eval.generate import VALUES, Labelled, generate
from pipelines.pii_eval.peers import PEERS, Contender, contenders
from pipelines.pii_eval.scores import Counts, FalsePositive, Report
from roots.errors import InputError, SettingsError, unknown_name

# Names of kinds in published sets -> ours. What is not here is an identity number of some country, or not judged.
_LABELS: Mapping[str, str] = {
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


def read_labelled(path: Path) -> Iterator[Labelled]:
    """Labelled documents of a JSONL file. Raises InputError for what is none."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for number, line in enumerate(file):
                row = json.loads(line)
                spans = [Span(_LABELS[s["type"]], s["start"], s["end"]) for s in row["spans"] if s["type"] in _LABELS]
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
