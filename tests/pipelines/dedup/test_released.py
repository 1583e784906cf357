"""New documents against a release: with and without stored signatures, removed or only noted, end to end."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from filters.near_duplicates import signatures as near
from pipelines import release
from pipelines.cli.main import main
from pipelines.dedup.released import read_release, read_releases, signature_file, write_signatures
from pipelines.dedup.run import estimate_scratch, released_size, run_dedup
from pipelines.dedup.settings import DedupSettings
from pipelines.verify import verify
from roots import shards
from roots.errors import InputError, SettingsError, StageFailed
from roots.executors import Serial
from tests.support.paths import ROOT

TAG = "fra_Latn"
BASE = pa.schema([pa.field(name, pa.string()) for name in ("id", "text", "date", "url", "drop")])
Rows = list[dict[str, Any]]


def words(rng: random.Random, count: int) -> list[str]:
    return ["".join(rng.choices("abcdefghij", k=7)) for _ in range(count)]


RNG = random.Random(12)
FIRST, OTHER, THIRD = words(RNG, 200), words(RNG, 100), words(RNG, 80)
OLD: Rows = [
    {"id": "r1", "text": " ".join(FIRST), "url": None},
    {"id": "r1 again", "text": " ".join(FIRST), "url": None},
    {"id": "r2", "text": " ".join([*FIRST, "x"]), "url": "https://a.org/page"},
    {"id": "r3", "text": " ".join(OTHER), "url": None},
]
NEW: Rows = [
    {"id": "near", "text": " ".join([*FIRST, "much", "longer", "than", "it"])},
    {"id": "copy", "text": " ".join(OTHER)},
    {"id": "same page", "text": " ".join(words(RNG, 50)), "url": "https://a.org/page"},
    {"id": "fresh", "text": " ".join(THIRD)},
    {"id": "fresh again", "text": " ".join(THIRD)},
]


def make_release(folder: Path, rows: Rows, tag: str = TAG, version: str = "1.0.0") -> Path:
    """Write a release with one file for each language."""
    name = f"data/{tag}/train-00000-of-00001.parquet"
    batch = pa.RecordBatch.from_pylist(rows, release.RELEASED)
    written = release.write_parquet(folder / name, release.RELEASED, [batch])
    values = {"name": "ours", "version": version, "files": {name: written.as_values()}, "languages": {tag: {}}}
    release.write_release_manifest(folder, values)
    return folder


def chains_of(folder: Path, rows: Rows) -> dict[str, list[Path]]:
    path = folder / "base" / "part.parquet"
    path.parent.mkdir(parents=True)
    content = [{"date": "2024-01-01", "url": None, "drop": None, **row} for row in rows]
    shards.write(path, BASE, [pa.RecordBatch.from_pylist(content, BASE)], "base", 1, "")
    return {path.name: [path]}


def compare(
    chains: dict[str, list[Path]], folder: Path, target: Path, settings: DedupSettings
) -> dict[str, dict[str, Any]]:
    found = read_release(folder, [TAG], settings.scheme)
    run_dedup(chains, target, settings, Serial(), against=found.chains)
    return {row["id"]: row for row in pq.read_table(target / "part.parquet").to_pylist()}


def test_stored_signatures_change_no_row_and_save_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, chains = make_release(tmp_path / "release", OLD), chains_of(tmp_path, NEW)
    settings = DedupSettings(keep="newest")
    plain = compare(chains, folder, tmp_path / "plain", settings)
    manifest = write_signatures(folder, settings.scheme, Serial())
    assert (manifest.rows, manifest.made) == (4, 1)
    assert write_signatures(folder, settings.scheme, Serial()).made == 0
    assert read_release(folder, [TAG], settings.scheme).signed == 1
    signed: list[str] = []
    monkeypatch.setattr(
        "pipelines.dedup.released.sign_texts",
        lambda texts, scheme: signed.extend(texts.to_pylist()) or near.sign_texts(texts, scheme),
    )
    assert compare(chains, folder, tmp_path / "stored", settings) == plain
    assert signed == [row["text"] for row in NEW]
    assert (tmp_path / "plain/part.parquet").read_bytes() == (tmp_path / "stored/part.parquet").read_bytes()


def test_each_copy_names_the_released_document_the_release_and_the_jaccard(tmp_path: Path) -> None:
    folder, chains = make_release(tmp_path / "release", OLD), chains_of(tmp_path, NEW)
    marks = compare(chains, folder, tmp_path / "removed", DedupSettings())
    assert {name: row["drop"] for name, row in marks.items()} == {
        "near": "dedup.near", "copy": "dedup.exact", "same page": "dedup.url", "fresh": marks["fresh"]["drop"],
        "fresh again": marks["fresh again"]["drop"],
    }  # fmt: skip
    assert {name for name, row in marks.items() if row["release"]} == {"near", "copy", "same page"}
    assert {row["release"] for row in marks.values()} == {None, "ours-1.0.0"}
    texts = {row["id"]: row["text"] for row in [*OLD, *NEW]}
    pair = near.shingle_sets(pa.array([texts["near"], texts[marks["near"]["duplicate_of"]]]), near.Scheme())
    assert marks["near"]["jaccard"] == pytest.approx(near._jaccard(*pair, 0, 1))
    assert (marks["copy"]["duplicate_of"], marks["copy"]["jaccard"]) == ("r3", 1)
    assert marks["same page"]["duplicate_of"] == "r2"
    assert sorted(row["minhash_cluster_size"] or 0 for row in marks.values()) == [0, 0, 0, 0, 2]


def test_marking_removes_nothing_for_a_release_but_records_the_same(tmp_path: Path) -> None:
    folder, chains = make_release(tmp_path / "release", OLD), chains_of(tmp_path, NEW)
    removed = compare(chains, folder, tmp_path / "removed", DedupSettings())
    marked = compare(chains, folder, tmp_path / "marked", DedupSettings(released="mark"))
    for name, row in marked.items():
        if row["release"]:
            assert row["drop"] is None
            assert row["minhash_cluster_size"] == 1
        else:
            assert row == removed[name]
        assert [row[key] for key in ("duplicate_of", "jaccard", "release")] == [
            removed[name][key] for key in ("duplicate_of", "jaccard", "release")
        ]
    assert sum(row["drop"] is not None for row in marked.values()) == 1


def test_the_format_is_as_described(tmp_path: Path) -> None:
    folder = make_release(tmp_path / "release", OLD)
    scheme = near.Scheme(bands=3, rows=4)
    write_signatures(folder, scheme, Serial())
    path = folder / signature_file(f"data/{TAG}/train-00000-of-00001.parquet")
    table = pq.read_table(path)
    assert table.column_names == ["id", "shingles", "content_high", "content_low", "units", "signature"]
    signs = near.sign_texts(pa.array([row["text"] for row in OLD]), scheme)
    assert table["id"].to_pylist() == [row["id"] for row in OLD]
    assert table["signature"].to_pylist() == signs.minhashes.tolist()
    assert [*zip(table["content_high"].to_pylist(), table["content_low"].to_pylist(), strict=True)] == [
        tuple(pair) for pair in signs.content.tolist()
    ]
    receipt = shards.read_receipt(path)
    assert receipt is not None
    assert (receipt.stage, receipt.version, receipt.rows) == ("signatures", 1, 4)
    settings = json.loads((folder / "signatures/manifest.json").read_text("utf-8"))["settings"]
    assert settings["scheme"] == {"words": 5, "bands": 3, "rows": 4, "seed": 1, "digest": "roots"}


def test_signatures_of_another_scheme_or_version_are_ignored(tmp_path: Path) -> None:
    folder = make_release(tmp_path / "release", OLD)
    write_signatures(folder, near.Scheme(), Serial())
    assert read_release(folder, [TAG], near.Scheme(bands=15)).signed == 0
    make_release(folder, OLD[:3], version="1.0.1")
    assert read_release(folder, [TAG], near.Scheme()).signed == 0
    assert write_signatures(folder, near.Scheme(), Serial()).made == 1
    found = read_release(folder, [TAG], near.Scheme())
    assert (found.signed, found.label) == (1, "ours-1.0.1")
    assert read_release(folder, ["swh_Latn"], near.Scheme()).chains == {}


def test_signatures_of_other_documents_are_refused(tmp_path: Path) -> None:
    folder, chains = make_release(tmp_path / "release", OLD), chains_of(tmp_path, NEW)
    write_signatures(folder, near.Scheme(), Serial())
    against = read_release(folder, [TAG], near.Scheme()).chains
    shuffled = pq.read_table(folder / f"data/{TAG}/train-00000-of-00001.parquet").take([1, 0, 2, 3])
    pq.write_table(shuffled, folder / f"data/{TAG}/train-00000-of-00001.parquet")
    with pytest.raises(StageFailed, match="other documents"):
        run_dedup(chains, tmp_path / "dedup", DedupSettings(), Serial(), against=against)


def test_a_folder_that_is_not_a_release_or_two_equal_releases_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a release"):
        read_releases([str(tmp_path)], [TAG], near.Scheme())
    one, other = (str(make_release(tmp_path / name, OLD)) for name in ("one", "other"))
    with pytest.raises(SettingsError, match=r"ours-1\.0\.0"):
        read_releases([one, other], [TAG], near.Scheme())
    with pytest.raises(ValueError, match="mark"):
        DedupSettings(released="mrk")


def test_released_documents_count_in_the_estimate_of_scratch_space(tmp_path: Path) -> None:
    folder, chains = make_release(tmp_path / "release", OLD), chains_of(tmp_path, NEW)
    write_signatures(folder, near.Scheme(), Serial())
    against = read_release(folder, [TAG], near.Scheme()).chains
    rows, size = released_size(next(iter(against.values()))[0])
    assert rows == len(OLD)
    assert size >= sum(len(row["text"]) for row in OLD)
    alone = estimate_scratch(chains, DedupSettings())
    assert estimate_scratch({**chains, **against}, DedupSettings()) > alone + size


def roots(*arguments: object) -> str:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


CRAWL = ROOT / "tests/fixtures" / "crawl"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example crawl in French."""
    folder = tmp_path_factory.mktemp("released") / "work"
    roots("run", folder, "--input", CRAWL / "*.warc.gz", "--lang", "fr", "--quiet", "--executor", "serial")
    return folder


def test_a_takedown_removes_the_signatures_too(work: Path, tmp_path: Path) -> None:
    folder, listed = tmp_path / "release", tmp_path / "list.txt"
    options = ["--quiet", "--set", "publish.contact=a@example.org", "--set", "publish.file_bytes=5000"]
    roots("publish", work, "--to", folder, *options)
    assert not (folder / "signatures").exists()
    assert "signed in" in roots("signatures", folder, "--quiet")
    files = sorted((folder / "data/fra_Latn").glob("*.parquet"))
    gone = pq.read_table(files[0])["id"][0].as_py()
    listed.write_text(f"id:{gone}\n")
    roots("takedown", folder, "--list", listed, "--quiet", "--set", "takedown.signed_off_by=me")
    left = [path for path in folder.glob("signatures/*/*.parquet") if gone in pq.read_table(path)["id"].to_pylist()]
    assert left == []
    assert read_release(folder, [TAG], DedupSettings().scheme).signed == len(files) - 1
    assert "1 made now" in roots("signatures", folder, "--quiet")


def add_line(folder: Path, line: str) -> None:
    """Add a line to the end of every document of the release."""
    manifest = release.read_release_manifest(folder)
    for name in manifest["files"]:
        if name.startswith("data/"):
            rows = pq.read_table(folder / name).to_pylist()
            batch = pa.RecordBatch.from_pylist(
                [{**row, "text": f"{row['text']}\n{line}"} for row in rows], release.RELEASED
            )
            manifest["files"][name] = release.write_parquet(folder / name, release.RELEASED, [batch]).as_values()
    release.write_release_manifest(folder, manifest)


def test_pages_of_an_earlier_release_are_removed_and_why_shows_it(work: Path, tmp_path: Path) -> None:
    """A crawl is published; the next has its pages again: each is removed for its released copy, and `why` says so."""
    folder = tmp_path / "release"
    roots("publish", work, "--to", folder, "--signatures", "--quiet", "--set", "publish.contact=a@example.org")
    kept = pq.read_table(folder / "data/fra_Latn")["id"].to_pylist()
    options = ["--lang", "fr", "--quiet", "--executor", "serial", "--against", folder]
    shutil.rmtree(work / "fr" / "dedup")
    roots("dedup", work, *options, "--set", "dedup.url=none", "--set", "dedup.released=mark")
    rows = [row for path in sorted((work / "fr/dedup").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    matched = {row["id"]: row for row in rows if row["release"]}
    assert len(matched) >= len(kept) - 1 > 3  # one may be too short to be compared after its personal data was replaced
    assert all(row["drop"] is None and row["duplicate_of"] in kept for row in matched.values())
    add_line(folder, "Une phrase que la version publiée a de plus.")
    roots("dedup", work, *options, "--set", "dedup.url=none")
    assert [problem for problem in verify(work, "fr") if problem.startswith("dedup")] == []
    manifest = json.loads((work / "fr/dedup/manifest.json").read_text("utf-8"))
    assert manifest["kept"] <= 1
    shown = roots("why", next(iter(matched)), "--work", work)
    assert "released in roots-1.0.0; Jaccard" in shown
    assert "only there: Une phrase que la version publiée a de plus." in shown
    damaged = sorted((work / "fr/dedup/sign").glob("released--*.parquet"))
    assert damaged
    for path in damaged:
        path.unlink()
    assert any("does not hold" in problem for problem in verify(work, "fr"))
    roots("dedup", work, "--lang", "fr", "--quiet", "--executor", "serial")
    assert not (work / "fr/dedup/against.json").exists()
    again = [row for path in sorted((work / "fr/dedup").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    assert not any(row["release"] for row in again)
