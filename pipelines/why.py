"""why: what happened to one document, from the archive to the dataset.

It reads what each stage stored about the document; there is no other log.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from filters.personal_data import as_shown
from filters.text.passages import beginning, differing, for_terminal
from pipelines.addresses import same_address
from pipelines.catalogue import known_catalogue
from pipelines.dedup.released import read_released_text
from pipelines.extraction.extractors import LEARNED, UNSURE, Bounds, preload
from pipelines.extraction.guard import Failure, Limits, guarded
from pipelines.job.request import languages_in
from pipelines.job.stages import STAGES, chain_stages, load
from pipelines.job.work import deduplicated_with, folder, known_inputs, known_shards
from pipelines.models.files import sha256_of_main_text
from pipelines.programs.index import SOURCE_KIND
from pipelines.pseudocrawl.records import captures_of
from pipelines.sources.doors import numbers_of, on_this_machine
from pipelines.sources.layouts import TableSettings
from roots import shards, storage
from roots.atomic import read_manifest, write_text
from roots.errors import InputError
from roots.schema import EXTRACT, INDEX, PASSAGE_RULE, REDACT

_Row = dict[str, Any]
_Known = Mapping[str, Any]  # what earlier stages stored about the document, and the rules of the filter
_PASSAGES = 6  # most that are shown
_COLUMNS = {name: set(schema.names) for name, schema in (("index", INDEX), ("extract", EXTRACT), ("redact", REDACT))}


def _find(work: Path, wanted: str) -> list[tuple[str, _Row]]:
    """(shard name, row) of each index record of the work folder's archives whose id or URL is `wanted`.

    If none is exactly that, those whose URL has the same normal form. Raises InputError if there is none.
    """
    folder = work / "index"
    if not storage.is_folder(folder):
        raise InputError(f"{work} has no index: run `roots index {work} --input 'crawl/*.warc.gz'` first")
    archives, known = known_inputs(work), known_shards(work)
    indexed = {path.name: path for path in storage.files_in(folder, "*.parquet")}
    if found := _search((indexed[name] for name in known if name in indexed), wanted):
        return found
    left = [row for _, row in _search((indexed[name] for name in indexed if name not in known), wanted)]
    sources, former = known_catalogue(work).sources, {row["file_path"] for row in left}
    for name in sorted({row["source"] for row in left} & sources.keys()):
        raise InputError(f"{wanted!r} is in the source {name}, which the catalogue kills: {sources[name].kill}")
    if gone := former - {path.name for path in archives.values()}:
        names = ", ".join(sorted(gone))
        raise InputError(f"{wanted!r} is in {names}, which {work} does not use any more: it is none of its inputs")
    waiting = len({name for shard, names in known.items() if shard not in indexed for name in names})
    more = f"; {waiting} of {len(archives)} archives are not indexed yet" if waiting else ""
    raise InputError(f"no record in {folder} has the URL or id {wanted!r}{more}")


def _search(paths: Iterable[Path], wanted: str) -> list[tuple[str, _Row]]:
    """(shard name, row) of the records that are exactly `wanted`; if there is none, of those with its normal form."""
    key = wanted.strip().strip("<>")
    names = pa.array(sorted({wanted, key, f"<{key}>"}))
    exact: list[tuple[str, _Row]] = []
    near: list[tuple[str, _Row]] = []
    for path in paths:
        for batch in _batches(path):
            hits = pc.or_kleene(pc.is_in(batch["id"], names), pc.is_in(batch["url"], names))
            exact += ((path.name, row) for row in batch.filter(hits).to_pylist())
            if not exact:
                near += ((path.name, row) for row in batch.filter(same_address(batch["url"], key)).to_pylist())
    return exact or near


def _path_of(work: Path, language: str, name: str, index_row: _Row) -> Iterator[tuple[str, _Row | None]]:
    """Yield (stage, row) for each stage that read a record; the row is None if the stage has no such record."""
    yield "index", index_row
    dropped = index_row["drop"] is not None
    for stage in (name for name in chain_stages() if not STAGES[name].shared):
        path = folder(work, language, stage) / name
        if dropped or not storage.is_file(path):
            return
        row = _row(path, index_row["id"])
        yield stage, row
        dropped = row is None or row["drop"] is not None
    shard = _final_shard(folder(work, language, "shard"), index_row["id"])
    if shard is not None:
        yield "shard", shard


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The batches of a stage's shard. Raises InputError for one that an older version made, without a column of now."""
    wanted = _COLUMNS.get(path.parent.name, set())
    for batch in shards.read(path):
        if not wanted <= set(batch.schema.names):
            raise InputError(f"{path} was made by an older version of roots-corpus: run `roots run` again first")
        yield batch


def _row(path: Path, id_: str) -> _Row | None:
    for batch in _batches(path):
        hits = batch.filter(pc.equal(batch["id"], id_))
        if hits.num_rows:
            return dict(hits.to_pylist()[0])
    return None


def _final_shard(target: Path, id_: str) -> _Row | None:
    for path in storage.files_in(target, "*/*.arrow"):
        start = 0
        for batch in shards.read_stream(path):
            at = pc.index(batch["id"], id_).as_py()
            if at >= 0:
                return {"file": path.relative_to(target).as_posix(), "row": start + at}
            start += batch.num_rows
    return None


def explain(work: Path, wanted: str, language: str = "") -> Iterator[str]:
    """Yield the path of a document in lines for a person, for one language or all that were run.

    Raises InputError for an unknown document, SettingsError for an unknown language.
    """
    codes = languages_in(work, language)
    captures = list(captures_of(work, wanted.strip()))
    yield from (line for line, _ in captures)
    if captures and not any(fetched for _, fetched in captures):
        return
    for name, index_row in _find(work, wanted):
        yield f"{index_row['url'] or '(no URL)'}   {index_row['id']}"
        yield from _lines("index", index_row, {})
        if index_row["drop"] is None and not codes:
            yield "  no language was run yet"
        for code in codes if index_row["drop"] is None else []:
            yield f"  for {code}:"
            yield from ("  " + line for line in _explain_language(work, code, name, index_row))


def write_page(work: Path, wanted: str, target: Path, language: str = "", model: str = "") -> None:
    """Write an HTML file of all blocks of a page, kept and left out, with the scores of the model of the run.

    Of several records or languages, the first that has blocks is shown. `model`: its path, if it is not ours. Raises
    InputError if there are no blocks, with the reason.
    """
    faults = []
    for record in _find(work, wanted):
        for code in languages_in(work, language):
            stages = {stage: row for stage, row in _path_of(work, code, *record) if row}
            if fault := _fault_of_page(stages):
                faults.append(fault)
                continue
            write_text(target, _page_of(work, code, record, stages["extract"], model))
            return
    why = faults[0] if faults else "no language was run yet"
    raise InputError(f"{wanted!r} has no blocks to show: {why}")


def _fault_of_page(stages: Mapping[str, _Row]) -> str:
    """Why a record has no blocks that the model judged; "" if it has."""
    if stages["index"]["drop"]:
        return f"it was dropped before extraction as {stages['index']['drop']}"
    if "extract" not in stages:
        return "its main text was not extracted yet"
    found = stages["extract"]
    if not found["extractor"]:
        return f"it was dropped before extraction as {found['drop']}"
    if found["extractor"] not in (LEARNED, UNSURE):
        return f"its text is by {found['extractor']}, and only the extractor {LEARNED} judges blocks, of HTML pages"
    return ""


def _page_of(work: Path, code: str, record: tuple[str, _Row], row: _Row, model: str) -> str:
    """The HTML file of a record, read again by the settings of the run."""
    from pipelines.extraction.blocks import About, as_page, judged_blocks  # slow to import

    name, index_row = record
    manifest = read_manifest(folder(work, code, "extract"))
    values = {**manifest["settings"], **manifest.get("apart", {}).get(index_row["source"], {})}
    if sha256_of_main_text(model) != values["main_text_sha256"]:
        raise InputError("the run used another model of main text: name it with --main-text-model FILE")
    inputs = known_inputs(work)
    archives = [inputs[each] for each in known_shards(work)[name]]
    archive = archives[numbers_of(archives, [index_row["file_path"]])[0]]
    arguments = {
        "bounds": {each.name: values[each.name] for each in fields(Bounds) if each.name in values},
        "tables": {each.name: values[each.name] for each in fields(TableSettings) if each.name in values},
        "learned": (model, values["content"]),
    }
    limits = Limits(values["cpu_seconds"], values["memory_bytes"])
    with on_this_machine(archive, [index_row["offset"]], work / "index" / name) as here:
        given = {"archive": str(here), **arguments}
        (found,) = guarded(judged_blocks, given, [index_row["offset"]], limits, preload(LEARNED))
    if isinstance(found, Failure):
        raise InputError(f"the page cannot be read within the limits of the run: {found.reason}")
    verdict = "kept" if row["drop"] is None else f"{row['drop']} ({load(STAGES['extract'].reasons)[row['drop']]})"
    about = About(index_row["url"] or index_row["id"], code, row["extractor"], row["share"], verdict)
    return as_page(about, found["blocks"])


def _explain_language(work: Path, code: str, name: str, index_row: _Row) -> Iterator[str]:
    """What the stages of one language stored about a document, in lines."""
    known: dict[str, object] = {"rules": judging_rules(work, code, index_row["source"])}
    for stage, row in _path_of(work, code, name, index_row):
        if stage == "index":
            continue
        yield from _lines(stage, row, known)
        known.update(row or {})
        if stage == "dedup" and row and row["duplicate_of"] and row["drop"] != "dedup.url":
            yield from (f"           {line}" for line in _differences(work, code, row))


def judging_rules(work: Path, code: str, source: str | None) -> list[_Row]:
    """The rules by which filter judged documents of a source; none if it has not finished."""
    if not storage.is_file(folder(work, code, "filter") / "manifest.json"):
        return []
    manifest = read_manifest(folder(work, code, "filter"))
    rules: list[_Row] = {**manifest["settings"], **manifest.get("apart", {}).get(source, {})}["rules"]
    return rules


def _lines(stage: str, row: _Row | None, known: _Known) -> Iterator[str]:
    """What one stage stored, in lines."""
    if row is None:
        yield f"  {stage:<8} not in its shard: the stages belong to different runs. Run `roots verify`"
        return
    verdict = "" if "drop" not in row else "kept" if row["drop"] is None else f"DROPPED: {row['drop']}"
    yield f"  {stage:<8} {verdict}".rstrip()
    yield from (f"           {detail}" for detail in explain_row(stage, row, known) if detail)


def _differences(work: Path, code: str, row: _Row) -> Iterator[str]:
    """The passages in which a removed document differs from the kept one, without personal data."""
    lost, kept = row["id"], row["duplicate_of"]
    texts: dict[str, list[str]] = {}
    extracts = [folder(work, each, "extract") for each in deduplicated_with(work, code)]
    for path in sorted(path for each in extracts for path in storage.files_in(each, "*.parquet")):
        for batch in shards.read(path, ["id", "text"]):
            both = pc.and_(pc.is_in(batch["id"], pa.array([lost, kept])), batch["text"].is_valid())
            for each in batch.filter(both).to_pylist():  # only the language that took a page has its text
                texts[each["id"]] = _split(each["text"], code)
    one, other = texts.get(lost), texts.get(kept)
    if row["release"]:
        released = read_released_text(folder(work, code, "dedup"), row["release"], kept)
        other = None if released is None else _split(released, code)
    if one is None or other is None:
        return
    if one == other:
        yield "the texts are equal without personal data"
    found = list(differing(one, other))
    for here, there in found[:_PASSAGES]:
        yield from (f"only {where}: {for_terminal(text)}" for where, text in (("here", here), ("there", there)) if text)
    if len(found) > _PASSAGES:
        yield f"and {len(found) - _PASSAGES} passages more"


def _split(text: str | None, language: str) -> list[str]:
    """The lines of a text that are not empty, without personal data."""
    return [line for line in as_shown(text or "", language).split("\n") if line.strip()]


def explain_row(stage: str, row: _Row, known: _Known) -> Iterator[str]:
    """What a drop reason means, and what a stage stored beside it, in lines."""
    if row.get("drop") and STAGES[stage].reasons:
        yield load(STAGES[stage].reasons).get(row["drop"], "")
    if STAGES[stage].explain:
        yield from load(STAGES[stage].explain)(row, known)


def explain_index(row: _Row, known: _Known) -> Iterator[str]:
    """Where the record is, its HTTP head, charset and likely languages."""
    if row["kind"] == SOURCE_KIND:
        yield f"source tree {row['file_path']}, file {row['offset']}, {row['payload_bytes']} bytes"
        yield f"path {row['path']}, licence {row['license'] or 'not known'}"
    else:
        yield f"archive {row['file_path']}, offset {row['offset']}, fetched {row['date'] or 'at an unknown time'}"
        answer = f"HTTP {row['status']}, " if row["status"] is not None else ""
        yield f"{row['kind']}, {answer}{row['content_type']}, {row['payload_bytes']} bytes"
    if row["source"]:
        yield f"source {row['source']}, licence {row['license'] or 'not known'}"
    if row["charset"]:
        yield f"charset {row['charset']} (from {row['charset_from']})"
    if row["languages"]:
        yield f"languages of the quick text ({row['quick_chars']} characters): {_labels(row['languages'])}"


def explain_extract(row: _Row, known: _Known) -> Iterator[str]:
    """The engine, and the language of the main text."""
    if row["extractor"]:
        taken = f", {row['share']:.0%} of the page's text" if row.get("share") is not None else ""
        yield f"{row['extractor']}, {row['judged_chars'] or len(row['text'] or '')} characters{taken}"
    if row.get("pages"):
        made = f", made by {for_terminal(row['producer'])}" if row["producer"] else ""
        yield f"{row['pages']} page{'s' if row['pages'] > 1 else ''}{made}"
    if row["language"]:
        tag = "_".join(filter(None, (row["language"], row["language_script"])))
        yield f"language {tag} {row['language_score']:.3f}; {_labels(row['top_langs'] or [])}"
    if row["judged_start"]:
        start = row["judged_start"]
        if row["judged_chars"] > len(start):  # the last word is cut, and personal data in it would not be found
            start = start.rsplit(maxsplit=1)[0]
        yield f"the text begins: {for_terminal(beginning(as_shown(start, row['language'])))}"


def explain_measure(row: _Row, known: _Known) -> Iterator[str]:
    """The signals that no bound judges."""
    judged = {rule["signal"] for rule in known.get("rules", [])}
    others = [f"{key} {_number(value)}" for key, value in row.items() if key not in {"id", "drop", *judged}]
    yield from textwrap.wrap("without a bound: " + ", ".join(others), 100, subsequent_indent="  ")


def explain_filter(row: _Row, known: _Known) -> Iterator[str]:
    """The signals beside their bounds."""
    rules = known.get("rules", [])
    width = max((len(rule["signal"]) for rule in rules), default=0)
    for rule in rules:
        low, high = (_number(rule[end]) if rule[end] is not None else "" for end in ("min", "max"))
        bound = f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"
        out = "   OUT OF BOUNDS" if rule["signal"] in (row["failed"] or []) else ""
        yield f"{rule['signal']:<{width}}  {_number(known.get(rule['signal'])):>9}  ({bound}){out}"


def explain_dedup(row: _Row, known: _Known) -> Iterator[str]:
    """The document it copies, or how many copies it stands for; the lines removed from it."""
    if row["duplicate_of"]:
        likeness = f"; Jaccard {_number(row['jaccard'])}" if row["jaccard"] is not None else ""
        where = f"released in {row['release']}" if row["release"] else "which was kept"
        yield f"a copy of {row['duplicate_of']}, {where}{likeness}"
    elif row["minhash_cluster_size"] and row["minhash_cluster_size"] > 1:
        yield f"kept for {row['minhash_cluster_size']} copies, itself among them"
    lines = (row["lines"] or []) if row["drop"] in (None, "dedup.lines") else []
    for line in lines[:_PASSAGES]:
        text = as_shown(known.get("text", "")[line["start"] : line["end"]].strip(), known.get("language"))
        shown = for_terminal(beginning(text))
        if line["rule"] == PASSAGE_RULE:
            yield f"passage cut out (characters of it stand in {line['times']} places): {shown}"
        else:
            yield f"line removed ({line['rule']}, {line['times']} times in its source): {shown}"
    if len(lines) > _PASSAGES:
        yield f"and {len(lines) - _PASSAGES} more"


def explain_redact(row: _Row, known: _Known) -> Iterator[str]:
    """The kind and place of each piece of personal data."""
    for span in row["pii"] or []:
        yield f"{span['kind']} at characters {span['start']} to {span['end']}"
    if not row["pii"]:
        yield "nothing to redact"


def explain_shard(row: _Row, known: _Known) -> Iterator[str]:
    """Its shard and row."""
    yield f"row {row['row']} of {row['file']}"


def _labels(labels: list[_Row]) -> str:
    return ", ".join(f"{item['label']} {item['score']:.3f}" for item in labels)


def _number(value: object) -> str:
    if isinstance(value, float):
        return re.sub(r"\.?0+$", "", f"{value:.4f}")
    return "-" if value is None else str(value)
