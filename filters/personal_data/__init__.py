"""Personal data: KINDS, one row each; `find` gives spans, `redact` replaces them."""

from filters.personal_data.candidate import Kind, Span
from filters.personal_data.kinds import DEFAULT_KINDS, KINDS, describe_kinds
from filters.personal_data.presets import PRESETS
from filters.personal_data.regions import regions_of
from filters.personal_data.search import Finder, as_shown, find, redact, redact_url
from filters.personal_data.styles import STYLES

__all__ = [
    "DEFAULT_KINDS",
    "KINDS",
    "PRESETS",
    "STYLES",
    "Finder",
    "Kind",
    "Span",
    "as_shown",
    "describe_kinds",
    "find",
    "redact",
    "redact_url",
    "regions_of",
]
