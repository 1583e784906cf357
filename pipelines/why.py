"""why: the whole path of one document, from the archive to the dataset.

What every stage stored about it is all there is to read: the audit trail is the data itself.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from pipelines.folders import CHAIN, folder, languages
from roots import shards
from roots.errors import InputError
from roots.stage import read_manifest

Row = dict[str, Any]


def find(work: Path, wanted: str) -> Iterator[tuple[str, Row]]:
    """Records of the index whose id or URL is `wanted`, as (shard name, row). Raises InputError where there is none."""
    key = wanted.strip().strip("<>")
    names = {wanted, key, f"<{key}>"}
    found = False
    if not (work / "index").is_dir():
        raise InputError(f"{work} has no index: run `roots index {work} --input 'crawl/*.warc.gz'` first")
    for path in sorted((work / "index").glob("*.parquet")):
        for batch in shards.read(path):
            hits = pc.or_kleene(pc.is_in(batch["id"], _set(names)), pc.is_in(batch["url"], _set(names)))
            for row in batch.filter(hits).to_pylist():
                found = True
                yield path.name, row
    if not found:
        raise InputError(
            f"no record in {work / 'index'} has the URL or id {wanted!r}: give it exactly as it was crawled"
        )


def _set(values: set[str]) -> Any:
    import pyarrow as pa

    return pa.array(sorted(values))


def path_of(work: Path, language: str, name: str, index_row: Row) -> Iterator[tuple[str, Row | None]]:
    """What each stage of one language stored about a record, as (stage, row); row is None where it never came."""
    yield "index", index_row
    dropped = index_row["drop"] is not None
    for stage in CHAIN[1:]:
        path = folder(work, language, stage) / name
        if dropped or not path.is_file():
            return
        row = _row(path, index_row["id"])
        yield stage, row
        dropped = row is None or row["drop"] is not None
    shard = _final_shard(folder(work, language, "shard"), index_row["id"])
    if shard is not None:
        yield "shard", shard


def _row(path: Path, id_: str) -> Row | None:
    for batch in shards.read(path):
        hits = batch.filter(pc.equal(batch["id"], id_))
        if hits.num_rows:
            return dict(hits.to_pylist()[0])
    return None


def _final_shard(target: Path, id_: str) -> Row | None:
    for path in sorted(target.glob("*/*.arrow")):
        start = 0
        for batch in shards.read_stream(path):
            at = pc.index(batch["id"], id_).as_py()
            if at >= 0:
                return {"file": path.relative_to(target).as_posix(), "row": start + at}
            start += batch.num_rows
    return None


def explain(work: Path, wanted: str, language: str | None = None) -> Iterator[str]:
    """The path of a document in lines for a person. Raises InputError for an unknown document or language."""
    codes = [language] if language else languages(work)
    for name, index_row in find(work, wanted):
        yield f"{index_row['url'] or '(no URL)'}   {index_row['id']}"
        yield from _lines("index", index_row, {})
        if index_row["drop"] is None and not codes:
            yield "  no language was run yet"
        for code in codes if index_row["drop"] is None else []:
            yield f"  for {code}:"
            for stage, row in path_of(work, code, name, index_row):
                if stage == "index":
                    continue
                settings = read_manifest(folder(work, code, stage))["settings"] if stage == "filter" and row else {}
                yield from ("  " + line for line in _lines(stage, row, settings))


def _lines(stage: str, row: Row | None, settings: Mapping[str, Any]) -> Iterator[str]:
    """What one stage says."""
    if row is None:
        yield f"  {stage:<8} not in its shard: the stages are not of one run; run `roots verify`"
        return
    verdict = "" if "drop" not in row else "kept" if row["drop"] is None else f"DROPPED: {row['drop']}"
    yield f"  {stage:<8} {verdict}".rstrip()
    details = SAY.get(stage, _say_signals)(row, settings)
    yield from (f"           {detail}" for detail in details if detail)


def _say_index(row: Row, settings: Mapping[str, Any]) -> Iterator[str]:
    yield f"archive {row['file_path']}, offset {row['offset']}, fetched {row['date'] or 'at an unknown time'}"
    yield f"{row['kind']}, HTTP {row['status']}, {row['content_type']}, {row['payload_bytes']} bytes"
    if row["charset"]:
        yield f"charset {row['charset']} (from {row['charset_from']})"
    if row["languages"]:
        yield f"languages of the quick text ({row['quick_chars']} characters): {_labels(row['languages'])}"


def _say_extract(row: Row, settings: Mapping[str, Any]) -> Iterator[str]:
    if row["extractor"]:
        yield f"{row['extractor']}, {len(row['text'] or '')} characters"
    if row["language"]:
        tag = f"{row['language']}_{row['language_script']}"
        yield f"language {tag} {row['language_score']:.3f}; {_labels(row['top_langs'] or [])}"


def _say_signals(row: Row, settings: Mapping[str, Any]) -> Iterator[str]:
    signals = {key: value for key, value in row.items() if key not in ("id", "drop", "text")}
    width = max((len(key) for key in signals), default=0)
    for key, value in signals.items():
        yield f"{key:<{width}}  {_number(value)}"


def _say_filter(row: Row, settings: Mapping[str, Any]) -> Iterator[str]:
    for signal in row["failed"] or []:
        yield f"out of bounds: {signal}"
    yield from (f"bound {line}" for line in _bounds(settings))


def _bounds(values: Any, path: str = "") -> Iterator[str]:
    """All numbers of the settings, as `name = value`."""
    if isinstance(values, Mapping):
        for key in sorted(values):
            yield from _bounds(values[key], f"{path}.{key}" if path else key)
    elif isinstance(values, list) and values and isinstance(values[0], list):
        for item in values:
            yield f"{path}: {' '.join(_number(part) for part in item)}"
    elif values is not None:
        yield f"{path} = {values}"


def _say_dedup(row: Row, settings: Mapping[str, Any]) -> Iterator[str]:
    if row["duplicate_of"]:
        yield f"a copy of {row['duplicate_of']}, which was kept; Jaccard {_number(row['jaccard'])}"
    elif row["minhash_cluster_size"] and row["minhash_cluster_size"] > 1:
        yield f"kept for {row['minhash_cluster_size']} copies, itself among them"


def _say_redact(row: Row, settings: Mapping[str, Any]) -> Iterator[str]:
    for span in row["pii"] or []:
        yield f"{span['kind']} at characters {span['start']} to {span['end']}"
    if not row["pii"]:
        yield "nothing to redact"


def _say_shard(row: Row, settings: Mapping[str, Any]) -> Iterator[str]:
    yield f"row {row['row']} of {row['file']}"


SAY = {
    "index": _say_index,
    "extract": _say_extract,
    "filter": _say_filter,
    "dedup": _say_dedup,
    "redact": _say_redact,
    "shard": _say_shard,
}


def _labels(labels: list[Row]) -> str:
    return ", ".join(f"{item['label']} {item['score']:.3f}" for item in labels)


def _number(value: Any) -> str:
    if isinstance(value, float):
        return re.sub(r"\.?0+$", "", f"{value:.4f}")
    return "-" if value is None else str(value)
