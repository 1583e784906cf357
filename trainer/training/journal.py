"""The record of a run: log.jsonl (one line per update), loss.svg, and TensorBoard if it is turned on.

Times are under "speed" in each line; all other fields are the same in every run of the same recipe.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from roots.atomic import write_text
from roots.errors import SettingsError, ShardError
from trainer import picture

_LOG, _PICTURE = "log.jsonl", "loss.svg"
_LINE_AFTER, _LINE_SHARE = 5.0, 0.02  # seconds between two lines of progress, and at least this share of all so far
_AFTER_LOADING = ("rolled back", "lengthened", "shortened")  # events of a step that its checkpoint does not know


def read_log(run: Path) -> list[dict[str, Any]]:
    """Read the lines of the log of a run, without those that were cut when a disk was full or a machine stopped."""
    if not (run / _LOG).is_file():
        return []
    lines = (run / _LOG).read_text(encoding="utf-8", errors="replace").splitlines()
    return [found for found in map(_read_line, lines) if found is not None]


def _read_line(text: str) -> dict[str, object] | None:
    """Return the values of one line of a log, or None if it is not whole."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("step"), int) else None


def finished_bits(run: Path, step: int) -> dict[str, float] | None:
    """Return the bits per byte of each language if the log says that the run finished at this step, or None."""
    ends = [line for line in read_log(run) if line.get("event") == "finished" and line["step"] == step]
    return dict(ends[-1].get("bits_per_byte", {})) if ends else None


class Journal:
    """Writes the record of one run; does nothing on ranks other than the first (`active` is false)."""

    def __init__(self, run: Path, active: bool, tensorboard: bool, say: Callable[[str], None]) -> None:
        self.run, self.active, self._say = run, active, say
        self._file: IO[str] | None = None
        self._tensorboard = tensorboard
        self._board: Any = None
        self._began = self._due = time.monotonic()  # of the next line of progress

    def open(self, step: int, decisive: Mapping[str, object]) -> None:
        """Open the log, and remove what came after the checkpoint of `step`: its updates are made again."""
        if not self.active:
            return
        self._board = _board(self.run) if self._tensorboard else None
        write_text(self.run / "run.json", json.dumps(decisive, indent=1, sort_keys=True) + "\n")
        lines = read_log(self.run)
        self._write([x for x in lines if x["step"] < step or x.get("event") not in _AFTER_LOADING], step)

    def rewind(self, step: int) -> None:
        """Remove the lines after `step`, whose updates are made again; the rollbacks before stay."""
        if self.active:
            self._write(read_log(self.run), step)

    def _write(self, lines: Iterable[Mapping[str, Any]], step: int) -> None:
        """Write the log again with those of the lines that are not after `step`, and append to it from now on."""
        if self._file is not None:
            self._file.close()
        path = self.run / _LOG
        write_text(path, "".join(json.dumps(line) + "\n" for line in lines if line["step"] <= step))
        self._file = path.open("a", encoding="utf-8")

    def say(self, text: str) -> None:
        """Show a line to the user."""
        if self.active:
            self._say(text)

    def progress(self, text: str) -> None:
        """Show how far a run is if a line is due: at first, after 5 seconds, and more seldom in a long run."""
        if (now := time.monotonic()) >= self._due:
            self.say(text)
            self._due = now + max(_LINE_AFTER, _LINE_SHARE * (now - self._began))

    def event(self, line: Mapping[str, object]) -> None:
        """Append a line to the log. Raises ShardError if it cannot be written."""
        if self._file is not None:
            try:
                self._file.write(json.dumps(line) + "\n")
                self._file.flush()
            except OSError as error:
                raise ShardError(
                    f"cannot write {self.run / _LOG}: {error.strerror}. Checkpoints are kept; the same command goes on"
                ) from error

    def update(self, line: Mapping[str, object], speed: Mapping[str, float]) -> None:
        """Append the line of an update, and send its numbers to TensorBoard."""
        self.event({**line, "speed": {key: float(f"{value:.4g}") for key, value in speed.items()}})
        if self._board is not None:
            for key in ("loss", "norm", "lr"):
                if line.get(key) is not None:
                    self._board.add_scalar(key, line[key], line["tokens"])

    def picture(self) -> None:
        """Draw the training loss, its running mean, and the bits per byte of each language."""
        if not self.active:
            return
        curves: dict[str, list[picture.Point]] = {"loss": [], "loss, running mean": []}
        mean: float | None = None
        for line in read_log(self.run):
            x = line.get("tokens", 0) / 1e6
            if line.get("loss") is not None:
                mean = line["loss"] if mean is None else mean + 0.05 * (line["loss"] - mean)
                curves["loss"].append((x, line["loss"]))
                curves["loss, running mean"].append((x, mean))
            for language, value in line.get("bits_per_byte", {}).items():
                curves.setdefault(f"bits per byte, {language}", []).append((x, value))
        svg = picture.draw_curves("Training", "million tokens", "nats a token, bits a byte", curves)
        write_text(self.run / _PICTURE, svg)

    def close(self) -> None:
        """Close the log."""
        if self._file is not None:
            with suppress(OSError):  # a full disk was reported by the line that did not fit
                self._file.close()
        if self._board is not None:
            self._board.close()


def _board(run: Path) -> object:
    """Return TensorBoard's writer. Raises SettingsError if it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise SettingsError("train.tensorboard needs the package tensorboard: pip install tensorboard") from None
    return SummaryWriter(os.fspath(run / "tensorboard"))
