"""A work folder made for the workbench: documents given, measured and judged by the real stages."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from filters.language import Language, load_language
from pipelines.filter import Filter, Measure
from pipelines.job.settings import FilterSettings
from roots import schema
from roots.executors import make_executor
from roots.shards import read
from roots.stage import Stage, run

Document = tuple[str, str, str, float]  # id, URL, text, sureness of the language

ARABIC = (
    "كانت الطاحونة القديمة تقف عند منعطف النهر، وكان الناس يأتون إليها من القرى التي حولها في كل يوم. "
    "ثم جاء الفيضان في الربيع وكسر عجلتها، ولم يصلحها أحد بعد ذلك، لكن الأطفال ما زالوا يلعبون على درجاتها."
)
HOSTILE = (
    "</script><script>window.stolen = 1</script><img src=x onerror='window.stolen = 2'> {{PROGRAM}} \u2028 <!-- \u202e"
    " Le texte continue avec des mots de la langue et il est assez long pour que le juge le garde dans le corpus."
)


@dataclass(frozen=True)
class Given(Stage):
    """A stage whose rows are given."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema]

    rows: tuple[Document, ...]


@dataclass(frozen=True)
class Index(Given):
    name: ClassVar[str] = "index"
    schema: ClassVar[pa.Schema] = schema.INDEX

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        rows = [
            {"id": id_, "url": url, "file_path": "a.warc.gz", "offset": row}
            for row, (id_, url, _, _) in enumerate(self.rows)
        ]
        yield pa.RecordBatch.from_pylist(rows, schema=self.schema)


@dataclass(frozen=True)
class Extract(Given):
    name: ClassVar[str] = "extract"
    schema: ClassVar[pa.Schema] = schema.EXTRACT

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        rows = [
            {"id": id_, "text": text or None, "language_score": sure, "drop": None if text else "extract.empty"}
            for id_, _, text, sure in self.rows
        ]
        yield pa.RecordBatch.from_pylist(rows, schema=self.schema)


def make_work(work: Path, code: str, documents: Sequence[Document], judged: bool = True) -> Path:
    """Write a work folder with the documents in two archives."""
    half = len(documents) // 2
    parts = {"a.parquet": tuple(documents[:half]), "b.parquet": tuple(documents[half:])}
    language = load_language(code)
    serial = make_executor("serial", 1)
    work.mkdir(parents=True, exist_ok=True)
    (work / "inputs.json").write_text(json.dumps({name: name for name in parts}), encoding="utf-8")
    for stage, folder in ((Index, work / "index"), (Extract, work / code / "extract")):
        for name, rows in parts.items():
            run(stage(rows), {name: []}, folder, serial)
        _one_manifest(folder, documents, stage is Extract)
    run(
        Measure.of(FilterSettings(), language),
        {name: _chain(work, code, name)[:2] for name in parts},
        work / code / "measure",
        serial,
    )
    if judged:
        judge_again(work, code, language)
    return work


def _one_manifest(folder: Path, documents: Sequence[Document], drops: bool) -> None:
    """The manifest of both shards, which were made one by one."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    empty = sum(not text for _, _, text, _ in documents) if drops else 0
    manifest |= {"rows": len(documents), "kept": len(documents) - empty}
    manifest["drops"] = {"extract.empty": empty} if empty else {}
    path.write_text(json.dumps(manifest), encoding="utf-8")


def _chain(work: Path, code: str, name: str) -> list[Path]:
    return [work / "index" / name, work / code / "extract" / name, work / code / "measure" / name]


def judge_again(work: Path, code: str, language: Language) -> dict[str, list[str]]:
    """Run the filter stage with a language's bounds; returns id -> the signals it failed."""
    names = ("a.parquet", "b.parquet")
    plan = {name: _chain(work, code, name) for name in names}
    run(Filter.of(FilterSettings(), language), plan, work / code / "filter", make_executor("serial", 1))
    batches = [batch for name in names for batch in read(work / code / "filter" / name)]
    return {row["id"]: row["failed"] for batch in batches for row in batch.to_pylist()}


def french(count: int, seed: int = 7) -> list[Document]:
    """Documents of French words: running text, lists, repetitions, numbers, of many lengths."""
    chance = random.Random(seed)
    small = load_language("fr").reading.function_words
    large = ["moulin", "rivière", "enfants", "village", "crue", "été", "pont", "champ", "histoire", "lumière", "saison"]
    large += [a + b for a in ("re", "dé", "sur", "pré") for b in ("venir", "porter", "monter", "passage", "lever")]
    documents: list[Document] = []
    for row in range(count):
        words = chance.randint(8, 160)
        grammar = min(0.9, max(0.0, chance.gauss(0.42, 0.16)))
        pieces = [chance.choice(small if chance.random() < grammar else large) for _ in range(words)]
        if chance.random() < 0.08:
            pieces = pieces[: max(6, words // 8)] * chance.randint(2, 8)
        if chance.random() < 0.1:
            pieces += [str(chance.randint(1, 99999)) for _ in range(chance.randint(1, words))]
        ends = [piece + (".\n" if chance.random() < 0.1 else "") for piece in pieces]
        text = " ".join(ends).replace("\n ", "\n")
        documents.append(
            (f"<urn:uuid:{row:08d}>", f"https://site-{row % 37}.example/{row}", text, 1 - chance.random() ** 3)
        )
    return documents
