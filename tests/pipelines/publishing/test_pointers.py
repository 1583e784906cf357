"""Pointer releases, and releases rebuilt from them."""

import gzip
import json
import re
import tomllib
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fastwarc.warc import ArchiveIterator

from pipelines import release
from pipelines.extract import Extract
from pipelines.extraction.extractors import preload
from pipelines.extraction.guard import guarded
from pipelines.job.request import plan_jobs
from pipelines.job.stages import STAGES
from pipelines.job.work import find_archives
from pipelines.pipeline import run_stages
from pipelines.publishing.pointers import make_pointers, rebuild
from pipelines.publishing.publish import Selection, publish_release
from pipelines.publishing.settings import PublishSettings, RebuildSettings, TakedownSettings
from pipelines.publishing.takedown import takedown
from pipelines.publishing.takedown_list import parse_requests
from pipelines.verify import verify
from pipelines.why import explain
from roots.errors import InputError, StageFailed
from roots.executors import Local, Serial
from tests.support.paths import ROOT

CRAWL = str(ROOT / "tests/fixtures/crawl/*.gz")


@pytest.fixture(scope="module", params=["roots", "synthetic"])
def released(request, tmp_path_factory) -> tuple[Path, Path]:
    """A release of the example crawl and its secret, redacted with tags and with stand-ins."""
    folder = tmp_path_factory.mktemp("pointers")
    (folder / "secret").write_bytes(b"thirty-two bytes of our own here")
    redact = {"style": request.param, "secret_file": str(folder / "secret") if request.param == "synthetic" else ""}
    settings = {
        "extract": {"extractor": "cascade"},  # it leaves lines of the site in the text, which are then cut
        "redact": redact,
        "dedup": {"lines": ["newspaper"], "every_copy": True, "passages": 40},
        "shard": {"shard_bytes": 16000, "validation_share": 0.2, "rehydrate": [[2, 2]]},
    }
    (job,) = plan_jobs(folder / "work", ["fr"], find_archives([CRAWL]), settings)
    run_stages(job, tuple(STAGES), Serial())
    assert list(verify(folder / "work", "fr")) == []
    publish_release(
        Selection(folder / "work", ["fr"]), folder / "release", PublishSettings(contact="x", file_bytes=16000), Serial()
    )
    return folder / "release", folder / "secret" if request.param == "synthetic" else Path()


@pytest.fixture
def pointers(released, tmp_path) -> tuple[Path, RebuildSettings]:
    make_pointers(released[0], tmp_path / "pointers", Serial())
    return tmp_path / "pointers", RebuildSettings(str(released[1]) if released[1].name else "")


def state(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and ".publish" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_pointers_hold_no_text_and_no_replaced_value(released, pointers):
    folder, _ = pointers
    paths = sorted(folder.glob("pointers/*/*.parquet"))
    rows = [row for path in paths for row in pq.read_table(path).to_pylist()]
    originals = [r for p in sorted(released[0].glob("data/*/*.parquet")) for r in pq.read_table(p).to_pylist()]
    assert len(rows) == len(originals)
    assert all("text" not in row and len(row["text_sha256"]) == 64 for row in rows)
    everything = b"".join(state(folder).values())
    assert not any(row["text"][:60].encode() in everything for row in originals)
    assert not list(folder.glob("data"))


def test_the_example_has_cut_lines_and_replaced_spans(released):
    rows = [row for path in released[0].glob("data/*/*.parquet") for row in pq.read_table(path).to_pylist()]
    assert {line["rule"] for row in rows for line in row["lines"]} > {"passage"}
    assert any(row["pii"] for row in rows)


def test_a_release_is_rebuilt_byte_for_byte(released, pointers, tmp_path):
    folder, settings = pointers
    made: list[str] = []
    rebuild(folder, tmp_path / "again", [CRAWL], settings, Local(2), lambda *state: made.append(state[1]))
    assert state(tmp_path / "again") == state(released[0])
    assert made
    made.clear()
    rebuild(folder, tmp_path / "again", [CRAWL], settings, Serial(), lambda *state: made.append(state[1]))
    assert made == []


def test_a_rebuild_imports_the_engine_once_and_not_for_each_archive(released, pointers, tmp_path, monkeypatch):
    preloaded = []

    def seen(*arguments):
        preloaded.append(arguments[4:])
        return guarded(*arguments)

    monkeypatch.setattr("pipelines.publishing.pointers.guarded", seen)
    rebuild(pointers[0], tmp_path / "again", [CRAWL], pointers[1], Serial())
    assert set(preloaded) == {(preload("cascade"),)}


def test_cut_lines_stay_cut_in_a_rebuild(released, pointers, tmp_path):
    folder, settings = pointers
    rows = [row for path in sorted(released[0].glob("data/*/*.parquet")) for row in pq.read_table(path).to_pylist()]
    cut = [row for row in rows if row["lines"]]
    assert len(cut) > 5
    assert not [row for row in cut if "Sommaire" in row["text"].split("\n")]
    assert len({row["id"] for row in rows}) < len(rows)  # those that stand for a copy are there twice
    spans = pq.read_table(next(folder.glob("pointers/*/train*.parquet"))).to_pylist()
    path = next(folder.glob("pointers/*/train*.parquet"))
    table = pq.read_table(path)
    broken = [{**row, "lines": []} for row in spans]
    assert broken != spans
    pq.write_table(table.from_pylist(broken, table.schema), path)
    with pytest.raises(StageFailed, match="differs from the released one"):
        rebuild(folder, tmp_path / "again", [CRAWL], settings, Serial())


def test_missing_or_changed_archives_are_refused(pointers, tmp_path):
    folder, settings = pointers
    with pytest.raises(InputError, match="3 of the 4 archives"):
        rebuild(folder, tmp_path / "a", [CRAWL.replace("*", "example-2024-00000.warc")], settings, Serial())
    other = tmp_path / "example-2024-00000.warc.gz"
    other.write_bytes(Path(CRAWL.replace("*", "example-2024-00001.warc")).read_bytes()[:-1])
    with pytest.raises(InputError, match="sha256"):
        rebuild(folder, tmp_path / "a", [str(other)], settings, Serial())


def test_a_text_that_differs_is_an_error(pointers, tmp_path):
    folder, settings = pointers
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["languages"]["fra_Latn"]["stages"]["extract"]["settings"]["html_chars"] = 10
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StageFailed, match="differs from the released one"):
        rebuild(folder, tmp_path / "a", [CRAWL], settings, Serial())


def test_another_version_of_our_own_stages_is_refused(pointers, tmp_path, monkeypatch):
    monkeypatch.setattr(Extract, "version", 999)
    with pytest.raises(InputError, match="version 999"):
        rebuild(pointers[0], tmp_path / "a", [CRAWL], pointers[1], Serial())


def test_another_secret_is_refused(released, pointers, tmp_path):
    if not released[1].name:
        pytest.skip("tags need no secret")
    (tmp_path / "other").write_bytes(b"another secret of enough bytes")
    with pytest.raises(StageFailed, match="not the secret"):
        rebuild(pointers[0], tmp_path / "a", [CRAWL], RebuildSettings(str(tmp_path / "other")), Serial())


def test_pointers_need_a_complete_release_and_a_rebuild_needs_pointers(released, tmp_path):
    with pytest.raises(InputError, match="not a pointer release"):
        rebuild(released[0], tmp_path / "a", [CRAWL], RebuildSettings(), Serial())
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(released[0], broken)
    next(broken.glob("data/*/*.parquet")).unlink()
    with pytest.raises(InputError, match="missing"):
        make_pointers(broken, tmp_path / "p", Serial())


def test_a_rebuild_does_not_bring_back_what_was_taken_down(released, tmp_path):
    import shutil

    folder = tmp_path / "release"
    shutil.copytree(released[0], folder)
    rows = [row for path in sorted(folder.glob("data/*/*.parquet")) for row in pq.read_table(path).to_pylist()]
    cut = {row["id"] for row in rows if any(line["rule"] == "passage" for line in row["lines"])}
    taken = next(row["id"] for row in rows if row["id"] not in cut)
    takedown(folder, parse_requests([f"id:{taken}"]), TakedownSettings(signed_off_by="A"), Serial())
    make_pointers(folder, tmp_path / "p", Serial())
    secret = str(released[1]) if released[1].name else ""
    rebuild(tmp_path / "p", tmp_path / "again", [CRAWL], RebuildSettings(secret), Serial())
    assert list(release.check_files(tmp_path / "again")) == []
    left = {name: data for name, data in state(folder).items() if not name.startswith("takedowns/")}
    assert state(tmp_path / "again") == left
    ids = {r["id"] for p in (tmp_path / "again").glob("data/*/*.parquet") for r in pq.read_table(p).to_pylist()}
    assert taken not in ids
    assert cut & ids == cut != set()


def _as_arc(path: Path, target: Path) -> None:
    """The responses of a WARC file as an ARC file, and all of it in a WACZ beside that."""
    parts = [b"filedesc://old.arc 0.0.0.0 20240101000000 text/plain 11\n1 0 Crawler\n\n"]
    with path.open("rb") as file:
        for item in ArchiveIterator(file, parse_http=False):
            if item.headers["WARC-Type"] == "response":
                block = item.reader.read()
                date = re.sub(r"\D", "", item.headers["WARC-Date"])
                line = f"{item.headers['WARC-Target-URI']} 192.0.2.7 {date} text/html {len(block)}\n"
                parts.append(line.encode() + block + b"\n")
    (target / "old.arc.gz").write_bytes(b"".join(map(gzip.compress, parts)))
    with zipfile.ZipFile(target / "crawl.wacz", "w") as archive:
        archive.writestr("datapackage.json", "{}")
        archive.write(path, "archive/a.warc.gz")


def test_arc_and_wacz_give_the_pages_of_the_warc_and_are_rebuilt(tmp_path):
    source = ROOT / "tests/fixtures/crawl/example-2024-00000.warc.gz"
    _as_arc(source, tmp_path)
    found = {}
    for path in (source, tmp_path / "old.arc.gz", tmp_path / "crawl.wacz"):
        work = tmp_path / path.suffix
        (job,) = plan_jobs(work, ["fr"], find_archives([str(path)]), {})
        run_stages(job, tuple(STAGES), Serial())
        assert list(verify(work, "fr")) == []
        publish_release(Selection(work, ["fr"]), work / "release", PublishSettings(contact="x"), Serial())
        texts = [text for name in work.glob("fr/extract/*.parquet") for text in pq.read_table(name)["text"].to_pylist()]
        found[path.name] = {text for text in texts if text}
        rows = [row for name in work.glob("release/data/*/*") for row in pq.read_table(name).to_pylist()]
        make_pointers(work / "release", work / "pointers", Serial())
        rebuild(work / "pointers", work / "again", [str(path)], RebuildSettings(), Serial())
        assert state(work / "again") == state(work / "release")
        assert any("in the dataset" in line or "kept" in line for line in explain(work, rows[0]["id"], "fr"))
    assert found["old.arc.gz"] == found["crawl.wacz"] == found[source.name] != set()


def test_a_folder_of_documents_is_rebuilt_with_the_places_of_its_pages(tmp_path):
    pages = tomllib.loads((ROOT / "tests/fixtures/crawl/pages/fr.toml").read_text("utf-8"))["page"]
    chapters = [page["text"].replace("marché", "marché (ana@example.org)") for page in pages[:3]]
    items = "".join(f'<item id="c{n}" href="{n}.xhtml"/><itemref idref="c{n}"/>' for n in range(3))
    (tmp_path / "books").mkdir()
    with zipfile.ZipFile(tmp_path / "books" / "a.epub", "w") as book:
        book.writestr("mimetype", "application/epub+zip")
        book.writestr("META-INF/container.xml", '<c><rootfile full-path="b.opf"/></c>')
        book.writestr("b.opf", f"<p><rights>CC BY 4.0</rights>{items}</p>")
        for number, text in enumerate(chapters):
            parts = "".join(f"<p>{part}</p>" for part in text.split("\n") if part)
            book.writestr(f"{number}.xhtml", f"<html><body>{parts}</body></html>")
    work, source = tmp_path / "work", str(tmp_path / "books")
    (job,) = plan_jobs(work, ["fr"], find_archives([source]), {"shard": {"validation_share": 0.0}})
    run_stages(job, tuple(STAGES), Serial())
    publish_release(Selection(work, ["fr"]), work / "release", PublishSettings(contact="x"), Serial())
    (row,) = [row for name in work.glob("release/data/*/*") for row in pq.read_table(name).to_pylist()]
    assert "PI:EMAIL" in row["text"]
    assert row["license"] == "CC BY 4.0"
    begins = [row["text"][start : start + 20] for start in row["page_starts"]]
    assert begins == [chapter.strip()[:20] for chapter in chapters]
    make_pointers(work / "release", work / "pointers", Serial())
    rebuild(work / "pointers", work / "again", [source], RebuildSettings(), Serial())
    assert state(work / "again") == state(work / "release")
