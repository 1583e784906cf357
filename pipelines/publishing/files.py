"""The Parquet files of a release: documents, and the dropped copies that released documents stand for.

The stage `publish` makes each file of documents from whole final shards. The stage's own shard is an account of the
file: its digest and its counts. So publishing resumes as every stage does: a file is not made again if its account has
the wanted fingerprint and its bytes match the account.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from filters.personal_data import redact_url
from pipelines import release
from pipelines.catalogue import Catalogue, Rights, Source, refusal
from pipelines.dataset import DatasetManifest
from pipelines.job import work as folders
from roots import shards
from roots.executors import Executor
from roots.identity import sha256_of
from roots.schema import DOCUMENT, DROP, ID
from roots.settings import ASIDE
from roots.stage import Plan, Progress, Stage, outcomes, run

R = TypeVar("R")

ACCOUNTS = ".publish"  # folder of the accounts, inside the release folder but not part of the release
_COUNTS = pa.map_(pa.string(), pa.int64())
_ACCOUNT = pa.schema(
    [
        ID,  # the file's name in the release
        pa.field("sha256", pa.string()),
        *(pa.field(name, pa.int64()) for name in ("bytes", "rows", "text_bytes", "characters")),
        pa.field("source_rows", _COUNTS),
        pa.field("source_text_bytes", _COUNTS),
        pa.field("left_out", _COUNTS),
        pa.field("pii", _COUNTS),
        DROP,
    ]
)


@dataclass(frozen=True)
class FileResult:
    """Counts of one file of documents, and of what was left out of it."""

    written: release.Written
    sources: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # source -> rows, text_bytes
    left_out: Mapping[str, int] = field(default_factory=dict)  # reason -> rows
    pii: Mapping[str, int] = field(default_factory=dict)  # kind -> spans


@dataclass(frozen=True)
class PublishFiles(Stage):
    """Makes files of documents. Its shards are the accounts, with one row each."""

    name: ClassVar[str] = "publish"
    version: ClassVar[int] = 3  # 3: the source that a run with a catalogue states
    schema: ClassVar[pa.Schema] = _ACCOUNT

    rights: Rights
    sources: Mapping[str, Source]  # the catalogue
    target: Path = field(metadata=ASIDE)  # folder of the release
    group_bytes: int = release.RELEASE_GROUP_BYTES

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Write the file `name` of the release, then give its account."""
        catalogue = Catalogue(self.sources)
        tally = release.Tally()
        left_out: Counter[str] = Counter()
        schema = release.schema_of(name)

        def batches() -> Iterator[pa.RecordBatch]:
            for path in sources:
                for batch in shards.read_stream(path):
                    kept = _with_rights(batch, self.rights, catalogue, left_out).select(schema.names)
                    if kept.num_rows:
                        tally.add(kept)
                        yield kept

        written = release.write_parquet(self.target / name, schema, batches())
        counts = {
            "source_rows": {source: each["rows"] for source, each in tally.sources.items()},
            "source_text_bytes": {source: each["text_bytes"] for source, each in tally.sources.items()},
            "left_out": left_out,
            "pii": tally.pii,
        }
        account = {column: list(count.items()) for column, count in counts.items()}
        yield pa.RecordBatch.from_pylist([{"id": name, **written.as_values(), **account}], _ACCOUNT)


def plan_files(work: Path, code: str, made: DatasetManifest, file_bytes: int) -> Plan:
    """The shards of each file: neighbours are joined until they reach `file_bytes` of text."""
    tag = made["language"]["tag"]
    plan: dict[str, list[Path]] = {}
    for split in ("train", "validation"):
        groups: list[list[str]] = []
        size = file_bytes
        for name in sorted(name for name in made["shards"] if name.startswith(split + "/")):
            if size >= file_bytes:
                groups.append([])
                size = 0
            groups[-1].append(name)
            size += made["shards"][name]["text_bytes"]
        for number, names in enumerate(groups):
            file = f"data/{tag}/{split}-{number:05d}-of-{len(groups):05d}.parquet"
            plan[file] = [folders.folder(work, code, "shard") / name for name in names]
    return plan


def make_files(stage: PublishFiles, plan: Plan, executor: Executor, progress: Progress | None) -> dict[str, FileResult]:
    """Make the files that are missing; returns the counts of each file of the plan.

    Raises StageFailed, after all other files are made, if some could not be made.
    """
    folder = stage.target / ACCOUNTS
    for path in sorted(folder.rglob("*.parquet")):
        name = path.relative_to(folder).as_posix()
        if name not in plan or not _is_of_account(stage.target / name, path):
            path.unlink()

    def report(name: str, done: float, total: int, _: shards.Receipt | None = None) -> None:
        if progress:
            progress(name, done, total)  # without the receipt: the rows of an account are not documents

    run(stage, plan, folder, executor, report)
    return {name: _read_account(folder / name) for name in sorted(plan)}


def _is_of_account(path: Path, account: Path) -> bool:
    """Whether a file of documents exists with the bytes that its account names."""
    if not path.is_file() or shards.read_receipt(account) is None:
        return False
    written = _read_account(account).written
    return path.stat().st_size == written.bytes and sha256_of(path) == written.sha256


def _read_account(path: Path) -> FileResult:
    """Read an account."""
    (row,) = (row for batch in shards.read(path) for row in batch.to_pylist())
    written = {name: row[name] for name in ("sha256", "bytes", "rows", "text_bytes", "characters")}
    text_bytes = dict(row["source_text_bytes"])
    sources = {name: {"rows": rows, "text_bytes": text_bytes[name]} for name, rows in row["source_rows"]}
    return FileResult(release.Written(**written), sources, dict(row["left_out"]), dict(row["pii"]))


def collect_files(
    stage: str, ended: Iterable[tuple[str, R | Exception]], total: int, progress: Progress | None
) -> dict[str, R]:
    """The result of each file, by name. Raises StageFailed, after all others, if some failed."""
    found: dict[str, R] = {}
    for number, (name, result, _) in enumerate(outcomes(stage, ended), 1):
        if result is not None:
            found[name] = result
        if progress:
            progress(stage, number, total)
    return found


def _with_rights(batch: pa.RecordBatch, rights: Rights, catalogue: Catalogue, left_out: Counter[str]) -> pa.RecordBatch:
    """The rows that may be released, with source and licence; counts the others in `left_out`."""
    places = zip(*(batch[name].to_pylist() for name in ("source", "url", "file_path")), strict=True)
    names = [entry or catalogue.source_of(url, file) for entry, url, file in places]
    own = batch["license"].to_pylist()
    if "path" not in batch.schema.names:  # a file of a program has no licence but its own
        own = [license_ or catalogue.license_of(name) for name, license_ in zip(names, own, strict=True)]
    judged = zip(names, own, batch["use_signals"].to_pylist(), strict=True)
    reasons = [refusal(rights, name, license_, use_signals) for name, license_, use_signals in judged]
    left_out.update(reason for reason in reasons if reason)
    whole = batch
    for name, values in (("source", names), ("license", own)):
        at = whole.schema.get_field_index(name)
        whole = whole.set_column(at, DOCUMENT.field(name), pa.array(values, pa.string()))
    return whole.filter(pa.array([reason is None for reason in reasons], pa.bool_()))


def write_clusters(
    work: Path, code: str, target: Path, tag: str, results: Mapping[str, FileResult]
) -> dict[str, release.FileEntry]:
    """Write the dropped copies that released documents stand for; a takedown must reach them, too."""
    released: set[str] = set()
    for name in results:
        for batch in release.read_parquet(target / name, ["id"]):
            released.update(batch["id"].to_pylist())
    name = f"clusters/{tag}.parquet"
    written = release.write_parquet(target / name, release.CLUSTERS, _copies(work, code, released))
    return {name: written.as_values()}


def _copies(work: Path, code: str, released: set[str]) -> Iterator[pa.RecordBatch]:
    """Rows that dedup dropped as copies of a released document, archive by archive.

    If dedup covered several languages, rows of the others are among them.
    """
    for shard in folders.shards_of_dedup(work, code):
        before = folders.chain(work, shard.parent.parent.name, shard.name, "dedup")
        parts = list(shards.read_kept(before, ["id", "url", "file_path", "offset", "source"]))
        if not parts:
            continue
        rows = pa.Table.from_batches(parts)
        judged = shards.read(shard, ["id", "duplicate_of", "jaccard"])
        marks = pa.Table.from_batches(list(judged))
        for field_ in ("duplicate_of", "jaccard"):
            rows = rows.append_column(field_, marks[field_])
        addresses = [url and redact_url(url) for url in rows["url"].to_pylist()]
        rows = rows.set_column(rows.schema.get_field_index("url"), "url", pa.array(addresses, pa.string()))
        wanted = pc.is_in(rows["duplicate_of"], pa.array(sorted(released), pa.string()))
        yield from rows.filter(wanted).select(release.CLUSTERS.names).cast(release.CLUSTERS).to_batches()
