"""Bounds from trusted text and from labels, written by the command and loaded again."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.language import load_language
from pipelines.job.languages import read_bounds
from pipelines.models.bounds import _read_labels, derive_from_text, read_reference
from pipelines.models.settings import DeriveSettings
from roots.errors import InputError
from tests.support.stories import STORIES

ENGLISH = load_language("en")


def test_bounds_are_written_for_a_language_to_load(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"text": text}) + "\n" for text in STORIES)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "b.txt").write_text("\n\n".join(STORIES), encoding="utf-8")
    pq.write_table(pa.table({"text": STORIES}), tmp_path / "c.parquet")
    paths = [tmp_path / name for name in ("a.jsonl.gz", "b.txt", "c.parquet")]
    for path in paths:
        assert list(read_reference(path)) == STORIES
    derived = derive_from_text(ENGLISH, paths, tmp_path / "en.toml", DeriveSettings(sample=100, seed=3))
    assert derived.documents == 100
    loaded = load_language("en", read_bounds(tmp_path / "en.toml"))
    for signal, bound in derived.bounds.items():
        assert loaded.bounds[signal] == bound
    first = (tmp_path / "en.toml").read_bytes()
    derive_from_text(ENGLISH, list(reversed(paths)), tmp_path / "en.toml", DeriveSettings(sample=100, seed=3))
    assert (tmp_path / "en.toml").read_bytes() == first


def test_broken_references_and_labels_say_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"words": 1}\n', encoding="utf-8")
    (tmp_path / "a.gz").write_bytes(b"no gzip")
    (tmp_path / "labels.json").write_text('{"labels": {"x": "maybe"}}', encoding="utf-8")
    for path in (tmp_path / "a.jsonl", tmp_path / "a.gz", tmp_path / "none.txt", tmp_path):
        with pytest.raises(InputError):
            list(read_reference(path))
    with pytest.raises(InputError, match="unknown label 'maybe'"):
        _read_labels(tmp_path / "labels.json")
    (tmp_path / "labels.json").write_text('{"labels": {"x": "fine", "y": "junk"}}', encoding="utf-8")
    assert _read_labels(tmp_path / "labels.json") == {"x": True, "y": False}


@pytest.mark.parametrize("gap", ["\n\n", "\r\n\r\n", "\n \t\n", "\n\n\n\n", "\n\u3000\n"])
def test_any_blank_line_separates_documents(tmp_path: Path, gap: str) -> None:
    (tmp_path / "a.txt").write_bytes(gap.join(["Jambo, dunia.\nHabari?", "Mstari wa pili."]).encode())
    assert list(read_reference(tmp_path / "a.txt")) == ["Jambo, dunia.\nHabari?", "Mstari wa pili."]


def test_text_without_blank_lines_says_that_these_separate_documents(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join(story.replace("\n", " ") for story in STORIES), encoding="utf-8")
    with pytest.raises(InputError, match=r"1 documents are too few.*blank lines separate documents"):
        derive_from_text(ENGLISH, [tmp_path / "a.txt"], tmp_path / "en.toml")
    assert not (tmp_path / "en.toml").exists()


def test_documents_too_short_to_count_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n\n".join([*STORIES, "Short.", "Shorter."]), encoding="utf-8")
    short = sum(len(text) < DeriveSettings().least_characters for text in STORIES) + 2
    derived = derive_from_text(ENGLISH, [tmp_path / "a.txt"], tmp_path / "en.toml")
    assert any(warning.startswith(f"{short} of {len(STORIES) + 2} documents") for warning in derived.warnings)
