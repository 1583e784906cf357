"""measure and filter: every row is kept or has a reason, and a new bound reads no text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pytest

from filters.language import Bound, Language, load_language
from filters.signals.measures import MEASURES
from pipelines.filter import Filter, Measure
from pipelines.job.languages import read_bounds
from pipelines.job.settings import FilterSettings
from roots import schema
from roots.errors import InputError, SettingsError
from roots.executors import EXECUTORS, make_executor
from roots.shards import check, read
from roots.stage import Stage, run, settings_of

FRENCH = load_language("fr")
TEXTS = [FRENCH.kept[0].text, *(example.text for example in FRENCH.dropped), None, "Trop court."]


@dataclass(frozen=True)
class Extract(Stage):
    """An extract stage whose text is given."""

    name: ClassVar[str] = "extract"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = schema.EXTRACT

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        rows = [
            {"id": f"{name}-{row}", "text": text, "language_score": 0.99, "drop": None if text else "extract.empty"}
            for row, text in enumerate(TEXTS)
        ]
        yield pa.RecordBatch.from_pylist(rows, schema=schema.EXTRACT)


@pytest.fixture
def extracted(tmp_path: Path) -> Path:
    folder = tmp_path / "extract"
    run(Extract(), {"a.parquet": []}, folder, make_executor("serial", 1))
    return folder / "a.parquet"


def rows(path: Path) -> list[dict[str, object]]:
    return [row for batch in read(path) for row in batch.to_pylist()]


def filter_with(language: Language, extracted: Path, work: Path, executor: str = "serial") -> list[dict[str, object]]:
    runner = make_executor(executor, 1)
    run(Measure.of(FilterSettings(), language), {"a.parquet": [extracted]}, work / "measure", runner)
    measured = work / "measure" / "a.parquet"
    run(Filter.of(FilterSettings(), language), {"a.parquet": [extracted, measured]}, work / "filter", runner)
    check(work / "filter" / "a.parquet")
    return rows(work / "filter" / "a.parquet")


@pytest.mark.parametrize("executor", sorted(set(EXECUTORS) - {"ray"}))
def test_every_document_is_kept_or_has_a_reason(extracted: Path, tmp_path: Path, executor: str) -> None:
    verdicts = filter_with(FRENCH, extracted, tmp_path, executor)
    assert [row["drop"] for row in verdicts] == [
        None,
        *(f"filter.{example.reason}" for example in FRENCH.dropped),
        "filter.words",
    ]
    measured = rows(tmp_path / "measure" / "a.parquet")
    ids = [f"a.parquet-{row}" for row, text in enumerate(TEXTS) if text]
    assert [row["id"] for row in measured] == [row["id"] for row in verdicts] == ids
    assert set(MEASURES) < set(measured[0])


def test_a_changed_bound_only_filters_again(extracted: Path, tmp_path: Path) -> None:
    filter_with(FRENCH, extracted, tmp_path)
    before = (tmp_path / "measure" / "a.parquet").stat().st_mtime_ns
    strict = replace(FRENCH, bounds={**FRENCH.bounds, "words": Bound(min=1000)})
    verdicts = filter_with(strict, extracted, tmp_path)
    assert (tmp_path / "measure" / "a.parquet").stat().st_mtime_ns == before
    assert all("words" in row["failed"] for row in verdicts)  # type: ignore[operator]


def test_a_changed_word_list_measures_again(extracted: Path) -> None:
    other = replace(FRENCH, reading=replace(FRENCH.reading, function_words=("le",)))
    assert settings_of(Measure.of(FilterSettings(), FRENCH)) != settings_of(Measure.of(FilterSettings(), other))
    assert "moulin" not in str(settings_of(Measure.of(FilterSettings(), FRENCH)))
    assert settings_of(Filter.of(FilterSettings(), FRENCH)) == settings_of(Filter.of(FilterSettings(), other))


def test_a_text_with_a_low_language_score_is_dropped(extracted: Path, tmp_path: Path) -> None:
    sure = replace(FRENCH, bounds={"language_score": Bound(min=0.995)})
    assert {row["drop"] for row in filter_with(sure, extracted, tmp_path)} == {"filter.language_score"}


def test_bounds_are_the_name_of_a_set_or_a_toml_file(tmp_path: Path) -> None:
    assert read_bounds("roots") == "roots"
    path = tmp_path / "my.toml"
    path.write_text('[bounds.words]\nmin = 3\nsource = "mine"\n', encoding="utf-8")
    assert read_bounds(str(path)) == read_bounds(path) == {"words": {"min": 3, "source": "mine"}}
    with pytest.raises(InputError, match="no file"):
        read_bounds(tmp_path / "absent.toml")
    path.write_text("[limits]\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="has no table"):
        read_bounds(path)
