"""What each step removed of each source of a catalogue, in documents and bytes."""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.catalogue import Source, known_catalogue
from pipelines.dataset import SourceAccount, SourceStep
from pipelines.job import work as folders
from pipelines.job.stages import chain_stages
from roots import shards, storage
from roots.atomic import read_manifest
from roots.errors import InputError
from roots.stage import source_of

_SIZED = ("filter", "dedup")  # stages whose shards have no text; the signal `bytes` says how large their documents are


def accounts(work: Path, language: str) -> dict[str, SourceAccount]:
    """The account of each source of the catalogue that a work folder was read from; none without one.

    A stage that has not finished is left out.
    """
    sources = known_catalogue(work).sources
    steps = _steps(work, language) if sources else {}
    return {name: _account(source, steps.get(name, {})) for name, source in sources.items()}


def _account(source: Source, steps: dict[str, SourceStep]) -> SourceAccount:
    return {"license": source.license, "custodian": source.custodian, "kill": source.kill, "steps": steps}


def _steps(work: Path, language: str) -> dict[str, dict[str, SourceStep]]:
    """The steps of each source, from the receipts of its shards. `measure` is none, since it drops nothing."""
    found: dict[str, dict[str, SourceStep]] = {}
    for stage in chain_stages():
        receipts = _receipts(folders.folder(work, language, stage))
        if receipts is None:
            break
        for name, receipt in receipts.items() if stage != "measure" else ():
            empty: SourceStep = {"rows": 0, "kept": 0, "bytes": None if stage == "index" else 0, "drops": {}}
            step = found.setdefault(source_of(name), {}).setdefault(stage, empty)
            step["rows"] += receipt["rows"]
            step["kept"] += receipt["kept"]
            step["drops"] = dict(Counter(step["drops"]) + Counter(receipt["drops"]))
            step["bytes"] = None if step["bytes"] is None else step["bytes"] + receipt["text_bytes"]
    names = sorted(_receipts(folders.folder(work, language, _SIZED[0])) or {})
    sizes = storage.at_once(partial(_sizes, work, language), [Path(name) for name in names])
    for name, size in zip(names, sizes, strict=True):
        for stage, count in size.items():
            if held := found[source_of(name)].get(stage):
                held["bytes"] = (held["bytes"] or 0) + count
    return found


def _receipts(folder: Path) -> dict[str, dict[str, Any]] | None:
    try:
        receipts: dict[str, dict[str, Any]] = read_manifest(folder)["shards"]
    except InputError:
        return None
    return receipts


def _sizes(work: Path, language: str, name: Path) -> dict[str, int]:
    """Bytes of the documents of a shard that each stage in _SIZED keeps, if it has run."""
    place = folders.folder(work, language, "measure") / name
    sizes = np.array([size for batch in shards.read(place, ["bytes"]) for size in batch["bytes"].to_pylist()], np.int64)
    found: dict[str, int] = {}
    for stage in _SIZED:
        path = folders.folder(work, language, stage) / name
        verdicts = shards.read(path, ["drop"]) if storage.is_file(path) else ()
        kept = np.array([drop is None for batch in verdicts for drop in batch["drop"].to_pylist()], np.bool_)
        if kept.size != sizes.size:  # the stage has not run, or not since the one before it
            break
        sizes = sizes[kept]
        found[stage] = int(sizes.sum())
    return found


def account_lines(held: Mapping[str, SourceAccount]) -> Iterator[str]:
    """The accounts as a table: of each source the documents found, then documents and bytes removed by each stage."""
    stages = [name for name in chain_stages() if name not in ("index", "measure")]
    yield f"{'source':<24}{'records':>9}" + "".join(f"{stage:>18}" for stage in stages) + f"{'kept':>9}{'bytes':>9}"
    for name, account in held.items():
        line = f"{name[:23]:<24}"
        if account["kill"]:
            yield f"{line}killed: {account['kill']}"
            continue
        steps = account["steps"]
        line += f"{steps['index']['rows']:>9,}" if "index" in steps else f"{'-':>9}"
        before: int | None = None
        for stage in stages:
            step = steps.get(stage)
            line += f"{_removed(step, before):>18}"
            before = step["bytes"] if step else None
        last = steps.get(stages[-1])
        yield line + (f"{last['kept']:>9,}{_bytes(last['bytes'] or 0):>9}" if last else "")


def _removed(step: SourceStep | None, before: int | None) -> str:
    """Documents and bytes that a stage removed; `before` are the bytes that it got."""
    if step is None:
        return "-"
    gone = step["kept"] - step["rows"]
    less = f" {_bytes((step['bytes'] or 0) - before)}" if before is not None else ""
    return f"{gone:,}{less}"


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(count) >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
