"""The main job on 1 to 10,000 workers, simulated: where does it stop scaling?

    roots plan --input 'crawl/*.warc.gz' --lang en --archives 90000 --archive-bytes 1e9 --json plan.json
    python -m tests.benchmarks.simulation plan.json [--workers 1 10 100 1000] [--picture scaling.svg] [--json FILE]

A discrete-event simulation (SimPy) of the stages as they run: one driver gives out a task a shard and takes in its
receipt; workers draw tasks, read their sources over a storage that all share, compute, and write; a stage begins when
the one before has ended. Every cost is measured: `roots plan` worked on pieces of a crawl on this machine, and each
simulated shard draws its cost by lot from sums of those pieces. What is assumed is said in `World`, and can be set.

Beside the hours stands what `roots plan` says for as many workers, and what others published or what was measured of
them (`OTHERS`), turned into core-hours a snapshot. Needs simpy; the picture needs matplotlib (extra [bench]).
"""

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import simpy

from pipelines.forecast.scale import Interval, StageForecast

BLEND = 40  # pieces whose mean a shard's cost is: an archive is made of many, but not of independent ones


@dataclass(frozen=True)
class World:
    """What is assumed, not measured."""

    storage_bytes: float = 25e9  # a second, of all workers together: 200 Gb/s
    worker_bytes: float = 100e6  # a second, of one worker
    lost_hours: float = 2000.0  # mean time in which one worker is lost; its shard is begun again
    restart_seconds: float = 120.0  # until another takes its place
    seed: int = 1


@dataclass(frozen=True)
class Work:
    """One stage, as the simulation needs it."""

    name: str
    tasks: int
    seconds: Sequence[float]  # of a shard: as many costs as there are pieces; drawn and blended
    read_bytes: float  # by a task
    written_bytes: float
    driver_seconds: float  # a task
    after_seconds: float  # after the last one: what is one task


def works_of(plan: dict[str, Any]) -> list[Work]:
    """The stages of a forecast."""
    works = []
    for stage, one in zip(plan["stages"], plan["measured"], strict=True):
        tasks = stage["tasks"]
        middle = stage["core_seconds"]["middle"] - stage["alone_seconds"]
        cost = [max(0.0, c - one["fixed_seconds"]) for c in one["cpu_seconds"]]
        scale = middle / tasks / (sum(cost) / len(cost)) if sum(cost) else 0.0
        read = plan["archive_bytes"] if stage["stage"] == "index" else _read_bytes(plan, stage)
        works.append(
            Work(
                f"{stage['language']} {stage['stage']}".strip(), tasks, [c * scale for c in cost],
                read * (2 if stage["stage"] == "index" else 1),  # digested, then read
                stage["disk_bytes"]["middle"] / tasks, stage["driver_seconds"] / tasks, stage["alone_seconds"],
            )
        )  # fmt: skip
    return works


def _read_bytes(plan: dict[str, Any], stage: dict[str, Any]) -> float:
    """What a task reads: of the archive the share that is extracted, or what the stages before it wrote."""
    stages = [one for one in plan["stages"] if one["language"] in ("", stage["language"])]
    if stage["stage"] == "extract":
        index, after = stages[0]["kept"]["middle"], next(s for s in stages if s["stage"] == "measure")
        return float(plan["archive_bytes"] * min(1.0, 2 * after["documents"]["middle"] / max(1.0, index)))
    written = sum(one["disk_bytes"]["middle"] for one in stages if one["stage"] in ("extract", "redact"))
    return float(written / stage["tasks"])


@dataclass(frozen=True)
class Outcome:
    """What became of one simulated job."""

    workers: int
    hours: dict[str, float]  # of each stage
    busy_hours: float  # core-hours in which workers computed
    lost: int  # workers

    @property
    def total(self) -> float:
        """Hours of the whole job."""
        return sum(self.hours.values())

    @property
    def efficiency(self) -> float:
        """Core-hours computed, of those paid for."""
        return self.busy_hours / (self.total * self.workers)


def simulate(works: Sequence[Work], workers: int, world: World) -> Outcome:
    """Run one job."""
    chance = random.Random(f"{world.seed} {workers}")
    hours: dict[str, float] = {}
    busy = lost = 0.0
    for work in works:
        run = _Run(work, workers, world, chance)
        hours[work.name] = (run.seconds() + work.after_seconds) / 3600
        busy += (run.busy + work.after_seconds) / 3600
        lost += run.lost
    return Outcome(workers, hours, busy, int(lost))


class _Run:
    """One stage of one job."""

    def __init__(self, work: Work, workers: int, world: World, chance: random.Random) -> None:
        self._work, self._world, self._chance = work, world, chance
        self._clock = simpy.Environment()
        self._driver = simpy.Resource(self._clock)
        self._left = work.tasks
        self._workers = min(workers, work.tasks)
        self._rate = min(world.worker_bytes, world.storage_bytes / self._workers)  # all read at once, and share alike
        mean = sum(work.seconds) / max(1, len(work.seconds))
        spread = math.sqrt(sum((s - mean) ** 2 for s in work.seconds) / max(1, len(work.seconds) - 1)) if mean else 0.0
        self._mean, self._spread = mean, spread / math.sqrt(BLEND)
        self.busy = 0.0
        self.lost = 0

    def seconds(self) -> float:
        """How long it takes."""
        done = [self._clock.process(self._worker()) for _ in range(self._workers)]
        self._clock.run(simpy.AllOf(self._clock, done))
        return float(self._clock.now)

    def _worker(self) -> Iterator[Any]:
        while self._left:
            self._left -= 1
            with self._driver.request() as turn:
                yield turn
                yield self._clock.timeout(self._work.driver_seconds)
            while True:
                compute = max(0.1 * self._mean, self._chance.gauss(self._mean, self._spread))
                moving = (self._work.read_bytes + self._work.written_bytes) / self._rate
                took = max(compute, moving)  # reading goes on while there is computing
                lost_after = self._chance.expovariate(1 / (self._world.lost_hours * 3600))
                if lost_after >= took:
                    break
                self.lost += 1
                self.busy += min(compute, lost_after)
                yield self._clock.timeout(lost_after + self._world.restart_seconds)
            self.busy += compute
            yield self._clock.timeout(took)


# What others need for one snapshot of Common Crawl: who, for what, hours of which unit, and where the figure is from.
# What was measured of them was on this machine beside ours, on other pages than a plan: it tells orders, not percents.
DOCUMENTS = 3.0e9  # pages of a snapshot
CORE, GPU = "core-hours", "GPU-hours"
OTHERS = (
    (
        "datatrove",
        "all but dedup",
        80_000.0,
        CORE,
        "published: FineWeb's example, 8,000 tasks of at most 10 h a snapshot",
    ),
    ("datatrove", "all, every page wanted", DOCUMENTS / 23.5 / 3600, CORE, "measured: 23.5 documents a CPU second"),
    ("datatrove", "all, a tenth wanted", DOCUMENTS / 52 / 3600, CORE, "measured: 52 documents a CPU second"),
    ("Data-Juicer", "MinHash of 5 TB alone", 1280 * 2.8, CORE, "published: 2.8 h on 1,280 cores"),
    ("NeMo Curator", "fuzzy dedup of 8 TB alone", 0.5 * 32, GPU, "published: 0.5 h on 4 nodes of 8 H100"),
)


def planned_hours(plan: dict[str, Any], workers: int) -> float:
    """Hours that `roots plan` forecasts for a number of workers."""
    stages = []
    for stage in plan["stages"]:
        ranges = {key: Interval(**stage[key]) for key in ("documents", "kept", "core_seconds", "disk_bytes")}
        stages.append(StageForecast(**{**stage, **ranges, "memory_bytes": tuple(stage["memory_bytes"])}))
    return sum(stage.hours(workers) for stage in stages)


def draw(found: Sequence[Outcome], planned: dict[int, float], target: Path) -> None:
    """Hours over workers, as a picture."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "roots"
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    workers = [one.workers for one in found]
    left.loglog(workers, [one.total for one in found], marker="o", label="simulated")
    right.semilogx(workers, [100 * one.efficiency for one in found], marker="o")
    left.loglog(list(planned), list(planned.values()), "k:", label="what `roots plan` says")
    left.set(xlabel="workers", ylabel="hours", title="One snapshot, from archives to the dataset")
    right.set(xlabel="workers", ylabel="% of paid core-hours computed in", ylim=(0, 100), title="Efficiency")
    left.legend()
    left.grid(alpha=0.3)
    right.grid(alpha=0.3)
    figure.savefig(target, metadata={"Date": None})


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path, help="what `roots plan --json` wrote")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 10, 100, 1000, 10_000])
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    if options.picture and find_spec("matplotlib") is None:
        parser.error("--picture needs matplotlib: pip install '.[bench]', or leave it out")
    plan = json.loads(options.plan.read_text(encoding="utf-8"))
    start = time.monotonic()
    world = World()
    found = [simulate(works_of(plan), count, world) for count in options.workers]
    planned = {count: planned_hours(plan, count) for count in options.workers}
    took = time.monotonic() - start
    print(f"{plan['archives']:,} archives of {plan['archive_bytes'] / 1e9:.3g} GB; simulated in {took:.0f} s")
    print(f"{'workers':>9}{'hours':>10}{'plan says':>11}{'efficiency':>12}{'workers lost':>14}  longest stage")
    for one in found:
        longest = max(one.hours, key=lambda stage: one.hours[stage])
        share = f"{longest}, {100 * one.hours[longest] / one.total:.0f} %"
        print(f"{one.workers:>9,}{one.total:>10,.1f}{planned[one.workers]:>11,.1f}"
              f"{100 * one.efficiency:>11.0f}%{one.lost:>14,}  {share}")  # fmt: skip
    low, middle, high = (plan["core_seconds"][key] / 3600 for key in ("low", "middle", "high"))
    print(f"\n  {'ours':<42}{middle:>9,.0f} {CORE}   (95 %: {low:,.0f} to {high:,.0f})")
    for who, what, hours, unit, source in OTHERS:
        print(f"  {who + ', ' + what:<42}{hours:>9,.0f} {unit}   ({source})")
    if options.json:
        values = [{"workers": one.workers, "hours": one.hours, "efficiency": one.efficiency} for one in found]
        options.json.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    if options.picture:
        draw(found, planned, options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
