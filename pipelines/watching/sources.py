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
    sizes: dict[str, dict[str, int]] = {}
    for stage in chain_stages():
        receipts = _receipts(folders.folder(work, language, stage))
        if receipts is None:
            break
        if stage == _SIZED[-1]:
            each = storage.at_once(partial(_sizes, work, language), [Path(name) for name in receipts])
            sizes = dict(zip(receipts, each, strict=True))
        for name, receipt in receipts.items() if stage != "measure" else ():
            empty: SourceStep = {"rows": 0, "kept": 0, "bytes": None if stage == "index" else 0, "drops": {}}
            step = found.setdefault(source_of(name), {}).setdefault(stage, empty)
            step["rows"] += receipt["rows"]
            step["kept"] += receipt["kept"]
            step["drops"] = dict(Counter(step["drops"]) + Counter(receipt["drops"]))
            step["bytes"] = None if step["bytes"] is None else step["bytes"] + receipt["text_bytes"]
    for name, size in sizes.items():
        for stage, count in size.items():
            step = found[source_of(name)][stage]
            step["bytes"] = (step["bytes"] or 0) + count
    return found


def _receipts(folder: Path) -> dict[str, dict[str, Any]] | None:
    try:
        receipts: dict[str, dict[str, Any]] = read_manifest(folder)["shards"]
    except InputError:
        return None
    return receipts


def _sizes(work: Path, language: str, name: Path) -> dict[str, int]:
    """Bytes of the documents of a shard that each stage in _SIZED keeps."""
    place = folders.folder(work, language, "measure") / name
    sizes = np.concatenate(
        [np.zeros(0, np.int64), *(batch["bytes"].to_numpy() for batch in shards.read(place, ["bytes"]))]
    )
    found: dict[str, int] = {}
    for stage in _SIZED:
        verdicts = shards.read(folders.folder(work, language, stage) / name, ["drop"])
        kept = [batch["drop"].is_null().to_numpy(zero_copy_only=False) for batch in verdicts]
        sizes = sizes[np.concatenate([np.zeros(0, np.bool_), *kept])]
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
