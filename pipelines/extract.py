"""extract: main text of the pages that can be in the wanted language, and the language of that text.

Only pages whose likely languages in the index include the wanted one are read again. The others are dropped as
`extract.other_language`; tests/benchmarks/gate_recall.py measures what this loses. All work on a page runs in a guarded
process (pipelines.extraction.guard).
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from filters.language import Language
from filters.language_id.identify import gate, identify
from filters.language_id.scripts import split_label
from pipelines.documents.forms import DOCUMENT_REASONS, installed_engines
from pipelines.extraction.extractors import LEARNED, PAGES, Bounds, preload
from pipelines.extraction.guard import Failure, Limits, guarded
from pipelines.job.settings import ExtractSettings
from pipelines.models.files import load_model, sha256_of_main_text, sha256_of_model
from pipelines.sources.doors import numbers_of, on_this_machine
from roots.errors import SettingsError
from roots.schema import EXTRACT
from roots.shards import BATCH_ROWS, open_shard, read_kept
from roots.stage import Stage

_TOP = 3  # languages stored with a text
_START = 400  # characters stored of a text in another language, for `why`
_BATCH_CHARS = 8 << 20
_DENSE = 0.8  # share of records above which reading the whole archive is faster than seeking to each record

FOREIGN = "extract.foreign_source"
# Why a page has no text, or its text is not wanted.
EXTRACT_REASONS: dict[str, str] = {
    "extract.other_language": "the quick text does not look like the wanted language",
    FOREIGN: "the catalogue says that its source has other languages only",
    "extract.language": "the main text is in another language, or its score for the wanted one is too low",
    "extract.empty": "the engine finds no main text",
    "extract.too_large": "longer than `body_bytes` or `html_chars`",
    "extract.too_deep": "elements are nested deeper than `depth`",
    "extract.timeout": "the engine needs more than `cpu_seconds`",
    "extract.memory": "the engine needs more than `memory_bytes`",
    "extract.crash": "the engine fails on the page",
    "extract.unreadable": "the record or the document is damaged",
    **DOCUMENT_REASONS,
}


@dataclass(frozen=True)
class Extract(ExtractSettings, Stage):
    """The stage: its settings, the language, and the digest of its language model."""

    name: ClassVar[str] = "extract"
    version: ClassVar[int] = 9  # 9: scores of mixed texts
    schema: ClassVar[pa.Schema] = EXTRACT
    memory_needed: ClassVar[int] = (
        3 << 29
    )  # of a task: this process, and the guarded one with `memory_bytes` for a page

    model_sha256: str = ""  # of the language model; computed if not given
    main_text_sha256: str = ""  # of the model of the learned extractor; computed if not given
    engines: str = ""  # of PDF that are installed, since they decide which documents have text; found if not given
    foreign: bool = False  # whether its source is said to hold other languages only: nothing is read
    believed: bool = False  # whether its source is said to be in this language, whatever the model says
    language: str = field(kw_only=True)  # ISO 639-3: "fra"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "model_sha256", sha256_of_model(self.model, self.model_sha256))
        if self.extractor == LEARNED:
            object.__setattr__(self, "main_text_sha256", sha256_of_main_text(self.main_text_model))
        object.__setattr__(self, "engines", self.engines or installed_engines())
        if not load_model(self.model).knows(self.language):
            raise SettingsError(
                f"the language model {self.model or 'of the package'} does not know {self.language!r}: "
                "name one that does (GlotLID, OpenLID) with --set language_id.model=PATH"
            )

    @classmethod
    def of(cls, settings: ExtractSettings, language: Language) -> "Extract":
        """The stage for one natural language. Raises SettingsError if the model does not know it."""
        return cls(**vars(settings), language=language.iso639_3)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Make the rows of one archive, or of several small ones, from their index shard and the archives."""
        index, *archives = sources
        known = load_model(self.model).labels
        ids: list[str] = []
        places: list[tuple[int, int]] = []
        passed: list[bool] = []
        for batch in read_kept([index], ["id", "file_path", "offset", "languages"]):
            ids += batch["id"].to_pylist()
            numbers = numbers_of(archives, batch["file_path"].to_pylist())
            places += zip(numbers, batch["offset"].to_pylist(), strict=True)
            likely = gate(batch["languages"].to_pylist(), self.language, self.gate_score, known)
            passed += [not self.foreign and (self.believed or yes) for yes in likely]
        wanted = [place for place, yes in zip(places, passed, strict=True) if yes]
        other = FOREIGN if self.foreign else "extract.other_language"
        rows: list[dict[str, Any]] = []
        chars = 0
        with _on_this_machine(archives, wanted, index) as here:
            texts = self._texts(here, wanted, dense=len(wanted) > _DENSE * open_shard(index).metadata.num_rows)
            for key, yes in zip(ids, passed, strict=True):
                row = {"id": key} | (next(texts) if yes else {"drop": other})
                rows.append(row)
                chars += len(row.get("text") or "")
                if len(rows) == BATCH_ROWS or chars >= _BATCH_CHARS:
                    yield pa.RecordBatch.from_pylist(rows, schema=EXTRACT)
                    rows, chars = [], 0
        if rows:
            yield pa.RecordBatch.from_pylist(rows, schema=EXTRACT)

    def _texts(
        self, archives: Sequence[Path], places: Sequence[tuple[int, int]], dense: bool
    ) -> Iterator[dict[str, Any]]:
        """For each place (number of the archive, offset), the columns of its row without the id."""
        bounds = asdict(
            Bounds(
                body_bytes=self.body_bytes,
                html_chars=self.html_chars,
                depth=self.depth,
                document_pages=self.document_pages,
                document_seconds=self.document_seconds,
                plain=self.plain,
            )
        )
        names = [str(archive) for archive in archives]
        arguments = {
            "archives": names,
            "extractor": self.extractor,
            "bounds": bounds,
            "tables": asdict(self.tables),
            "dense": dense,
            "learned": (self.main_text_model, self.content, self.form),
        }
        limits = Limits(self.cpu_seconds, self.memory_bytes)
        for found in guarded(PAGES, arguments, places, limits, preload(self.extractor)):
            if isinstance(found, Failure):
                yield {"drop": f"extract.{found.reason}", "extractor": self.extractor}
            else:
                row = {"extractor": found["engine"], "drop": found["drop"]}
                row |= {column: found.get(column) for column in ("share", "pages", "producer")}
                row |= self._identify(found["text"]) if found["text"] else {}
                yield row | {"page_starts": found.get("page_starts") if row.get("text") else None}

    def _identify(self, text: str) -> dict[str, object]:
        """The text and language columns of a row, with the reason if the language is not the wanted one."""
        labels = identify(text, load_model(self.model), _TOP)
        if not labels:
            return {"drop": "extract.empty"}
        label, score = labels[0]
        language, script = split_label(label)
        kept = language == self.language and score >= self.language_score
        if self.believed:
            score = next((score for label, score in labels if split_label(label)[0] == self.language), 0.0)
            language, kept = self.language, True
        return {
            "text": text if kept else None,
            "judged_chars": None if kept else len(text),
            "judged_start": None if kept else text[:_START],
            "language": language,
            "language_script": script,
            "language_score": score,
            "top_langs": [{"label": label, "score": score} for label, score in labels],
            "drop": None if kept else "extract.language",
        }


@contextmanager
def _on_this_machine(archives: Sequence[Path], places: Sequence[tuple[int, int]], index: Path) -> Iterator[list[Path]]:
    """The archives as local files; of an archive at a URL only the records at its places."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(on_this_machine(archive, [offset for n, offset in places if n == number], index))
            for number, archive in enumerate(archives)
        ]
