"""What a cluster costs: the main job on Ray beside the local executor, and what the driver holds as shards grow.

    python -m tests.benchmarks.executors                  # both parts; the first: three jobs of two minutes each way
    python -m tests.benchmarks.executors --part speed --seconds 120 --rounds 3
    python -m tests.benchmarks.executors --part memory

speed    the example crawl, copied under new names until the local job takes `--seconds`, by the local executor and by
         Ray, both with two workers on this machine, in turns; documents a second of the whole command, Ray's start-up
         included. Aim: Ray at least 0.9 times the local executor.
memory   a stage of 100 and of 10,000 shards on Ray, each in a process of its own; the largest resident set of the
         driver, in MB. Aim: flat, but for what a manifest keeps of each shard: at most 4 KB a shard more.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from roots import shards
from roots.stage import Stage

CRAWL = Path(__file__).parent.parent / "fixtures" / "crawl"
LANGUAGES = "fr ar zh hi"
WORKERS = 2
SCHEMA = pa.schema([("id", pa.string()), ("drop", pa.string())])


@dataclass(frozen=True)
class Tiny(Stage):
    """One row a shard: all that is left is what the driver does."""

    name: ClassVar[str] = "tiny"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = SCHEMA

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pylist([{"id": name, "drop": None}], SCHEMA)


def lay(folder: Path, copies: int) -> None:
    """Copies of the example crawl, each under names of its own."""
    folder.mkdir(parents=True)
    for copy in range(copies):
        for path in sorted(CRAWL.glob("*.gz")):
            shutil.copyfile(path, folder / f"copy-{copy:04d}-{path.name}")  # links would be taken for one archive


def job(folder: Path, work: Path, executor: str) -> float:
    """Seconds of the main job."""
    command = [sys.executable, "-m", "pipelines.cli", "run", str(work), "--input", str(folder / "*.gz")]
    command += ["--lang", LANGUAGES, "-j", str(WORKERS), "--quiet", "--executor", executor]
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def documents(work: Path) -> int:
    """Records that the job read."""
    receipts = [shards.read_receipt(path) for path in (work / "index").glob("*.parquet")]
    return sum(receipt.rows for receipt in receipts if receipt)


def speed(seconds: float, rounds: int) -> bool:
    """Print documents a second of both; whether the aim was met."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        lay(place / "some", 4)
        job(place / "some", place / "warm", "local")  # what is compiled is compiled now
        lay(place / "more", 12)
        each = (job(place / "more", place / "b", "local") - job(place / "some", place / "a", "local")) / 8
        copies = max(4, round(seconds / max(0.05, each)))
        lay(place / "all", copies)
        found: dict[str, list[float]] = {"local": [], "ray": []}
        for number in range(rounds):
            for executor in found:
                work = place / f"{executor}-{number}"
                took = job(place / "all", work, executor)
                found[executor].append(documents(work) / took)
                print(
                    f"{executor:<6} {copies} copies in {took:6.1f} s: {found[executor][-1]:7.1f} documents/s",
                    flush=True,
                )
    ratio = statistics.median(found["ray"]) / statistics.median(found["local"])
    print(f"Ray has {ratio:.3f} times the documents a second of the local executor{'' if ratio >= 0.9 else ': MISSED'}")
    return ratio >= 0.9


DRIVER = """
import json, resource, sys
from pathlib import Path
from roots.executors.ray import Ray
from roots.stage import run
from tests.benchmarks.executors import Tiny
count, place = int(sys.argv[1]), Path(sys.argv[2])
source = place / "source.json"
source.write_text("{}")
manifest = run(Tiny(), {f"{n:06d}.parquet": [source] for n in range(count)}, place / "tiny", Ray(2))
assert manifest.made == count
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
"""


def memory(counts: Sequence[int]) -> bool:
    """Print the driver's largest resident set for each number of shards; whether the aim was met."""
    found = []
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            said = subprocess.run(
                [sys.executable, "-c", DRIVER, str(count), folder], check=True, capture_output=True, text=True
            )
        found.append(float(json.loads(said.stdout.splitlines()[-1])))
        print(f"{count:>7,} shards: the driver holds {found[-1]:.1f} MB", flush=True)
    more = (found[-1] - found[0]) * 1024 / (counts[-1] - counts[0])
    print(f"{more:.2f} KB more a shard{'' if more <= 4 else ': MISSED'}")
    return more <= 4


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--part", choices=("speed", "memory"))
    options.add_argument("--seconds", type=float, default=120.0)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--shards", type=int, nargs=2, default=[100, 10_000])
    chosen = options.parse_args()
    met = [speed(chosen.seconds, chosen.rounds)] if chosen.part != "memory" else []
    met += [memory(chosen.shards)] if chosen.part != "speed" else []
    sys.exit(not all(met))


if __name__ == "__main__":
    main()
