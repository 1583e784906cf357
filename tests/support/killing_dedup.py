"""Kill dedup in each of its sub-steps, damage scratch files, and resume: the final bytes must not differ.

    python -m tests.support.killing_dedup --runs 10

A run passes all sub-steps in one folder. In each, the process gets SIGKILL at a random moment. After each kill, every
file with a final name must be intact. Then, in half of the cases, a random scratch file is cut short or a byte of it is
changed. A last run without a kill ends the work. All files are compared with those of an undisturbed run: shards,
report and scratch files.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from roots import shards
from tests.support.paths import ROOT

BASE = pa.schema([pa.field(name, pa.string()) for name in ("id", "text", "date", "url", "drop")])
PARTS = 4
MOST_SECONDS = 0.5  # from the start of a sub-step to the kill; on a busy machine a sub-step seems to take longer

# Imports and compiled passes take a second, so one process loads them and each run is a fork of it.
FORKS = """
import os, sys
from pathlib import Path
from filters.near_duplicates import signatures as near_duplicates
from pipelines.dedup.run import run_dedup
from pipelines.dedup.settings import DedupSettings
from roots.executors import Serial, Threads
warm = Path(sys.argv[1])
chains = {path.name: [path] for path in warm.glob("*.parquet")}
run_dedup(chains, warm / "dedup", DedupSettings(lines=("template",), passages=30), Serial())
for line in sys.stdin:
    base, target = map(Path, line.rstrip("\\n").split("\\t"))
    pid = os.fork()
    if pid == 0:
        say = lambda stage, done, total, _: os.write(1, f"{os.getpid()} {stage} {done} {total}\\n".encode())
        chains = {path.name: [path] for path in sorted(base.glob("*.parquet"))}
        run_dedup(chains, target, DedupSettings(lines=("template",), passages=30), Threads(2), say)
        os._exit(0)
    os.waitpid(pid, 0)
    os.write(1, b"ended\\n")
"""


def lay(folder: Path, seed: int) -> None:
    """Write a small corpus: pages of three sites with a menu, near copies, exact copies, pages fetched twice."""
    rng = random.Random(seed)
    folder.mkdir(parents=True)
    menus = {site: f"{site}: home, search, contact and imprint" for site in "abc"}
    rows: list[dict[str, str | None]] = []
    for number in range(240):
        site = rng.choice("abc")
        body = ["".join(rng.choices("abcdefghij", k=7)) for _ in range(rng.choice([30, 120, 300]))]
        if rows and rng.random() < 0.4:
            body = str(rows[rng.randrange(len(rows))]["text"]).rpartition("\n")[2].split(" ")
            for _ in range(rng.choice([0, 1, 3])):
                body[rng.randrange(len(body))] = "another"
        url = f"https://{site}.org/{number if rng.random() < 0.9 else 0}"
        text = f"{menus[site]}\n{' '.join(body)}"
        rows.append({"id": f"<{number:04d}>", "text": text, "date": f"2020-01-{1 + number % 28:02d}", "url": url})
    for part in range(PARTS):
        batch = pa.RecordBatch.from_pylist([{**row, "drop": None} for row in rows[part::PARTS]], BASE)
        shards.write(folder / f"part-{part}.parquet", BASE, [batch], "base", 1, str(part))


class Runs:
    """Runs dedup in another process, as often as asked."""

    def __init__(self, folder: Path) -> None:
        lay(folder, seed=0)
        command = [sys.executable, "-W", "ignore", "-c", FORKS, str(folder)]
        self._forks = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def __enter__(self) -> "Runs":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        assert self._forks.stdin is not None
        assert self._forks.stdout is not None
        self._forks.stdin.close()
        self._forks.stdout.read()  # the rest of a run that is no longer followed
        self._forks.stdout.close()
        self._forks.wait(timeout=60)

    def follow(self, base: Path, target: Path) -> Iterator[tuple[int, str]]:
        """Run once; yield (process, sub-step) for each report of progress until the run has ended."""
        assert self._forks.stdin is not None
        assert self._forks.stdout is not None
        self._forks.stdin.write(f"{base}\t{target}\n")
        self._forks.stdin.flush()
        while (line := self._forks.stdout.readline().strip()) != "ended":
            assert line, "the runs have broken off"
            pid, step = line.split()[:2]
            yield int(pid), step


def time_steps(runs: Runs, base: Path, target: Path) -> dict[str, float]:
    """Run undisturbed; returns the seconds that each sub-step takes."""
    begun: dict[str, float] = {}
    for _, step in runs.follow(base, target):
        begun.setdefault(step, time.monotonic())
    ends = [*list(begun.values())[1:], time.monotonic()]
    return {step: end - start for (step, start), end in zip(begun.items(), ends, strict=True)}


def kill_in(runs: Runs, base: Path, target: Path, step: str, seconds: float) -> bool:
    """Run, and kill `seconds` after `step` begins. Returns whether the kill came before the end."""
    tried = killed = False
    # Follow it to its end: its reports must not be taken for those of the next run.
    for pid, said in runs.follow(base, target):
        if said == step and not tried:
            tried = True
            time.sleep(seconds)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed = True
    return killed


def damage(target: Path, chance: random.Random) -> str:
    """Cut a random scratch file short, or change a byte of it; returns its name."""
    scratch = sorted(path for path in target.glob("*/*.parquet") if path.stat().st_size)
    if not scratch:
        return ""
    path = chance.choice(scratch)
    content = bytearray(path.read_bytes())
    if chance.random() < 0.5:
        del content[chance.randrange(len(content)) :]
    else:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    return str(path.relative_to(target))


def check_intact(target: Path, damaged: Collection[str]) -> None:
    """Raise if a file with a final name is damaged, except for those in `damaged`."""
    for path in sorted(target.rglob("*.parquet")):
        if not path.name.startswith(".") and str(path.relative_to(target)) not in damaged:
            shards.check(path)
    for path in sorted(target.rglob("*.json")):
        if not path.name.startswith("."):
            json.loads(path.read_text(encoding="utf-8"))


def digests(target: Path) -> dict[str, str]:
    """sha256 of all files with a final name."""
    files = [path for path in sorted(target.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    return {str(path.relative_to(target)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def kill_through(runs: Runs, base: Path, target: Path, steps: Mapping[str, float], seed: int) -> tuple[int, list[str]]:
    """Kill and damage one run in all sub-steps. Returns how many kills came in time, and which files were damaged."""
    chance = random.Random(seed)
    kills, damaged = 0, []
    for step, seconds in steps.items():
        kills += kill_in(runs, base, target, step, chance.random() * min(seconds, MOST_SECONDS))
        check_intact(target, damaged)
        if chance.random() < 0.5 and (name := damage(target, chance)):
            damaged.append(name)
    for _ in runs.follow(base, target):
        pass
    return kills, damaged


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=10)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    different = 0
    with tempfile.TemporaryDirectory() as scratch, Runs(Path(scratch) / "warm") as runs:
        base = Path(scratch) / "base"
        lay(base, chosen.seed)
        steps = time_steps(runs, base, Path(scratch) / "undisturbed")
        wanted = digests(Path(scratch) / "undisturbed")
        print(f"{len(steps)} sub-steps: {', '.join(steps)}", flush=True)
        for number in range(chosen.runs):
            target = Path(scratch) / f"run-{number}"
            kills, damaged = kill_through(runs, base, target, steps, chosen.seed + number)
            other = sorted({name for name, _ in digests(target).items() ^ wanted.items()})
            different += bool(other)
            result = f"OTHER BYTES in {', '.join(other)}" if other else "same bytes"
            print(f"run {number + 1:>3}: {kills} kills, {len(damaged)} files damaged: {result}", flush=True)
    print(f"{chosen.runs} runs, {different} with other bytes than an undisturbed run")
    sys.exit(different > 0)


if __name__ == "__main__":
    main()
