"""PEERS: other finders of personal data, run with their default settings.

A peer whose package is not installed is left out. Each gives spans with our kind names; a kind that a peer does not
know does not count against it.
"""

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from filters.personal_data import REDACTION_PRESETS, Span
from pipelines.models.personal_data_eval import Detector, detector_of

_PRESIDIO_KINDS: Mapping[str, str] = {
    "EMAIL_ADDRESS": "email", "IP_ADDRESS": "ip_address", "PHONE_NUMBER": "phone", "CREDIT_CARD": "payment_card",
    "IBAN_CODE": "iban", "CRYPTO": "crypto_address", "MAC_ADDRESS": "mac_address", "US_SSN": "national_id",
    "IN_AADHAAR": "national_id", "ES_NIF": "national_id", "ES_NIE": "national_id",
}  # fmt: skip


def presidio() -> Detector:
    """Presidio's pattern recognisers for English, without context words, which are English only."""
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

    return Detector(find, frozenset(_PRESIDIO_KINDS.values()))


_SCRUBADUB_KINDS: Mapping[str, str] = {
    "email": "email", "phone": "phone", "credit_card": "payment_card", "twitter": "user",
    "social_security_number": "national_id", "national_insurance_number": "national_id",
}  # fmt: skip


def scrubadub() -> Detector:
    """scrubadub's default detectors."""
    scrubber = import_module("scrubadub").Scrubber()

    def find(text: str, language: str) -> list[Span]:
        found = [each for each in scrubber.iter_filth(text) if each.type in _SCRUBADUB_KINDS]
        return _apart([Span(_SCRUBADUB_KINDS[each.type], each.beg, each.end) for each in found])

    return Detector(find, frozenset(_SCRUBADUB_KINDS.values()))


def datatrove() -> Detector:
    """datatrove's PIIFormatter: it only replaces, so the spans are derived from its replacements."""
    module = import_module("datatrove.pipeline.formatters.pii")
    formatter = module.PIIFormatter(email_replacement="\ue000", ip_replacement="\ue001")

    def find(text: str, language: str) -> list[Span]:
        return _replaced(text, formatter.format(text), {"\ue000": "email", "\ue001": "ip_address"})

    return Detector(find, frozenset(["email", "ip_address"]))


def _replaced(text: str, clean: str, marks: Mapping[str, str]) -> list[Span]:
    """Spans of the text that are marks in the clean one; the text between marks is the same in both."""
    parts = re.split(f"([{''.join(marks)}])", clean)
    spans: list[Span] = []
    place = len(parts[0])
    for mark, rest in zip(parts[1::2], parts[2::2], strict=True):
        # The text between two marks is searched behind the first; it is empty at the end or between adjacent marks.
        end = text.find(rest, place + 1) if rest else len(text)
        spans.append(Span(marks[mark], place, end))
        place = end + len(rest)
    return spans


def _apart(spans: list[Span]) -> list[Span]:
    """The spans that overlap none before them in the list, ordered by position."""
    kept: list[Span] = []
    for span in spans:
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return sorted(kept, key=lambda span: span.start)


PEERS: Mapping[str, Callable[[], Detector]] = {"presidio": presidio, "scrubadub": scrubadub, "datatrove": datatrove}


def installed_detectors() -> dict[str, Detector]:
    """Our presets, and the peers that are installed."""
    found = {name: detector_of(name) for name in REDACTION_PRESETS}
    for name in PEERS:
        try:
            found[name] = PEERS[name]()
        except ImportError:
            continue
    return found
