"""Which results of a work folder are older than what they were made from, by receipts and manifests alone.

A shard's fingerprint is computed again, from the settings in the manifest of its stage and from its sources as they are
now. If it differs, a source was made again since, or the stage itself was made again in part.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain as joined
from pathlib import Path
from typing import Any

from pipelines.dataset import spanned
from pipelines.job.stages import STAGES, Reads
from pipelines.job.work import ALL, chain, folder, known_inputs, known_shards
from roots import shards, storage
from roots.atomic import read_manifest
from roots.errors import InputError
from roots.shards import Receipt
from roots.stage import fingerprint_of, source_of

_Plan = Mapping[str, Sequence[Path]]  # shard -> its sources
_KEYS = frozenset({"stage", "version", "settings", "sources", "shards"})  # of a stage's manifest


class Freshness:
    """Compares the results of a work folder with their sources. A manifest is read again only where it changed."""

    def __init__(self, work: Path, read_receipt: Callable[[Path], Receipt | None] = shards.read_receipt) -> None:
        self._work = work
        self._read_receipt = read_receipt
        self._manifests: dict[Path, tuple[tuple[int, int], dict[str, Any]]] = {}

    def outdated(self, language: str) -> dict[str, str]:
        """The stages of a language whose results are out of date, in order, each with the reason.

        A shard of which a source or a receipt is missing is not named: it is missing, not out of date.
        """
        found: dict[str, str] = {}
        for name, row in STAGES.items():
            manifest = {} if row.shared else self._manifest(folder(self._work, language, name))
            if not manifest:
                continue
            if found:
                found[name] = f"it is made from {next(iter(found))}"
            elif why := self._why(language, name, manifest):
                found[name] = why
        return found

    def _why(self, language: str, stage: str, manifest: Mapping[str, Any]) -> str:
        """Why a stage is out of date though those before it are not; "" if it is not."""
        row, target = STAGES[stage], folder(self._work, language, stage)
        chains = {name: chain(self._work, language, name, stage) for name in manifest["shards"]}
        if row.final:
            settings = manifest["settings"]
            moved = {name for name, _ in settings["starts"]} ^ set(known_shards(self._work))
            if moved:
                return f"{len(moved)} archives, or groups of small ones, came or went since it was made"
            plan: _Plan = {
                shard: [
                    path
                    for name in spanned(shard, settings["starts"], settings["total"])
                    for path in chain(self._work, language, name, stage)
                ]
                for shard in manifest["shards"]
            }
            changed = self._count(manifest, target, plan)
        elif row.reads is Reads.EVERYTHING:
            changed = self._count_in_steps(language, target, manifest, chains)
        elif row.reads is Reads.CHAIN_AND_ARCHIVE:
            inputs, groups = known_inputs(self._work), known_shards(self._work)
            plan = {
                name: [*chains[name], *(inputs[each] for each in groups[name])] for name in chains if name in groups
            }
            changed = self._count(manifest, target, plan)
        else:
            changed = self._count(manifest, target, chains)
        of = len(manifest["shards"])
        return f"{changed} of {of} shards were made from other results, or with other settings" if changed else ""

    def _count_in_steps(self, language: str, target: Path, manifest: Mapping[str, Any], chains: _Plan) -> int:
        """How many shards of dedup are out of date, by those of its sub-steps that read documents and give outcomes."""
        settings, prefix = manifest["settings"]["settings"], ""
        if settings["scope"] == "global" and storage.is_file(folder(self._work, ALL, "dedup") / "sign/manifest.json"):
            target, prefix = folder(self._work, ALL, "dedup"), f"{language}--"
        signing = self._manifest(target / "sign")
        if not signing:
            return 0  # scratch files were removed: nobody can know
        edits = ["cuts"] if settings.get("passages") else ["edits"] if settings["lines"] else []
        steps = ["sign", *edits]
        signed = {prefix + name: sources for name, sources in chains.items()}
        own = {name: [target / step / (prefix + name) for step in steps] for name in chains}
        changed = self._count(signing, target / "sign", signed)
        return changed or self._count(manifest, folder(self._work, language, "dedup"), own)

    def _count(self, manifest: Mapping[str, Any], target: Path, plan: _Plan) -> int:
        """How many shards of a plan were made from other sources, or by other settings than the manifest has."""
        settings, apart = manifest["settings"], manifest.get("apart", {})
        raw: dict[str, str] = manifest["sources"]
        times = Counter(
            path.name for path in {*joined.from_iterable(plan.values())} if path.suffix not in shards.SUFFIXES
        )
        changed = 0
        for name, sources in plan.items():
            receipt = self._read_receipt(target / name)
            digests = [self._digest(path, raw if times[path.name] < 2 else {}) for path in sources]
            if receipt and all(digests):
                stage = [manifest["stage"], manifest["version"], {**settings, **apart.get(source_of(name), {})}]
                changed += receipt.fingerprint != fingerprint_of(stage, name, [digest or "" for digest in digests])
        return changed

    def _digest(self, path: Path, raw: Mapping[str, str]) -> str | None:
        """Digest of a source: a shard's is in its receipt, an archive's in the manifest, by its name if it is alone."""
        if path.suffix not in shards.SUFFIXES:
            return raw.get(path.name)
        receipt = self._read_receipt(path)
        return receipt.digest if receipt else None

    def _manifest(self, target: Path) -> dict[str, Any]:
        """The manifest of a stage; {} if it is not there or damaged."""
        try:
            stat = (target / "manifest.json").stat()
            mark = (stat.st_mtime_ns, stat.st_size)
            if self._manifests.get(target, (None, None))[0] != mark:
                values = read_manifest(target)
                self._manifests[target] = (mark, values if values.keys() >= _KEYS else {})
            return self._manifests[target][1]
        except (OSError, InputError):
            return {}
