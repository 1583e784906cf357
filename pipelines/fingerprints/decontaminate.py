"""decontaminate: which items of evaluation sets stand in a corpus.

Each field of a record that holds text is an item. A stage looks for all items in each file of the corpus, so a corpus
that did not change is not read again. Nothing is removed: the report says where each item stands and how.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, NamedTuple
from urllib.parse import urlsplit

import pyarrow as pa

from filters.fingerprints.leaks import Items, find_leaks
from pipelines.fingerprints.index import corpus_files, documents_of
from pipelines.prompts.records import files_of, read_labelled
from pipelines.prompts.settings import RecordForm
from roots import shards
from roots.errors import InputError
from roots.executors import Executor
from roots.identity import sha256_of
from roots.settings import ASIDE
from roots.stage import Plan, Progress, Stage, run

_FOLDER = "leaks"
_SHOWN_CHARS = 300  # of a passage that is stored
_MOST = 0.5  # of a document that is the item, from which it is there as an item and not inside a longer text
_COMMON = 5  # hosts or documents that hold an item, from which it is a text that many quote
_SHOWN = 20  # items of a set that are printed


class EvaluationItem(NamedTuple):
    """A text of an evaluation set: a field of a record."""

    set: str  # name of its file
    record: int  # number of the record in the file, from 0
    field: str
    text: str


@dataclass(frozen=True)
class _LeakSearch(Stage):
    """The stage that looks for items in one file."""

    name: ClassVar[str] = _FOLDER
    version: ClassVar[int] = 1
    memory_needed: ClassVar[int] = 1 << 30
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("url", pa.string()),
            pa.field("item", pa.int64(), nullable=False),
            pa.field("similarity", pa.float64(), nullable=False),
            pa.field("share", pa.float64(), nullable=False),  # of the document's letters
            pa.field("passage", pa.string(), nullable=False),
            pa.field("drop", pa.string()),
        ]
    )
    sets: tuple[str, ...]  # sha256 of each evaluation file
    columns: tuple[str, ...]  # that the user named
    texts: tuple[str, ...] = field(metadata=ASIDE, repr=False)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Look for the items in one file."""
        items = _items_of(self.texts)
        for batch in documents_of(sources[0]):
            leaks, letters = find_leaks(items, batch["text"])
            rows = []
            for leak in leaks:
                text, start = batch["text"][leak.text].as_py(), int(letters.offsets[leak.text])
                size = int(letters.offsets[leak.text + 1]) - start
                first = int(letters.places[start + leak.start])
                last = int(letters.places[start + leak.stop - 1]) + 1
                about = {name: batch[name][leak.text].as_py() for name in ("id", "url")}
                rows.append(
                    about
                    | {"item": leak.item, "similarity": leak.similarity, "share": (leak.stop - leak.start) / size}
                    | {"passage": text[first:last][:_SHOWN_CHARS], "drop": None}
                )
            if rows:
                yield pa.RecordBatch.from_pylist(rows, schema=self.schema)


@lru_cache(maxsize=1)
def _items_of(texts: tuple[str, ...]) -> Items:
    return Items(texts)


@dataclass(frozen=True)
class SetReport:
    """What was found of one evaluation set."""

    name: str
    records: int
    items: int  # texts of its records, each once
    too_short: int  # of them, about which nothing can be said
    found: tuple[Mapping[str, object], ...]  # each item that stands in the corpus, with the documents

    def as_values(self) -> dict[str, object]:
        """The report as JSON has it."""
        return {"set": self.name, "records": self.records, "items": self.items, "too_short": self.too_short,
                "found": list(self.found)}  # fmt: skip


def _read_items(paths: Sequence[Path], columns: Sequence[str] = ()) -> tuple[list[EvaluationItem], dict[str, int]]:
    """The items of evaluation files, each text once a set; and how many records each set has.

    `columns` are the names of the columns of CSV or TSV without a row of names. Raises InputError for a file that is no
    table of records, or without a record that can be read.
    """
    items: list[EvaluationItem] = []
    records: Counter[str] = Counter()
    for path in files_of(paths):
        seen: set[str] = set()
        broken = 0
        for record in read_labelled(path, RecordForm(tuple(columns))):
            broken += record.fields is None
            records[path.name] += 1
            for name, text in _texts(record.fields or {}):
                if text not in seen:
                    seen.add(text)
                    items.append(EvaluationItem(path.name, record.place, name, text))
        if broken == records[path.name]:
            raise InputError(f"{path} has no record that can be read: name columns without a head with --columns")
    return items, dict(records)


def _texts(fields: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a record, with the name of its field."""
    for name, value in fields.items():
        if isinstance(value, str) and value.strip():
            yield prefix + name, value
        elif isinstance(value, Mapping):
            yield from _texts(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield from _texts({str(number): each for number, each in enumerate(value)}, f"{prefix}{name}.")


def find_evaluation_leaks(
    place: Path,
    against: Sequence[Path],
    executor: Executor,
    language: str = "",
    progress: Progress | None = None,
    columns: Sequence[str] = (),
) -> list[SetReport]:
    """Look for the items of evaluation sets in a work folder or a release.

    Case, punctuation, white space and normal form make no difference, and a quarter of an item's letters may differ. An
    item of fewer than 40 letters, or 16 in scripts without spaces, is counted as too short, never as clean. Raises
    InputError for a place without a dataset and for files that cannot be read.
    """
    items, records = _read_items(against, columns)
    texts = tuple(item.text for item in items)
    digests = tuple(sha256_of(path) for path in files_of(against))
    stage = _LeakSearch(digests, tuple(columns), texts)
    hits: defaultdict[int, list[dict[str, object]]] = defaultdict(list)
    for target, paths in corpus_files(place, language, _FOLDER):
        plan: Plan = {f"{name}.parquet": [path] for name, path in paths.items()}
        run(stage, plan, target, executor, progress)
        for name in paths:
            for batch in shards.read(target / f"{name}.parquet"):
                for row in batch.to_pylist():
                    hits[row.pop("item")].append({**row, "file": name})
    judged = _items_of(texts).judged.tolist()
    numbers = defaultdict(list)
    for number, item in enumerate(items):
        numbers[item.set].append(number)
    return [
        SetReport(
            name,
            count,
            len(numbers[name]),
            sum(not judged[number] for number in numbers[name]),
            tuple(_found(items[number], hits[number]) for number in numbers[name] if hits.get(number)),
        )
        for name, count in records.items()
    ]


def _found(item: EvaluationItem, hits: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """An item with the documents that hold it, and how they do."""
    best = max(hits, key=lambda hit: (hit["similarity"], hit["share"]))
    hosts = {urlsplit(str(hit["url"] or "")).hostname or str(hit["id"]) for hit in hits}
    share = float(str(best["share"]))
    kind = "common text" if len(hosts) >= _COMMON else "item" if share >= _MOST else "inside a longer text"
    documents = [{key: hit[key] for key in ("file", "id", "url", "similarity", "share", "passage")} for hit in hits]
    return {"record": item.record, "field": item.field, "text": item.text, "held_as": kind, "hosts": len(hosts),
            "similarity": best["similarity"], "documents": documents}  # fmt: skip


def leak_lines(reports: Sequence[SetReport]) -> Iterator[str]:
    """The reports in lines for a person."""
    for report in reports:
        judged, short = report.items - report.too_short, report.too_short
        yield f"{report.name}: {report.records:,} records, {judged:,} texts judged, {short:,} too short to judge"
        yield f"  {len(report.found):,} of the texts stand in the corpus"
        for kind, count in sorted(Counter(str(each["held_as"]) for each in report.found).items()):
            yield f"    {count:,} as {kind}"
        for each in report.found[:_SHOWN]:
            yield f"  record {each['record']}, {each['field']}: {each['similarity']:.0%} like it, {each['held_as']}"
            first = each["documents"][0]  # type: ignore[index]
            yield f"      {first['url'] or first['id']}: {json.dumps(first['passage'], ensure_ascii=False)[:160]}"
        if len(report.found) > _SHOWN:
            yield f"  and {len(report.found) - _SHOWN:,} more (--json)"
