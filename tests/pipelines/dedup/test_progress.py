"""The one long task of dedup reports its progress."""

from pathlib import Path

from pipelines.dedup.groups import DocumentGroups
from pipelines.dedup.scratch import Steps, WithMemory
from roots.executors import Local, Serial, Threads
from roots.shards import Receipt
from tests.pipelines.dedup.test_groups import chain, write_steps


def test_grouping_in_one_task_reports_the_fraction_done(tmp_path: Path) -> None:
    reports: list[tuple[str, float, int]] = []

    def progress(stage: str, done: float, total: int, receipt: Receipt | None) -> None:
        reports.append((stage, done, total))

    found = write_steps(tmp_path, 31, chain)
    for executor in (Serial(), Threads(2), WithMemory(Serial(), 1 << 30)):
        reports.clear()
        steps = Steps(tmp_path / type(executor).__name__, executor, progress)
        steps.run(DocumentGroups(300, steps.progress_of(DocumentGroups.name)), {"groups.parquet": found}, "groups")
        shares = [done for _, done, _ in reports]
        assert {(stage, total) for stage, _, total in reports} == {("dedup.groups", 1)}
        assert shares == sorted(shares)
        assert (shares[0], shares[-1]) == (0, 1)
        assert sum(0 < share < 1 for share in shares) >= 5
    before = len(reports)
    Steps(tmp_path, Local(2), progress).progress_of("dedup.groups")(0.5)  # a task in another process cannot report
    assert len(reports) == before
