"""Precision, recall and F1 of every extraction engine against gold texts, and its speed: one table.

    python -m tests.benchmarks.extraction_quality --data ../shared/data --folds work/main_text \
        --peer /path/to/datatrove/bin/python

The learned engine judges a page by a model of other sites, if `--folds` names the models of
`roots extractor train --set main_text.keep_folds=true --to work/main_text.npz`; else by ours, which has seen the pages.

A page's text and its gold text are compared as bags of words (of characters where a script puts no space between
words); precision, recall and F1 are averaged over pages. Pages with `snippets` gold are scored apart: wanted snippets
that are found, unwanted ones that are not. So are the pages that we labelled ourselves (`main_text.py`). Speed is
pages a second of CPU time, all engines page by page in turn. Ours run the code that a run uses, decoding included; the
peer gets decoded pages.
"""

import argparse
import gzip
import json
import re
import subprocess
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filters.text.charset import decode_page
from pipelines.archives.limits import Limits
from pipelines.archives.records import Record, read_records
from pipelines.extraction.extractors import DEFAULT, EXTRACTORS, LEARNED, Bounds
from pipelines.extraction.page import extract_page, find_engine
from pipelines.models.main_text.pages import read_samples
from tests.benchmarks.main_text import labelled_pages

PEER = """
import json, sys, time
from datatrove.pipeline.extractors import Trafilatura
extractor = Trafilatura()  # favour_precision, no comments, deduplicate: the peer's defaults
for line in sys.stdin:
    start = time.process_time()
    try:
        text = extractor.extract(json.loads(line))
    except Exception:
        text = None
    print(json.dumps([text or "", time.process_time() - start]), flush=True)
"""

MARKS = "".join(map(chr, (code for code in range(0x110000) if unicodedata.category(chr(code))[0] == "M")))
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
WORD = re.compile(f"[{UNSPACED}]|(?:(?![{UNSPACED}])[\\w{re.escape(MARKS)}])+")
GROUPS: dict[str, frozenset[str]] = {
    "English": frozenset({"en"}),
    "other Latin": frozenset(
        [
            "fr",
            "es",
            "pt",
            "de",
            "it",
            "pl",
            "tr",
            "id",
            "vi",
            "sw",
            "zu",
            "xh",
            "sv",
            "no",
            "da",
            "fi",
            "lt",
            "lv",
            "is",
        ]
    ),
    "Chinese, Japanese, Thai": frozenset({"zh", "ja", "th"}),
    "Greek, Cyrillic": frozenset({"el", "ru", "uk", "bg"}),
}


@dataclass(frozen=True)
class Gold:
    """A page and what is known of its main text."""

    record: Record
    html: str  # decoded, for the peer
    kind: str  # full, partial, snippets, labelled
    language: str
    source: str
    page: str = ""  # its name in a training
    form: str = ""  # article, forum, ...
    text: str = ""
    wanted: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        return next((group for group, codes in GROUPS.items() if self.language in codes), "other and unknown")


@dataclass(frozen=True)
class Scored:
    """What one engine did on one page."""

    gold: Gold
    text: str
    seconds: float


def words(text: str) -> Counter[str]:
    """The bag of words of a text; characters of scripts without spaces count as words."""
    return Counter(WORD.findall(unicodedata.normalize("NFC", text).lower()))


def scores(text: str, gold: str) -> tuple[float, float, float]:
    """Precision, recall and F1 of a text's bag of words."""
    found, wanted = words(text), words(gold)
    if not found and not wanted:
        return 1.0, 1.0, 1.0
    common = (found & wanted).total()
    precision = common / found.total() if found else 0.0
    recall = common / wanted.total() if wanted else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if common else 0.0


def snippet_scores(results: Iterable[Scored]) -> tuple[float, float, float]:
    """Precision, recall and F1 over snippets: wanted ones found, against unwanted ones found."""
    pages = [(_compared(page), page.gold) for page in results]
    hits = sum(snippet in text for text, gold in pages for snippet in gold.wanted)
    misses = sum(len(gold.wanted) for _, gold in pages) - hits
    false = sum(snippet in text for text, gold in pages for snippet in gold.unwanted)
    precision, recall = hits / (hits + false), hits / (hits + misses)
    return precision, recall, 2 * precision * recall / (precision + recall)


def _compared(page: Scored) -> str:
    """The text that snippets are looked for in. Ours have their white space folded."""
    return " ".join(page.text.split()) if page.gold.kind == "labelled" else page.text


def read_gold(data: Path) -> Iterator[Gold]:
    """The gold pages of the data folder."""
    with gzip.open(data / "extraction_gold" / "real-pages.gold.jsonl.gz", "rt", encoding="utf-8") as lines:
        known = {row["record_id"]: row for row in map(json.loads, lines)}
    for record in read_records(data / "warc" / "built" / "real-pages-bundle.warc.gz", Limits()):
        row = known.pop(record.id, None) if record.id in known else known.pop(f"<{record.id}>", None)
        if row is None:
            continue
        yield Gold(
            record,
            decode_page(record.body, record.header_charset).text,
            row["kind"].partition("(")[0],
            row["lang"] or "",
            row["source"].partition("/")[0],
            f"real-pages-bundle.warc.gz {record.id}",
            "",
            row.get("text") or "",
            tuple(row.get("with_") or ()),
            tuple(row.get("without") or ()),
        )
    if known:
        sys.exit(f"{len(known)} gold pages are not in the archive")


def read_labelled(data: Path) -> Iterator[Gold]:
    """The pages that we labelled; the source is the kind of page."""
    for page in labelled_pages(data):
        text = "\n".join(page.wanted)
        yield Gold(page.record, page.html, "labelled", page.language, page.kind, "", "", text, *page.snippets())


def read_package(path: Path) -> Iterator[Gold]:
    """The pages of a package, as a training reads it: WCXB's development part."""
    for sample in read_samples([path], []):
        record = Record(sample.id, None, None, 0, "response", 200, "text/html", "utf-8", sample.html, None)
        source = path.name.partition(".")[0]
        yield Gold(record, sample.html.decode(), "packaged", "", source, sample.id, sample.kind, sample.gold)


def run_engines(golds: Sequence[Gold], folds: str) -> dict[str, list[Scored]]:
    """Every engine on every page, in turn."""
    results: dict[str, list[Scored]] = {name: [] for name in EXTRACTORS}
    engines = {name: find_engine(name) for name in EXTRACTORS}
    fold_of: dict[str, int] = json.loads(Path(f"{folds}.folds.json").read_text()) if folds else {}
    of_folds = [find_engine(LEARNED, f"{folds}.fold{fold}.npz") for fold in sorted(set(fold_of.values()))]
    for gold in golds:
        for name, engine in engines.items():
            if name == LEARNED and folds:
                engine = of_folds[fold_of.get(gold.page, 0)]  # a page that is in no fold was in no training
            start = time.process_time()
            text = extract_page(gold.record, engine, name, Bounds()).text or ""
            results[name].append(Scored(gold, text, time.process_time() - start))
    return results


def run_peer(python: str, golds: Sequence[Gold]) -> list[Scored]:
    """The peer's extractor on every page, in its own interpreter."""
    lines = "".join(json.dumps(gold.html) + "\n" for gold in golds)
    done = subprocess.run([python, "-c", PEER], input=lines, stdout=subprocess.PIPE, text=True, check=True)
    return [Scored(gold, *json.loads(line)) for gold, line in zip(golds, done.stdout.splitlines(), strict=True)]


def table(results: dict[str, list[Scored]]) -> Iterator[str]:
    """The tables, in Markdown."""
    yield from _overall(results, "full", "snippets")
    yield from _overall(results, "labelled", "labelled")
    yield from _overall(results, "packaged", "snippets")
    slices: list[tuple[str, str, Callable[[Gold], str]]] = [
        ("F1 by language", "full", lambda gold: gold.group),
        ("F1 by data set", "full", lambda gold: gold.source),
        ("F1 by kind of page, package", "packaged", lambda gold: gold.form),
        ("F1 by language, our labels", "labelled", _language_and_manuals),
        ("F1 by kind of page, our labels", "labelled", lambda gold: gold.source),
    ]
    for title, kind, key in slices:
        counts = Counter(key(page.gold) for page in next(iter(results.values())) if page.gold.kind == kind)
        names = [name for name, pages in counts.most_common() if name and pages >= 5]
        yield f"\n| {title} | " + " | ".join(f"{name} ({counts[name]})" for name in names) + " |"
        yield "|---" * (len(names) + 1) + "|"
        for engine, pages in results.items():
            cells = [
                _mean(page for page in pages if page.gold.kind == kind and key(page.gold) == name)[2] for name in names
            ]
            yield f"| {engine} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |"


def _language_and_manuals(gold: Gold) -> str:
    """The language; manuals apart, because many of them share few templates."""
    return f"{gold.language} manuals" if gold.source == "documentation" else gold.language


def _overall(results: dict[str, list[Scored]], kind: str, snippet_kind: str) -> Iterator[str]:
    kinds = Counter(page.gold.kind for page in next(iter(results.values())))
    yield f"\n| {kinds[kind]} pages, {kind} gold | precision | recall | F1 | below .5 | snippets P | R | F1 | pages/s |"
    yield "|---" * 9 + "|"
    for engine, pages in results.items():
        own = [page for page in pages if page.gold.kind == kind]
        full = (*_mean(own), sum(scores(page.text, page.gold.text)[2] < 0.5 for page in own) / len(own))
        snippets = snippet_scores(page for page in pages if page.gold.kind == snippet_kind)
        speed = len(pages) / sum(page.seconds for page in pages)
        yield f"| {engine} | " + " | ".join(f"{value:.4f}" for value in (*full, *snippets)) + f" | {speed:.1f} |"


def _mean(pages: Iterable[Scored]) -> tuple[float, float, float]:
    each = [scores(page.text, page.gold.text) for page in pages]
    precision, recall, f1 = (sum(column) / len(each) for column in zip(*each, strict=True))
    return precision, recall, f1


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[3] / "shared" / "data")
    parser.add_argument("--peer", help="the Python of an environment with datatrove 0.10.1 and trafilatura 1.11")
    parser.add_argument("--folds", default="", help="path of the models of the folds, without `.fold0.npz`")
    parser.add_argument("--pages", type=int, default=1, help="only every N-th page")
    options = parser.parse_args()
    package = read_package(options.data / "wcxb" / "wcxb-dev.tar.xz")
    golds = [*read_gold(options.data), *read_labelled(options.data), *package][:: options.pages]
    results = run_engines(golds, options.folds)
    if options.peer:
        results["peer: datatrove's trafilatura"] = run_peer(options.peer, golds)
    else:
        print("peer: not run (--peer names its Python)")
    print("\n".join(table(results)))
    best = max(EXTRACTORS, key=lambda name: _mean(p for p in results[name] if p.gold.kind == "full")[2])
    print(f"\nbest F1: {best}; default: {DEFAULT}")
    sys.exit(0 if best == DEFAULT else 1)


if __name__ == "__main__":
    main()
