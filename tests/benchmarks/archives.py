"""The archives that the benchmarks read, made from the real pages of the project's shared data.

Every HTML response gets the header WARC-Identified-Payload-Type, as Common Crawl's have: without it datatrove asks
libmagic, which takes some pages for XML or JavaScript, and drops them unsaid. Bodies and HTTP heads are untouched.
"""

import csv
import gzip
import itertools
import json
import random
import re
import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from warcio.archiveiterator import ArchiveIterator

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
BUNDLES = ("real-pages-bundle", "docs-bundle")
PAGE_TYPES = ("text/html", "application/xhtml+xml")


@dataclass(frozen=True)
class Record:
    """One response of an archive, as stored, and what its bundle's manifest says of it."""

    headers: tuple[tuple[str, str], ...]  # of WARC
    block: bytes  # HTTP head and body
    language: str  # two letters; "" where nobody knows

    def to_bytes(self, level: int, record_id: str = "") -> bytes:
        """The record as one gzip member. A new `record_id` makes it another document with the same text."""
        lines = ["WARC/1.0"]
        for name, value in self.headers:
            lines.append(f"{name}: {f'<{record_id}>' if record_id and name == 'WARC-Record-ID' else value}")
        packer = zlib.compressobj(level, zlib.DEFLATED, 31)
        head = "\r\n".join(lines).encode() + b"\r\n\r\n"
        return packer.compress(head) + packer.compress(self.block) + packer.compress(b"\r\n\r\n") + packer.flush()


@dataclass(frozen=True)
class Archive:
    """Files written for a benchmark, and what they hold."""

    folder: Path
    documents: int  # HTML responses
    wanted: int  # of them, those that the manifest says are in the language asked for
    files: str = "*.warc.gz"  # what they are called

    @property
    def pattern(self) -> str:
        """All its files, as the `--input` of our command takes them."""
        return f"{self.folder}/{self.files}"

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.folder.glob(self.files))


RUN = re.compile(rb">([^<>]{30,})<")  # text between two tags


def shuffled(record: Record, copy: int) -> Record | None:
    """Another page of the same markup, size and words: the words of each run of text in another order.

    No shingle survives, so neither side takes it for a copy. None for a body that is chunked or compressed.
    """
    head, gap, body = record.block.partition(b"\r\n\r\n")
    if copy == 0:
        return record
    if not gap or re.search(rb"(?mi)^(content|transfer)-encoding:", head):
        return None
    chance = random.Random(copy)

    def mix(run: re.Match[bytes]) -> bytes:
        words = run[1].split(b" ")
        chance.shuffle(words)
        return b">" + b" ".join(words) + b"<"

    headers = [
        (name, value if name != "WARC-Record-ID" else f"<{uuid.uuid5(uuid.NAMESPACE_URL, f'{value}/{copy}').urn}>")
        for name, value in record.headers
        if not name.endswith("-Digest")
    ]
    headers = [(n, f"{v}/{copy}" if n == "WARC-Target-URI" else v) for n, v in headers]
    return Record(tuple(headers), head + gap + RUN.sub(mix, body), record.language)


def multiplied(records: Sequence[Record], copies: int) -> list[Record]:
    """The records and `copies` - 1 shuffled copies of each: enough pages to make start-up small."""
    made = [shuffled(record, copy) for copy in range(copies) for record in records]
    return [record for record in made if record]


def missing_data() -> str | None:
    """Why no archive can be made; None where one can."""
    absent = [name for name in BUNDLES if not (DATA / "warc" / "built" / f"{name}.warc.gz").is_file()]
    return f"{DATA}/warc/built has no {', '.join(absent)}: the shared data are not here" if absent else None


def read_records(bundle: str) -> Iterator[Record]:
    """All HTML responses of a bundle that were answered with status 200, in order."""
    stem = DATA / "warc" / "built" / bundle
    with Path(f"{stem}.manifest.tsv").open(encoding="utf-8", newline="") as file:
        rows = {row["record_id"]: row for row in csv.DictReader(file, delimiter="\t")}
    with Path(f"{stem}.warc.gz").open("rb") as file:
        for record in ArchiveIterator(file, no_record_parse=True):
            row = rows.get(record.rec_headers.get_header("WARC-Record-ID"))
            if record.rec_type != "response" or row is None or row["status"] != "200":
                continue
            payload_type = row["content_type"].partition(";")[0].strip()
            if payload_type in PAGE_TYPES:
                headers = (*record.rec_headers.headers, ("WARC-Identified-Payload-Type", payload_type))
                yield Record(headers, record.raw_stream.read(), row["lang"])


def write_archive(records: Iterable[Record], folder: Path, language: str, files: int = 4) -> Archive:
    """Deal the records over `files` archives, so that several workers have something to do."""
    folder.mkdir(parents=True)
    targets = [(folder / f"pages-{number:02}.warc.gz").open("wb") for number in range(files)]
    documents = wanted = 0
    for record in records:
        targets[documents % files].write(record.to_bytes(level=6))
        documents += 1
        wanted += record.language == language
    for target in targets:
        target.close()
    return Archive(folder, documents, wanted)


def write_texts(folder: Path, language: str, copies: int, files: int = 4, most: int | None = None) -> Archive:
    """The shared texts of a language as JSONL.gz, and copies of each with the words of every line in another order."""
    folder.mkdir(parents=True)
    with gzip.open(DATA / "text_open" / f"{language}.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in itertools.islice(file, most)]
    lines: list[list[bytes]] = [[] for _ in range(files)]
    for number, (copy, text) in enumerate(itertools.product(range(copies), texts)):
        chance = random.Random(copy)
        words = [line.split(" ") for line in text.split("\n")]
        mixed = "\n".join(" ".join(chance.sample(line, len(line)) if copy else line) for line in words)
        row = {
            "text": mixed,
            "id": uuid.uuid5(uuid.NAMESPACE_URL, f"roots-benchmark/{number}").urn,
            "url": f"https://example{number % 97}.org/{number}",
            "date": "2024-03-01T01:02:03Z",
        }
        lines[number % files].append(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    for number, held in enumerate(lines):
        (folder / f"texts-{number:02}.jsonl.gz").write_bytes(gzip.compress(b"".join(held), compresslevel=6))
    return Archive(folder, len(texts) * copies, len(texts) * copies, "*.jsonl.gz")


def write_repeated(records: Iterable[Record], folder: Path, language: str, size: int, level: int) -> Archive:
    """One archive of at least `size` bytes: the same records over and over, each time under new record ids."""
    folder.mkdir(parents=True)
    once = list(records)
    documents = wanted = written = copy = 0
    with (folder / "repeated.warc.gz").open("wb") as file:
        while written < size:
            for number, record in enumerate(once):
                record_id = uuid.uuid5(uuid.NAMESPACE_URL, f"roots-benchmark/{copy}/{number}").urn
                written += file.write(record.to_bytes(level, record_id=record_id))
                documents += 1
                wanted += record.language == language
            copy += 1
    return Archive(folder, documents, wanted)
