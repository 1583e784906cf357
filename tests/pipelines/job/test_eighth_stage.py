"""A new stage is a class and a row of the table: everything that lists stages finds it."""

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from pipelines.job.request import plan_jobs
from pipelines.job.stages import STAGES, StageInfo, stage_commands
from pipelines.job.work import find_archives
from pipelines.pipeline import preview, run_stages
from pipelines.publishing.publish import Selection, publish_release
from pipelines.publishing.settings import PublishSettings
from pipelines.verify import verify
from pipelines.watching.status import Watcher, screen
from pipelines.why import explain
from pipelines.workbench.overview import PlainWords, stages_of
from roots.errors import SettingsError
from roots.executors import Serial
from roots.schema import VERDICT
from roots.shards import read, read_kept
from roots.stage import Stage
from tests.support.paths import ROOT

NO_WORDS: PlainWords = {"groups": {}, "signals": {}, "reasons": {}}


# The whole of a new stage: what it does, its settings, what it says, and its row.
@dataclass(frozen=True)
class Long(Stage):
    """Drops long documents."""

    name: ClassVar[str] = "long"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = VERDICT
    most: int = 1000  # characters

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        for batch in read_kept(sources, ["id", "text"]):
            drops = ["long.text" if len(text) > self.most else None for text in batch["text"].to_pylist()]
            rows = [{"id": id_, "drop": drop} for id_, drop in zip(batch["id"].to_pylist(), drops, strict=True)]
            yield pa.RecordBatch.from_pylist(rows, VERDICT)


def explain_long(row: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[str]:
    yield f"{len(known['text'])} characters are too many"


ROW = StageInfo("long", "Drops long documents.", settings=f"{__name__}:Long", explain=f"{__name__}:explain_long")


@pytest.fixture
def eighth() -> Iterator[None]:
    """The table with the row, before dedup."""
    rows = list(STAGES.items())
    place = list(STAGES).index("dedup")
    STAGES.clear()
    STAGES.update([*rows[:place], ("long", ROW), *rows[place:]])
    yield
    STAGES.clear()
    STAGES.update(rows)


def test_an_eighth_stage_is_found_by_all_that_lists_stages(eighth: None, tmp_path: Path) -> None:
    work, release = tmp_path / "work", tmp_path / "release"
    archives = find_archives([str(ROOT / "tests/fixtures/crawl/*.gz")])
    with pytest.raises(SettingsError, match=r"long: unknown setting 'least'.*most"):
        plan_jobs(work, ["fr"], archives, {"long": {"least": 1}})
    (job,) = plan_jobs(work, ["fr"], archives, {"long": {"most": 900}})
    assert stage_commands()["run"].stages == tuple(STAGES)
    assert stage_commands()["long"].stages == ("long",)

    run_stages(job, tuple(STAGES)[:3], Serial())
    assert "  long     after filter" in list(preview([job], tuple(STAGES)))
    made = run_stages(job, tuple(STAGES), Serial())
    (manifest,) = [each for each in made if each.stage == "long"]
    dropped = manifest.drops["long.text"]
    assert 0 < dropped < manifest.rows

    assert re.search(r"^fr long +4/4 ", "\n".join(screen(work, Watcher(work).look(), time.time())), re.MULTILINE)
    assert [each["what"] for each in stages_of(work, "fr", NO_WORDS) if each["stage"] == "long"] == [ROW.summary]
    assert list(verify(work, "fr")) == []
    written = json.loads((work / "fr" / "manifest.json").read_text())
    assert written["stages"]["long"]["settings"] == {"most": 900}

    ids = [row["id"] for name in archives for row in read_rows(work / "fr" / "long" / name) if row["drop"]]
    assert len(ids) == dropped
    assert re.search(r"long +DROPPED: long\.text\n +\d+ characters are too many", "\n".join(explain(work, ids[0])))

    publish_release(Selection(work, ["fr"]), release, PublishSettings(contact="takedown@example.org"), Serial())
    card = (release / "README.md").read_text()
    assert "- **long**: Drops long documents." in card
    assert "| long | `most` | 900 |" in card
    assert f"| `long.text` | {dropped} |" in card

    damaged = sorted((work / "fr" / "long").glob("*.parquet"))[0]
    damaged.write_bytes(damaged.read_bytes()[:-20])
    assert any(problem.startswith("long: ") for problem in verify(work, "fr"))


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [row for batch in read(path) for row in batch.to_pylist()]
