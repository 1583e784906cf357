"""The benchmarks measure what they say: CPU of every process, memory of the largest, archives of known share."""

import json
import os
import sys
from pathlib import Path

import pytest

from pipelines.job import work as folders
from pipelines.job.stages import STAGES, chain_stages
from tests.benchmarks import archives, pipeline
from tests.benchmarks.archives import Record
from tests.benchmarks.contenders import our_result, peer_result
from tests.benchmarks.process_tree import measure
from tests.benchmarks.results import Line, Report, table

BURN = """
import time
def burn(seconds):
    held = bytearray(60 << 20)
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
"""
ORPHANS = """
import json
import os
if os.fork() == 0:
    if os.fork() == 0:
        burn(0.5)
    os._exit(0)
"""
WORKERS = """
import multiprocessing, sys
sys.modules["__main__"].__spec__ = None
context = multiprocessing.get_context("forkserver")
if __name__ == "__main__":
    workers = [context.Process(target=burn, args=(0.3,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
"""


@pytest.mark.parametrize(("program", "seconds"), [(ORPHANS, 0.5), (WORKERS, 0.6)], ids=["orphan", "fork server"])
def test_cpu_of_processes_nobody_waits_for_is_counted(tmp_path: Path, program: str, seconds: float) -> None:
    script = tmp_path / "burn.py"
    script.write_text(BURN + program)
    usage = measure([sys.executable, str(script)], interval=0.05)
    assert usage.exit_code == 0, usage.output
    assert seconds <= usage.cpu_seconds < seconds + 1
    assert usage.lost_cpu_seconds == 0
    assert 60 << 20 <= usage.peak_process_rss < 120 << 20
    assert usage.peak_tree_pss > 60 << 20


def test_exit_code_and_output_of_the_command_are_given(tmp_path: Path) -> None:
    usage = measure([sys.executable, "-c", "print('kept 3'); raise SystemExit(7)"], cpus=[min(os.sched_getaffinity(0))])
    assert (usage.exit_code, usage.output) == (7, "kept 3\n")


def test_a_command_over_its_time_is_killed_with_its_children(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    program = f"import os, time; pid = os.fork(); open({str(mark)!r}, 'a').write(f'{{os.getpid()}} '); time.sleep(60)"
    with pytest.raises(TimeoutError):
        measure([sys.executable, "-c", program], limit_seconds=1)
    pids = [int(pid) for pid in mark.read_text().split()]
    assert len(pids) == 2
    assert not [
        pid for pid in pids if Path(f"/proc/{pid}/cmdline").is_file() and Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def records(languages: str) -> list[Record]:
    head = (("WARC-Type", "response"), ("WARC-Record-ID", "<urn:uuid:1>"), ("WARC-Target-URI", "http://a.example/"))
    blocks = [b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>%d" % n for n in range(len(languages))]
    return [
        Record((*head, ("Content-Length", str(len(block)))), block, {"f": "fr", "e": "en"}[letter])
        for letter, block in zip(languages, blocks, strict=True)
    ]


def read_back(path: Path) -> list[tuple[str, bytes]]:
    from warcio.archiveiterator import ArchiveIterator

    with path.open("rb") as file:
        return [(r.rec_headers.get_header("WARC-Record-ID"), r.content_stream().read()) for r in ArchiveIterator(file)]


def test_an_archive_holds_every_record_once_and_knows_its_share(tmp_path: Path) -> None:
    archive = archives.write_archive(records("feeeee"), tmp_path / "made", "fr", files=4)
    assert (archive.documents, archive.wanted) == (6, 1)
    bodies = [body for path in sorted(archive.folder.iterdir()) for _, body in read_back(path)]
    assert sorted(bodies) == [b"<p>%d" % n for n in range(6)]


def test_a_repeated_archive_has_new_record_ids_and_at_least_its_size(tmp_path: Path) -> None:
    archive = archives.write_repeated(records("fe"), tmp_path / "made", "fr", size=3000, level=1)
    found = read_back(tmp_path / "made" / "repeated.warc.gz")
    assert archive.size >= 3000
    assert archive.documents == len(found) == len({record_id for record_id, _ in found}) > 4
    assert {body for _, body in found} == {b"<p>0", b"<p>1"}


def test_a_sample_keeps_the_share_of_each_language() -> None:
    chosen = [record.language for record in pipeline.sample(records("f" * 4 + "e" * 40), 0.25)]
    assert (chosen.count("fr"), chosen.count("en")) == (1, 10)


def line(contender: str, cpu_seconds: float, target: float | None = None) -> Line:
    return Line("tenth", contender, 1, 104, 9, cpu_seconds, cpu_seconds, (1.0, 2.0), "", target, startup_seconds=2.0)


def test_ratios_are_those_of_the_peer_and_a_missed_target_is_said() -> None:
    peer = line("datatrove", 22.0)
    ours = line("roots", 4.0, target=8.0).against(peer, few=4)
    assert ours.ratio == pytest.approx(5.5)
    assert ours.steady_ratio == pytest.approx(10.0)
    report = Report([ours, peer.against(peer)])
    assert report.missed
    assert "MISSED" in table(report)
    assert not Report([line("roots", 2.0, target=8.0).against(peer)]).missed


@pytest.mark.skipif(bool(archives.missing_data()), reason="the shared data are not beside the repository")
def test_the_real_pages_carry_the_header_that_the_peer_needs() -> None:
    first = next(archives.read_records("real-pages-bundle"))
    assert ("WARC-Identified-Payload-Type", "text/html") in first.headers
    assert first.block.startswith(b"HTTP/")


def test_without_shared_data_nothing_is_measured_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(archives, "DATA", tmp_path)
    assert pipeline.main(["--part", "every"]) == 0
    assert "nothing measured" in capsys.readouterr().err


def test_what_our_stages_kept_is_read_from_their_manifests(tmp_path: Path) -> None:
    for number, stage in enumerate(STAGES):
        place = folders.folder(tmp_path, "fr", stage)
        place.mkdir(parents=True)
        drops = {"index.kind": 2, "index.empty": 3} if stage == "index" else {}
        (place / "manifest.json").write_text(json.dumps({"kept": 90 - number, "drops": drops}))
    result = our_result(tmp_path, "fr")
    assert result["kept"] == 90 - len(chain_stages())
    assert result["funnel"].startswith("index 90 (index.empty 3, index.kind 2), extract 89, ")


def test_what_the_peer_kept_is_read_from_its_last_line() -> None:
    steps = [
        {"step": "🛢 - EXTRAC: ⛏ Trafilatura", "counts": {"total": 9, "forwarded": 8, "timeout": 1}},
        {"step": "💽 - WRITER: 📒 Parquet", "counts": {"total": 8}},
    ]
    result = peer_result("noise\n\nRESULT " + json.dumps({"kept": 8, "steps": steps}) + "\n")
    assert result["kept"] == 8
    assert result["funnel"] == "⛏ Trafilatura 8, (1 timed out)"
