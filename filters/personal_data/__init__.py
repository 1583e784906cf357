"""Personal data: KINDS, one row each; `find_spans` finds it, `redact` replaces it."""

from filters.personal_data.candidate import Kind, Span
from filters.personal_data.kinds import CODE_KINDS, DEFAULT_KINDS, KINDS, REDACTION_PRESETS, describe_kinds
from filters.personal_data.search import (
    STYLES,
    SpanFinder,
    as_shown,
    find_spans,
    redact,
    redact_url,
    regions_of,
    replacements,
)

__all__ = [
    "CODE_KINDS",
    "DEFAULT_KINDS",
    "KINDS",
    "REDACTION_PRESETS",
    "STYLES",
    "Kind",
    "Span",
    "SpanFinder",
    "as_shown",
    "describe_kinds",
    "find_spans",
    "redact",
    "redact_url",
    "regions_of",
    "replacements",
]
