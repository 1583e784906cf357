"""Publish the datasets of a work folder as one release, in the layout of the Hugging Face Hub.

A release can hardly be recalled. So text that did not pass `redact`, and a work folder that does not pass `verify`, are
refused unless a setting allows them.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.compute as pc

from pipelines import release
from pipelines.catalogue import Rights, check_rights, known_catalogue, load_catalogue
from pipelines.dataset import DatasetManifest, read_dataset
from pipelines.job import work as folders
from pipelines.job.languages import is_program
from pipelines.job.request import languages_in
from pipelines.publishing.card import write_release_card
from pipelines.publishing.files import FileResult, PublishFiles, make_files, plan_files, write_clusters
from pipelines.publishing.settings import PublishSettings
from pipelines.verify import verify
from roots import shards, storage
from roots.atomic import read_manifest
from roots.errors import InputError, PublishError
from roots.executors import Executor
from roots.settings import as_values
from roots.stage import Plan, Progress


@dataclass(frozen=True)
class Selection:
    """What to publish: languages of a work folder, and what may be released of them."""

    work: Path
    codes: Sequence[str] = ()  # none: all languages that have a dataset
    rights: Rights = field(default_factory=Rights)

    def datasets(self) -> dict[str, DatasetManifest]:
        """The manifest of each dataset that has documents, by language code.

        Raises InputError if there is no dataset, PublishError if none has documents, SettingsError for an unknown
        language.
        """
        codes = [code for name in self.codes for code in languages_in(self.work, name)] or [
            code for code in folders.languages(self.work) if storage.is_file(self.work / code / "manifest.json")
        ]
        if not codes:
            raise InputError(f"{self.work} has no dataset yet: run `roots run` first")
        found = {code: read_dataset(self.work, code) for code in codes}
        some = {code: made for code, made in found.items() if any(shard["rows"] for shard in made["shards"].values())}
        if not some:
            raise PublishError(f"{self.work} has no document of {', '.join(found)}: there is nothing to publish")
        return some


def publish_release(
    selection: Selection, target: Path, settings: PublishSettings, executor: Executor, progress: Progress | None = None
) -> release.ReleaseManifest:
    """Write a release to the folder `target`. Returns its manifest.

    Raises PublishError if the text did not pass redact, the folder does not pass verify, or no document may be
    released; StageFailed if some files could not be made.
    """
    work, rights = selection.work, selection.rights
    catalogue = load_catalogue(rights.catalogue) if rights.catalogue else known_catalogue(work)
    check_rights(rights, catalogue)
    datasets = selection.datasets()
    for code, made in datasets.items():
        _check_publishable(work, code, made, settings)
    _check_target(target)
    plans = {code: plan_files(work, code, made, settings.file_bytes) for code, made in datasets.items()}
    whole: Plan = {name: sources for plan in plans.values() for name, sources in plan.items()}
    known = {name: source.rights for name, source in catalogue.sources.items()}
    found = make_files(PublishFiles(rights, known, target), whole, executor, progress)
    files: dict[str, release.FileEntry] = {}
    languages: dict[str, release.LanguageEntry] = {}
    for code, made in datasets.items():
        tag = made["language"]["tag"]
        rows = {name: found[name].written.rows for name in plans[code]}
        results = {name: found[name] for name in release.with_rows(rows)}
        clusters = write_clusters(work, code, target, tag, results)
        files |= clusters | {name: result.written.as_values() for name, result in results.items()}
        if results:
            languages[tag] = _account(work, code, made, results)
    if not languages:
        raise PublishError(f"no document of {', '.join(datasets)} may be released: {_reasons(found)}")
    manifest: release.ReleaseManifest = {
        "format": 1,
        "name": settings.name,
        "version": settings.version,
        "settings": as_values(settings),
        "rights": {name: value for name, value in as_values(rights).items() if name != "catalogue"},
        "sources": {name: as_values(source) for name, source in known.items()},
        "languages": languages,
        "files": files,
        "history": [{"version": settings.version, "date": settings.date, "note": "first release"}],
    }
    _remove_others(target, files)
    release.write_release_manifest(target, manifest)
    write_release_card(target, manifest)
    return manifest


def _reasons(found: Mapping[str, FileResult]) -> str:
    """Why documents were left out, with their counts."""
    left_out = sum((Counter(result.left_out) for result in found.values()), Counter[str]())
    return ", ".join(f"{reason} {rows}" for reason, rows in left_out.most_common())


def _check_target(target: Path) -> None:
    """Raise PublishError if takedowns were applied to the release in this folder."""
    if (target / "manifest.json").is_file() and len(release.read_release_manifest(target)["history"]) > 1:
        raise PublishError(
            f"{target} is a release with takedowns: to publish over it would bring back what was taken down. "
            "Publish to another folder, and apply the lists of takedowns there"
        )


def _check_publishable(work: Path, code: str, made: DatasetManifest, settings: PublishSettings) -> None:
    """Raise PublishError unless the text passed redact and the folder passes verify, or the settings allow it."""
    redacted = "redact" in made["stages"] and made["stages"]["redact"]["settings"].get("kinds")
    if not settings.unredacted and not redacted:
        raise PublishError(f"{code}: its text did not pass redact. Run `roots redact`, or set publish.unredacted=true")
    if settings.unverified:
        return
    problems = list(verify(work, code))
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise PublishError(
            f"{code}: it does not pass verify: {problems[0]}{more}. Mend it, or set publish.unverified=true"
        )


def _account(work: Path, code: str, made: DatasetManifest, results: Mapping[str, FileResult]) -> release.LanguageEntry:
    """The entry of one language in the release's manifest."""
    splits: dict[str, Counter[str]] = {}
    sources: dict[str, Counter[str]] = {}
    left_out: Counter[str] = Counter()
    pii: Counter[str] = Counter()
    for name, result in results.items():
        split = name.rpartition("/")[2].partition("-")[0]
        counts = {"rows": result.written.rows, "text_bytes": result.written.text_bytes, "bytes": result.written.bytes}
        splits.setdefault(split, Counter()).update({**counts, "characters": result.written.characters})
        for source, part in result.sources.items():
            sources.setdefault(source, Counter()).update(part)
        left_out.update(result.left_out)
        pii.update(result.pii)
    entry: release.LanguageEntry = {
        "code": code,
        "name": made["language"]["name"],
        "made_by": made["made_by"],
        "inputs": made["inputs"],
        "stages": made["stages"],
        "dedup": _dedup(work, code),
        "words": _words(work, code),
        "splits": {split: dict(sorted(counts.items())) for split, counts in sorted(splits.items())},
        "sources": {source: dict(sorted(counts.items())) for source, counts in sorted(sources.items())},
        "left_out": dict(sorted(left_out.items())),
        "pii": dict(sorted(pii.items())),
    }
    if "data_sets" in made:
        entry["data_sets"] = made["data_sets"]
    return entry


def _dedup(work: Path, code: str) -> dict[str, object]:
    """Settings of dedup by value, and what its audit found at and above the threshold; empty if dedup was off."""
    path = folders.dedup_report(work, code)
    if not storage.is_file(path):
        return {}
    report = json.loads(storage.read_text(path))
    pairs = [
        {"from": each["from"], "to": each["to"], "pairs": each["pairs"], "resolved": each["resolved"]["share"]}
        for each in report.get("sample", {}).get("intervals", ())
        if each["pairs"] and each["from"] >= report["settings"]["jaccard"]
    ]
    return {"settings": report["settings"], "pairs": pairs}


def _words(work: Path, code: str) -> int:
    """Words of all documents that passed every stage, as `measure` counted them; 0 for programs, which have none."""
    if is_program(code):
        return 0
    total = 0
    for name in sorted(read_manifest(folders.folder(work, code, "redact"))["shards"]):
        for batch in shards.read_kept(folders.chain(work, code, name, "shard"), ["words"]):
            total += pc.sum(batch["words"]).as_py() or 0
    return int(total)


def _remove_others(target: Path, files: Collection[str]) -> None:
    """Remove files of an earlier cut of the same release; a reader of the folder would count their rows twice."""
    for path in sorted([*target.glob("data/*/*.parquet"), *target.glob("clusters/*.parquet")]):
        if path.relative_to(target).as_posix() not in files:
            path.unlink()
    for folder in sorted(target.glob("data/*")):
        if not any(folder.iterdir()):
            folder.rmdir()
