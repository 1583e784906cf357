"""Which inputs are refused because nothing in them is in the languages asked for."""

import tarfile
import zipfile
from pathlib import Path

import pytest

from pipelines.job.work import find_archives
from pipelines.programs.trees import refuse_trees
from roots.errors import InputError


def find_inputs(patterns: list[str], languages: list[str]) -> dict[str, Path]:
    found = find_archives(patterns)
    refuse_trees(found.values(), languages)
    return found


def make_inputs(root: Path) -> None:
    (root / "dataset/train").mkdir(parents=True)
    (root / "dataset/train/data-00000-of-00001.arrow").write_bytes(b"rows")
    (root / "letters").mkdir()
    (root / "letters/one.odt").write_bytes(b"PK")
    (root / "hollow/inner").mkdir(parents=True)
    with zipfile.ZipFile(root / "code.zip", "w") as packed:
        packed.writestr("a.py", "print()")
    with tarfile.open(root / "code.tar.gz", "w:gz") as packed_tar:
        packed_tar.add(root / "letters", "letters")
    (root / "page.warc.gz").write_bytes(b"")


@pytest.mark.parametrize("name", ["dataset", "letters", "hollow", "code.zip", "code.tar.gz"])
def test_an_input_without_pages_is_refused_by_name_where_only_pages_are_asked_for(tmp_path: Path, name: str) -> None:
    make_inputs(tmp_path)
    for languages in (["sw"], ["French", "yo"]):
        with pytest.raises(InputError, match=f"/{name} holds no archive of pages"):
            find_inputs([str(tmp_path / "page.warc.gz"), str(tmp_path / name)], languages)


@pytest.mark.parametrize("languages", [[], ["C++"], ["fr", "go"]])
def test_source_trees_are_inputs_of_the_index_and_of_programs(tmp_path: Path, languages: list[str]) -> None:
    make_inputs(tmp_path)
    names = ["code.zip", "letters", "page.warc.gz"]
    found = find_inputs([str(tmp_path / name) for name in names], languages)
    assert sorted(path.name for path in found.values()) == names


def test_archives_of_pages_are_inputs_of_every_language(tmp_path: Path) -> None:
    make_inputs(tmp_path)
    with zipfile.ZipFile(tmp_path / "collection.zip", "w") as packed:  # a WACZ by what it holds
        packed.writestr("datapackage.json", "{}")
    found = find_inputs([str(tmp_path / "page.warc.gz"), str(tmp_path / "collection.zip")], ["fr"])
    assert sorted(path.name for path in found.values()) == ["collection.zip", "page.warc.gz"]
