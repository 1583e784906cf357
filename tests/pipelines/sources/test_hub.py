"""Data sets of the Hub by their names, from a server on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub", reason="hf:// is an extra: pip install -e '.[datasets]'")
pytest.importorskip("upath", reason="URLs are an extra: pip install -e '.[cloud]'")

import pyarrow.parquet as pq
from click.testing import CliRunner

from pipelines.cli.main import main
from pipelines.job.request import plan_jobs
from pipelines.job.stages import STAGES
from pipelines.job.work import find_archives, match_inputs
from pipelines.pipeline import run_stages
from pipelines.publishing.pointers import make_pointers, rebuild
from pipelines.publishing.publish import Selection, publish_release
from pipelines.publishing.settings import PublishSettings, RebuildSettings
from pipelines.sources.hub import files_of_data_set
from pipelines.verify import verify
from roots.errors import InputError
from roots.executors import Serial
from tests.support.hub_files import COMMIT, Hub, serve_files
from tests.support.sources import french
from tests.support.tables import FORMS, jsonl

ROWS = [{"text": french([number]), "id": f"{number:032}", "url": f"https://a.example/{number}"}
        for number in range(3)]  # fmt: skip
CARD = """---
license: cc-by-4.0
language:
- fr
- sw
configs:
- config_name: fr
  data_files:
  - split: train
    path: "data/fr/*.parquet"
  - split: test
    path: ["data/fr/test/*.jsonl"]
- config_name: sw
  data_dir: data/sw
---
# A data set
"""
FILES = {
    "README.md": CARD.encode(),
    ".gitattributes": b"",
    "data/fr/train-0.parquet": FORMS["a.parquet"](ROWS[:2]),
    "data/fr/test/a.jsonl": jsonl(ROWS[2:]),
    "data/sw/train-0.parquet": FORMS["a.parquet"](ROWS),
    "data/sw/notes.md": b"no table",
}
REPO = "hf://datasets/org/data"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    with serve_files(FILES, monkeypatch):
        yield Hub


def names(url: str, config: str = "") -> list[str]:
    found = [str(path) for path in files_of_data_set(url, config)]
    assert all(name.startswith(f"{REPO}@{COMMIT}/") for name in found)
    return [name.removeprefix(f"{REPO}@{COMMIT}/") for name in found]


def test_a_configuration_is_the_files_that_the_card_names(hub: type[Hub]) -> None:
    assert names(REPO, "fr") == ["data/fr/test/a.jsonl", "data/fr/train-0.parquet"]
    assert names(f"{REPO}@main/", "sw") == ["data/sw/train-0.parquet"]


def test_a_folder_of_a_data_set_is_the_tables_in_it(hub: type[Hub]) -> None:
    assert names(f"{REPO}/data/fr") == ["data/fr/test/a.jsonl", "data/fr/train-0.parquet"]
    assert names(f"{REPO}@v1.0/data/fr/test/") == ["data/fr/test/a.jsonl"]


def test_several_configurations_are_named_where_none_is_chosen(hub: type[Hub]) -> None:
    with pytest.raises(InputError, match=r"has 2 configurations: name one with --set source\.config=NAME \(fr, sw\)"):
        files_of_data_set(REPO, "")
    with pytest.raises(InputError, match=r"unknown configuration 'sv'.*sw"):
        files_of_data_set(REPO, "sv")


CARDS: dict[str, tuple[str, list[str]]] = {
    "one": ("configs:\n- config_name: a\n  data_files: data/sw/*", ["data/sw/train-0.parquet"]),
    "the usual one": (
        "configs:\n- config_name: a\n- config_name: b\n  default: true\n  data_dir: data/fr/test",
        ["data/fr/test/a.jsonl"],
    ),
    "by split": ("configs:\n- config_name: a\n  data_files: {train: data/sw/*}", ["data/sw/train-0.parquet"]),
    "none": ("license: mit", ["data/fr/test/a.jsonl", "data/fr/train-0.parquet", "data/sw/train-0.parquet"]),
    "no list": ("configs: 7", ["data/fr/test/a.jsonl", "data/fr/train-0.parquet", "data/sw/train-0.parquet"]),
    "paths that lead out": ("configs:\n- config_name: a\n  data_files: [../x, data/sw/*]", ["data/sw/train-0.parquet"]),
}


@pytest.mark.parametrize("case", CARDS)
def test_cards_of_every_form(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    head, wanted = CARDS[case]
    with serve_files({**FILES, "README.md": f"---\n{head}\n---\n".encode()}, monkeypatch):
        assert names(REPO) == wanted


def test_a_data_set_without_a_card_is_all_its_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_files({name: data for name, data in FILES.items() if name != "README.md"}, monkeypatch):
        assert len(names(REPO)) == 3
        with pytest.raises(InputError, match="its card names none"):
            files_of_data_set(REPO, "fr")


def test_what_is_no_data_set_is_said(hub: type[Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    for url in (f"{REPO}/nothing", "hf://datasets/org/none"):
        with pytest.raises(InputError, match="no file matches"):
            match_inputs([url])
    with serve_files({"a.bin": b""}, monkeypatch), pytest.raises(InputError, match="holds no table of texts"):
        match_inputs([REPO])


def test_a_data_set_goes_through_the_whole_job(hub: type[Hub], tmp_path: Path) -> None:
    options = ["--set", "source.config=fr", "--lang", "fr", "--executor", "serial", "--quiet"]
    result = CliRunner().invoke(main, ["run", str(tmp_path), "--input", REPO, *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert list(verify(tmp_path, "fr")) == []
    manifest = json.loads((tmp_path / "fr" / "manifest.json").read_text())
    assert manifest["data_sets"] == {REPO: COMMIT}
    inputs = json.loads((tmp_path / "inputs.json").read_text())
    assert sorted(inputs.values()) == [
        f"{REPO}@{COMMIT}/data/fr/{name}" for name in ("test/a.jsonl", "train-0.parquet")
    ]
    rows = [row for path in (tmp_path / "index").glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    assert {row["license"] for row in rows} == {"cc-by-4.0"}
    assert sorted(row["url"] for row in rows) == [row["url"] for row in ROWS]


def test_a_release_of_a_data_set_is_rebuilt_from_the_hub(hub: type[Hub], tmp_path: Path) -> None:
    settings = {"source": {"config": "fr"}}
    (job,) = plan_jobs(tmp_path / "work", ["fr"], find_archives([f"{REPO}/data/fr"]), settings)
    run_stages(job, tuple(STAGES), Serial())
    release = tmp_path / "release"
    publish_release(Selection(tmp_path / "work", ["fr"]), release, PublishSettings(contact="x"), Serial())
    manifest = json.loads((release / "manifest.json").read_text())
    assert manifest["languages"]["fra_Latn"]["data_sets"] == {REPO: COMMIT}
    make_pointers(release, tmp_path / "pointers", Serial())
    rebuild(tmp_path / "pointers", tmp_path / "again", [f"{REPO}@{COMMIT}/data/fr"], RebuildSettings(), Serial())
    for path in release.glob("data/*/*"):
        assert (tmp_path / "again" / path.relative_to(release)).read_bytes() == path.read_bytes()
    assert sum(each["rows"] for each in manifest["files"].values()) == len(ROWS)
