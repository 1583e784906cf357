"""The stages of programming languages that differ from those of natural languages.

index      one row per file of a source tree: its path, its language by extension and content, its licence
extract    the unchanged text of the files in the language
measure    ROOTS's measures of code, and whether the file is vendored, generated, under a licence that allows use
filter     the same judge, with the bounds of `filters/programs/code_languages.toml`
dedup, redact, shard   the same; the dataset has the columns `path` and `license` too
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from filters.language import Language
from filters.programs.code import CODE_MEASURES, code_rules, measure_code
from pipelines.archives.limits import Limits
from pipelines.extract import FOREIGN
from pipelines.filter import Filter
from pipelines.job.settings import FilterSettings, ProgramSettings
from pipelines.job.work import part_of_shard
from pipelines.programs.index import program_files, source_text
from pipelines.programs.trees import SourceFile, is_source_tree, read_tree
from pipelines.sources.doors import numbers_of
from pipelines.sources.tables import find_table
from roots import schema
from roots.schema import EXTRACT
from roots.shards import BATCH_ROWS, read_kept
from roots.stage import Stage

_ENGINE = "source"  # in the column `extractor`
_BATCH_CHARS = 8 << 20  # of text in a batch

_MEASURED = pa.schema([schema.ID, *(pa.field(name, kind.type) for name, kind in CODE_MEASURES.items()), schema.DROP])


@dataclass(frozen=True)
class _ExtractPrograms(ProgramSettings, Stage):
    """Takes the unchanged text of the files in a programming language."""

    name: ClassVar[str] = "extract"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = EXTRACT

    foreign: bool = False  # whether its source is said to hold other languages only
    language: str = field(kw_only=True)  # a code of `program_codes`

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Make the rows of one source tree from its index shard and the tree itself; small archives share a shard."""
        index, *trees = sources
        texts = [self._texts(tree, part_of_shard(name)) for tree in trees]
        other = FOREIGN if self.foreign else "extract.other_language"
        rows: list[dict[str, Any]] = []
        chars = 0
        for batch in read_kept([index], ["id", "file_path", "offset", "languages"]):
            ids, places, languages = (batch[name].to_pylist() for name in ("id", "offset", "languages"))
            numbers = numbers_of(trees, batch["file_path"].to_pylist())
            for key, place, labels, number in zip(ids, places, languages, numbers, strict=True):
                wanted = not self.foreign and any(item["label"] == self.language for item in labels or ())
                row = self._row(place, texts[number]) if wanted else {"drop": other}
                rows.append({"id": key} | row)
                chars += len(rows[-1].get("text") or "")
                if len(rows) == BATCH_ROWS or chars >= _BATCH_CHARS:
                    yield pa.RecordBatch.from_pylist(rows, schema=EXTRACT)
                    rows, chars = [], 0
        if rows:
            yield pa.RecordBatch.from_pylist(rows, schema=EXTRACT)

    def _texts(self, tree: Path, part: range | None) -> Iterator[SourceFile]:
        """The files of a source tree, or of a part of a table of programs; none of an archive of pages."""
        limits = Limits(body_bytes=self.body_bytes, unpacked_bytes=self.unpacked_bytes)
        table = find_table(tree, self.tables) if tree.is_file() else None
        if table:
            yield from (file for _, file in program_files(table, limits, part))
        elif is_source_tree(tree):
            yield from read_tree(tree, limits)

    def _row(self, place: int, files: Iterator[SourceFile]) -> dict[str, object]:
        """The columns of the file at a place; places are asked in ascending order."""
        for file in files:
            if file.place == place and file.data:
                return {
                    "text": source_text(file.data)[0],
                    "extractor": _ENGINE,
                    "language": self.language,
                    "language_score": 1.0,
                    "top_langs": [{"label": self.language, "score": 1.0}],
                }
            if file.place >= place:
                break
        return {"drop": "extract.unreadable"}


@dataclass(frozen=True)
class _MeasurePrograms(Stage):
    """Measures every file that extract kept; drops none."""

    name: ClassVar[str] = "measure"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = _MEASURED

    signals: tuple[str, ...] = tuple(CODE_MEASURES)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Measure the files of [index, extract]."""
        for batch in read_kept(sources, ["id", "text", "path", "license"]):
            signals = measure_code(batch["text"], batch["path"].to_pylist(), batch["license"].to_pylist())
            drop = pa.nulls(batch.num_rows, pa.string())
            yield pa.RecordBatch.from_arrays([batch["id"], *signals.values(), drop], schema=_MEASURED)


def make_program_extract(settings: ProgramSettings, language: Language) -> _ExtractPrograms:
    """The extract stage of a programming language."""
    return _ExtractPrograms(**vars(settings), language=language.code)


def make_program_measure(settings: FilterSettings, language: Language) -> _MeasurePrograms:
    """The measure stage of every programming language."""
    return _MeasurePrograms()


def make_program_filter(settings: FilterSettings, language: Language) -> Filter:
    """The judge of a programming language's bounds."""
    return Filter(code_rules(language.bounds))
