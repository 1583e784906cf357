"""The same documents as a WARC, as tables and as data sets of the Hub end in the same dataset."""

import gzip
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from datasets import Dataset, DatasetDict

from filters.text.charset import decode_page
from filters.text.quick_text import quick_text
from pipelines.archives.limits import Limits
from pipelines.archives.records import read_records
from pipelines.cli.main import main
from pipelines.job.work import find_archives
from pipelines.verify import verify
from roots import shards
from tests.support.paths import ROOT
from tests.support.tables import FORMS, Rows

CARD = "---\nlicense: cc-by-4.0\nlanguage:\n- fr\n---\n# Documents\n"


def documents() -> Rows:
    """Texts of the example crawl, in several languages, with some that every run drops."""
    texts: dict[str, None] = {}
    for path in sorted((ROOT / "tests" / "fixtures" / "crawl").glob("*.warc.gz")):
        for record in read_records(path, Limits()):
            if record.content_type == "text/html" and record.status == 200 and not record.problem:
                html = decode_page(record.body, record.header_charset).text.encode()
                texts[quick_text(html).decode("utf-8", "replace").strip()] = None
    chosen = list(texts)[:90]
    return [
        {
            "text": text,
            "id": f"<urn:uuid:00000000-0000-0000-0000-{number:012d}>",
            "url": f"https://{number % 3}.example/{number}",
            "date": "2026-01-01T00:00:00Z",
        }
        for number, text in enumerate(chosen)
    ]


def _warc(rows: Rows) -> bytes:
    return b"".join(map(_wet_record, rows))


def _wet_record(row: Mapping[str, Any]) -> bytes:
    body = row["text"].encode()
    head = (
        f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Record-ID: {row['id']}\r\nWARC-Date: {row['date']}\r\n"
        f"WARC-Target-URI: {row['url']}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + body + b"\r\n\r\n")


def _put(name: str, write: Callable[[Rows], bytes]) -> Callable[[Rows, Path], str]:
    def put(rows: Rows, folder: Path) -> str:
        (folder / name).write_bytes(write(rows))
        return str(folder / name)

    return put


def _saved(rows: Rows, folder: Path) -> str:
    Dataset.from_list([dict(row) for row in rows]).save_to_disk(folder / "saved")
    return str(folder / "saved")


def _saved_splits(rows: Rows, folder: Path) -> str:
    parts = {"test": rows[50:], "train": rows[:50]}
    DatasetDict({name: Dataset.from_list([dict(row) for row in part]) for name, part in parts.items()}).save_to_disk(
        folder / "saved"
    )
    return str(folder / "saved")


def _hub(rows: Rows, folder: Path) -> str:
    (folder / "hub" / "data").mkdir(parents=True)
    (folder / "hub" / "README.md").write_text(CARD)
    (folder / "hub" / ".gitattributes").write_text("")
    (folder / "hub" / "data" / "train-0.parquet").write_bytes(FORMS["a.parquet"](rows[:30]))
    (folder / "hub" / "data" / "train-1.parquet").write_bytes(FORMS["a.parquet"](rows[30:]))
    return str(folder / "hub")


def _wacz(rows: Rows, folder: Path) -> str:
    with zipfile.ZipFile(folder / "crawl.wacz", "w") as archive:
        archive.writestr("datapackage.json", "{}")
        archive.writestr("archive/a.warc.gz", _warc(rows[:40]))
        archive.writestr("archive/b.warc.gz", _warc(rows[40:]))
    return str(folder / "crawl.wacz")


WAYS: dict[str, Callable[[Rows, Path], str]] = {
    "warc": _put("a.warc.gz", _warc),
    "wacz": _wacz,
    "jsonl.zst": _put("a.jsonl.zst", FORMS["a.jsonl.zst"]),
    "parquet": _put("a.parquet", FORMS["a.parquet"]),
    "csv": _put("a.csv", FORMS["a.csv"]),
    "save_to_disk": _saved,
    "save_to_disk with splits": _saved_splits,
    "a data set of the Hub": _hub,
}
_Outcome = tuple[dict[str, str], dict[str, str]]  # id -> text of the dataset; id -> reason of a drop


def run_job(place: str, work: Path, *settings: str) -> _Outcome:
    """Run the whole job on an input."""
    arguments = ["run", str(work), "--input", place, "--lang", "fr", "--executor", "serial", "--quiet"]
    arguments += [word for each in settings for word in ("--set", each)]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    kept: dict[str, str] = {}
    for path in sorted((work / "fr" / "shards").glob("*/*.arrow")):
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_stream(source).read_all()
        kept |= dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
    drops: dict[str, str] = {}
    for stage in ("index", "fr/extract", "fr/filter", "fr/dedup", "fr/redact"):
        for path in sorted((work / stage).glob("*.parquet")):
            for batch in shards.read(path, ["id", "drop"]):
                drops |= {row["id"]: row["drop"] for row in batch.to_pylist() if row["drop"]}
    return kept, drops


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> _Outcome:
    folder = tmp_path_factory.mktemp("warc")
    kept, drops = run_job(WAYS["warc"](documents(), folder), folder / "work")
    assert len(kept) >= 5
    assert len(set(drops.values())) >= 2
    return kept, drops


@pytest.mark.parametrize("way", [name for name in WAYS if name != "warc"])
def test_the_same_documents_end_the_same_in_every_form(way: str, wanted: _Outcome, tmp_path: Path) -> None:
    assert run_job(WAYS[way](documents(), tmp_path), tmp_path / "work") == wanted
    assert list(verify(tmp_path / "work", "fr")) == []


def test_the_licence_of_a_card_is_in_the_dataset(tmp_path: Path) -> None:
    place = _hub(documents(), tmp_path)
    assert sorted(path.name for path in find_archives([place]).values()) == ["train-0.parquet", "train-1.parquet"]
    run_job(place, tmp_path / "work")
    (path,) = (tmp_path / "work" / "fr" / "shards" / "train").glob("*.arrow")
    with pa.memory_map(str(path)) as source:
        assert set(pa.ipc.open_stream(source).read_all()["license"].to_pylist()) == {"cc-by-4.0"}
