"""The extractors that a user can choose, by name.

`tests/benchmarks/extraction_quality.py` compares them; its table decided which one is the default.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipelines.archives.limits import Limits
from roots.errors import SettingsError, unknown_name

EXTRACTORS: dict[str, str] = {
    "learned": "a scan of the bytes and a model that judges blocks of text; where it is unsure, resiliparse",
    "cascade": "resiliparse for a page that is text from end to end, else trafilatura, precise first",
    "trafilatura": "trafilatura with its own defaults",
    "resiliparse": "resiliparse alone: many times faster, less exact",
}
DEFAULT = LEARNED = "learned"
QUICK = "resiliparse"
FALLBACK = QUICK  # of the learned engine, where its model is unsure
UNSURE = f"{LEARNED}, {FALLBACK}"  # in the column `extractor`: the other engine's text
CONTENTS = ("text", "page")  # the article or thread alone; all content but menus, adverts and the like
FORMS = ("text", "markdown")  # lines of plain text; Markdown with headings, lists, quotes, tables, code, formulas
PAGES = "pipelines.extraction.page:pages"  # the guarded process's work, by name so that nothing is imported here


PLAIN = ("tidy", "exact")  # plain text without control characters and copies of itself, or as it is


@dataclass(frozen=True)
class Bounds:
    """How large a page may be. Beyond this, an engine would only use up its time limit. How plain text is taken."""

    body_bytes: int = Limits.body_bytes  # as stored, decompressed
    html_chars: int = 10_000_000
    depth: int = 1000  # of nested elements
    document_pages: int = 2000  # of a document that are read: its first ones
    document_seconds: float = 60.0  # of CPU time for one document; 60 pages a second are usual
    document_spread: bool = False  # whether its pages are spread over it, for a glance
    plain: str = "tidy"  # what becomes of plain text: one of PLAIN


def unsure_lines(engines: Mapping[str, int]) -> Iterator[str]:
    """Say how many pages another engine took, if any. `engines` counts documents kept by the column `extractor`."""
    if unsure := engines.get(UNSURE, 0):
        yield f"{unsure:,} of {unsure + engines.get(LEARNED, 0):,} pages by {FALLBACK}, where the model was unsure"


def preload(name: str) -> tuple[str, ...]:
    """Return the modules that the guard's server imports before it forks: all that an engine needs."""
    if name == LEARNED:
        return ("pipelines.extraction.page", "pipelines.extraction.learned")
    return (
        ("pipelines.extraction.page",)
        if name == QUICK
        else ("pipelines.extraction.page", "pipelines.extraction.tree_engines")
    )


def check_extractor(name: str) -> None:
    """Raise SettingsError for a name that is not in EXTRACTORS."""
    if name not in EXTRACTORS:
        raise SettingsError(unknown_name("extractor", name, EXTRACTORS))
