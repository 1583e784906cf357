"""Progress while a stage runs, and the table afterwards."""

import io
import re

import pytest

from pipelines.watching.progress import StageProgress, clock, table
from roots.shards import Receipt
from roots.stage import Manifest


def receipt(rows: int, **drops: int) -> Receipt:
    return Receipt("filter", 1, "f", rows, rows - sum(drops.values()), drops)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (7.31, "7.3 s"), (65, "1 min 05 s"), (3600 * 3 + 1200, "3 h 20 min")]
)
def test_durations_are_written_in_words(seconds: float, words: str) -> None:
    assert clock(seconds) == words


def test_a_log_has_plain_lines_and_always_the_last_one() -> None:
    log = io.StringIO()
    progress = StageProgress("fr ", log)
    progress("filter", 0, 3, None)
    for done in (1, 2, 3):
        progress("filter", done, 3, receipt(10))
    progress.close()
    assert "\r" not in log.getvalue()
    assert re.search(r"fr filter +3/3 shards  30 documents", log.getvalue())


def test_a_terminal_shows_one_line_with_the_time_left() -> None:
    terminal = Terminal()
    progress = StageProgress("", terminal)
    progress("filter", 0, 2, None)
    progress("filter", 1, 2, receipt(10))
    progress.close()
    assert "1/2 shards" in terminal.getvalue()
    assert terminal.getvalue().split("\r")[-1].rstrip().endswith("left")


def test_a_part_of_a_shard_counts_for_the_time_left() -> None:
    terminal = Terminal()
    progress = StageProgress("", terminal)
    progress("dedup.groups", 0, 1, None)
    assert terminal.getvalue().endswith("time left unknown")
    progress("dedup.groups", 0.25, 1, None)
    progress.close()
    assert re.search(r"0/1 shards  .* so far, [^ ]+ s left$", terminal.getvalue().split("\r")[-1].rstrip())


def test_a_sub_step_counts_rows_and_has_its_own_time_left() -> None:
    terminal = Terminal()
    progress = StageProgress("", terminal)
    for step in ("dedup.pairs", "dedup.settle"):
        for done in (0, 1):
            progress(step, done, 4, receipt(30) if done else None)
        line = terminal.getvalue().split("\r")[-1]
        assert re.search(rf"{step} +1/4 shards  30 rows, .* so far, .* left", line)
    progress.close()


def test_quiet_progress_writes_nothing() -> None:
    terminal = Terminal()
    progress = StageProgress("", terminal, quiet=True)
    progress("filter", 1, 1, receipt(10))
    progress.close()
    assert terminal.getvalue() == ""


def test_the_table_has_every_reason_and_adds_up() -> None:
    shards = {"a": receipt(10, **{"filter.words": 3}), "b": receipt(5, **{"filter.words": 1, "filter.lid": 2})}
    text = table([Manifest("filter", 1, {}, shards, made=2, seconds=3.0), Manifest("redact", 1, {}, {"a": receipt(9)})])
    rows = [line.split() for line in text.splitlines()]
    assert ["filter", "15", "9", "6", "3.0", "5"] in rows
    assert rows.index(["4", "filter.words"]) < rows.index(["2", "filter.lid"])
    assert ["redact", "9", "9", "0", "before", "-"] in rows
