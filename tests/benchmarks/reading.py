"""How fast documents are read: tables of text by ours, datatrove's and `datasets`' readers; web archives by one reader.

    python -m tests.benchmarks.reading --make-peer    # once: datatrove and `datasets`, in an environment of their own
    python -m tests.benchmarks.reading                # JSONL.gz, JSONL.zst and Parquet of 20,000 documents
    python -m tests.benchmarks.reading READER FILE    # one reader of READERS; pipeline.py reads archives so

Each reader gives every document with its text, id and metadata, as its own next step takes them; ours as `Record`s,
with the text as UTF-8. Contenders take turns, each in a process of its own on one CPU. A first reading, not timed,
imports what is needed and adds up checksums of the texts, by which the readers are seen to give the same; then the
fastest of three counts. Of archives, bodies are given as bytes, their chunking and content coding undone.
"""

import argparse
import gzip
import itertools
import json
import os
import random
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
LANGUAGES = ("en", "fr", "es", "pt", "zh", "ar", "hi", "vi", "id", "sw")
FORMS = ("a.jsonl.gz", "a.jsonl.zst", "a.parquet")
TARGETS = {"datatrove": 5.0, "datasets": 2.0}  # times the documents per CPU second of the peer


def with_warcio(path: Path) -> Iterator[bytes]:
    """Bodies as warcio gives them."""
    from warcio.archiveiterator import ArchiveIterator

    with path.open("rb") as file:
        for record in ArchiveIterator(file):
            if record.rec_type == "response":
                yield record.content_stream().read()


def with_roots(path: Path) -> Iterator[bytes]:
    """Bodies as our index stage gets them, with all its checks for broken records."""
    from pipelines.archives.limits import Limits
    from pipelines.archives.records import read_records

    for record in read_records(path, Limits()):
        if record.kind == "response":
            yield record.body


def rows_with_roots(path: Path) -> Iterator[bytes]:
    """Rows of a table as our index stage gets them."""
    from pipelines.archives.limits import Limits
    from pipelines.sources.doors import read_source
    from pipelines.sources.layouts import TableSettings

    for record in read_source(path, TableSettings(), Limits()):
        yield record.body


def rows_with_datatrove(path: Path) -> Iterator[str]:
    """Rows as the first step of a datatrove pipeline gives them, with its default settings."""
    from datatrove.pipeline.readers import JsonlReader, ParquetReader
    from datatrove.utils.logging import logger

    logger.remove()
    reader = ParquetReader if path.suffix == ".parquet" else JsonlReader
    for document in reader(str(path.parent), glob_pattern=path.name)():
        yield document.text


def rows_with_datasets(path: Path) -> Iterator[str]:
    """Rows as a streamed data set of `datasets` gives them."""
    from datasets import load_dataset

    form = "parquet" if path.suffix == ".parquet" else "json"
    for row in load_dataset(form, data_files=str(path), split="train", streaming=True):
        yield row["text"]


READERS: dict[str, Callable[[Path], Iterator[bytes | str]]] = {
    "warcio": with_warcio,
    "roots": with_roots,
    "roots rows": rows_with_roots,
    "datatrove": rows_with_datatrove,
    "datasets": rows_with_datasets,
}


def read(reader: str, path: Path) -> dict[str, float]:
    """Read a file four times, the last three of them timed."""
    pages = size = checksum = 0
    for body in READERS[reader](path):
        pages += 1
        data = body if isinstance(body, bytes) else body.encode()
        size += len(data)
        checksum ^= zlib.crc32(data)
    cpu = wall = float("inf")
    for _ in range(3):
        began, began_cpu = time.monotonic(), time.process_time()
        if sum(1 for _ in READERS[reader](path)) != pages:
            raise ValueError(f"{reader} read {path} differently the second time")
        cpu = min(cpu, time.process_time() - began_cpu)
        wall = min(wall, time.monotonic() - began)
    return {"pages": pages, "bytes": size, "checksum": checksum, "cpu_seconds": cpu, "wall_seconds": wall}


def write_tables(folder: Path, data: Path, count: int) -> float:
    """Write the same documents in every form, with FineWeb's columns, and return their mean bytes of text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    chance = random.Random(1)
    rows = [
        {
            "text": text,
            "id": f"<urn:uuid:{chance.getrandbits(128):032x}>",
            "dump": "CC-MAIN-2024-10",
            "url": f"https://example{number % 997}.org/page-{number}.html",
            "date": "2024-03-01T01:02:03Z",
            "file_path": "s3://commoncrawl/crawl-data/CC-MAIN-2024-10/segments/1707947473347.0/warc/CC-MAIN-00000.warc.gz",
            "language": "en",
            "language_score": round(chance.random(), 4),
            "token_count": len(text) // 4,
        }
        for number, text in enumerate(itertools.islice(texts_of(data, chance), count))
    ]
    lines = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
    with gzip.open(folder / "a.jsonl.gz", "wb", compresslevel=6) as file:
        file.write(lines)
    with pa.CompressedOutputStream(str(folder / "a.jsonl.zst"), "zstd") as stream:
        stream.write(lines)
    pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet", row_group_size=1000)  # Snappy, as in FineWeb
    return sum(len(str(row["text"]).encode()) for row in rows) / count


def texts_of(data: Path, chance: random.Random) -> Iterator[str]:
    """The shared texts of several languages in turn, and then the same in another order of words, without end."""
    held: list[list[str]] = []
    for code in LANGUAGES:
        with gzip.open(data / "text_open" / f"{code}.jsonl.gz", "rt", encoding="utf-8") as lines:
            held.append([json.loads(line)["text"] for line in itertools.islice(lines, 2000)])
    for number in itertools.count():
        for texts in held:
            words = texts[number % len(texts)]
            yield words if number < len(texts) else " ".join(chance.sample(words.split(" "), words.count(" ") + 1))


def compare(path: Path, peer: Path, rounds: int) -> dict[str, float]:
    """CPU seconds of each reader of tables, in turn. Raises ChildProcessError if they read different texts."""
    from tests.benchmarks.contenders import cpus
    from tests.benchmarks.process_tree import measure

    found: dict[str, list[dict[str, Any]]] = {"roots rows": [], "datatrove": [], "datasets": []}
    for _, name in itertools.product(range(rounds), found):
        python = sys.executable if name == "roots rows" else str(peer / "bin" / "python")
        usage = measure([python, "-m", "tests.benchmarks.reading", name, str(path)], cpus=cpus(1), folder=ROOT)
        if usage.exit_code:
            raise ChildProcessError(usage.output)
        found[name].append(json.loads(usage.output.rpartition("\nRESULT ")[2]))
    if len({(run["pages"], run["checksum"]) for runs in found.values() for run in runs}) != 1:
        raise ChildProcessError(f"the readers differ in what they read: {[runs[0] for runs in found.values()]}")
    return {name: median(run["cpu_seconds"] for run in runs) for name, runs in found.items()}


def main() -> int:
    """Read with one reader, or print the table of all; exit code 1 where a target is missed."""
    from tests.benchmarks.environments import make_peer, peer_folder

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reader", nargs="?", choices=READERS)
    parser.add_argument("path", nargs="?", type=Path)
    parser.add_argument("--make-peer", action="store_true", help="make the peers' virtual environment, and stop")
    parser.add_argument("--peer", type=Path, default=peer_folder("readers"), help="their environment")
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=DATA)
    chosen = parser.parse_args()
    if chosen.make_peer:
        make_peer("readers", chosen.peer)
        return 0
    if chosen.reader:
        print("\nRESULT " + json.dumps(read(chosen.reader, chosen.path)))
        return 0
    if not (chosen.data / "text_open").is_dir() or not (chosen.peer / "bin" / "python").exists():
        print(f"nothing measured: no texts in {chosen.data}, or no peers in {chosen.peer} (--make-peer makes them)")
        return 0
    missed = False
    with TemporaryDirectory(prefix="roots-reading-") as scratch:
        mean = write_tables(Path(scratch), chosen.data, chosen.documents)
        print(f"{chosen.documents:,} documents of {mean:,.0f} bytes of text; roots-corpus {version('roots-corpus')}\n")
        print("| form | MB | roots | datatrove | times | datasets | times |\n|---|---|---|---|---|---|---|")
        for form in FORMS:
            path = Path(scratch) / form
            seconds = compare(path, chosen.peer, chosen.rounds)
            speed = {name: chosen.documents / each for name, each in seconds.items()}
            times = {name: speed["roots rows"] / speed[name] for name in TARGETS}
            cells = " | ".join(f"{speed[name]:,.0f} | {times[name]:.1f}" for name in TARGETS)
            print(f"| {form} | {path.stat().st_size / 1e6:.0f} | {speed['roots rows']:,.0f} | {cells} |", flush=True)
            missed |= any(times[name] < target for name, target in TARGETS.items())
    return 1 if missed else 0


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main())
