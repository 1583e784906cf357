"""`make bench`: the whole main job, side by side with datatrove, on the real pages of the shared data.

    python -m tests.benchmarks.pipeline --make-peer     # once: the peer, in a virtual environment of its own
    python -m tests.benchmarks.pipeline                 # everything: about 80 minutes on two cores
    python -m tests.benchmarks.pipeline --part tenth --rounds 1 --cores 1

Contenders run in turn (A B A B), each as the command a user types, in a fresh folder; what counts is the median of
documents per CPU second, summed over every process that the command started (process_tree.py). README.md says what
each part shows and what can mislead.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.archives import (
    BUNDLES,
    Archive,
    Record,
    missing_data,
    multiplied,
    read_records,
    write_archive,
    write_repeated,
    write_texts,
)
from tests.benchmarks.contenders import FAST, OURS, PEER, ROOT, cpus, run_once
from tests.benchmarks.environments import make_peer, peer_folder
from tests.benchmarks.process_tree import Usage, measure
from tests.benchmarks.results import Line, Report, table

# (part, contender) -> how many times the documents per CPU second of the peer (of warcio, for reading) are promised
TARGETS: Mapping[tuple[str, str], float] = {
    ("tenth", OURS): 8.0,
    ("every", OURS): 2.5,
    ("quick", FAST): 12.0,
    ("reading", OURS): 2.0,
}
FEW = 4  # pages, of the archive that shows start-up: one for each of an archive's files


@dataclass(frozen=True)
class Options:
    """What to measure, and with what."""

    peer: Path  # its virtual environment
    rounds: int = 3
    cores: tuple[int, ...] = (1, 2)
    language: str = "fr"  # of at most a tenth of the pages
    share: float = 1.0  # of the pages: less than 1 for a quick look
    copies: int = 4  # of each page, its words shuffled: enough pages to make start-up a small part
    size: int = 1 << 30  # bytes, of the archive that memory is shown on


def compare(
    part: str, contenders: Sequence[str], archive: Archive, few: Archive, language: str, options: Options
) -> tuple[list[Line], dict[str, str]]:
    """Measure the contenders in turn. Gives a line for each, and the peer's versions."""
    lines: list[Line] = []
    versions: dict[str, str] = {}
    for cores in options.cores:
        say(f"{part}, {cores} core(s): warming up, and what a handful of pages costs")
        startup = {name: run_once(name, few, language, cores, options.peer)[0].cpu_seconds for name in contenders}
        runs: dict[str, list[Usage]] = {name: [] for name in contenders}
        results: dict[str, dict[str, Any]] = {}
        for number in range(options.rounds):
            for name in contenders:
                say(f"{part}, {cores} core(s), round {number + 1} of {options.rounds}: {name}")
                usage, results[name] = run_once(name, archive, language, cores, options.peer)
                runs[name].append(usage)
                say(f"    {usage.cpu_seconds:.1f} CPU s, {usage.wall_seconds:.1f} s, {results[name]['kept']} kept")
        found = {
            name: Line(
                part,
                name,
                cores,
                archive.documents,
                results[name]["kept"],
                cpu_seconds=median(run.cpu_seconds for run in runs[name]),
                wall_seconds=median(run.wall_seconds for run in runs[name]),
                spread=(min(run.cpu_seconds for run in runs[name]), max(run.cpu_seconds for run in runs[name])),
                funnel=results[name]["funnel"],
                target=TARGETS.get((part, name)),
                startup_seconds=startup[name],
                peak_process_rss=max(run.peak_process_rss for run in runs[name]),
                peak_tree_pss=max(run.peak_tree_pss for run in runs[name]),
            )
            for name in contenders
        }
        lines += [line.against(found[PEER], few.documents) for line in found.values()]
        versions |= results[PEER]["versions"]
    return lines, versions


def measure_tenth(folder: Path, options: Options, report: Report) -> None:
    """One language of at most a tenth of the pages of a multilingual archive."""
    language = options.language
    records = sample([record for bundle in BUNDLES for record in read_records(bundle)], options.share)
    records = multiplied(records, options.copies)
    archive = write_archive(records, folder / "multilingual", language)
    if not 0 < archive.wanted <= 0.1 * archive.documents:
        raise SystemExit(
            f"--language {language}: {archive.wanted} of {archive.documents} pages; wanted is 1 to a tenth"
        )
    few = write_archive([record for record in records if record.language == language][:FEW], folder / "few", language)
    say(f"tenth: {archive.documents} pages, {archive.wanted} of them in {language}, {archive.size / 1e6:.0f} MB")
    lines, versions = compare("tenth", (OURS, PEER), archive, few, language, options)
    report.lines += lines
    report.versions |= versions


def measure_every(folder: Path, options: Options, report: Report) -> None:
    """An archive whose pages are all wanted: the English ones of the real pages."""
    measure_english("every", OURS, 2 * options.copies, folder, options, report)


def measure_quick(folder: Path, options: Options, report: Report) -> None:
    """The same with the quick engine, on eight times as many pages: of fewer, starting would be a tenth of its time."""
    measure_english("quick", FAST, 16 * options.copies, folder, options, report)


def measure_english(part: str, ours: str, copies: int, folder: Path, options: Options, report: Report) -> None:
    """Every page wanted, by one of ours and by the peer."""
    records = sample([record for record in read_records(BUNDLES[0]) if record.language == "en"], options.share)
    records = multiplied(records, copies)
    archive = write_archive(records, folder / "english", "en")
    few = write_archive(records[:FEW], folder / "few", "en")
    say(f"{part}: {archive.documents} pages, all in en, {archive.size / 1e6:.0f} MB")
    lines, versions = compare(part, (ours, PEER), archive, few, "en", options)
    report.lines += lines
    report.versions |= versions


def measure_texts(folder: Path, options: Options, report: Report) -> None:
    """Every document wanted, from JSONL: texts that need no extraction."""
    archive = write_texts(folder / "texts", "en", options.copies)
    few = write_texts(folder / "few", "en", 1, most=FEW)
    say(f"texts: {archive.documents} documents, all in en, {archive.size / 1e6:.0f} MB")
    lines, versions = compare("texts", (OURS, PEER), archive, few, "en", options)
    report.lines += lines
    report.versions |= versions


def measure_reading(folder: Path, options: Options, report: Report) -> None:
    """Reading alone, against warcio: every body to its last byte, the same checksum from both."""
    archive = write_repeated(read_records(BUNDLES[0]), folder / "reading", "", 100 << 20, level=6)
    runs: dict[str, list[dict[str, float]]] = {"warcio": [], OURS: []}
    for number in range(options.rounds):
        for name in runs:
            say(f"reading, round {number + 1} of {options.rounds}: {name}")
            command = [sys.executable, "-m", "tests.benchmarks.reading", name, str(next(archive.folder.iterdir()))]
            usage = measure(command, cpus=cpus(1), folder=ROOT)
            if usage.exit_code:
                raise ChildProcessError(usage.output)
            runs[name].append(json.loads(usage.output.rpartition("\nRESULT ")[2]))
    if len({(run["pages"], run["checksum"]) for found in runs.values() for run in found}) != 1:
        raise ChildProcessError(f"the readers differ in what they read: {[found[0] for found in runs.values()]}")
    lines: dict[str, Line] = {}
    for name, found in runs.items():
        seconds = sorted(run["cpu_seconds"] for run in found)
        pages, speed = int(found[0]["pages"]), found[0]["bytes"] / 1e6 / median(seconds)
        lines[name] = Line(
            "reading",
            name,
            1,
            pages,
            pages,
            cpu_seconds=median(seconds),
            wall_seconds=median(run["wall_seconds"] for run in found),
            spread=(seconds[0], seconds[-1]),
            funnel=f"{speed:,.0f} MB of bodies a CPU second",
            target=TARGETS.get(("reading", name)),
        )
    report.lines += [line.against(lines["warcio"]) for line in lines.values()]


def measure_memory(folder: Path, options: Options, report: Report) -> None:
    """Our worker's memory on one archive of 1 GB or more, over time."""
    archive = write_repeated(read_records(BUNDLES[0]), folder / "large", options.language, options.size, level=1)
    say(f"memory: one archive of {archive.size / 1e6:,.0f} MB, {archive.documents} pages")
    usage, result = run_once(OURS, archive, options.language, 1, options.peer)
    largest = sorted(usage.processes, key=lambda process: -process.peak_rss)[:6]
    report.memory = {
        "archive_bytes": archive.size,
        "documents": archive.documents,
        "kept": result["kept"],
        "funnel": result["funnel"],
        "cpu_seconds": usage.cpu_seconds,
        "wall_seconds": usage.wall_seconds,
        "peak_process_rss": usage.peak_process_rss,
        "peak_tree_pss": usage.peak_tree_pss,
        "processes": [asdict(process) for process in largest],
        "series": usage.series[:: max(1, len(usage.series) // 40)],
    }


def sample(records: Sequence[Record], share: float) -> list[Record]:
    """Every n-th record of each language, so that each keeps its share."""
    step = max(1, round(1 / share))
    seen: dict[str, int] = {}
    chosen = []
    for record in records:
        seen[record.language] = seen.get(record.language, -1) + 1
        if seen[record.language] % step == 0:
            chosen.append(record)
    return chosen


PARTS: dict[str, Callable[[Path, Options, Report], None]] = {
    "reading": measure_reading,
    "tenth": measure_tenth,
    "every": measure_every,
    "quick": measure_quick,
    "texts": measure_texts,
    "memory": measure_memory,
}


def say(text: str) -> None:
    """One line of progress, on the error stream: the table is on the other."""
    print(text, file=sys.stderr, flush=True)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--make-peer", nargs="?", type=Path, const=peer_folder("datatrove"), metavar="DIR",
        help="make the peer's virtual environment (in DIR, or the user's cache), and stop")  # fmt: skip
    add("--peer", type=Path, default=peer_folder("datatrove"), metavar="DIR", help="use the peer made in DIR")
    add("--part", action="append", choices=PARTS, help="measure only this part (may be given again)")
    add("--rounds", type=int, default=3)
    add("--cores", type=int, action="append", help="1 and 2, unless given (may be given again)")
    add("--language", default="fr", help="of the parts 'tenth' and 'memory'")
    add(
        "--copies",
        type=int,
        default=4,
        help="of each page, words in another order; twice as many of 'every', 16 times of 'quick'",
    )
    add("--quick", action="store_true", help="one round on a quarter of the pages, one core, no memory")
    add("--json", type=Path, metavar="FILE", help="write all figures there too")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for; exit code 1 where a target was missed, 2 where nothing could be measured."""
    given = parse(arguments)
    if given.make_peer:
        make_peer("datatrove", given.make_peer)
        return 0
    if reason := missing_data():
        say(f"nothing measured: {reason}")
        return 0
    parts = given.part or [name for name in PARTS if not (given.quick and name == "memory")]
    if {"tenth", "every", "quick", "texts"} & set(parts) and not (given.peer / "requirements.txt").is_file():
        say(f"no peer in {given.peer}: python -m tests.benchmarks.pipeline --make-peer {given.peer}")
        return 2
    wanted = given.cores or ([1] if given.quick else [1, 2])
    options = Options(
        given.peer,
        rounds=1 if given.quick else given.rounds,
        cores=tuple(count for count in wanted if count <= len(os.sched_getaffinity(0))),
        language=given.language,
        share=0.25 if given.quick else 1.0,
        copies=1 if given.quick else given.copies,
    )
    report = Report()
    for name in ("roots-corpus", "trafilatura", "resiliparse", "fastwarc", "warcio"):
        report.versions[f"our {name}"] = version(name)
    for name in parts:
        with tempfile.TemporaryDirectory(prefix="roots-bench-") as scratch:
            PARTS[name](Path(scratch), options, report)
    print(table(report))
    if given.json:
        values = {**asdict(report), "targets_missed": report.missed}
        given.json.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
