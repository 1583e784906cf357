"""Progress of a stage while it runs, with the time left, and a table of rows and drops afterwards.

On a terminal one line is redrawn. Elsewhere, such as in the log of a scheduler, a line is written every ten seconds at
most.
"""

import json
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from roots.errors import InputError

if TYPE_CHECKING:
    from roots.shards import Receipt
    from roots.stage import Manifest

_LOG_SECONDS = 10.0  # between two lines; the last line is always written
_DRAW_SECONDS = 0.5  # between two redraws on a terminal


class EventLog:
    """Appends events of a run to a file, one line of JSON each, in one write, so that processes can share it."""

    def __init__(self, path: Path, label: str) -> None:
        self._path = path
        self._label = label

    def __call__(self, event: str, **values: object) -> None:
        """Append one event."""
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": stamp, "event": event, "label": self._label, **values}, ensure_ascii=False)
        append_line(self._path, line)


def append_line(path: Path, line: str) -> None:
    """Append one line in one write. Raises InputError if the file cannot be written."""
    try:
        with path.open("ab", buffering=0) as file:
            file.write(line.encode("utf-8", "replace") + b"\n")
    except OSError as error:
        raise InputError(f"cannot write the log {path}: {error.strerror or error}") from None


class StageProgress:
    """Shows the progress of the stages of a run: a `roots.stage.Progress` that is closed at the end."""

    def __init__(
        self, label: str = "", stream: TextIO | None = None, quiet: bool = False, log: EventLog | None = None
    ) -> None:
        self._log = log
        self._label = label
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._terminal = self._stream.isatty()
        self._stage = ""
        self._total = self._rows = 0
        self._done = self._before = 0.0
        self._start = self._said = time.monotonic()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        if self._terminal and not quiet:
            threading.Thread(target=self._redraw, daemon=True).start()

    def __call__(self, stage: str, done: float, total: int, receipt: "Receipt | None" = None) -> None:
        """Show that `done` of `total` shards are done; `receipt` is that of the last one made, if any.

        `done` may be fractional: part of a shard counts for the time left.
        """
        with self._lock:
            if stage != self._stage:
                self._stage, self._before, self._rows = stage, done, 0
                self._start = time.monotonic()
                self._said = self._start - _LOG_SECONDS + 1
            self._done, self._total = done, total
            self._rows += receipt.rows if receipt else 0
            self._write_event(receipt)
            now = time.monotonic()
            last = done == total
            if self._quiet or (not self._terminal and not last and now - self._said < _LOG_SECONDS):
                return
            self._said = now
            self._write(end=last)

    def _write_event(self, receipt: "Receipt | None") -> None:
        """Log the start of a stage, or a shard that was made; `failed` logs shards that failed."""
        if self._log is None:
            return
        values: dict[str, Any] = {"stage": self._stage, "done": int(self._done), "total": self._total}
        if receipt is not None:
            made = {"rows": receipt.rows, "kept": receipt.kept, "drops": receipt.drops, "bytes": receipt.body_bytes}
            self._log("shard", **values, **made, seconds=round(time.monotonic() - self._start, 3))
        elif self._done == self._before:
            self._log("stage", **values)

    def failed(self, stage: str, failures: Mapping[str, str]) -> None:
        """Log the shards of a stage that could not be made."""
        if self._log is not None:
            for name, why in sorted(failures.items()):
                self._log("failure", stage=stage, shard=name, why=why)

    def _line(self) -> str:
        took = time.monotonic() - self._start
        made = self._done - self._before
        parts = [f"{self._label}{self._stage:<8} {int(self._done)}/{self._total} shards"]
        if self._rows and took > 0:
            what = "rows" if "." in self._stage else "documents"  # a sub-step of dedup counts pairs, lines or groups
            parts.append(f"{self._rows:,} {what}, {self._rows / took:,.0f}/s")
        if self._done < self._total:
            left = took / made * (self._total - self._done) if made else None
            parts.append(
                f"{clock(took)} so far, " + (f"{clock(left)} left" if left is not None else "time left unknown")
            )
        elif made:
            parts.append(clock(took))
        else:
            parts.append("done before")
        return "  ".join(parts)

    def _write(self, end: bool) -> None:
        if self._terminal:
            self._stream.write(f"\r\x1b[K{self._line()}" + ("\n" if end else ""))
        else:
            self._stream.write(self._line() + "\n")
        self._stream.flush()

    def _redraw(self) -> None:
        while not self._closed.wait(_DRAW_SECONDS):
            with self._lock:
                if self._stage and self._done < self._total:
                    self._write(end=False)

    def close(self) -> None:
        """Stop drawing and end the line."""
        self._closed.set()
        with self._lock:
            if self._terminal and not self._quiet and self._stage and self._done < self._total:
                self._stream.write("\n")


def clock(seconds: float) -> str:
    """A duration in words: 7.3 s, 4 min 05 s, 3 h 20 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def table(manifests: "Sequence[Manifest]") -> str:
    """A table with one row for each stage: rows in, kept, dropped, seconds, documents a second; then rows by reason."""
    lines = [f"{'stage':<10}{'rows in':>10}{'kept':>10}{'dropped':>10}{'seconds':>10}{'docs/s':>10}"]
    lines.append("-" * len(lines[0]))
    for manifest in manifests:
        made = manifest.made > 0
        seconds = f"{manifest.seconds:.1f}" if made else "before"
        rate = f"{manifest.rows / manifest.seconds:,.0f}" if made and manifest.made == len(manifest.shards) else "-"
        dropped = manifest.rows - manifest.kept
        lines.append(
            f"{manifest.stage:<10}{manifest.rows:>10,}{manifest.kept:>10,}{dropped:>10,}{seconds:>10}{rate:>10}"
        )
        lines += [f"{'':<20}{rows:>20,}  {reason}" for reason, rows in manifest.drops.items()]
    return "\n".join(lines)
