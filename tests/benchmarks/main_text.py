"""Gold of our own: the main text of real pages, labelled by eye, in languages that have little other gold.

`main_text.jsonl` holds labels only, one line a page: where the page is, and which of its blocks are wanted. The text is
rebuilt from the shared archives. `pipelines/extraction/main-text.md` says what main text is.

A page's blocks are the runs of text between its block tags, with white space folded, numbered from 0. The expressions
below find them. No extractor and no parser does, so no engine has an advantage, and no new version moves a number.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from html import unescape
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from pipelines.archives.limits import Limits
from pipelines.archives.records import Record, read_at

LABELS = Path(__file__).with_name("main_text.jsonl")

_SHORTEST = 20  # characters of a block that a snippet is taken from
_SNIPPET = 60  # characters of a snippet

_UNSEEN = re.compile(
    r"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<![^>]*>|<\?[^>]*>"
    r"|<(script|style|head|title|template|svg|iframe|object|select|textarea)\b[^>]*>.*?</\1\s*>",
    re.DOTALL | re.IGNORECASE,
)
_READINGS = re.compile(r"<(rt|rp)\b[^>]*>.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"""</?([a-z][a-z0-9:_-]*)(?:\s*/?>|[\s/](?:[^>"']|"[^"]*"|'[^']*')*>|[^>]*>)""", re.IGNORECASE)
_INLINE = re.compile(
    "a|abbr|acronym|b|bdi|bdo|big|cite|code|data|del|dfn|em|font|i|img|ins|kbd|label|mark|nobr|noindex|q|rb|ruby|s|samp|"
    "small|span|strike|strong|sub|sup|time|tt|u|var|wbr",
    re.IGNORECASE,
)


class LabelledPage(NamedTuple):
    """A page and its blocks, told apart by a reader."""

    record: Record
    html: str  # decoded
    language: str
    kind: str  # article, documentation, blog, product, ...
    wanted: list[str]  # main text in the sense `text`
    also: list[str]  # what the sense `page` adds
    unwanted: list[str]

    def snippets(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Beginnings of wanted blocks, and of unwanted ones that are no part of any other block.

        Blocks that only the sense `page` wants are in neither, so annotators who differ there agree here.
        """
        held = "\n".join(self.wanted + self.also)
        wanted = tuple(block[:_SNIPPET] for block in self.wanted if len(block) >= _SHORTEST)
        return wanted, tuple(
            block[:_SNIPPET] for block in self.unwanted if len(block) >= _SHORTEST and block[:_SNIPPET] not in held
        )


def labelled_pages(data: Path, labels: Path = LABELS) -> Iterator[LabelledPage]:
    """Rebuild the labelled pages from the archives below `data`.

    Raises ValueError if a page or the blocks of a page are not those that were labelled.
    """
    rows = [json.loads(line) for line in labels.read_text(encoding="utf-8").splitlines()]
    rows.sort(key=lambda row: (row["archive"], row["offset"]))
    for archive, group in groupby(rows, key=lambda row: row["archive"]):
        held = list(group)
        records = read_at(data / archive, [row["offset"] for row in held], Limits())
        for row, record in zip(held, records, strict=True):
            if hashlib.sha256(record.body).hexdigest() != row["sha256"]:
                raise ValueError(f"{row['url']}: another page stands at offset {row['offset']} of {archive}")
            html = record.body.decode(row["charset"], "replace").removeprefix("\ufeff")
            found = blocks(html)
            try:
                wanted, also = (_numbers(row[sense], found) for sense in ("text", "also"))
            except ValueError as error:
                raise ValueError(f"{row['url']}: {error}") from None
            yield LabelledPage(
                record,
                html,
                row["language"],
                row["kind"],
                [found[number] for number in wanted],
                [found[number] for number in also],
                [block for number, block in enumerate(found) if number not in {*wanted, *also}],
            )


def blocks(html: str) -> list[str]:
    """The text blocks of a page, in order."""
    html = _UNSEEN.sub("", _READINGS.sub("", html))
    marked = _TAG.sub(lambda tag: "" if _INLINE.fullmatch(tag[1]) else "\0", html)
    folded = (" ".join(unescape(piece).replace("\xad", "").split()) for piece in marked.split("\0"))
    return [block for block in folded if block]


def digest(texts: Iterable[str]) -> str:
    """A short digest of a range of blocks."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:8]


def _numbers(ranges: str, found: list[str]) -> list[int]:
    """The block numbers of `first-last:digest ...`, in order."""
    numbers: list[int] = []
    for item in ranges.split():
        span, _, expected = item.partition(":")
        first, _, last = span.partition("-")
        wanted = range(int(first), int(last or first) + 1)
        if digest(found[wanted.start : wanted.stop]) != expected:
            raise ValueError(f"blocks {span} are not those that were labelled")
        numbers += wanted
    return numbers
