"""Where copies are looked for: in a source, a language, or all languages of a run; and what a source is."""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pipelines import pipeline
from pipelines.cli.main import main
from pipelines.dedup.run import run_dedup
from pipelines.dedup.settings import DedupSettings, KeepBy
from pipelines.dedup.sign import SourceRule
from pipelines.job import work as folders
from pipelines.job.request import plan_jobs
from pipelines.pipeline import in_order
from pipelines.publishing.files import _copies
from pipelines.publishing.takedown_plan import promoted_rows
from pipelines.verify import verify
from pipelines.why import explain
from roots import shards
from roots.atomic import write_text
from roots.errors import LossError, SettingsError
from roots.executors import Serial
from roots.schema import EXTRACT, INDEX, VERDICT
from roots.settings import build

BASE = pa.schema(
    [pa.field(name, pa.string()) for name in ("id", "text", "language", "date", "url", "file_path", "drop")]
)
Rows = list[dict[str, Any]]
CATALOGUE = """
[free]
name = "Free Press"
license = "CC0-1.0"
addresses = ["free.org"]

[paid]
name = "Paid Press"
license = "proprietary"
addresses = ["paid.org/news/"]
"""


def words(rng: random.Random, count: int) -> list[str]:
    return ["".join(rng.choices("abcdefghij", k=7)) for _ in range(count)]


def lay(folder: Path, rows: Rows) -> dict[str, list[Path]]:
    path = folder / "base" / "a.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    shards.write(path, BASE, [pa.RecordBatch.from_pylist(rows, BASE)], "base", 1, "f")
    return {path.name: [path]}


def drops(folder: Path, rows: Rows, **settings: Any) -> dict[str, str | None]:
    target = folder / "dedup"
    run_dedup(lay(folder, rows), target, build(DedupSettings, settings, "dedup"), Serial())
    return {row["id"]: row["drop"] for row in pq.read_table(target / "a.parquet").to_pylist()}


def two_sites() -> Rows:
    rng = random.Random(6)
    base = words(rng, 150)
    return [
        {"id": "a1", "text": " ".join([*base, "more", "of", "it"]), "url": "https://a.org/1", "file_path": "1.warc"},
        {"id": "a2", "text": " ".join(base), "url": "https://a.org/2", "file_path": "2.warc"},
        {"id": "b1", "text": " ".join(base), "url": "https://b.org/1", "file_path": "1.warc"},
        {"id": "b2", "text": " ".join(base), "url": "https://B.org/2", "file_path": "1.warc"},
        {"id": "no url", "text": " ".join([*base, "x"]), "url": None, "file_path": "2.warc"},
    ]


def test_within_a_source_other_sources_do_not_count(tmp_path: Path) -> None:
    near, exact = "dedup.near", "dedup.exact"
    everywhere = drops(tmp_path / "1", two_sites())
    assert [name for name, drop in everywhere.items() if drop is None] == ["a1"]
    found = drops(tmp_path / "2", two_sites(), scope="source")
    assert {name: drop for name, drop in found.items() if drop} == {"a2": near, **dict.fromkeys(
        [name for name in ("b1", "b2") if found[name]], exact)}  # fmt: skip
    assert sorted(name for name, drop in found.items() if drop is None)[1:] == ["b1" if found["b2"] else "b2", "no url"]
    by_file = drops(tmp_path / "3", two_sites(), scope="source", source="file")
    assert {name: drop for name, drop in by_file.items() if drop is None} == {"a1": None, "no url": None}
    one_page = [{**row, "url": "https://a.org/1", "date": str(2000 + n)} for n, row in enumerate(two_sites())]
    assert sum(drop == "dedup.url" for drop in drops(tmp_path / "4", one_page, scope="source").values()) == 4
    other = drops(tmp_path / "5", one_page, scope="source", source="file")
    assert sum(drop == "dedup.url" for drop in other.values()) == 3


def test_the_report_of_one_source_counts_pairs_of_one_source(tmp_path: Path) -> None:
    for scope, pairs in (("language", 10), ("source", 2)):
        drops(tmp_path / scope, two_sites(), scope=scope)
        sample = json.loads((tmp_path / scope / "dedup" / "report.json").read_text("utf-8"))["sample"]
        assert sample["pairs"] == pairs
        assert sample["recall_above_threshold"]["recall"] == 1
        assert sample["precision_of_removals"]["precision"] == 1


@pytest.fixture
def catalogue(tmp_path: Path) -> str:
    path = tmp_path / "sources.toml"
    path.write_text(CATALOGUE)
    return str(path)


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        (KeepBy(prefer="license", order=("CC0-1.0",)), "free"),
        (KeepBy(prefer="license", order=("proprietary",)), "paid"),
        (KeepBy(prefer="source", order=("paid", "free")), "paid"),
        (KeepBy(prefer="source", order=("free",)), "free"),
        (KeepBy(prefer="source", order=("unlisted",)), "other"),
        ("longest", "other"),
    ],
)
def test_a_licence_or_source_of_the_catalogue_can_be_preferred(
    keep: str | KeepBy, kept: str, catalogue: str, tmp_path: Path
) -> None:
    base = " ".join(words(random.Random(3), 80))
    urls = {"free": "https://www.free.org/1", "paid": "http://paid.org/news/1", "other": "https://paid.org/2"}
    rows = [{"id": name, "text": base + " ." * (name == "other"), "url": url} for name, url in urls.items()]
    found = drops(tmp_path, rows, keep=keep, catalogue=catalogue)
    assert [name for name, drop in found.items() if drop is None] == [kept]


def test_an_unknown_column_is_refused_before_any_work(catalogue: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"license.*dedup\.catalogue"):
        drops(tmp_path, two_sites(), keep=KeepBy(prefer="license", order=("CC0-1.0",)))
    with pytest.raises(SettingsError, match="nothing_like_it"):
        drops(tmp_path, two_sites(), keep=KeepBy(highest="nothing_like_it"), catalogue=catalogue)
    assert not (tmp_path / "dedup").exists()


def test_the_source_of_a_document_by_each_rule(catalogue: str) -> None:
    urls = ["https://Www.Free.org/x", "https://paid.org/news/2", "https://paid.org/2", None, "no address"]
    batch = pa.RecordBatch.from_pydict({"url": urls, "file_path": ["f"] * 5})
    assert SourceRule.read("host", "").names(batch).to_pylist() == ["www.free.org", "paid.org", "paid.org", "f", "f"]
    assert SourceRule.read("file", "").names(batch).to_pylist() == ["f"] * 5
    assert SourceRule.read("catalogue", catalogue).names(batch).to_pylist() == ["free", "paid", "paid.org", "f", "f"]
    assert SourceRule.read("host", "").names(batch.select(["url"])).to_pylist()[3:] == ["", ""]
    assert (SourceRule.read("host", "").digests(batch.select(["url"])) != 0).all()
    for rule, why in (("hots", "host"), ("catalogue", r"dedup\.catalogue")):
        with pytest.raises(ValueError, match=why):
            DedupSettings(source=rule)


def test_an_alarm_names_sources_by_the_rule_that_is_set(catalogue: str, tmp_path: Path) -> None:
    text = " ".join(words(random.Random(3), 80))
    rows = [{"id": f"<{n}>", "text": text, "url": f"https://s{n % 9}.free.org/{n}"} for n in range(150)]
    for settings, named in (({}, []), ({"source": "catalogue", "catalogue": catalogue}, ["free"])):
        drops(tmp_path / str(len(named)), rows, **settings)
        report = json.loads((tmp_path / str(len(named)) / "dedup" / "report.json").read_text("utf-8"))
        assert [alarm["source"] for alarm in report["alarms"]] == named
        assert "sources.toml" not in json.dumps(report)
    with pytest.raises(LossError, match="free: 149 of 150"):
        drops(tmp_path / "2", rows, source="catalogue", catalogue=catalogue, strict=True)


SETTINGS = {"scope": "global", "source": "file", "lines": ["newspaper"], "every_copy": True}


def fake_work(work: Path, copies: Mapping[str, str] | None = None) -> Path:
    """Write two languages up to filter: a shared document (equal if `copies`) and one of its own for each."""
    rng = random.Random(4)
    shared = " ".join(words(rng, 120))
    names = {"fr": ["fr shared longer", "fr own"], "ca": ["ca shared", "ca own"]}
    index = [
        {"id": id_, "url": f"https://{code}.org/{n}", "file_path": "a.warc.gz", "offset": n}
        for code, ids in names.items() for n, id_ in enumerate(ids)
    ]  # fmt: skip
    layout: dict[str, tuple[pa.Schema, Rows]] = {"index": (INDEX, index)}
    for code, ids in names.items():
        own = " ".join(words(rng, 90))
        copy = copies[code] if copies else shared + " et un peu plus" * (code == "fr")
        texts = [f"Menu\n\n{text}" for text in (copy, own)]
        kept = [{"id": row["id"], "drop": None if row["id"] in ids else "extract.other_language"} for row in index]
        for row in kept:
            if row["drop"] is None:
                row |= {"text": texts[ids.index(row["id"])], "language": code, "language_score": 1.0, "extractor": "x"}
        layout[f"{code}/extract"] = (EXTRACT, kept)
        layout[f"{code}/measure"] = (VERDICT, [{"id": id_} for id_ in ids])
        layout[f"{code}/filter"] = (VERDICT, [{"id": id_} for id_ in ids])
    for name, (schema, rows) in layout.items():
        path = work / name / "a.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        receipt = shards.write(path, schema, [pa.RecordBatch.from_pylist(rows, schema)], name, 1, "f")
        values = {"shards": {path.name: vars(receipt)}, "settings": {"rules": []}}
        write_text(path.with_name("manifest.json"), json.dumps(values))
    folders.remember_inputs(work, {"a.parquet": work.parent / "a.warc.gz"})
    return work


@pytest.fixture
def together(tmp_path: Path) -> tuple[Path, dict[str, dict[str, Any]]]:
    """Both languages after one dedup, and the rows of both."""
    work = fake_work(tmp_path / "work")
    archives = {"a.parquet": tmp_path / "a.warc.gz"}
    jobs = plan_jobs(work, ["fr", "ca"], archives, {"dedup": SETTINGS})
    rows: dict[str, dict[str, Any]] = {}
    for job in jobs:
        (manifest,) = pipeline.run_stages(job, ("dedup",), Serial())
        assert manifest.rows == 2
        found = pq.read_table(work / job.code / "dedup" / "a.parquet").to_pylist()
        rows |= {row["id"]: row for row in found}
    return work, rows


def test_a_copy_may_name_a_document_of_another_language(together: tuple[Path, dict[str, Any]]) -> None:
    work, rows = together
    assert rows["ca shared"]["duplicate_of"] == "fr shared longer"
    assert [id_ for id_, row in rows.items() if row["drop"]] == ["ca shared"]
    assert rows["fr shared longer"]["minhash_cluster_size"] == 2
    report = json.loads((work / folders.ALL / "dedup" / "report.json").read_text("utf-8"))
    assert (report["documents"], report["kept"]) == (4, 3)
    assert folders.languages(work) == ["ca", "fr"]
    assert folders.dedup_report(work, "ca") == work / folders.ALL / "dedup" / "report.json"
    assert folders.deduplicated_with(work, "fr") == ["fr", "ca"]


def test_verify_why_and_releases_follow_copies_into_other_languages(together: tuple[Path, dict[str, Any]]) -> None:
    work, _ = together
    problems = [line for code in ("fr", "ca") for line in verify(work, code)]
    assert not [line for line in problems if "duplicate" in line or "was removed" in line]
    shown = "\n".join(explain(work, "https://ca.org/0", "ca"))
    assert "a copy of fr shared longer" in shown
    assert "only there" in shown
    shown = "\n".join(explain(work, "https://fr.org/0", "fr"))
    assert "line removed (newspaper, 3 times in its source): Menu" in shown
    copies = pa.Table.from_batches(list(_copies(work, "fr", {"fr shared longer"}))).to_pylist()
    assert [(row["id"], row["url"]) for row in copies] == [("ca shared", "https://ca.org/0")]
    language: Mapping[str, Any] = {"code": "fr", "inputs": {}, "stages": {"redact": {"settings": {}}}}
    write_text(work / "fr" / "manifest.json", json.dumps({"language": {"tag": "fra_Latn"}, "inputs": {}}))
    rows = promoted_rows(work, language, {"sources": {}}, frozenset(["ca shared"]))
    assert rows["ca shared"]["url"] == "https://ca.org/0"
    assert rows["ca shared"]["lines"] == [{"rule": "newspaper", "start": 0, "end": 6, "times": 3}]
    assert rows["ca shared"]["text"].split(" ")[0].isalpha()
    assert "Menu" not in rows["ca shared"]["text"]
    path = work / "fr" / "dedup" / "a.parquet"
    path.unlink()
    assert [line for line in verify(work, "ca") if "which was not kept" in line]


def test_all_languages_reach_dedup_before_any_goes_on(tmp_path: Path) -> None:
    stages = ("filter", "dedup", "redact")
    plans = {}
    for scope in ("language", "global"):
        jobs = plan_jobs(tmp_path, ["fr", "ca"], {"a.parquet": tmp_path / "a"}, {"dedup": {"scope": scope}})
        plans[scope] = [(job.code, list(part)) for job, part in in_order(jobs, stages)]
    assert plans["language"] == [("fr", list(stages)), ("ca", list(stages))]
    before, after = ["filter"], ["dedup", "redact"]
    assert plans["global"] == [("fr", before), ("ca", before), ("fr", after), ("ca", after)]
    assert [list(part) for _, part in in_order(jobs[:1], stages)] == [list(stages)]
    assert [list(part) for _, part in in_order(jobs, ("dedup",))] == [["dedup"]] * 2


def test_an_unknown_scope_is_refused() -> None:
    with pytest.raises(ValueError, match="global"):
        DedupSettings(scope="everything")


def test_strict_on_the_command_line_fails_for_a_source_that_loses_too_much(tmp_path: Path) -> None:
    work = tmp_path / "work"
    text = " ".join(words(random.Random(3), 80))
    ids = [f"<{n}>" for n in range(120)]
    layout: dict[str, tuple[pa.Schema, Rows]] = {
        "index": (INDEX, [{"id": id_, "url": f"https://a.org/{id_}", "file_path": "a", "offset": 0} for id_ in ids]),
        "fr/extract": (EXTRACT, [{"id": id_, "text": text, "language": "fra"} for id_ in ids]),
        "fr/measure": (VERDICT, [{"id": id_} for id_ in ids]),
        "fr/filter": (VERDICT, [{"id": id_} for id_ in ids]),
    }
    for name, (schema, rows) in layout.items():
        path = work / name / "a.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        shards.write(path, schema, [pa.RecordBatch.from_pylist(rows, schema)], name, 1, "f")
    folders.remember_inputs(work, {"a.parquet": tmp_path / "a.warc.gz"})
    command = ["dedup", str(work), "--lang", "fr", "--quiet", "--workers", "1"]
    assert CliRunner().invoke(main, command).exit_code == 0
    failed = CliRunner().invoke(main, [*command, "--strict"])
    assert failed.exit_code != 0
    assert "a.org: 119 of 120" in failed.output


def test_a_document_that_is_only_marked_is_edited_like_kept_ones(tmp_path: Path) -> None:
    rng = random.Random(12)
    base, other = words(rng, 200), words(rng, 100)
    file = tmp_path / "train-00000.parquet"
    pq.write_table(pa.table({"id": ["r1"], "text": [" ".join(base)]}), file)
    rows: Rows = [
        {"id": name, "text": "Menu of the site\n" + " ".join(text), "url": f"https://a.org/{name}"}
        for name, text in (("near", [*base, "x"]), ("fresh", other))
    ]
    for released, times in (("mark", 2), ("remove", None)):
        target = tmp_path / released
        settings = DedupSettings(lines=("newspaper",), every_copy=True, released=released)
        run_dedup(lay(tmp_path, rows), target, settings, Serial(), against={"v1 train-00000": [file]})
        marks = {row["id"]: row for row in pq.read_table(target / "a.parquet").to_pylist()}
        assert marks["near"]["duplicate_of"] == "r1"
        assert (marks["near"]["drop"] is None) is (released == "mark")
        assert [line["times"] for line in marks["fresh"]["lines"]] == ([times] if times else [])
        if released == "mark":
            assert [line["times"] for line in marks["near"]["lines"]] == [2]


def test_why_shows_the_kept_document_the_jaccard_and_the_difference_right_to_left(tmp_path: Path) -> None:
    rng = random.Random(9)
    text = ["".join(rng.choices("ابتثجحخدذرزسشصضطظعغفقكلمنهوي", k=6)) for _ in range(200)]
    other = [*text[:150], "كِتَابٌ", *text[151:], "زيادة"]
    work = fake_work(tmp_path / "work", {"ca": " ".join(text), "fr": " ".join(other)})
    jobs = plan_jobs(work, ["fr", "ca"], {"a.parquet": tmp_path / "a.warc.gz"}, {"dedup": SETTINGS})
    for job in jobs:
        pipeline.run_stages(job, ("dedup",), Serial())
    lines = list(explain(work, "https://ca.org/0", "ca"))
    shingles = [
        {tuple(each[at : at + 5]) for at in range(len(each) - 4)} for each in (["Menu", *text], ["Menu", *other])
    ]
    jaccard = len(shingles[0] & shingles[1]) / len(shingles[0] | shingles[1])
    shown = "\n".join(lines)
    assert "DROPPED: dedup.near" in shown
    assert f"a copy of fr shared longer, which was kept; Jaccard {jaccard:.4f}" in shown
    here = next(line.strip() for line in lines if "only here" in line)
    there = [line.strip() for line in lines if "only there" in line]
    assert here.startswith("only here: \u2068\u2026")
    assert here.endswith("\u2026\u2069")
    assert text[150] in here
    assert "كِتَابٌ" in there[0]
    assert "زيادة" in there[1]
