"""Takedowns: what is removed, what replaces it, and the proof that it is gone."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines import release
from pipelines.job.request import plan_jobs
from pipelines.job.stages import STAGES
from pipelines.job.work import find_archives
from pipelines.pipeline import run_stages
from pipelines.publishing import takedown as module
from pipelines.publishing.publish import Selection, publish_release
from pipelines.publishing.settings import PublishSettings, TakedownSettings
from pipelines.publishing.takedown import describe_takedown, takedown
from pipelines.publishing.takedown_list import Requests, digest, parse_requests, read_requests
from roots.errors import InputError, PublishError, SettingsError, StageFailed, TakedownError
from roots.executors import Local, Serial
from roots.settings import build
from tests.support.paths import ROOT

CRAWL = ROOT / "tests/fixtures/crawl"
SIGNED = TakedownSettings(signed_off_by="A. Person", date="2026-12-01")


@pytest.fixture(scope="session")
def work(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("takedown") / "work"
    (job,) = plan_jobs(folder, ["fr"], find_archives([str(CRAWL / "*.gz")]), {"shard": {"shard_bytes": 4000}})
    run_stages(job, tuple(STAGES), Serial())
    return folder


@pytest.fixture
def folder(work, tmp_path) -> Path:
    """A fresh release of several files."""
    settings = PublishSettings(contact="takedown@example.org", date="2026-11-21", file_bytes=8000)
    publish_release(Selection(work, ["fr"]), tmp_path / "release", settings, Serial())
    return tmp_path / "release"


def rows_of(folder: Path) -> list[dict]:
    return [row for path in sorted(folder.glob("data/*/*.parquet")) for row in pq.read_table(path).to_pylist()]


def copies_of(folder: Path) -> list[dict]:
    return pq.read_table(folder / "clusters/fra_Latn.parquet").to_pylist()


def state(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def ask(tmp_path: Path, *lines: str) -> Requests:
    path = tmp_path / "list.txt"
    path.write_text("\n".join(["# requested in December", "", *lines]))
    return read_requests(path)


def single(folder: Path) -> dict:
    """A released document without copies."""
    of = {row["duplicate_of"] for row in copies_of(folder)}
    return next(row for row in rows_of(folder) if row["id"] not in of)


@pytest.mark.parametrize("by", ["url", "id", "sha256"])
def test_requested_documents_are_removed_and_other_files_stay_the_same(folder, tmp_path, by):
    row = single(folder)
    line = {"url": row["url"] + "#top", "id": f"id:{row['id']}", "sha256": f"sha256:{digest(row['text'])}"}[by]
    before, rows = state(folder), rows_of(folder)
    diff = takedown(folder, ask(tmp_path, line), SIGNED, Serial()).difference
    assert rows_of(folder) == [each for each in rows if each["id"] != row["id"]]
    after = state(folder)
    changed = {name for name in before if before[name] != after[name]}
    assert len([name for name in changed if name.startswith("data/")]) == 1 < len([n for n in before if "data/" in n])
    assert changed <= {*diff["files"], "manifest.json", "README.md", "croissant.json"}
    assert list(release.check_files(folder)) == []
    assert diff["removed"] == [digest(row["id"])]
    assert diff["proof"]["found"] == 0
    assert diff["proof"]["rows"] >= len(rows) - 1


def test_a_takedown_makes_a_signed_version_that_the_card_shows(folder, tmp_path):
    row = single(folder)
    takedown(folder, ask(tmp_path, row["url"]), SIGNED, Serial())
    manifest = release.read_release_manifest(folder)
    assert manifest["version"] == "1.0.1"
    assert [each["version"] for each in manifest["history"]] == ["1.0.0", "1.0.1"]
    diff = json.loads((folder / "takedowns/1.0.1.json").read_text())
    assert (diff["signed_off_by"], diff["from"], diff["to"]) == ("A. Person", "1.0.0", "1.0.1")
    assert "1.0.1" in (folder / "README.md").read_text()
    splits = manifest["languages"]["fra_Latn"]["splits"]
    assert sum(each["rows"] for each in splits.values()) == len(rows_of(folder))
    assert row["url"] not in (folder / "takedowns/1.0.1.json").read_text()


def test_the_same_takedown_again_changes_nothing(folder, tmp_path):
    requests = ask(tmp_path, single(folder)["url"])
    assert takedown(folder, requests, SIGNED, Serial()).difference
    before = state(folder)
    assert takedown(folder, requests, SIGNED, Serial()).difference is None
    assert state(folder) == before


def test_a_domain_removes_all_its_pages_and_those_of_its_subdomains(folder, tmp_path):
    host = single(folder)["url"].split("/")[2]
    domain = ".".join(host.split(".")[-2:])
    takedown(folder, ask(tmp_path, f"domain:*.{domain.upper()}"), SIGNED, Local(2))
    assert not any(domain in row["url"].split("/")[2] for row in rows_of(folder))
    assert not any(domain in row["url"].split("/")[2] for row in copies_of(folder))
    assert rows_of(folder)


def test_a_requested_copy_removes_the_released_document_with_its_text(folder, tmp_path):
    copy = copies_of(folder)[0]
    assert copy["url"] not in {row["url"] for row in rows_of(folder)}
    takedown(folder, ask(tmp_path, f"id:{copy['id']}"), SIGNED, Serial())
    assert copy["duplicate_of"] not in {row["id"] for row in rows_of(folder)}
    assert copy["duplicate_of"] not in {row["duplicate_of"] for row in copies_of(folder)}


def test_with_promotion_a_document_stays_if_only_its_copy_is_requested(folder, work, tmp_path):
    copy = copies_of(folder)[0]
    settings = TakedownSettings(signed_off_by="A", policy="promote", work=str(work))
    takedown(folder, ask(tmp_path, f"id:{copy['id']}"), settings, Serial())
    assert copy["duplicate_of"] in {row["id"] for row in rows_of(folder)}
    assert copy["id"] not in {row["id"] for row in copies_of(folder)}


def test_with_promotion_the_best_copy_replaces_the_document_redacted_as_all_others(folder, work, tmp_path):
    copies = copies_of(folder)
    kept = copies[0]["duplicate_of"]
    group = [copy for copy in copies if copy["duplicate_of"] == kept]
    best = max(group, key=lambda copy: (copy["jaccard"], copy["id"]))
    position = [row["id"] for row in rows_of(folder)].index(kept)
    settings = TakedownSettings(signed_off_by="A", policy="promote", work=str(work))
    takedown(folder, ask(tmp_path, f"id:{kept}"), settings, Serial())
    row = rows_of(folder)[position]
    assert row["id"] == best["id"]
    assert row["text"]
    assert row["url"] == best["url"]
    assert kept not in {row["id"] for row in rows_of(folder)}
    left = {copy["id"]: copy["duplicate_of"] for copy in copies_of(folder)}
    assert best["id"] not in left
    assert all(left[copy["id"]] == best["id"] for copy in group if copy["id"] != best["id"])


def test_promotion_from_another_work_folder_is_refused_and_leaves_the_release(folder, work, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(work, other)
    manifest = json.loads((other / "fr/manifest.json").read_text())
    manifest["inputs"] = {}
    (other / "fr/manifest.json").write_text(json.dumps(manifest))
    before = state(folder)
    kept = copies_of(folder)[0]["duplicate_of"]
    settings = TakedownSettings(signed_off_by="A", policy="promote", work=str(other))
    with pytest.raises(StageFailed, match="not the work folder"):
        takedown(folder, ask(tmp_path, f"id:{kept}"), settings, Serial())
    module._finish(folder)
    assert state(folder) == before


def test_a_break_leaves_the_release_as_it_was_or_is_finished_by_the_next_run(folder, tmp_path, monkeypatch):
    row = single(folder)
    before = state(folder)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_prove_absence", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            takedown(folder, ask(tmp_path, row["url"]), SIGNED, Serial())
    assert {name: data for name, data in state(folder).items() if ".takedown" not in name} == before
    with monkeypatch.context() as patch:
        patch.setattr(module.release, "write_release_manifest", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            takedown(folder, ask(tmp_path, row["url"]), SIGNED, Serial())
    assert takedown(folder, ask(tmp_path, row["url"]), SIGNED, Serial()).difference is None
    assert release.read_release_manifest(folder)["version"] == "1.0.1"
    assert list(release.check_files(folder)) == []
    assert row["id"] not in {each["id"] for each in rows_of(folder)}
    assert not (folder / ".takedown").exists()


def test_a_document_that_is_still_there_is_an_error_and_leaves_the_release_as_it_was(folder, tmp_path, monkeypatch):
    before = state(folder)
    monkeypatch.setattr(module, "_changed", lambda batches, change, promoted: batches)
    with pytest.raises(TakedownError, match="still has"):
        takedown(folder, ask(tmp_path, single(folder)["url"]), SIGNED, Serial())
    module._finish(folder)
    assert state(folder) == before


def test_an_empty_split_leaves_the_release(folder, tmp_path):
    path = next(folder.glob("data/fra_Latn/validation*.parquet"), None)
    if path is None:
        pytest.skip("the example has no validation document")
    ids = [row["id"] for row in pq.read_table(path).to_pylist()]
    takedown(folder, ask(tmp_path, *(f"id:{id_}" for id_ in ids)), SIGNED, Serial())
    assert not path.exists()
    assert "validation" not in release.read_release_manifest(folder)["languages"]["fra_Latn"]["splits"]
    assert list(release.check_files(folder)) == []


def test_the_counts_of_the_card_follow_the_documents(folder, tmp_path):
    rows = rows_of(folder)
    row = next(row for row in rows if row["pii"])
    takedown(folder, ask(tmp_path, f"id:{row['id']}"), SIGNED, Serial())
    language = release.read_release_manifest(folder)["languages"]["fra_Latn"]
    left = rows_of(folder)
    kinds = [span["kind"] for each in left for span in each["pii"]]
    assert language["pii"] == {kind: kinds.count(kind) for kind in sorted(set(kinds))}
    size = sum(len(each["text"].encode()) for each in left)
    assert language["sources"] == {"unlisted": {"rows": len(left), "text_bytes": size}}
    assert f"| {len(left)} | {size:,} |" in (folder / "README.md").read_text()


def test_a_release_may_become_empty(folder, tmp_path):
    takedown(folder, ask(tmp_path, *(f"id:{row['id']}" for row in rows_of(folder))), SIGNED, Serial())
    assert release.read_release_manifest(folder)["languages"] == {}
    assert "has no documents left" in (folder / "README.md").read_text()
    assert not list(folder.glob("data/*/*"))


def test_publishing_over_a_takedown_is_refused(folder, work, tmp_path):
    takedown(folder, ask(tmp_path, single(folder)["url"]), SIGNED, Serial())
    with pytest.raises(PublishError, match="bring back"):
        publish_release(Selection(work, ["fr"]), folder, PublishSettings(contact="x"), Serial())


@pytest.mark.parametrize(
    "line",
    [
        "example.org", "ftp://example.org/x", "domain:", "sha256:12", "http://", "urls: x", "id:", "domain:[", "url:x",
        "domain:https://example.org/news", "domain:example.org?a", "domain:example.org (Ms Roe)", "domain:example.org,",
        "domain:mailto:a@example.org", "domain:example.org\tasked by phone", "domain:example.org [paid]",
        "https://example.org/a (her page)", "https://example.org/a\tasked by phone", "https://a.example/ https://b.example/",
        "https://example.org/my page", "https://example.org, /a", "id:<urn:x:1>(twice)", "id:<urn:x:1> see below",
        "id:urn:x:1#note", "sha256:" + "a" * 64 + " old", "source:press, see letter", "source:press(letter)",
    ],
)  # fmt: skip
def test_a_line_that_is_not_a_request_is_refused_with_its_number(line, tmp_path):
    with pytest.raises(InputError, match="line 3"):
        ask(tmp_path, line)


@pytest.mark.parametrize("note", [" # asked on 3 May", "\t# asked on 3 May", "\u3000#asked", "  ", "\u200b"])
@pytest.mark.parametrize(
    "request_",
    [
        "https://a.example/1",
        "domain:a.example",
        "id:<urn:x:1>",
        "source:press",
        'source:"the press"',
        f"sha256:{'e' * 64}",
    ],
)
def test_a_note_behind_a_hash_does_not_change_the_request(request_, note):
    (alone,), (noted,) = (parse_requests([line]).requests for line in (request_, request_ + note))
    assert alone.keys == noted.keys


@pytest.mark.parametrize(
    ("line", "url", "requested"),
    [
        ("HTTPS://a.example/1", "http://a.example/1", True),
        ("https://a.example/Stra%C3%9Fe?q=Käse", "https://a.example/Straße?q=K%c3%a4se", True),
        ("https://a.example/x?y=%2F", "https://a.example/x?y=/", False),
        ("domain:https://www.a.example/", "https://b.a.example/1", True),
        ("domain:a.example:8080", "http://a.example/1", True),
        ("domain:.a.example", "http://b.a.example/1", True),
        ("domain:mañana.example", "https://w3.xn--maana-pta.example/", True),
        ("domain:a.example", "https://la.example/", False),
        ("domain:www.example", "https://a.example/", False),
        ("https://a.example/?to=b%6Fb@mail.example", "https://a.example/?to=PI:EMAIL", True),
    ],
)
def test_a_request_means_every_spelling_of_its_address(line, url, requested):
    assert parse_requests([line]).match("<urn:x:1>", url) == requested


@pytest.mark.parametrize(
    ("line", "id_"),
    [
        ("id:urn:uuid:0b2c", "<urn:uuid:0b2c>"),
        ("id:<urn:uuid:0B2C>", "<urn:uuid:0b2c>"),
        ("id: 7-1", "7-1"),
    ],
)
def test_an_id_is_compared_without_brackets(line, id_):
    assert parse_requests([line]).match(id_, None)


def test_requests_that_match_nothing_are_named_as_written_and_only_counted_in_the_release(folder, tmp_path):
    nothing = ["https://none.example/Ä # a letter", "domain:none.example", f"sha256:{'0' * 64}", "id:<urn:uuid:none>"]
    row = single(folder)
    result = takedown(folder, ask(tmp_path, nothing[0], row["url"], *nothing[1:], "source:none"), SIGNED, Serial())
    assert result.unmatched == (*nothing, "source:none")
    said = list(describe_takedown(folder, result))
    assert [line.strip() for line in said[-5:]] == [*nothing, "source:none"]
    written = (folder / "takedowns/1.0.1.json").read_text()
    assert "none" not in written
    assert json.loads(written)["proof"]["requests"] == 6
    assert json.loads(written)["proof"]["unmatched"] == 5


def test_a_list_that_matches_nothing_is_named_and_changes_nothing(folder, tmp_path):
    before = state(folder)
    result = takedown(folder, ask(tmp_path, "domain:none.example"), SIGNED, Serial())
    assert "domain:none.example" in list(describe_takedown(folder, result))[-1]
    assert state(folder) == before


def test_a_request_that_only_a_dropped_copy_matches_is_not_named(folder, tmp_path):
    result = takedown(folder, ask(tmp_path, f"id:{copies_of(folder)[0]['id']}"), SIGNED, Serial())
    assert result.unmatched == ()


def test_a_takedown_without_a_date_has_the_day_on_which_it_was_made(folder, tmp_path):
    first = datetime.now(UTC).date()
    diff = takedown(folder, ask(tmp_path, single(folder)["url"]), replace(SIGNED, date=""), Serial()).difference
    assert first <= date.fromisoformat(diff["date"]) <= datetime.now(UTC).date()
    assert release.read_release_manifest(folder)["history"][-1]["date"] == diff["date"]


def test_an_empty_or_missing_list_is_refused(tmp_path):
    with pytest.raises(InputError, match="requests nothing"):
        ask(tmp_path)
    with pytest.raises(InputError, match="cannot read"):
        read_requests(tmp_path / "none")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"signed_off_by": "A", "policy": "keep"},
        {"signed_off_by": "A", "policy": "promote"},
        {"signed_off_by": "A", "date": "the third of May"},
    ],
)
def test_a_bad_setting_is_refused(values):
    with pytest.raises(SettingsError):
        build(TakedownSettings, values, "takedown")
