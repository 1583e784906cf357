"""Personal data: KINDS, one row each; `find` gives spans, `redact` replaces them."""

from filters.personal_data.candidate import Kind, Span
from filters.personal_data.kinds import DEFAULT_KINDS, KINDS
from filters.personal_data.search import STYLES, Finder, find, redact

__all__ = ["DEFAULT_KINDS", "KINDS", "STYLES", "Finder", "Kind", "Span", "find", "redact"]
