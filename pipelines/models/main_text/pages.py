"""Pages with their main text, for a training: archives with gold rows, packages of pages, transplants.

A gold row is JSON with `text` (or `title` and `paragraphs`), and `record_id` or `url`; `lang`, `kind`, `type` and
`source` are welcome. A package is a tar file with `gold.jsonl` and a page a row, named by its `id`.
"""

import gzip
import json
import random
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filters.main_text.labels import words
from filters.text.charset import decode_page
from pipelines.archives.limits import Limits
from pipelines.archives.records import read_records
from pipelines.models.language_id_text import TextsByLabel
from pipelines.models.main_text.training import Prepared, Sample, prepare
from roots.errors import InputError

_PACKAGES = (".tar", ".tar.gz", ".tar.xz")
_HOSTS = frozenset({"blogspot.com", "google.com", "github.io", "wordpress.com"})  # many sites each
_PAGE_BYTES = 50 << 20
_SILENT = re.compile(r"(<(script|style|textarea|template|svg|noscript)\b.*?</\2\s*>|<!--.*?-->|<[^>]*>)", re.S | re.I)
_TITLE_PART = re.compile(r"( [-–—|:»·] )")
_DENSE = re.compile("[\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_PER_DENSE = 0.4  # characters of Chinese, Japanese or Korean for one of another script
_LONG_RUN = 40  # characters of a run of text that is replaced by whole sentences
_SENTENCE = re.compile(r"[^.!?。！？।॥։።။៖…]+[.!?。！？।॥։።။៖…]*\s*")


def read_samples(pages: Sequence[Path], gold: Sequence[Path]) -> Iterator[Sample]:
    """All pages with a full gold text. Raises InputError for a file that cannot be read."""
    rows = [row for path in gold for row in _rows(path)]
    known = {str(row.get("record_id") or row["url"]).strip("<>"): row for row in rows if _is_full(row)}
    for path in pages:
        yield from _from_package(path) if path.name.endswith(_PACKAGES) else _from_archive(path, known)


def _is_full(row: Mapping[str, object]) -> bool:
    return str(row.get("kind", "full")).partition("(")[0] == "full"


def _rows(path: Path) -> Iterator[dict[str, object]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the gold rows of {path}: {error}") from None


def _from_archive(path: Path, known: Mapping[str, dict[str, object]]) -> Iterator[Sample]:
    for record in read_records(path, Limits()):
        row = known.get((record.id or "").strip("<>")) or known.get(record.url or "")
        if row is not None and record.problem is None:
            page = decode_page(record.body, record.header_charset).text.encode("utf-8", "replace")
            yield _sample(row, page, record.url or str(row.get("url") or ""), f"{path.name} {record.id}")


def _from_package(path: Path) -> Iterator[Sample]:
    held: dict[str, bytes] = {}
    rows: list[dict[str, Any]] = []
    try:
        with tarfile.open(path) as package:
            for member in package:
                file = package.extractfile(member)
                if file is None or member.size > _PAGE_BYTES:
                    continue
                name = member.name.rpartition("/")[2]
                if name == "gold.jsonl":
                    rows = [json.loads(line) for line in file.read().decode().strip().split("\n")]
                else:
                    held[name.partition(".")[0]] = file.read()
    except (OSError, ValueError, tarfile.TarError) as error:
        raise InputError(f"cannot read the package {path}: {error}") from None
    for row in rows:
        body = held.get(str(row["id"]))
        if body is not None and _is_full(row):
            page = decode_page(body, "utf-8").text.encode("utf-8", "replace")
            yield _sample(row, page, str(row.get("url") or ""), f"{path.name} {row['id']}")


def _sample(row: Mapping[str, Any], page: bytes, url: str, name: str) -> Sample:
    text = row.get("text")
    gold = str(text) if text is not None else "\n".join([str(row.get("title") or ""), *row.get("paragraphs", ())])
    source = str(row.get("source") or name.partition(".")[0]).partition("/")[0]
    return Sample(page, gold, _site(url), str(row.get("lang") or ""), str(row.get("type") or ""), source, id=name)


def _site(url: str) -> str:
    """The site of a URL: the end of its host's name; the whole name where many people share a host."""
    host = (urlsplit(url).hostname or "").lower()
    parts = host.split(".")
    size = 3 if len(parts) > 2 and len(parts[-1]) == 2 and len(parts[-2]) <= 3 else 2
    site = ".".join(parts[-size:])
    return host if site in _HOSTS else site


def transplants(pages: Sequence[Prepared], texts: TextsByLabel, count: int, seed: int) -> Iterator[Prepared]:
    """Real pages with text of other languages in the places of their own, so that their labels stay.

    A run of text becomes text of the same length; equal runs become equal, so that a headline stays like the title.
    """
    chance = random.Random(seed)
    wanted = sorted(texts)
    able = [page for page in pages if page.sample.labels is None and 20 <= len(page.labels) <= 1000]
    for number, page in enumerate(chance.sample(able, min(count, len(able)))):
        label = wanted[number % len(wanted)]
        made = _Transplant(texts[label], chance).of(page.sample.html.decode("utf-8", "replace"))
        sample = replace(page.sample, html=made.encode(), labels=page.labels, language=label, source="transplant")
        (found,) = prepare([sample])
        if len(found.page.blocks) == len(page.labels):  # else a run became blank or a table fell apart
            yield found


class _Transplant:
    """Text of one language that replaces the runs of a page."""

    def __init__(self, sources: Iterable[Any], chance: random.Random) -> None:
        documents = [document for source in sources for document in source.documents[:200] if document.strip()]
        chance.shuffle(documents)
        self.text = " ".join(" ".join(documents[:60]).split())[:200_000] or "x"
        self.sentences = _SENTENCE.findall(self.text) or [self.text]
        self.at = 0
        self.per = _PER_DENSE if _DENSE.search(self.text[:500]) else 1.0
        self.known: dict[str, str] = {}

    def of(self, html: str) -> str:
        """The page with all its runs replaced."""
        parts: list[str] = []
        at = 0
        for found in _SILENT.finditer(html):
            parts += (self._run(html[at : found.start()]), found[0])
            at = found.end()
        return "".join([*parts, self._run(html[at:])])

    def _run(self, run: str) -> str:
        """Replace one run of text; white space around it, numbers and single signs stay."""
        kept = run.strip()
        if len(kept) < 3 or not words(kept) or "&" in kept[:1]:
            return run
        start = run.index(kept)
        made = "".join(
            part if number % 2 else self.known.setdefault(part, self._text(part))
            for number, part in enumerate(_TITLE_PART.split(kept))
        )
        return run[:start] + made + run[start + len(kept) :]

    def _text(self, part: str) -> str:
        size = max(2, int(len(part) * self.per))
        if len(part) >= _LONG_RUN:
            found = ""
            while len(found) < size:
                found += self.sentences[self.at % len(self.sentences)]
                self.at += 1
            return found.strip().replace("<", " ").replace("&", " ") or part
        begin = self.text.find(" ", (self.at * 7919) % len(self.text)) + 1
        self.at += 1
        cut = self.text[begin : begin + size]
        whole = cut.rpartition(" ")[0] if len(cut) > 8 and " " in cut[4:] else cut
        return whole.strip(" .!?。।").replace("<", " ").replace("&", " ").strip() or part
