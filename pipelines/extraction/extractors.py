"""The ways to find the main text of a page that are offered, by name. What they do is in pipelines.extraction.engines.

Which are offered, and which is the default, was decided by measurement: `tests/benchmarks/extraction_quality.py` makes
the table.
"""

from dataclasses import dataclass

from pipelines.archives.limits import Limits
from roots.errors import SettingsError, unknown_name

EXTRACTORS: dict[str, str] = {
    "cascade": "resiliparse where a page is text from end to end, else trafilatura, precise first",
    "trafilatura": "trafilatura as it comes",
    "trafilatura-precision": "trafilatura with favour_precision",
    "trafilatura-recall": "trafilatura with favour_recall",
    "trafilatura-fast": "trafilatura without its fallbacks",
    "resiliparse": "resiliparse alone: many times quicker, less exact",
}
DEFAULT, QUICK = "cascade", "resiliparse"
PAGES = "pipelines.extraction.page:pages"  # the work of the guarded process, by name: here nothing of it is imported


@dataclass(frozen=True)
class Bounds:
    """What a page may be before an engine sees it: beyond this, engines only burn their time limit."""

    body_bytes: int = Limits.body_bytes  # as stored, decompressed
    html_chars: int = 10_000_000
    depth: int = 1000  # of nested elements


def preload(name: str) -> tuple[str, ...]:
    """What the guard's server imports before it forks, for an engine: all that is dear to import."""
    return (
        ("pipelines.extraction.page",)
        if name == QUICK
        else ("pipelines.extraction.page", "pipelines.extraction.tree_engines")
    )


def check_extractor(name: str) -> None:
    """Raise SettingsError for a name that is none of EXTRACTORS."""
    if name not in EXTRACTORS:
        raise SettingsError(unknown_name("extractor", name, EXTRACTORS))
