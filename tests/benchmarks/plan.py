"""Does a plan come true? A crawl is planned from pieces of it, then really worked on, and both are compared.

    python -m tests.benchmarks.plan [--lang en] [--pieces 10] [--folder FOLDER]

The crawl is the real pages of `../shared/data` in four archives; the plan sees a part of it (its first line says how
much). Compared are documents of every stage, CPU seconds of all of them together, bytes on disk and memory. A figure
outside the plan's range is printed as MISSED, and the exit code is 1. What a command needs to start (measured on an
archive of four pages, and taken off) is in no plan: it does not grow.
"""

import argparse
import json
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

from pipelines.job.stages import chain_stages
from pipelines.job.work import folder
from roots import shards
from tests.benchmarks.archives import Archive, missing_data, read_records, write_archive
from tests.benchmarks.process_tree import Usage, measure

ROOTS = str(Path(sys.executable).with_name("roots"))
BUNDLE = "real-pages-bundle"


def run(archive: Archive, work: Path, language: str) -> Usage:
    """Work on a crawl."""
    usage = measure(
        [ROOTS, "run", str(work), "--input", archive.pattern, "--lang", language, "--workers", "1", "--quiet"]
    )
    if usage.exit_code:
        raise SystemExit(f"roots run failed:\n{usage.output}")
    return usage


def documents(work: Path, language: str) -> dict[str, int]:
    """Documents that each stage read."""
    found = {}
    for stage in chain_stages():
        receipts = [shards.read_receipt(path) for path in folder(work, language, stage).glob("*.parquet")]
        found[stage] = sum(receipt.rows for receipt in receipts if receipt)
    return found


def compare(what: str, interval: dict[str, float], really: float) -> bool:
    """Print one comparison; whether the truth is in the range."""
    held = interval["low"] <= really <= interval["high"]
    planned = f"{interval['middle']:>14,.1f}{interval['low']:>14,.1f}{interval['high']:>14,.1f}"
    print(f"{what:<24}{planned}{really:>14,.1f}   {'met' if held else 'MISSED'}")
    return held


def main() -> int:
    """Plan, run, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lang", default="en")
    parser.add_argument("--pieces", type=int, default=10)
    parser.add_argument("--folder", type=Path, help="where to work [default: a temporary folder]")
    options = parser.parse_args()
    if reason := missing_data():
        raise SystemExit(reason)
    with tempfile.TemporaryDirectory(prefix="roots-bench-", dir=options.folder) as scratch:
        home = Path(scratch)
        crawl = write_archive(read_records(BUNDLE), home / "crawl", options.lang)
        few = write_archive(islice(read_records(BUNDLE), 4), home / "few", options.lang)
        command = [ROOTS, "plan", "--input", crawl.pattern, "--lang", options.lang, "--json", str(home / "plan.json")]
        planning = measure([*command, "--set", f"plan.pieces={options.pieces}", "--set", "plan.piece_bytes=500000"])
        print(planning.output)
        plan: dict[str, Any] = json.loads((home / "plan.json").read_text(encoding="utf-8"))
        run(few, home / "cold", options.lang)
        start_up = run(few, home / "warm", options.lang)
        usage = run(crawl, home / "work", options.lang)
        really = documents(home / "work", options.lang)
        print(f"{'':<24}{'planned':>14}{'at least':>14}{'at most':>14}{'really':>14}")
        stages = {stage["stage"]: stage for stage in plan["stages"]}
        held = [compare(f"documents: {name}", stages[name]["documents"], really[name]) for name in chain_stages()]
        held.append(compare("CPU seconds", plan["core_seconds"], usage.cpu_seconds - start_up.cpu_seconds))
        files = [path for path in (home / "work").rglob("*") if path.is_file()]
        held.append(compare("MB on disk", scaled(plan["disk_bytes"], 1e-6), sum(p.stat().st_size for p in files) / 1e6))
        least, most = (max(stage["memory_bytes"][end] for stage in plan["stages"]) for end in (0, 1))
        memory = {"low": 0.0, "middle": least / 1e6, "high": most / 1e6}
        held.append(compare("MB of the processes", memory, usage.peak_tree_pss / 1e6))
    return int(not all(held))


def scaled(interval: dict[str, float], factor: float) -> dict[str, float]:
    """An interval in another unit."""
    return {key: value * factor for key, value in interval.items()}


if __name__ == "__main__":
    sys.exit(main())
