"""PEERS: other people's finders of personal data, run as they come where they are installed.

They are no dependencies: a name here is tried and left out where its package is missing. Each gives spans in our names;
kinds that a peer does not know are not held against it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from filters.personal_data import PRESETS, Finder, Span, regions_of

Find = Callable[[str, str], list[Span]]  # text, language -> spans


@dataclass(frozen=True)
class Contender:
    """A finder and the kinds it knows."""

    find: Find
    kinds: frozenset[str]


def of_preset(name: str) -> Contender:
    """One of our presets as a contender."""
    preset = PRESETS[name]
    chosen = [kind for kind in preset.kinds.values() if kind.by_default]
    finder = Finder(chosen)
    return Contender(lambda text, language: finder.find(text, regions_of(language)), frozenset(k.name for k in chosen))


_PRESIDIO_KINDS: Mapping[str, str] = {
    "EMAIL_ADDRESS": "email", "IP_ADDRESS": "ip_address", "PHONE_NUMBER": "phone", "CREDIT_CARD": "payment_card",
    "IBAN_CODE": "iban", "CRYPTO": "crypto_address", "MAC_ADDRESS": "mac_address", "US_SSN": "national_id",
    "IN_AADHAAR": "national_id", "ES_NIF": "national_id", "ES_NIE": "national_id",
}  # fmt: skip


def presidio() -> Contender:
    """Presidio's pattern recognisers for English, context words off: those are English too."""
    module = import_module("presidio_analyzer")
    registry = import_module("presidio_analyzer.recognizer_registry").RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    patterns = [
        each
        for each in registry.get_recognizers(language="en", all_fields=True)
        if set(each.supported_entities) & set(_PRESIDIO_KINDS)
        and (isinstance(each, module.PatternRecognizer) or type(each).__name__ == "PhoneRecognizer")
    ]

    def find(text: str, language: str) -> list[Span]:
        found: list[Any] = []
        for recognizer in patterns:
            found += recognizer.analyze(text, recognizer.supported_entities, None) or []
        found = [each for each in found if each.entity_type in _PRESIDIO_KINDS]
        found.sort(key=lambda each: (-each.score, each.start - each.end, each.start))
        return _apart([Span(_PRESIDIO_KINDS[each.entity_type], each.start, each.end) for each in found])

    return Contender(find, frozenset(_PRESIDIO_KINDS.values()))


_SCRUBADUB_KINDS: Mapping[str, str] = {
    "email": "email", "phone": "phone", "credit_card": "payment_card", "twitter": "user",
    "social_security_number": "national_id", "national_insurance_number": "national_id",
}  # fmt: skip


def scrubadub() -> Contender:
    """scrubadub's detectors that are on by default."""
    scrubber = import_module("scrubadub").Scrubber()

    def find(text: str, language: str) -> list[Span]:
        found = [each for each in scrubber.iter_filth(text) if each.type in _SCRUBADUB_KINDS]
        return _apart([Span(_SCRUBADUB_KINDS[each.type], each.beg, each.end) for each in found])

    return Contender(find, frozenset(_SCRUBADUB_KINDS.values()))


def datatrove() -> Contender:
    """datatrove's PIIFormatter: it replaces, so the spans are told from what it put in."""
    module = import_module("datatrove.pipeline.formatters.pii")
    formatter = module.PIIFormatter(email_replacement="\ue000", ip_replacement="\ue001")

    def find(text: str, language: str) -> list[Span]:
        return _replaced(text, formatter.format(text), {"\ue000": "email", "\ue001": "ip_address"})

    return Contender(find, frozenset(["email", "ip_address"]))


def _replaced(text: str, clean: str, marks: Mapping[str, str]) -> list[Span]:
    """Spans of the text that stand as marks in the clean one: what lies between marks is the same in both."""
    parts = re.split(f"([{''.join(marks)}])", clean)
    spans: list[Span] = []
    place = len(parts[0])
    for mark, rest in zip(parts[1::2], parts[2::2], strict=True):
        # The rest up to the next mark is found again behind this place; an empty one lies at the end or at a mark.
        end = text.find(rest, place + 1) if rest else len(text)
        spans.append(Span(marks[mark], place, end))
        place = end + len(rest)
    return spans


def _apart(spans: list[Span]) -> list[Span]:
    """The spans, each of which overlaps none before it in the list, in order of the text."""
    kept: list[Span] = []
    for span in spans:
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return sorted(kept, key=lambda span: span.start)


PEERS: Mapping[str, Callable[[], Contender]] = {"presidio": presidio, "scrubadub": scrubadub, "datatrove": datatrove}


def contenders(names: tuple[str, ...]) -> dict[str, Contender]:
    """The presets, and of the named peers those that are installed."""
    found = {name: of_preset(name) for name in PRESETS}
    for name in names:
        try:
            found[name] = PEERS[name]()
        except ImportError:
            continue
    return found
