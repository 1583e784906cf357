"""One page as its blocks of text, kept or left out, each with the model's score: an HTML file for a person.

It shows why a paragraph is missing. The page comes from strangers, so it is read in the guarded process, and all
that is shown of it is escaped. The file has no program and loads nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from filters.personal_data import as_shown
from filters.text.charset import decode_page, is_xhtml, may_be_broken, mend, mend_source, with_end_tags
from pipelines.archives.limits import Limits
from pipelines.extraction.extractors import LEARNED, Bounds
from pipelines.extraction.guard import Row
from pipelines.extraction.page import extract_page
from pipelines.sources.doors import read_source_at
from pipelines.sources.layouts import TableSettings

_ROOT_CHARS = 4096  # of a page, in which the root of XHTML is searched
_MOST_BLOCKS = 5000  # that are shown
_MOST_CHARS = 20_000  # of a block
_MOST_IN_ALL = 1_000_000  # characters of all blocks: personal data are looked for in them
_SURE_CHARS = 40  # of a block that is also found inside a line of another engine's text

_STYLE = """
:root { color-scheme: light dark; --kept: #0b6e4f; --out: #b3261e; --kept-back: #e3f4ec; --out-back: #fbe9e7; }
@media (prefers-color-scheme: dark) {
  :root { --kept: #7fd6b2; --out: #ffb4ab; --kept-back: #12352a; --out-back: #3f1a17; }
}
body { font: 1rem/1.5 system-ui, "Noto Sans", sans-serif; max-width: 46rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.2rem; } h1, p { overflow-wrap: anywhere; }
.block { border-inline-start: 6px solid; margin: .4rem 0; padding: .3rem .7rem; }
.block p { margin: 0; white-space: pre-wrap; }
.mark { font-size: .8rem; font-weight: 600; }
.kept { border-color: var(--kept); background: var(--kept-back); } .kept .mark { color: var(--kept); }
.out { border-color: var(--out); background: var(--out-back); } .out .mark { color: var(--out); }
"""


class _Block(NamedTuple):
    """A line of a page, as the model judges it."""

    text: str
    score: float  # from 0 to 1
    is_kept: bool


class About(NamedTuple):
    """What a run stored of the page."""

    url: str
    language: str  # code
    engine: str
    share: float | None  # of the page's characters that are kept; None where another engine decided
    verdict: str  # kept, or why not


def judged_blocks(
    archive: str, bounds: Mapping[str, Any], tables: Mapping[str, str], learned: tuple[str, str]
) -> Callable[[Sequence[int]], Iterator[Row]]:
    """Return the work of a guarded child: a function from offsets to one row a page, with its `blocks`."""
    from pipelines.extraction.learned import Learned  # slow to import

    engine, limits = Learned(*learned), Bounds(**bounds)

    def rows(offsets: Sequence[int]) -> Iterator[Row]:
        sizes = Limits(body_bytes=limits.body_bytes)
        for record in read_source_at(Path(archive), offsets, TableSettings(**tables), sizes, False):
            html = decode_page(record.body, record.header_charset).text
            if is_xhtml(record.content_type, html[:_ROOT_CHARS].encode()):
                html = with_end_tags(html)
            broken = may_be_broken(engine.read(html).text, html)
            blocks = engine.blocks(mend_source(html) if broken else html)
            found = extract_page(record, engine, LEARNED, limits)
            if found.engine != LEARNED:
                blocks = [(text, score, _is_in(text, found.text or "")) for text, score, _ in blocks]
            yield {"blocks": [(mend(text) if broken else text, score, kept) for text, score, kept in blocks]}

    return rows


def _is_in(block: str, text: str) -> bool:
    """Whether another engine took a block: as a line, or inside one if it is long enough to be no accident."""
    words = " ".join(block.split())
    if len(words) >= _SURE_CHARS:
        return words in " ".join(text.split())
    return words in {" ".join(line.removeprefix("- ").split()) for line in text.split("\n")}


def as_page(about: About, found: Sequence[tuple[str, float, bool]]) -> str:
    """The HTML file: what is known of the page, then every block. Personal data are replaced by tags."""
    blocks = [_Block(*each) for each in found]
    title = escape(about.url)
    head = (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f'<title>Blocks of {title}</title>\n<style>{_STYLE}</style>\n<h1 dir="ltr">{title}</h1>\n'
    )
    lengths = accumulate(min(len(block.text), _MOST_CHARS) for block in blocks[:_MOST_BLOCKS])
    shown = sum(length <= _MOST_IN_ALL for length in lengths)
    lines = [*_summary(about, blocks, shown), *(_shown(block, about.language) for block in blocks[:shown])]
    return head + "\n".join(lines) + "\n"


def _summary(about: About, blocks: Sequence[_Block], shown: int) -> Iterator[str]:
    """What is known of the page, and what the colours and scores mean."""
    share = f", {about.share:.0%} of the page's characters" if about.share is not None else ""
    kept = sum(block.is_kept for block in blocks)
    yield f"<p>Extractor {escape(about.engine)}: {kept:,} of {len(blocks):,} blocks kept{share}."
    yield f"In {escape(about.language)}, extract says: {escape(about.verdict)}.</p>"
    if about.engine == LEARNED:
        yield "<p>The score says how likely a block is main text, from 0 to 1. The blocks with the best scores are"
        yield "kept, as many as promise the best result for the whole page, so there is no fixed bound. A table is"
        yield "kept whole, and a long text that the page repeats is kept once. What no reader sees, or is above a sure"
        yield "headline, has the score 0.</p>"
    else:
        yield "<p>The model was unsure of this page, and another engine decided. A block counts as kept where its text"
        yield "is in that engine's text. The scores are the model's, from 0 to 1.</p>"
    yield "<p>Later stages may remove more: <code>roots why</code> prints them.</p>"
    if len(blocks) > shown:
        yield f"<p>The first {shown:,} blocks follow.</p>"


def _shown(block: _Block, language: str) -> str:
    text = escape(as_shown(block.text[:_MOST_CHARS], language))
    name, mark = ("kept", "kept") if block.is_kept else ("out", "left out")
    return (
        f'<div class="block {name}"><span class="mark">{mark}, {block.score:.2f}</span>\n<p dir="auto">{text}</p></div>'
    )
