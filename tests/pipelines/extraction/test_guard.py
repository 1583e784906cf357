import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import pytest

from pipelines.extraction.extractors import preload
from pipelines.extraction.guard import SOME, Failure, Limits, check_imports, guarded
from roots.errors import GuardError
from roots.executors import Local
from tests.support.paths import ROOT

WORK = """
import ctypes, os, re, signal, tempfile, time
from pipelines.extraction.guard import Failure, Limits, guarded
from roots.errors import InputError


def spin():
    while True:
        pass


def spin_in_c():
    re.match(r"(a+)+$", "a" * 60 + "b")


def eat():
    held = []
    while True:
        held.append(bytearray(8 << 20))


def eat_at_once():
    bytes(1 << 40)


def fail():
    raise KeyError("an engine's own error")


def recurse_in_c():
    ctypes.string_at(0)


def refuse():
    raise InputError("no record there")


BAD = {
    "refuse": refuse,
    "spin": spin, "spin_in_c": spin_in_c, "eat": eat, "eat_at_once": eat_at_once, "segfault": recurse_in_c,
    "abort": os.abort, "exit": lambda: os._exit(3), "fail": fail, "sleep": lambda: time.sleep(600),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


def prepare(marker=""):
    def rows(items):
        for item in items:
            if item == "killed_once":
                if not os.path.exists(marker):
                    open(marker, "w").close()
                    os.kill(os.getpid(), signal.SIGKILL)
            elif item == "skip":
                continue
            elif item in BAD:
                BAD[item]()
            litter = tempfile.mkstemp()[1] if item == "litter" else ""
            yield {"item": item, "pid": os.getpid(), "text": litter or "é" * 10}
    return rows


def echo():
    return lambda items: iter(items)


def broken():
    raise RuntimeError("no model")


def in_a_worker(items):
    limits = Limits(cpu_seconds=0.3, memory_bytes=64 << 20, wall_seconds=20)
    return [r.reason if isinstance(r, Failure) else r["item"] for r in guarded(prepare, {}, items, limits)]
"""

LIMITS = Limits(cpu_seconds=0.3, memory_bytes=64 << 20, wall_seconds=20)


@pytest.fixture
def work(tmp_path, monkeypatch):
    (tmp_path / "guarded_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("guarded_work")
    del sys.modules["guarded_work"]


def outcomes(rows):
    return [row.reason if isinstance(row, Failure) else row["item"] for row in rows]


def test_gives_a_row_an_item_in_order(work):
    items = list(range(1000))
    rows = list(guarded(work.prepare, {}, items, LIMITS))
    assert [row["item"] for row in rows] == items
    assert rows[0]["text"] == "é" * 10
    assert len({row["pid"] for row in rows}) == 1
    assert rows[0]["pid"] != os.getpid()


def test_texts_come_as_they_are(work):
    texts = ["a\0b\0", 'quote " \\ \n', "ক্ষ\u200d ي", None, "", "\0", '\0{"text": 1}', "x" * 3_000_000]
    rows = [{"text": text, "drop": "a\0b"} for text in texts]
    assert list(guarded(work.echo, {}, rows, LIMITS)) == rows
    assert list(guarded(work.echo, {}, [{"text": "a\ud800b"}], LIMITS)) == [{"text": "a?b"}]


def test_no_items_start_no_child(work):
    assert list(guarded(work.broken, {}, [], LIMITS)) == []


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("spin", "timeout"),
        ("spin_in_c", "timeout"),
        ("eat", "memory"),
        ("eat_at_once", "memory"),
        ("segfault", "crash"),
        ("abort", "memory"),
        ("exit", "crash"),
        ("fail", "crash"),
    ],
)
def test_a_bad_item_is_marked_and_its_neighbours_are_not(work, bad, reason):
    rows = list(guarded(work.prepare, {}, [1, bad, 2, bad, bad, 3], LIMITS))
    assert outcomes(rows) == [1, reason, 2, reason, reason, 3]
    assert ("own error" in rows[1].error) == (bad == "fail")


def test_a_sleeper_is_ended_by_the_wall_clock(work):
    limits = Limits(cpu_seconds=5, memory_bytes=64 << 20, wall_seconds=0.5)
    assert outcomes(guarded(work.prepare, {}, [1, "sleep", 2], limits)) == [1, "timeout", 2]


def test_what_comes_after_many_quick_pages_is_told_apart_too(work):
    # by then the rows of a child gather in the pipe before they are taken
    limits = Limits(cpu_seconds=5, memory_bytes=64 << 20, wall_seconds=0.5)
    items = [*range(3 * SOME), "fail", *range(SOME), "sleep", *range(5 * SOME)]
    expected = [*range(3 * SOME), "crash", *range(SOME), "timeout", *range(5 * SOME)]
    assert outcomes(guarded(work.prepare, {}, items, limits)) == expected


def test_a_kill_from_outside_costs_no_page(work, tmp_path):
    arguments = {"marker": str(tmp_path / "marker")}
    assert outcomes(guarded(work.prepare, arguments, [1, "killed_once", 2], LIMITS)) == [1, "killed_once", 2]


def test_kills_without_end_are_an_error_not_a_verdict(work):
    rows = guarded(work.prepare, {}, [1, "killed", 2], LIMITS)
    assert next(rows)["item"] == 1
    with pytest.raises(GuardError, match="killed three times"):
        next(rows)


def test_a_server_that_is_killed_is_replaced(work):
    rows = guarded(work.prepare, {}, list(range(50_000)), LIMITS)
    first = next(rows)
    status = Path(f"/proc/{first['pid']}/status").read_text()
    server = int(status.partition("PPid:")[2].split()[0])
    os.kill(server, signal.SIGKILL)
    rest = list(rows)
    assert outcomes([first, *rest]) == list(range(50_000))
    assert rest[-1]["pid"] != first["pid"]


def test_work_that_cannot_be_prepared_is_an_error(work):
    with pytest.raises(GuardError, match="unprepared: RuntimeError: no model"):
        list(guarded(work.broken, {}, [1], LIMITS))


@pytest.mark.parametrize(("item", "message"), [("refuse", "refused.*no record there"), ("skip", "gave 2 rows for 3")])
def test_work_that_does_not_do_its_part_is_an_error(work, item, message):
    with pytest.raises(GuardError, match=message):
        list(guarded(work.prepare, {}, [1, item, 2], LIMITS))


def test_a_killed_child_leaves_no_file_behind(work, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(tmp_path.iterdir())
    rows = list(guarded(work.prepare, {}, ["litter", "spin", "litter"], LIMITS))
    assert all(Path(row["text"]).is_relative_to(tmp_path) for row in (rows[0], rows[2]))
    assert set(tmp_path.iterdir()) == before


def test_two_at_once_and_one_left_early(work):
    left, other = (guarded(work.prepare, {}, ["a", "sleep"], LIMITS) for _ in range(2))
    assert next(left)["item"] == next(other)["item"] == "a"
    start = time.monotonic()
    left.close()
    other.close()
    assert time.monotonic() - start < 5
    assert outcomes(guarded(work.prepare, {}, ["b"], LIMITS)) == ["b"]


def test_works_inside_the_workers_of_an_executor(work):
    tasks = [("a", "spin", "b"), ("c", "segfault"), ("eat", "d")]
    done = dict(Local(2).map(work.in_a_worker, tasks))
    assert done == {tasks[0]: ["a", "timeout", "b"], tasks[1]: ["c", "crash"], tasks[2]: ["memory", "d"]}


def test_children_die_with_their_parent(work, tmp_path):
    script = (
        "import json, guarded_work\n"
        "from pipelines.extraction.guard import Limits, guarded\n"
        "rows = guarded(guarded_work.prepare, {}, [1, 'sleep'], Limits())\n"
        "print(json.dumps(next(rows)), flush=True)\n"
        "next(rows)\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    )
    with parent:
        child = json.loads(parent.stdout.readline())["pid"]
        server = int(Path(f"/proc/{child}/status").read_text().partition("PPid:")[2].split()[0])
        parent.kill()
    end = time.monotonic() + 5
    while any(alive(pid) for pid in (child, server)):
        assert time.monotonic() < end, "the child outlived its parent"
        time.sleep(0.02)


def alive(pid):
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


ENGINES_LOADED = """
import sys


def engines():
    loaded = {name: name in sys.modules for name in ("trafilatura", "numpy", "pyarrow")}
    return lambda items: (loaded for _ in items)
"""


def test_the_server_imports_what_an_engine_needs_and_no_more(tmp_path, monkeypatch):
    (tmp_path / "engines_loaded.py").write_text(ENGINES_LOADED)
    monkeypatch.syspath_prepend(tmp_path)
    for extractor, needed in (("resiliparse", False), ("cascade", True), ("resiliparse", False)):
        rows = list(guarded("engines_loaded:engines", {}, [1, 2], Limits(), preload(extractor)))
        assert rows == 2 * [{"trafilatura": needed, "numpy": False, "pyarrow": False}], extractor


PREPARED = """
import os
prepared = []
def prepare():
    prepared.append(os.getpid())
def work():
    return lambda items: ({"before": prepared == [os.getppid()]} for _ in items)
"""


def test_what_a_module_prepares_costs_no_page_its_time(tmp_path, monkeypatch):
    """Compiled passes: a first run would compile them in a child, whose seconds are counted."""
    (tmp_path / "with_passes.py").write_text(PREPARED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    assert list(guarded("with_passes:work", {}, [1], Limits(), ("with_passes",))) == [{"before": True}]


def test_a_library_that_cannot_be_imported_is_named_at_once(tmp_path, monkeypatch):
    """As after an installer that passes over a requirement: no run of three kills, and no word of memory."""
    (tmp_path / "half_installed.py").write_text("import a_library_that_is_not_here\n")
    (tmp_path / "moved_away.py").write_text("raise ImportError('its_other_half is\\na package of its own')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(GuardError, match=r"cannot start: .*'a_library_that_is_not_here'"):
        check_imports(("half_installed",))
    with pytest.raises(GuardError, match="cannot start: ImportError: its_other_half is a package of its own"):
        check_imports(("moved_away",))
    check_imports(preload("cascade"))


def test_every_library_that_an_engine_imports_is_required_by_its_own_name():
    """Installers of 2023 pass over an extra of a requirement whose name has an underscore."""
    required = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    assert "lxml_html_clean" in {re.split(r"[<>=~!\[; ]", each)[0].replace("-", "_") for each in required}
