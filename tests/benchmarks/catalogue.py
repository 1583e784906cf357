"""A catalogue of small sources of eight forms: one command, killed at random moments and resumed, then a takedown.

    python -m tests.benchmarks.catalogue --sources 200 --kills 10

An undisturbed run is timed first. The second gets SIGKILL again and again, and is started again where it stopped; after
each kill every file that has its final name must be whole. At the end all files must have the bytes of the undisturbed
run. Then a source is taken out of the release by its name.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pipelines.release import read_parquet
from tests.support.killing import digests, kill_once
from tests.support.sources import write_sources


def _roots(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "pipelines.cli", *map(str, arguments), "-j", "2", "--quiet"]


def _do(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def kill_in_a_row(catalogue: Path, folder: Path, kills: int, seed: int) -> bool:
    """Run undisturbed, then with kills, in `folder`; whether all bytes are the same."""
    runs = {name: _roots("run", folder / name, "--catalogue", catalogue, "--lang", "fr") for name in ("calm", "killed")}
    start = time.monotonic()
    said = _do(runs["calm"])
    seconds = time.monotonic() - start
    print(said[said.index("source  ") :] if kills > 3 else "", f"undisturbed: {seconds:.0f} seconds", sep="\n")
    chance = random.Random(seed)
    for number in range(kills):
        # Together the starts take about as long as the undisturbed run, so the kills come at all stages.
        killed = kill_once(runs["killed"], folder / "killed", chance, 2 * seconds / kills, always_command=True)
        done = len(list((folder / "killed").rglob("*.parquet")))
        print(f"kill {number + 1:>2}: {killed}; {done} shards are there, all whole", flush=True)
    _do(runs["killed"])
    calm, resumed = digests(folder / "calm"), digests(folder / "killed")
    print(f"{len(calm)} files, {sum(resumed.get(name) != digest for name, digest in calm.items())} with other bytes")
    return calm == resumed


def take_down(work: Path, folder: Path, source: str) -> bool:
    """Publish, take a source down by its name; whether it was there and nothing of it is left."""
    _do(_roots("publish", work, "--to", folder / "release", "--set", "publish.contact=a@example.org"))
    before = json.loads((folder / "release" / "manifest.json").read_text())["languages"]["fra_Latn"]["sources"]
    (folder / "list.txt").write_text(f"source:{source}\n")
    _do(_roots("takedown", folder / "release", "--list", folder / "list.txt", "--set", "takedown.signed_off_by=bench"))
    left: dict[str, int] = {}
    for path in sorted((folder / "release").rglob("*.parquet")):
        for batch in read_parquet(path, ["source"]) if ".publish" not in path.parts else ():
            for name in batch["source"].to_pylist():
                left[name] = left.get(name, 0) + 1
    print(f"{source}: {before[source]['rows']} documents published; after its takedown {left.get(source, 0)} are left")
    return source not in left and before.keys() - {source} <= left.keys()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sources", type=int, default=200)
    options.add_argument("--documents", type=int, default=6, help="of each source")
    options.add_argument("--kills", type=int, default=10)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        catalogue = write_sources(folder / "sources", chosen.sources, chosen.documents)
        same = kill_in_a_row(catalogue, folder, chosen.kills, chosen.seed)
        gone = take_down(folder / "calm", folder, "csv-004")
    sys.exit(0 if same and gone else 1)


if __name__ == "__main__":
    main()
