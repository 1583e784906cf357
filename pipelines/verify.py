"""verify: check that every row is accounted for, and that every byte is as it was written.

rows = kept + dropped      in every shard
kept(n) = rows(n + 1)      from stage to stage, with the same ids in the same order
bytes = receipt            in every shard, final shards too
sources = as they are now  no stage before was made again since, by other settings or from other inputs
copy of = kept             a removed copy names a kept document, or a document of a release it was compared with
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pyarrow.compute as pc

from pipelines.dataset import read_dataset
from pipelines.dedup.released import unknown_matches
from pipelines.job.request import languages_in
from pipelines.job.settings import ShardSettings
from pipelines.job.stages import STAGES, chain_stages
from pipelines.job.work import ALL, chain, deduplicated_with, folder
from pipelines.shard import described_otherwise, times_of
from pipelines.watching.outdated import Freshness
from roots import shards, storage
from roots.atomic import read_manifest
from roots.errors import InputError, RootsError
from roots.settings import build


def verify_all(work: Path, language: str = "") -> Iterator[tuple[str, list[str]]]:
    """Verify one language, or all that were run; yield each code with its problems.

    Raises InputError where there is no result, SettingsError for an unknown language.
    """
    codes = languages_in(work, language)
    if not codes:
        raise InputError(f"{work} holds no results: run `roots run {work} --input 'crawl/*.warc.gz' --lang fr`")
    for code in codes:
        yield code, list(verify(work, code))


def verify(work: Path, language: str) -> Iterator[str]:
    """Yield one sentence for each problem in the results of one language; nothing if there is none."""
    stages = [stage for stage in STAGES if storage.is_file(folder(work, language, stage) / "manifest.json")]
    has_dataset = storage.is_file(work / language / "manifest.json")
    if not (stages or has_dataset):
        yield f"{work / language}: no stage has finished; run `roots status {work}`"
        return
    lost = _lost(stages, has_dataset)
    for stage in lost:
        yield (
            f"{stage}: {folder(work, language, stage)} is gone or has no manifest.json, although a later stage was "
            f"made from it: run `roots run {work} --lang {language}` again"
        )
    if storage.is_file(work / "inputs.json"):
        for stage, why in Freshness(work).outdated(language).items():
            yield f"{stage} is out of date: {why}. Run `roots run {work} --lang {language}` with the settings you want"
    names = _names(work, language, stages)
    for stage in stages:
        yield from _check_stage(work, language, stage, names)
    last = next((stage for stage in reversed(stages) if not STAGES[stage].final), "")
    for name in names if not lost else ():
        yield from _check_chain([*chain(work, language, name, last), folder(work, language, last) / name])
    if "dedup" in stages:
        others = [folder(work, code, "dedup") for code in deduplicated_with(work, language)[1:]]
        yield from _check_duplicates([folder(work, language, "dedup") / name for name in names], others)
    if "shard" in stages:
        if not lost:
            yield from _check_dataset(work, language, names)
        yield from _check_description(work, language)


def passed(work: Path, language: str) -> str:
    """What is true of a language without problems, for a person."""
    made = storage.is_file(work / language / "manifest.json")
    return "every row is accounted for, every checksum is right" + ("" if made else "; it has no dataset yet")


def _lost(stages: list[str], has_dataset: bool) -> list[str]:
    """The stages without results, though a stage after them has some. The dataset's manifest comes after all."""
    after = len(STAGES) if has_dataset else list(STAGES).index(stages[-1])
    return [stage for stage in list(STAGES)[:after] if stage not in stages]


def _names(work: Path, language: str, stages: list[str]) -> list[str]:
    """The names of the shards of all archives, by the first stage of the language that has results."""
    first = next((stage for stage in stages if not (STAGES[stage].shared or STAGES[stage].final)), "")
    return sorted(read_manifest(folder(work, language, first))["shards"]) if first else []


def _counts(entries: Mapping[str, Mapping[str, object]]) -> dict[str, tuple[object, object]]:
    """Rows and bytes of text of each final shard, from a manifest."""
    return {name: (entry["rows"], entry["text_bytes"]) for name, entry in entries.items()}


def _check_description(work: Path, language: str) -> Iterator[str]:
    """The manifest of the dataset lists the final shards, and so do the files that `datasets` reads."""
    target = folder(work, language, "shard")
    again = f"run `roots shard {work} --lang {language}` again"
    listed = read_manifest(target)["shards"]
    try:
        made = read_dataset(work, language)["shards"]
        if _counts(made) != _counts(listed):
            yield f"shard: {work / language / 'manifest.json'} lists other shards than {target}: {again}"
    except RootsError as error:
        yield f"shard: {error}"
    for name, problem in described_otherwise(target, sorted(listed)):
        yield f"shard: {target / name} {problem}: {again}"


def _check_stage(work: Path, language: str, stage: str, names: list[str]) -> Iterator[str]:
    """Every shard of the stage is intact, and the one that its manifest lists."""
    target = folder(work, language, stage)
    listed = read_manifest(target)["shards"]
    wanted = names if names and not STAGES[stage].final else sorted(listed)
    for name in wanted:
        try:
            receipt = shards.check(target / name)
        except RootsError as error:
            yield f"{stage}: {error}"
            continue
        if name not in listed:
            yield f"{stage}: {name} is not in its manifest: run `roots {stage}` again"
        elif receipt.digest != listed[name]["digest"]:
            yield f"{stage}: {name} is not the shard its manifest lists: run `roots {stage}` again"


def _check_chain(paths: list[Path]) -> Iterator[str]:
    """Each shard of a chain has the documents that the one before it keeps, in order."""
    try:
        shards.kept_rows(paths)
        for before, after in pairwise(paths):
            if _ids(before, kept_only=True) != _ids(after, kept_only=False):
                yield f"{after}: its documents are not those that {before} keeps"
    except RootsError as error:
        yield str(error)


def _ids(path: Path, kept_only: bool) -> list[str]:
    """The ids of a shard, in order."""
    ids: list[str] = []
    for batch in shards.read(path, ["id", "drop"]):
        ids += (batch["id"].filter(pc.is_null(batch["drop"])) if kept_only else batch["id"]).to_pylist()
    return ids


def _check_duplicates(paths: list[Path], others: list[Path]) -> Iterator[str]:
    """Every removed copy names a kept document, one that line removal emptied, or one of a release.

    `others` are the dedup folders of other languages, if dedup compared several.
    """
    kept: set[str] = set()
    lost: list[tuple[str, str]] = []
    released: dict[str, list[tuple[str, str]]] = {}
    for path in paths:
        try:
            for batch in shards.read(path, ["id", "duplicate_of", "release", "drop"]):
                for id_, other, release, drop in zip(
                    *(batch[c].to_pylist() for c in ("id", "duplicate_of", "release", "drop")), strict=True
                ):
                    if drop in (None, "dedup.lines"):
                        kept.add(id_)
                    if release is not None:
                        released.setdefault(release, []).append((id_, other))
                    elif other is not None:
                        lost.append((id_, other))
        except RootsError:
            return  # `_check_stage` has reported it
    for path in sorted(path for other in others for path in storage.files_in(other, "*.parquet")):
        for batch in shards.read(path, ["id", "drop"]):
            stays = pc.or_kleene(pc.is_null(batch["drop"]), pc.equal(batch["drop"], "dedup.lines"))
            kept.update(batch["id"].filter(stays).to_pylist())
    for id_, other in lost:
        if other not in kept:
            yield f"dedup: {id_} was removed as a copy of {other}, which was not kept"
    if released:
        dedup = paths[0].parent
        yield from unknown_matches([dedup, dedup.parents[1] / ALL / dedup.name], released)


def _check_dataset(work: Path, language: str, names: list[str]) -> Iterator[str]:
    """The final shards hold every kept document once, or as often as the setting `rehydrate` says."""
    target = folder(work, language, "shard")
    held: list[str] = []
    wanted: list[str] = []
    times: dict[str, int] = {}
    try:
        manifest = read_manifest(target)
        settings = build(ShardSettings, manifest["settings"]["settings"], "shard")
        for name in sorted(manifest["shards"]):
            for batch in shards.read_stream(target / name):
                ids = batch["id"].to_pylist()
                held += ids
                if settings.rehydrate:
                    counts = times_of(batch["id"], batch["minhash_cluster_size"], settings)
                    times.update(zip(ids, counts.tolist(), strict=True))
        for name in names:
            wanted += _ids(folder(work, language, chain_stages()[-1]) / name, kept_only=True)
    except RootsError as error:
        yield f"shard: {error}"
        return
    wanted = [id_ for id_ in wanted for _ in range(times.get(id_, 1))]
    if sorted(held) != sorted(wanted):
        yield (
            f"shard: {len(held)} documents in the dataset, {len(wanted)} kept before it, and they are not the same: "
            f"run `roots shard {work} --lang {language}` again"
        )
    found = {path.relative_to(target).as_posix() for path in storage.files_in(target, "*/*.arrow")}
    for name in sorted(found - set(read_manifest(target)["shards"])):
        yield f"shard: {name} is in the folder but not part of this dataset: delete it"
