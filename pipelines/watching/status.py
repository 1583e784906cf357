"""How far a run is, read from its folder alone, by any machine that sees it.

A shard with a receipt is done, and the time of its file says when it was made. The name of a hidden temporary file says
which machine is making a shard. A note (roots.stage.failure_note) says why a shard could not be made.
"""

import json
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from filters.text.passages import for_terminal
from pipelines.dataset import read_dataset
from pipelines.extraction.extractors import unsure_lines
from pipelines.job import work as folders
from pipelines.job.stages import STAGES, Reads, StageInfo
from pipelines.watching.outdated import Freshness
from pipelines.watching.progress import append_line, clock
from pipelines.watching.sources import account_lines
from roots import shards, storage
from roots.atomic import read_manifest, write_text
from roots.errors import InputError
from roots.shards import Receipt
from roots.stage import sum_counts

_RECENT_SECONDS = 900.0  # rates count the shards made in this time before the last one
_FAILURES_SHOWN = 5  # of a stage
_MISSING_SHOWN = 3  # shards of a stage that has begun
_FAILURE_CHARS = 300
_OF = re.compile(r"(.*)-\d+-of-(\d+)\.(?:parquet|arrow)")
_TEMPORARY = re.compile(r"\..+?\.(?:parquet|arrow)\.(?P<host>.+)-\d+\.tmp")
_PSEUDOCRAWL = ("lookup", "select", "fetch")


@dataclass(frozen=True)
class StageState:
    """How far one stage of one language is."""

    language: str  # "" for the stages that all languages share
    stage: str
    done: int  # shards
    total: int | None  # None where nobody can know yet
    rows: int = 0  # documents read
    kept: int = 0
    size: int = 0  # bytes of the shards
    missing: tuple[str, ...] = ()  # shards that are not made, where their names are known
    drops: Mapping[str, int] = field(default_factory=dict)
    engines: Mapping[str, int] = field(default_factory=dict)  # documents kept, by `extractor`
    failures: Mapping[str, str] = field(default_factory=dict)  # shard -> reason
    outdated: str = ""  # why its shards are out of date, if they are
    making: Mapping[str, int] = field(default_factory=dict)  # machine -> shards it is making
    newest: float | None = None  # when the last shard was made, in seconds since 1970
    per_second: float | None = None  # documents, by recent shards
    seconds_left: float | None = None

    @property
    def finished(self) -> bool:
        """Whether all shards are there."""
        return self.total is not None and self.done >= self.total


class Watcher:
    """Looks at a work folder as often as asked; reads a shard again only where it changed."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._known: dict[Path, tuple[tuple[int, int], Receipt | None]] = {}
        self._freshness = Freshness(work, self._receipt)

    def look(self) -> list[StageState]:
        """All stages of all languages, in order. Raises InputError where there is no work folder."""
        home = self._work / "pseudocrawl"
        try:
            archives: Collection[str] | None = folders.known_shards(self._work)
        except InputError:
            if not storage.is_folder(home):
                raise
            archives = None
        states = [
            self._state("", stage, home / stage, None) for stage in _PSEUDOCRAWL if storage.is_folder(home / stage)
        ]
        for code in ["", *folders.languages(self._work)]:
            outdated = self._freshness.outdated(code) if code and archives is not None else {}
            for name, row in STAGES.items():
                if row.shared == bool(code) or (row.shared and archives is None):
                    continue
                place = folders.folder(self._work, code, name)
                state = self._state(code, name, place, None if row.final else archives)
                if row.reads is Reads.EVERYTHING and not state.finished:
                    states += [self._state(code, f"{name}.{step.name}", step, None) for step in _steps(place, row)]
                stopped = row.final and state.finished and not storage.is_file(self._work / code / "manifest.json")
                why = "the run that made it did not come to its end" if stopped else ""
                states.append(replace(state, outdated=outdated.get(name, why)))
        return states

    def _state(self, language: str, stage: str, place: Path, names: Collection[str] | None) -> StageState:
        """What the files of one folder say; `names` are those of all its shards, where they are known."""
        final = stage in STAGES and STAGES[stage].final
        found = sorted(self._shards(place, "*/*.arrow" if final else "*.parquet"))
        if names is not None:
            found = [each for each in found if each[1].name in names]
        receipts = [receipt for _, _, receipt in found]
        paths = [path for _, path, _ in found]
        total = (_total(stage, paths) or _listed(place)) if names is None else len(names)
        rate = _rate([(at, receipt.rows) for at, _, receipt in found])
        left = None if total is None else max(0, total - len(found))
        made = {path.name for path in paths}
        return StageState(
            language, stage, len(found), total,
            rows=sum(receipt.rows for receipt in receipts),
            kept=sum(receipt.kept for receipt in receipts),
            size=sum(receipt.body_bytes for receipt in receipts),
            missing=tuple(name for name in names or () if name not in made),
            drops=sum_counts(receipt.drops for receipt in receipts),
            engines=sum_counts(receipt.engines for receipt in receipts),
            failures={name: why for name, why in _failures(place).items() if name not in made},
            making=_making(place),
            newest=found[-1][0] if found else None,
            per_second=rate[1] if rate and left else None,
            seconds_left=left / rate[0] if rate and left else None,
        )  # fmt: skip

    def _shards(self, place: Path, pattern: str) -> Iterator[tuple[float, Path, Receipt]]:
        """When each shard came, and its receipt."""
        for path in storage.files_in(place, pattern):
            receipt = self._receipt(path)
            if receipt is not None and not path.name.startswith("."):
                yield self._known[path][0][0] / 1e9, path, receipt

    def _receipt(self, path: Path) -> Receipt | None:
        """The receipt of a shard; None if there is none."""
        try:
            stat = path.stat()
        except OSError:
            return None  # gone since it was listed
        mark = (stat.st_mtime_ns, stat.st_size)
        if self._known.get(path, (None, None))[0] != mark:
            self._known[path] = (mark, shards.read_receipt(path))
        return self._known[path][1]


def _steps(place: Path, row: StageInfo) -> list[Path]:
    """The folders of a stage's sub-steps, in the order in which they began; the dataset has none."""
    if row.final:
        return []
    below = (place / name for name in storage.names_in(place))
    return sorted(filter(storage.is_folder, below), key=lambda path: (path.stat().st_ctime, path.name))


def _total(stage: str, paths: Sequence[Path]) -> int | None:
    """How many shards there will be, where their names say so ("data-00000-of-00012.arrow")."""
    if stage == "select":
        return 1
    series = {(str(path.parent), found[1]): int(found[2]) for path in paths if (found := _OF.fullmatch(path.name))}
    return sum(series.values()) if series and (stage != "shard" or len(series) > 1) else None


def _listed(place: Path) -> int | None:
    """How many shards the manifest of a stage lists, where it has one."""
    try:
        return len(read_manifest(place)["shards"])
    except (InputError, KeyError):
        return None


def _rate(found: Sequence[tuple[float, int]]) -> tuple[float, float] | None:
    """Shards and documents a second, of recent shards; None for fewer than two."""
    recent = [each for each in found if each[0] > found[-1][0] - _RECENT_SECONDS]
    seconds = recent[-1][0] - recent[0][0] if recent else 0.0
    if seconds <= 0:
        return None
    return (len(recent) - 1) / seconds, sum(rows for _, rows in recent[1:]) / seconds


def _failures(place: Path) -> dict[str, str]:
    """Why shards could not be made, by name."""
    found = {}
    for path in storage.files_in(place, ".*.failed"):
        try:
            why = path.read_text(encoding="utf-8", errors="replace")[:_FAILURE_CHARS].strip()
        except OSError:
            continue
        found[path.name[1:].removesuffix(".failed")] = why
    return found


def _making(place: Path) -> dict[str, int]:
    """How many shards each machine is making."""
    hosts: dict[str, int] = {}
    for path in [*storage.files_in(place, ".*.tmp"), *storage.files_in(place, "*/.*.arrow.*.tmp")]:
        if found := _TEMPORARY.fullmatch(path.name):
            hosts[found["host"]] = hosts.get(found["host"], 0) + 1
    return dict(sorted(hosts.items()))


def is_finished(states: Sequence[StageState]) -> bool:
    """Whether every stage that has begun is finished, without a failure, and up to date."""
    return bool(states) and all(state.finished and not (state.failures or state.outdated) for state in states)


def screen(work: Path, states: Sequence[StageState], now: float, missing: bool = False) -> Iterator[str]:
    """One look for a person, line by line: with the first missing shards of a stage that has begun, or every `missing`.

    `now` is in seconds since 1970.
    """
    failed = sum(len(state.failures) for state in states)
    yield f"{work}  {datetime.fromtimestamp(now):%H:%M:%S}  " + (f"{failed} shards failed" if failed else "no failures")
    yield f"{'':<3}{'stage':<15}{'shards':>15}{'documents':>14}{'kept':>14}{'docs/s':>10}  left"
    for state in states:
        total = "?" if state.total is None else f"{state.total:,}"
        rate = f"{state.per_second:,.0f}" if state.per_second else ""
        line = f"{state.language:<3}{state.stage:<15}{f'{state.done:,}/{total}':>15}{state.rows:>14,}{state.kept:>14,}"
        yield f"{line}{rate:>10}  {_left(state, now)}"
        yield from (f"      {line}" for line in unsure_lines(state.engines))
        for name, why in list(state.failures.items())[:_FAILURES_SHOWN]:
            yield f"      failed: {for_terminal(name)}: {for_terminal(why)}"
        if len(state.failures) > _FAILURES_SHOWN:
            yield f"      and {len(state.failures) - _FAILURES_SHOWN} more failed"
        names = [name for name in state.missing if name not in state.failures]
        shown = names if missing else names[:_MISSING_SHOWN] if state.done else []
        yield from (f"      missing: {for_terminal(name)}" for name in shown)
        if shown and len(shown) < len(names):
            yield f"      and {len(names) - len(shown)} more missing"
    for final in (state for state in states if state.stage in STAGES and STAGES[state.stage].final):
        made = f"{final.kept:,} documents in the dataset" if final.finished else "no dataset yet"
        late = [state for state in states if state.language == final.language and state.outdated]
        again = f", out of date: run `roots run {work} --lang {final.language}` with the settings that you want"
        yield f"{final.language}: {made}" + (again if late else "")
        yield from (f"      {state.stage} is out of date: {state.outdated}" for state in late)
        yield from _source_lines(work, final.language)
    if skipped := folders.known_skipped(work):
        yield f"skipped inputs: {', '.join(for_terminal(path) for path in sorted(skipped))}"


def _source_lines(work: Path, language: str) -> Iterator[str]:
    """What each step removed of each source, where a dataset was made from a catalogue."""
    if storage.is_file(work / language / "manifest.json"):
        held = read_dataset(work, language).get("sources", {})
        yield from account_lines(held) if held else ()


def _left(state: StageState, now: float) -> str:
    """How long a stage will still take, and which machines work on it."""
    if state.finished:
        return "out of date" if state.outdated else "done"
    parts = [clock(state.seconds_left)] if state.seconds_left is not None else []
    if state.making:
        parts.append(
            "being made: " + ", ".join(f"{for_terminal(host)} {count}" for host, count in state.making.items())
        )
    elif state.newest is not None and now - state.newest > 1:
        parts.append(f"no machine works on it; last shard {clock(now - state.newest)} ago")
    return "  ".join(parts) or ("not begun" if not state.done else "")


def _as_json(work: Path, states: Sequence[StageState], now: float) -> str:
    """One look as one line of JSON."""
    stamp = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    stages = [asdict(state) | {"finished": state.finished} for state in states]
    for stage in stages:
        del stage["missing"]  # as many names as a crawl has archives
    return json.dumps({"time": stamp, "event": "status", "work": str(work), "stages": stages}, ensure_ascii=False)


# name, kind, help text, and how it is read from a stage; None leaves the sample out
_METRICS = (
    ("roots_shards_done", "gauge", "Shards that are made.", lambda s: s.done),
    ("roots_shards", "gauge", "Shards in all.", lambda s: s.total),
    ("roots_shards_failed", "gauge", "Shards that could not be made.", lambda s: len(s.failures)),
    ("roots_shards_in_the_making", "gauge", "Temporary files of shards.", lambda s: sum(s.making.values())),
    ("roots_documents", "gauge", "Documents read.", lambda s: s.rows),
    ("roots_documents_kept", "gauge", "Documents kept.", lambda s: s.kept),
    ("roots_shard_bytes", "gauge", "Bytes of the shards.", lambda s: s.size),
    ("roots_documents_per_second", "gauge", "Documents a second, by recent shards.", lambda s: s.per_second),
    ("roots_seconds_left", "gauge", "Seconds until the stage is done, at this rate.", lambda s: s.seconds_left),
    ("roots_last_shard_timestamp_seconds", "gauge", "When the last shard was made.", lambda s: s.newest),
)


def as_prometheus(states: Sequence[StageState]) -> str:
    """One look as a text file for Prometheus's node exporter. Source: Prometheus, text exposition format 0.0.4."""
    lines: list[str] = []
    for name, kind, what, read in _METRICS:
        lines += [f"# HELP {name} {what}", f"# TYPE {name} {kind}"]
        for state in states:
            if (value := read(state)) is not None:
                lines.append(f"{name}{{{_labels(language=state.language, stage=state.stage)}}} {value}")
    lines += ["# HELP roots_documents_dropped Documents dropped, by reason.", "# TYPE roots_documents_dropped gauge"]
    for state in states:
        for reason, rows in state.drops.items():
            labels = _labels(language=state.language, stage=state.stage, reason=reason)
            lines.append(f"roots_documents_dropped{{{labels}}} {rows}")
    return "\n".join(lines) + "\n"


def _labels(**labels: str) -> str:
    escaped = {key: text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for key, text in labels.items()}
    return ",".join(f'{key}="{text}"' for key, text in escaped.items())


def watch(
    work: Path, every: float | None, log: Path | None = None, prometheus: Path | None = None
) -> Iterator[tuple[list[StageState], float]]:
    """Look at a work folder every `every` seconds until all is done, or once where it is None.

    Each look is appended to `log` as one line of JSON, and written to `prometheus`, whole or not at all.
    """
    watcher = Watcher(work)
    while True:
        now = time.time()
        states = watcher.look()
        if log is not None:
            append_line(log, _as_json(work, states, now))
        if prometheus is not None:
            write_text(prometheus, as_prometheus(states))
        yield states, now
        if every is None or is_finished(states):
            return
        time.sleep(every)
