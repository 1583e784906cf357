"""Names of shards, and inputs that are not there."""

from pathlib import Path

import pytest

from pipelines.job.work import chain, find_archives, known_inputs, languages, name_archives, remember_inputs
from roots.errors import InputError


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_shard_is_named_after_its_archive(tmp_path: Path) -> None:
    touch(tmp_path / "a.warc.gz", tmp_path / "b.warc", tmp_path / "c.warc.wet.gz")
    found = find_archives([str(tmp_path / "*"), str(tmp_path / "a.warc.gz")])
    assert list(found) == ["a.parquet", "b.parquet", "c.parquet"]
    assert found["a.parquet"] == tmp_path / "a.warc.gz"


def test_archives_of_one_name_are_named_with_their_folder_or_ending(tmp_path: Path) -> None:
    touch(tmp_path / "x" / "a.warc.gz", tmp_path / "y" / "a.warc.gz", tmp_path / "b.warc", tmp_path / "b.warc.gz")
    found = find_archives([str(tmp_path / "**" / "*.warc*")])
    assert len(found) == 4
    assert list(found) == ["b.warc.gz.parquet", "b.warc.parquet", "x__a.parquet", "y__a.parquet"]
    assert set(found.values()) == set(tmp_path.rglob("*.warc*"))


def test_names_do_not_depend_on_the_order_given(tmp_path: Path) -> None:
    touch(tmp_path / "x" / "a.warc.gz", tmp_path / "y" / "a.warc.gz", tmp_path / "z.warc")
    patterns = [str(tmp_path / "x" / "*"), str(tmp_path / "y" / "*"), str(tmp_path / "*.warc")]
    assert list(find_archives(patterns).items()) == list(find_archives(patterns[::-1]).items())


def test_an_archive_keeps_the_name_that_it_has(tmp_path: Path) -> None:
    first, other, third = (tmp_path / folder / "a.warc.gz" for folder in ("x", "y", "z"))
    assert name_archives([first, other], {"a.parquet": first}) == {"a.parquet": first, "y__a.parquet": other}
    kept = {"a.parquet": tmp_path / "gone", "y__a.parquet": other}
    assert name_archives([first, other], kept) == {"x__a.parquet": first, "y__a.parquet": other}
    taken = {"y__a.parquet": first}  # as another command named it
    named = name_archives([first, other, third], taken)
    assert named.pop("y__a.parquet") == first
    assert sorted(map(str, named.values())) == sorted(map(str, (other, third)))


def test_the_same_path_in_two_stores_has_two_names(tmp_path: Path) -> None:
    one, two = Path("s3://bucket/a.warc.gz"), Path("/bucket/a.warc.gz")
    assert len(name_archives([one, two])) == 2


def test_a_url_of_this_machine_is_a_pattern_as_any(tmp_path: Path) -> None:
    touch(tmp_path / "a.warc.gz", tmp_path / "b.warc.gz")
    assert len(find_archives([f"file://{tmp_path}/*.warc.gz"])) == 2
    with pytest.raises(InputError, match="no file matches"):
        find_archives([f"file://{tmp_path}/c.warc.gz"])


def test_a_link_to_itself_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "a.warc.gz").symlink_to("a.warc.gz")
    with pytest.raises(InputError, match=r"a\.warc\.gz is a link to a\.warc\.gz, which is not there"):
        find_archives([str(tmp_path / "*.gz")])


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file matches"):
        find_archives([str(tmp_path / "*.warc.gz")])
    with pytest.raises(InputError, match="is a folder"):
        find_archives([str(tmp_path)])
    with pytest.raises(InputError, match="roots index"):
        known_inputs(tmp_path)
    (tmp_path / "inputs.json").write_text("[1]")
    with pytest.raises(InputError, match="damaged"):
        known_inputs(tmp_path)


def test_inputs_are_remembered(tmp_path: Path) -> None:
    archives = {"a.parquet": tmp_path / "a.warc.gz"}
    remember_inputs(tmp_path / "work", archives)
    assert known_inputs(tmp_path / "work") == archives


def test_a_language_is_a_folder_with_a_dataset_or_with_any_stage(tmp_path: Path) -> None:
    touch(
        tmp_path / "inputs.json",
        tmp_path / "index/manifest.json",
        tmp_path / "all/dedup/report.json",
        tmp_path / "pseudocrawl/manifest.json",
        tmp_path / "release/manifest.json",
        tmp_path / "release/README.md",
        tmp_path / "notes/read.me",
        tmp_path / "sw/redact/a.parquet",
        tmp_path / "fr/manifest.json",
        tmp_path / "cpp/shards/train/a.arrow",
    )
    assert languages(tmp_path) == ["cpp", "fr", "sw"]
    assert languages(tmp_path / "none") == []


def test_a_chain_has_the_shards_of_all_earlier_stages(tmp_path: Path) -> None:
    assert [p.parent.name for p in chain(tmp_path, "fr", "a.parquet", "filter")] == ["index", "extract", "measure"]
    assert [p.parent.name for p in chain(tmp_path, "fr", "a.parquet", "shard")][-1] == "redact"


def test_a_bracket_in_the_name_of_a_folder_or_file_is_meant(tmp_path: Path) -> None:
    touch(
        tmp_path / "part[2]" / "a.warc.gz", tmp_path / "part[2]" / "b[0].warc.gz", tmp_path / "part[2]" / "b0.warc.gz"
    )
    assert len(find_archives([str(tmp_path / "part[2]" / "*.warc.gz")])) == 3
    assert len(find_archives([str(tmp_path / "part[2]" / "b[0-9].warc.gz")])) == 1
    assert list(find_archives([str(tmp_path / "part[2]" / "b[0].warc.gz")])) == ["b[0].parquet"]
    with pytest.raises(InputError, match=r"\[\[\]"):
        find_archives([str(tmp_path / "p*" / "c[0].warc.gz")])


def test_brackets_that_name_nothing_are_a_pattern(tmp_path: Path) -> None:
    touch(tmp_path / "part1" / "a.warc.gz", tmp_path / "part2" / "b.warc.gz", tmp_path / "part3" / "c.warc.gz")
    assert len(find_archives([str(tmp_path / "part[12]" / "*.warc.gz")])) == 2


@pytest.mark.parametrize("name", ["*.warc.gz", "gone.warc.gz", "[g]one.warc.gz"])
def test_a_link_to_nothing_is_named(name: str, tmp_path: Path) -> None:
    touch(tmp_path / "a.warc.gz", tmp_path / "z.warc.gz")
    (tmp_path / "gone.warc.gz").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"/gone\.warc\.gz is a link to .*/elsewhere"):
        find_archives([str(tmp_path / name)])
