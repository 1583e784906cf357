"""Kill the main job at random moments, then resume it: the final bytes must be those of an undisturbed run.

    python -m tests.killing --runs 30

Each run starts in a fresh work folder. After a random time, SIGKILL goes to the command itself or to one of its
processes, chosen at random; a worker's death is the executor's to mend, the command's death ours to resume. After each
kill every file that has its final name must be whole.
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
from collections.abc import Sequence
from pathlib import Path

from roots import shards
from tests.support.paths import ROOT

CRAWL = ROOT / "tests/fixtures" / "crawl"


def command(work: Path, languages: str) -> list[str]:
    inputs = [part for end in ("*.warc.gz", "*.wet.gz") for part in ("--input", str(CRAWL / end))]
    return [sys.executable, "-m", "pipelines.cli", "run", str(work), *inputs, "--lang", languages, "-j", "2", "--quiet"]


def family(pid: int) -> list[int]:
    """A process and all its descendants that live, in the order of their numbers."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [pid]
    for known in found:
        found += sorted(child for child, parent in parents.items() if parent == known)
    return found


def digests(work: Path) -> dict[str, str]:
    """sha256 of every file that has a final name."""
    files = [path for path in sorted(work.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    return {str(path.relative_to(work)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def check_whole(work: Path) -> None:
    """Raise where a file under its final name is not whole."""
    for path in sorted(work.rglob("*")):
        if not path.is_file() or path.name.startswith("."):
            continue
        if path.suffix in (".parquet", ".arrow"):
            shards.check(path)
        else:
            assert path.suffix == ".json", f"{path}: what is this?"
            json.loads(path.read_text(encoding="utf-8"))


def kill_once(
    run: Sequence[str], work: Path, chance: random.Random, seconds: float, always_command: bool = False
) -> str:
    """Start a command, kill it or one of its processes after a random part of `seconds`, and check what it left.

    The death of a process is the executor's to mend, so the run goes on; `always_command` kills the command itself.
    Returns what was killed.
    """
    process = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(chance.uniform(0.05, 1.0) * seconds)
    living = family(process.pid) if process.poll() is None else []
    said = "nothing (it had ended)"
    if living:
        alone = always_command or len(living) == 1
        victim = living[0] if alone or chance.random() < 0.5 else chance.choice(living[1:])
        said = (
            "the command" if victim == process.pid else f"a process of it ({living.index(victim)} of {len(living) - 1})"
        )
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            said = "nothing (it had just ended)"
        if victim != process.pid:
            process.wait(timeout=900)
    process.wait(timeout=900)
    if work.is_dir():
        check_whole(work)
    return said


def kill_and_resume(work: Path, languages: str, seed: int, seconds: float) -> str:
    """One run: kill after a random part of `seconds`, check, resume. Returns what was killed."""
    said = kill_once(command(work, languages), work, random.Random(seed), seconds)
    subprocess.run(command(work, languages), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return said


def kill_often(folder: Path, languages: str, runs: int, seed: int, echo: bool = False) -> int:
    """Kill and resume `runs` times. Returns how many runs ended in other bytes than an undisturbed one."""
    start = time.monotonic()
    subprocess.run(command(folder / "undisturbed", languages), check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - start
    wanted = digests(folder / "undisturbed")
    different = 0
    for number in range(runs):
        work = folder / f"run-{number}"
        said = kill_and_resume(work, languages, seed + number, seconds)
        same = digests(work) == wanted
        different += not same
        if echo:
            print(f"run {number + 1:>3}: killed {said}; resumed: {'same bytes' if same else 'OTHER BYTES'}", flush=True)
    return different


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=30)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--lang", default="fr ar zh")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        different = kill_often(Path(folder), chosen.lang, chosen.runs, chosen.seed, echo=True)
    print(f"{chosen.runs} runs killed and resumed, {different} with other bytes than an undisturbed run")
    sys.exit(different > 0)


if __name__ == "__main__":
    main()
