"""What `make bench` found, and how it is shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

MEMORY_LIMIT = 700_000_000  # bytes, of a worker


@dataclass(frozen=True)
class Line:
    """One contender's result: medians over the rounds."""

    part: str
    contender: str
    cores: int
    documents: int  # pages read
    kept: int
    cpu_seconds: float
    wall_seconds: float
    spread: tuple[float, float]  # lowest and highest CPU seconds
    funnel: str  # documents left after each step
    target: float | None  # what `ratio` is promised to be
    startup_seconds: float = 0.0  # CPU, for a handful of pages: the same for a large crawl
    peak_process_rss: int = 0  # bytes
    peak_tree_pss: int = 0
    ratio: float = 1.0  # pages per CPU second, over those of the peer
    wall_ratio: float = 1.0
    steady_ratio: float = 1.0  # as `ratio`, with what a handful of pages costs taken off both

    @property
    def missed(self) -> bool:
        """Whether it falls short of its target."""
        return self.target is not None and self.ratio < self.target

    def against(self, peer: "Line", few: int = 0) -> "Line":
        """The line with its ratios. `few` is the number of pages that start-up was measured on."""
        steady = [(one.documents - few) / max(0.01, one.cpu_seconds - one.startup_seconds) for one in (self, peer)]
        return replace(
            self,
            ratio=peer.cpu_seconds / self.cpu_seconds,
            wall_ratio=peer.wall_seconds / self.wall_seconds,
            steady_ratio=steady[0] / steady[1],
        )


@dataclass
class Report:
    """All that was measured."""

    lines: list[Line] = field(default_factory=list)
    memory: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def missed(self) -> bool:
        """Whether any target was missed."""
        return any(line.missed for line in self.lines) or self.memory.get("peak_process_rss", 0) > MEMORY_LIMIT


COLUMNS = (  # title, and what is shown below it
    ("part", lambda one: one.part),
    ("cores", lambda one: str(one.cores)),
    ("contender", lambda one: one.contender),
    ("pages", lambda one: str(one.documents)),
    ("kept", lambda one: str(one.kept)),
    ("CPU s", lambda one: f"{one.cpu_seconds:.2f}"),
    ("(range)", lambda one: f"{one.spread[0]:.1f}-{one.spread[1]:.1f}"),
    ("start-up", lambda one: f"{one.startup_seconds:.2f}"),
    ("wall s", lambda one: f"{one.wall_seconds:.2f}"),
    ("pages/CPU-s", lambda one: f"{one.documents / one.cpu_seconds:,.1f}"),
    ("times", lambda one: f"{one.ratio:.2f}"),
    ("target", lambda one: "" if one.target is None else f">= {one.target:g}"),
    ("", lambda one: "" if one.target is None else "MISSED" if one.missed else "met"),
    ("steady", lambda one: f"{one.steady_ratio:.2f}"),
    ("wall", lambda one: f"{one.wall_ratio:.2f}"),
    ("peak MB", lambda one: f"{one.peak_process_rss / 1e6:.0f}"),
)
WORDS = ("part", "contender", "")  # columns set to the left


def table(report: Report) -> str:
    """The report as a person reads it."""
    rows = [[title for title, _ in COLUMNS], *([show(line) for _, show in COLUMNS] for line in report.lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = []
    for row in rows:
        cells = zip(row, widths, COLUMNS, strict=True)
        lines.append("  ".join(cell.ljust(w) if title in WORDS else cell.rjust(w) for cell, w, (title, _) in cells))
    lines += [
        "",
        "times, steady, wall: against the peer; by CPU seconds, by CPU seconds without start-up, by wall seconds.",
        "What was left after each step:",
    ]
    lines += [f"  {one.part}, {one.cores} core(s), {one.contender}: {one.funnel}" for one in report.lines]
    versions = ", ".join(f"{name} {value}" for name, value in report.versions.items())
    return "\n".join([*lines, *memory_lines(report.memory), "", f"Versions: {versions}"])


def memory_lines(memory: Mapping[str, Any]) -> list[str]:
    """The part about memory."""
    if not memory:
        return []
    mb = {name: memory[name] / 1e6 for name in ("archive_bytes", "peak_process_rss", "peak_tree_pss")}
    met = "met" if memory["peak_process_rss"] <= MEMORY_LIMIT else "MISSED"
    lines = [
        "",
        f"Memory, 1 worker, one archive of {mb['archive_bytes']:,.0f} MB ({memory['documents']} pages, "
        f"{memory['kept']} kept, {memory['wall_seconds']:.0f} s, {memory['cpu_seconds']:.0f} CPU s):",
        f"  largest process {mb['peak_process_rss']:.0f} MB (RSS), target <= {MEMORY_LIMIT / 1e6:.0f}: {met}; "
        f"all processes together {mb['peak_tree_pss']:.0f} MB (PSS)",
        f"  {memory['funnel']}",
        "  seconds: all processes, largest one (MB)",
    ]
    lines += [f"  {at:7.1f}: {pss / 1e6:5.0f} {rss / 1e6:5.0f}" for at, pss, rss in memory["series"]]
    return lines + [f"  {one['peak_rss'] / 1e6:5.0f} MB  {one['command'][:90]}" for one in memory["processes"]]
