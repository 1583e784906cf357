"""measure and filter: compute the signals of every document, then compare them with bounds.

They are two stages, so that a new bound does not read any text again.
"""

import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from filters.language import Language, Reading, libraries_of
from filters.signals.measures import MEASURES, measure
from filters.signals.rules import Rule, judge, rules_of
from pipelines.job.settings import FilterSettings
from pipelines.models.files import signal_models
from roots import schema
from roots.identity import sha256_of
from roots.settings import ASIDE, as_values
from roots.shards import read_kept
from roots.stage import Stage

_MEASURED = pa.schema(
    [schema.ID, *(pa.field(name, kind.type) for name, kind in MEASURES.items()), schema.DROP],
)


@dataclass(frozen=True)
class Measure(Stage):
    """Computes the signals of every document that extract kept; drops none. Made by `Measure.of`."""

    name: ClassVar[str] = "measure"
    version: ClassVar[int] = 3  # 3: Arabic words without vowel signs; scripts without spaces cut by a dictionary
    schema: ClassVar[pa.Schema] = _MEASURED

    reading: Reading = field(metadata=ASIDE)
    decided_by: Mapping[str, Any] = field(default_factory=dict)  # the reading by value; word lists, models as digests
    signals: tuple[str, ...] = tuple(MEASURES)  # a new signal makes all shards again
    unicode: str = unicodedata.unidata_version

    @classmethod
    def of(cls, settings: FilterSettings, language: Language) -> "Measure":
        """The stage for one language, with its settings by value. Raises InputError for a missing model."""
        values = as_values(language.reading)
        for key in ("function_words", "flagged_words"):
            words = values.pop(key)
            digest = hashlib.sha256(json.dumps(words, ensure_ascii=False).encode()).hexdigest()
            values[key] = {"words": len(words), "sha256": digest}
        for key in ("perplexity_model", "perplexity_pieces", "quality_model"):
            path = values[key]
            values[key] = sha256_of(Path(path)) if path else ""
        libraries = [f"{name} {version_of(name)}" for name in libraries_of(language.reading.segmenter)]
        values["segmenter"] = ", ".join([language.reading.segmenter, *libraries])
        return cls(language.reading, values)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Measure the texts of [index, extract]."""
        models = signal_models(self.reading)
        for batch in read_kept(sources, ["id", "text"]):
            signals = measure(batch["text"], self.reading, models)
            drop = pa.nulls(batch.num_rows, pa.string())
            yield pa.RecordBatch.from_arrays([batch["id"], *signals.values(), drop], schema=_MEASURED)


@dataclass(frozen=True)
class Filter(Stage):
    """Compares stored signals with the bounds of a language. Made by `Filter.of`."""

    name: ClassVar[str] = "filter"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = schema.VERDICT

    rules: tuple[Rule, ...] = ()

    @classmethod
    def of(cls, settings: FilterSettings, language: Language) -> "Filter":
        """The stage for one language, with its bounds by value. Raises SettingsError for an unknown signal."""
        return cls(rules_of(language.bounds))

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Judge the rows of [index, extract, measure]."""
        wanted = [rule.signal for rule in self.rules]
        for batch in read_kept(sources, ["id", *wanted]):
            signals = {signal: batch[signal] for signal in wanted} or {"id": batch["id"]}
            drop, failed = judge(signals, self.rules)
            yield pa.RecordBatch.from_arrays([batch["id"], failed, drop], schema=schema.VERDICT)
