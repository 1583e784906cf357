"""Which inputs are refused because nothing in them is in the languages asked for."""

import tarfile
import zipfile
from pathlib import Path

import pytest

from pipelines.index import faults_of
from pipelines.job.work import match_inputs
from tests.support.hostile import record


def make_inputs(root: Path) -> None:
    (root / "letters").mkdir()
    (root / "letters/one.odt").write_bytes(b"PK")
    (root / "hollow/inner").mkdir(parents=True)
    with zipfile.ZipFile(root / "code.zip", "w") as packed:
        packed.writestr("a.py", "print()")
    with tarfile.open(root / "code.tar.gz", "w:gz") as packed_tar:
        packed_tar.add(root / "letters", "letters")
    (root / "page.warc").write_bytes(record())


@pytest.mark.parametrize("name", ["letters", "hollow", "code.zip", "code.tar.gz"])
def test_an_input_without_pages_is_refused_by_name_where_only_pages_are_asked_for(tmp_path: Path, name: str) -> None:
    make_inputs(tmp_path)
    inputs = match_inputs([str(tmp_path / "page.warc"), str(tmp_path / name)])
    for languages in (["sw"], ["French", "yo"]):
        ((path, fault),) = faults_of(inputs, languages).items()
        assert path.name == name
        assert f"/{name} holds no archive of pages" in fault


@pytest.mark.parametrize("languages", [[], ["C++"], ["fr", "go"]])
def test_source_trees_are_inputs_of_the_index_and_of_programs(tmp_path: Path, languages: list[str]) -> None:
    make_inputs(tmp_path)
    inputs = match_inputs([str(tmp_path / name) for name in ("code.zip", "letters", "page.warc")])
    assert faults_of(inputs, languages) == {}


def test_a_zip_that_packs_archives_of_pages_is_no_source_tree(tmp_path: Path) -> None:
    path = tmp_path / "collection.zip"
    with zipfile.ZipFile(path, "w") as held:  # a WACZ by what it holds
        held.writestr("datapackage.json", "{}")
    for languages in (["fr"], ["python"], []):
        assert "unpack it" in faults_of([path], languages)[path]
