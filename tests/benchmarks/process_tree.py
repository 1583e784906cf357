"""What a command costs, summed over every process it starts: CPU seconds, wall seconds, memory over time.

A worker started by multiprocessing's fork server is never waited for by the process that asked for it, so the usual
`time` or `RUSAGE_CHILDREN` misses most of the work. Here the command runs below a small launcher that the kernel makes
the parent of all orphans (PR_SET_CHILD_SUBREAPER, Linux): everything the command ever started is waited for, by its
own parent or by the launcher, so the launcher's RUSAGE_CHILDREN is the exact sum. Only a process whose parent ignores
SIGCHLD escapes that sum; the CPU times seen by polling /proc are added up as a check, and `lost_cpu_seconds` says by
how much they exceed it.

Memory is read from /proc every `interval` seconds: the resident peak of each process as the kernel keeps it (VmHWM),
and the tree's proportional set size (PSS: shared pages counted once over all who share them).

Run as a script it is the launcher itself: `python process_tree.py RESULT.json INTERVAL -- COMMAND...`.
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PR_SET_CHILD_SUBREAPER = 36
TICKS = os.sysconf("SC_CLK_TCK")
GRACE_SECONDS = 10.0  # for orphans to end by themselves once the command has; then they are killed, and counted


@dataclass(frozen=True)
class Process:
    """One process of the tree."""

    pid: int
    parent: int
    command: str
    peak_rss: int  # bytes


@dataclass(frozen=True)
class Usage:
    """What one run of a command cost."""

    exit_code: int
    wall_seconds: float
    cpu_seconds: float  # user and system, of all processes
    lost_cpu_seconds: float  # seen by polling, but in no wait: 0 unless a parent ignores SIGCHLD
    peak_process_rss: int  # bytes, of the largest process
    peak_tree_pss: int  # bytes, of all processes together
    killed_orphans: int
    processes: tuple[Process, ...]
    series: tuple[tuple[float, int, int], ...]  # seconds since the start, PSS of the tree, RSS of its largest process
    output: str = field(default="", repr=False)  # what the command printed


def measure(
    command: Sequence[str],
    cpus: Sequence[int] = (),
    interval: float = 0.2,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    limit_seconds: float | None = None,
) -> Usage:
    """Run a command, on these CPUs only if any are given, and say what it cost.

    Raises TimeoutError, with the whole tree killed, when it takes longer than `limit_seconds`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        result, output = Path(scratch) / "result.json", Path(scratch) / "output"
        pinned = ["taskset", "--cpu-list", ",".join(map(str, cpus)), *command] if cpus else command
        launcher = [sys.executable, "-S", __file__, str(result), str(interval), "--", *pinned]
        with output.open("wb") as file:
            process = subprocess.Popen(launcher, stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=folder)
            try:
                process.wait(limit_seconds)
            except (subprocess.TimeoutExpired, KeyboardInterrupt) as error:
                process.terminate()  # the launcher kills its tree
                process.wait()
                if isinstance(error, KeyboardInterrupt):
                    raise
                raise TimeoutError(f"{command[0]} took more than {limit_seconds} s") from None
        text = output.read_text(encoding="utf-8", errors="replace")
        if not result.is_file():
            raise ChildProcessError(f"the launcher of {command[0]} failed:\n{text}")
        values = json.loads(result.read_text())
    processes = tuple(Process(**process) for process in values.pop("processes"))
    series = tuple((at, pss, rss) for at, pss, rss in values.pop("series"))
    return Usage(**values, processes=processes, series=series, output=text)


@dataclass
class _Seen:
    """What polling has seen of the tree so far."""

    processes: dict[int, Process] = field(default_factory=dict)
    cpu: dict[int, float] = field(default_factory=dict)  # pid -> its own CPU seconds when last seen
    series: list[tuple[float, int, int]] = field(default_factory=list)

    def poll(self, start: float, live: Sequence[int]) -> None:
        """Read /proc once for every live process."""
        tree_pss, largest = 0, 0
        for pid in live:
            try:
                stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                status = _fields(Path(f"/proc/{pid}/status"))
                pss = _fields(Path(f"/proc/{pid}/smaps_rollup")).get("Pss", 0)
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile; its CPU time is in RUSAGE_CHILDREN
            self.cpu[pid] = (int(stat[11]) + int(stat[12])) / TICKS
            self.processes[pid] = Process(pid, int(stat[1]), command.strip()[:200], status.get("VmHWM", 0))
            tree_pss += pss
            largest = max(largest, status.get("VmRSS", 0))
        self.series.append((round(time.monotonic() - start, 2), tree_pss, largest))


def _fields(path: Path) -> dict[str, int]:
    """The sizes of a /proc file whose lines read 'Name: 123 kB', in bytes."""
    sizes: dict[str, int] = {}
    for line in path.read_text().splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == "kB":
            sizes[words[0].rstrip(":")] = int(words[1]) * 1024
    return sizes


def _descendants(root: int) -> list[int]:
    """All live processes below `root`."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if stat[0] not in "ZX":  # not yet waited for, but ended
                children.setdefault(int(stat[1]), []).append(int(entry.name))
    found: list[int] = []
    todo = [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _reap(exit_codes: dict[int, int]) -> bool:
    """Wait for all that have ended; True when no child is left."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if pid == 0:
            return False
        exit_codes[pid] = os.waitstatus_to_exitcode(status)


def _kill_tree(*_: object) -> None:
    for pid in _descendants(os.getpid()):
        os.kill(pid, signal.SIGKILL)
    sys.exit(1)


def launch(command: Sequence[str], interval: float) -> dict[str, Any]:
    """Run the command below this process, and give back a Usage as plain values, without its output."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, _kill_tree)
    seen, killed = _Seen(), 0
    exit_codes: dict[int, int] = {}
    start = time.monotonic()
    first = subprocess.Popen(command).pid  # waited for below, with all the others
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])  # only now: a child inherits the mask
    end, next_poll = 0.0, start
    while not _reap(exit_codes):
        now = time.monotonic()
        if not end and first in exit_codes:
            end = now
        if now >= next_poll:
            live = _descendants(os.getpid())
            if end and now > end + GRACE_SECONDS:
                for pid in live:
                    os.kill(pid, signal.SIGKILL)
                killed += len(live)
            seen.poll(start, live)
            next_poll = time.monotonic() + interval
        signal.sigtimedwait([signal.SIGCHLD], max(0.0, next_poll - time.monotonic()))  # woken when a child ends
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = usage.ru_utime + usage.ru_stime
    return {
        "exit_code": exit_codes[first],
        "wall_seconds": (end or time.monotonic()) - start,
        "cpu_seconds": cpu,
        "lost_cpu_seconds": max(0.0, round(sum(seen.cpu.values()) - cpu, 3)),
        "peak_process_rss": max([usage.ru_maxrss * 1024, *(p.peak_rss for p in seen.processes.values())]),
        "peak_tree_pss": max(pss for _, pss, _ in seen.series) if seen.series else 0,
        "killed_orphans": killed,
        "processes": [asdict(process) for process in seen.processes.values()],
        "series": seen.series,
    }


if __name__ == "__main__":
    values = launch(sys.argv[4:], float(sys.argv[2]))
    Path(sys.argv[1]).write_text(json.dumps(values))
