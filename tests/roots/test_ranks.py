"""Several commands that share the work: any order, any overlap, the same bytes; what is missing is named."""

import subprocess
import sys
from itertools import permutations
from pathlib import Path

import pytest

from roots.errors import NotReady, SettingsError
from roots.executors import Serial
from roots.stage import Share, run
from tests.roots.test_stage import Cut, Upper, bytes_of
from tests.test_end_to_end import digests, roots, run_args

PLAN = {"a": "one\ntwo\nno", "b": "three\nup", "c": "four\nfive", "d": "six", "e": "seven\neight"}


@pytest.fixture
def plan(tmp_path: Path) -> dict[str, list[Path]]:
    for name, text in PLAN.items():
        (tmp_path / f"{name}.txt").write_text(text)
    return {f"{name}.parquet": [tmp_path / f"{name}.txt"] for name in PLAN}


def test_ranks_in_any_order_make_the_same_bytes(plan: dict[str, list[Path]], tmp_path: Path) -> None:
    run(Cut(), plan, tmp_path / "alone", Serial())
    for number, order in enumerate(permutations(range(3))):
        target = tmp_path / str(number)
        made = [run(Cut(), plan, target, Serial(), share=Share(rank, 3), whole=False).made for rank in order]
        assert sorted(made) == [1, 2, 2]
        assert bytes_of(target) == bytes_of(tmp_path / "alone")


def test_only_the_last_rank_knows_the_whole(plan: dict[str, list[Path]], tmp_path: Path) -> None:
    for rank in (2, 0):
        own = run(Cut(), plan, tmp_path / "cut", Serial(), share=Share(rank, 3), whole=False)
        assert set(own.shards) == set(sorted(plan)[rank::3])
        assert not (tmp_path / "cut" / "manifest.json").exists()
    assert set(run(Cut(), plan, tmp_path / "cut", Serial(), share=Share(1, 3), whole=False).shards) == set(plan)
    assert (tmp_path / "cut" / "manifest.json").exists()


def test_a_step_that_needs_all_names_missing_shards_and_ranks(plan: dict[str, list[Path]], tmp_path: Path) -> None:
    with pytest.raises(NotReady, match=r"b\.parquet \(rank 1\)") as caught:
        run(Cut(), plan, tmp_path / "cut", Serial(), share=Share(0, 2, wait=0.05))
    assert caught.value.missing == {"b.parquet": 1, "d.parquet": 1}
    assert "after waiting 0.05 s" in str(caught.value)


def test_shards_of_other_settings_are_missing_shards(plan: dict[str, list[Path]], tmp_path: Path) -> None:
    run(Cut(least=5), plan, tmp_path / "cut", Serial())
    with pytest.raises(NotReady) as caught:
        run(Cut(), plan, tmp_path / "cut", Serial(), share=Share(0, 2))
    assert sorted(caught.value.missing) == ["b.parquet", "d.parquet"]


def test_the_next_stage_does_not_wait_for_other_archives(plan: dict[str, list[Path]], tmp_path: Path) -> None:
    share = Share(1, 2)
    run(Cut(), plan, tmp_path / "cut", Serial(), share=share, whole=False)
    after = {name: [tmp_path / "cut" / name] for name in plan}
    assert set(run(Upper(), after, tmp_path / "upper", Serial(), share=share, whole=False).shards) == {
        "b.parquet",
        "d.parquet",
    }


def test_impossible_ranks_are_refused() -> None:
    for rank, of in ((4, 4), (-1, 2), (0, 0)):
        with pytest.raises(SettingsError, match="--rank"):
            Share(rank, of)
    with pytest.raises(SettingsError, match="--wait"):
        Share(0, 2, -1.0)


def test_four_overlapping_processes_do_the_main_job(tmp_path: Path) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    roots(*run_args(alone, "--executor", "serial", languages="fr"))
    code = "from pipelines.cli.main import main; main()"
    more = ["--executor", "serial", "--of", "4", "--wait", "120"]
    commands = [[sys.executable, "-c", code, *run_args(shared, *more, languages="fr"), "--rank", r] for r in "3102"]
    started = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
    assert [process.wait(timeout=120) for process in started] == [0, 0, 0, 0]
    assert digests(shared) == digests(alone)


def test_one_rank_does_its_share_and_names_what_is_missing(tmp_path: Path) -> None:
    work = tmp_path / "work"
    roots(*run_args(work, "--executor", "serial", "--rank", "1", "--of", "4", languages="fr"), code=3)
    said = roots("status", str(work), "--missing")
    assert said.count("missing: example-2024-00001.parquet") == 2  # dedup, redact
    assert said.count("missing: example-2024-00000.parquet") == 6
