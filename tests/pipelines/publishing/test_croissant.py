"""croissant.json: what a release says of itself to machines."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines import release
from pipelines.job.request import plan_jobs
from pipelines.job.stages import STAGES
from pipelines.job.work import find_archives
from pipelines.pipeline import run_stages
from pipelines.publishing.publish import Selection, publish_release
from pipelines.publishing.settings import PublishSettings, TakedownSettings
from pipelines.publishing.takedown import takedown
from pipelines.publishing.takedown_list import read_requests
from roots.executors import Serial
from tests.support.killing import CRAWL

REQUIRED = ("@context", "@type", "conformsTo", "description", "license", "name", "url", "creator", "datePublished",
            "distribution")  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of French."""
    place = tmp_path_factory.mktemp("croissant")
    (job,) = plan_jobs(place / "work", ["fr"], find_archives([str(CRAWL / "example-2024-00000.warc.gz")]), {})
    run_stages(job, tuple(STAGES), Serial())
    settings = PublishSettings(
        contact="takedown@example.org", date="2026-11-21", repo="user/corpus", license="cc-by-4.0"
    )
    publish_release(Selection(place / "work", ["fr"]), place / "release", settings, Serial())
    return place / "release"


def read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "croissant.json").read_text(encoding="utf-8"))
    return found


def ids(value: object) -> list[str]:
    """The @id of every node that has a name."""
    if isinstance(value, list):
        return [each for item in value for each in ids(item)]
    if isinstance(value, dict):
        own = [value["@id"]] if "@id" in value and "name" in value else []
        return own + [each for key, item in value.items() if key != "@context" for each in ids(item)]
    return []


def references(value: object) -> set[str]:
    """Every @id that is referred to."""
    if isinstance(value, list):
        return {each for item in value for each in references(item)}
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            return {value["@id"]}
        return {each for key, item in value.items() if key != "@context" for each in references(item)}
    return set()


def test_all_that_croissant_requires_is_there_and_refers_to_what_is_there(folder: Path) -> None:
    found = read(folder)
    assert all(found.get(key) for key in REQUIRED)
    assert found["conformsTo"] == ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]
    assert found["@context"]["@vocab"] == "https://schema.org/"  # mlcroissant refuses http
    names = ids(found)
    assert len(names) == len(set(names))
    assert references(found) <= set(names)


def test_files_sizes_digests_columns_and_counts_are_those_of_the_release(folder: Path) -> None:
    found, manifest = read(folder), release.read_release_manifest(folder)
    files = {each["name"]: each for each in found["distribution"] if each["name"].startswith("data/")}
    assert files.keys() == {name for name in manifest["files"] if name.startswith("data/")}
    for name, entry in files.items():
        assert entry["sha256"] == manifest["files"][name]["sha256"]
        assert entry["contentSize"] == f"{(folder / name).stat().st_size} B"
    splits, records = found["recordSet"]
    assert [each["splits-fra_Latn/name"] for each in splits["data"]] == list(
        manifest["languages"]["fra_Latn"]["splits"]
    )
    columns = set(pq.read_schema(next(folder.glob("data/fra_Latn/*.parquet"))).names)
    named = {field["name"] for field in records["field"]} - {"split"}
    assert {"text", "id", "url", "license", "use_signals"} <= named < columns
    assert all(name in records["description"] for name in columns - named)
    assert "redact (version" in " ".join(found["rai:dataPreprocessingProtocol"])


def test_a_takedown_renews_it(folder: Path, tmp_path: Path) -> None:
    before = read(folder)
    row = pq.read_table(next(folder.glob("data/fra_Latn/train-*.parquet"))).to_pylist()[0]
    (tmp_path / "list.txt").write_text(row["url"] + "\n")
    takedown(
        folder, read_requests(tmp_path / "list.txt"), TakedownSettings(signed_off_by="A", date="2026-12-01"), Serial()
    )
    after = read(folder)
    assert after["description"] != before["description"]
    assert after["version"] != before["version"]
    assert after["dateModified"] == "2026-12-01"
    manifest = release.read_release_manifest(folder)
    digests = {each["sha256"] for each in after["distribution"] if each["name"].startswith("data/")}
    assert digests == {entry["sha256"] for name, entry in manifest["files"].items() if name.startswith("data/")}


def test_mlcroissant_loads_the_records(folder: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed: pip install mlcroissant")
    data = mlcroissant.Dataset(str(folder / "croissant.json"), mapping={"repo": str(folder)})
    rows = list(data.records("fra_Latn"))
    assert len(rows) == sum(pq.read_metadata(path).num_rows for path in folder.glob("data/fra_Latn/*.parquet"))
