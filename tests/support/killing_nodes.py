"""Kill nodes of a Ray cluster at random moments of the main job: the final bytes must be those of an undisturbed run.

    python -m tests.killing_nodes --runs 10

The cluster has three nodes on this machine: a head, and two that work. In every run the job is begun in a fresh work
folder; when a random number of shards is there, a node is killed with all its processes, and a new one takes its place.
Then once a raylet is frozen for so long that it is taken for dead, and wakes; and once the command itself is killed,
and run again. No row may be lost, and every byte must be as undisturbed.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pipelines.verify import verify
from tests.support.killing import check_whole, command, digests
from tests.support.ray_cluster import Nodes, three_nodes

FROZEN_SECONDS = 8.0  # the cluster of these tests takes a node for dead after three


def start(work: Path, languages: str, *more: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([*command(work, languages), *more], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def kill_node(nodes: Nodes, chance: random.Random, job: "subprocess.Popen[bytes]") -> str:
    nodes.kill(chance.randrange(2))
    nodes.workers.append(nodes.add())
    return "killed a node"


def freeze_node(nodes: Nodes, chance: random.Random, job: "subprocess.Popen[bytes]") -> str:
    nodes.freeze(chance.randrange(2), FROZEN_SECONDS)
    nodes.workers.append(nodes.add())
    return f"froze a raylet for {FROZEN_SECONDS:g} s"


def kill_command(nodes: Nodes, chance: random.Random, job: "subprocess.Popen[bytes]") -> str:
    job.kill()
    return "killed the command"


Harm = Callable[[Nodes, random.Random, "subprocess.Popen[bytes]"], str]


def shards_in(work: Path) -> int:
    return sum(1 for _ in work.rglob("*.parquet"))


def harm_once(nodes: Nodes, work: Path, languages: str, harm: Harm, chance: random.Random, shards: int) -> str:
    """Run once and do one harm to it. Returns the harm, and whether it hit the job while it ran."""
    more = ("--executor", "ray", "--ray-address", nodes.address)
    job = start(work, languages, *more)
    some = chance.randrange(int(0.9 * shards))
    while job.poll() is None and shards_in(work) < some:
        time.sleep(0.01)
    met = "" if job.poll() is None else " (after the job had ended)"
    said = harm(nodes, chance, job) + f" at shard {some} of {shards}" + met
    _, errors = job.communicate(timeout=600)
    if job.returncode:
        if harm is not kill_command:
            raise SystemExit(f"{said}: the job failed: {errors.decode()[-2000:]}")
        again = start(work, languages, *more)
        _, errors = again.communicate(timeout=600)
        assert again.returncode == 0, errors.decode()[-2000:]
    check_whole(work)
    for language in languages.split():
        assert not list(verify(work, language)), f"{said}: a row is not accounted for"
    return said


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=10, help="nodes killed")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--lang", default="fr ar zh")
    chosen = options.parse_args()
    chance = random.Random(chosen.seed)
    different = 0
    with tempfile.TemporaryDirectory() as folder, three_nodes(connect=False) as nodes:
        # Undisturbed on this machine alone; two workers and Ray's tasks cut dedup's scratch alike at this size.
        assert start(Path(folder) / "alone", chosen.lang).wait(timeout=600) == 0
        wanted = digests(Path(folder) / "alone")
        calm = start(Path(folder) / "calm", chosen.lang, "--executor", "ray", "--ray-address", nodes.address)
        assert calm.wait(timeout=600) == 0
        assert digests(Path(folder) / "calm") == wanted
        for number, harm in enumerate([*[kill_node] * chosen.runs, freeze_node, kill_command]):
            work = Path(folder) / f"run-{number}"
            said = harm_once(nodes, work, chosen.lang, harm, chance, shards_in(Path(folder) / "calm"))
            same = digests(work) == wanted
            different += not same
            print(f"run {number + 1:>3}: {said}: {'same bytes' if same else 'OTHER BYTES'}", flush=True)
    print(f"{chosen.runs} nodes killed, one raylet frozen, the command killed once: {different} runs with other bytes")
    sys.exit(different > 0)


if __name__ == "__main__":
    main()
