"""The same documents as an input of every form, and what the main job makes of one."""

import gzip
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
from click.testing import CliRunner
from datasets import Dataset, DatasetDict, disable_progress_bars, enable_progress_bars

from pipelines.cli.main import main
from roots import shards
from tests.support.tables import FORMS, Rows

CARD = "---\nlicense: cc-by-4.0\nlanguage:\n- fr\n---\n# Documents\n"
Outcome: TypeAlias = tuple[dict[str, str], dict[str, str]]  # id -> text in the dataset; id -> why it was dropped


def _wet_record(row: Mapping[str, Any]) -> bytes:
    return _record(row, "conversion", "text/plain", row["text"].encode())


def _warc_record(row: Mapping[str, Any]) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    return _record(row, "response", "application/http; msgtype=response", head + row["text"].encode())


def _record(row: Mapping[str, Any], kind: str, content_type: str, body: bytes) -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: {row['id']}\r\nWARC-Date: {row['date']}\r\n"
        f"WARC-Target-URI: {row['url']}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + body + b"\r\n\r\n")


def _put(name: str, write: Callable[[Rows], bytes]) -> Callable[[Rows, Path], str]:
    def put(rows: Rows, folder: Path) -> str:
        (folder / name).write_bytes(write(rows))
        return str(folder / name)

    return put


def _wacz(rows: Rows, folder: Path) -> str:
    half = len(rows) // 2
    with zipfile.ZipFile(folder / "crawl.wacz", "w") as archive:
        archive.writestr("datapackage.json", "{}")
        archive.writestr("archive/a.warc.gz", b"".join(map(_wet_record, rows[:half])))
        archive.writestr("archive/b.warc.gz", b"".join(map(_wet_record, rows[half:])))
    return str(folder / "crawl.wacz")


def _saved(rows: Rows, folder: Path) -> str:
    _save(Dataset.from_list([dict(row) for row in rows]), folder / "saved")
    return str(folder / "saved")


def _saved_splits(rows: Rows, folder: Path) -> str:
    half = len(rows) // 2
    parts = {"test": rows[half:], "train": rows[:half]}
    _save(DatasetDict({name: Dataset.from_list([dict(row) for row in part]) for name, part in parts.items()}),
          folder / "saved")  # fmt: skip
    return str(folder / "saved")


def _save(data: Dataset | DatasetDict, folder: Path) -> None:
    disable_progress_bars()
    data.save_to_disk(folder)
    enable_progress_bars()


def hub_folder(rows: Rows, folder: Path) -> str:
    """A data set of the Hub: two Parquet files and a card."""
    third = len(rows) // 3
    (folder / "hub" / "data").mkdir(parents=True)
    (folder / "hub" / "README.md").write_text(CARD)
    (folder / "hub" / ".gitattributes").write_text("")
    (folder / "hub" / "data" / "train-0.parquet").write_bytes(FORMS["a.parquet"](rows[:third]))
    (folder / "hub" / "data" / "train-1.parquet").write_bytes(FORMS["a.parquet"](rows[third:]))
    return str(folder / "hub")


WAYS: dict[str, Callable[[Rows, Path], str]] = {
    "wet": _put("a.warc.wet.gz", lambda rows: b"".join(map(_wet_record, rows))),
    "warc": _put("a.warc.gz", lambda rows: b"".join(map(_warc_record, rows))),
    "wacz": _wacz,
    "jsonl": _put("a.jsonl", FORMS["a.jsonl"]),
    "jsonl.zst": _put("a.jsonl.zst", FORMS["a.jsonl.zst"]),
    "parquet": _put("a.parquet", FORMS["a.parquet"]),
    "csv": _put("a.csv", FORMS["a.csv"]),
    "save_to_disk": _saved,
    "save_to_disk with splits": _saved_splits,
    "a data set of the Hub": hub_folder,
}


def run_job(place: str, work: Path, *settings: str) -> Outcome:
    """Run the whole job on an input, in French."""
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
