"""The main job on the example crawl: every page's fate, the same bytes whatever the way, nothing lost or ignored."""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pipelines.cli.main import main
from pipelines.job.stages import STAGES, chain_stages, stage_commands
from pipelines.job.work import folder
from pipelines.verify import verify
from roots import shards

CRAWL = Path(__file__).parent / "fixtures" / "crawl"
INPUTS = [str(CRAWL / "*.warc.gz"), str(CRAWL / "*.wet.gz")]
LANGUAGES = ("fr", "ar", "zh", "hi")


def roots(*arguments: str, code: int = 0) -> str:
    """Run the command in this process; give back what it prints."""
    result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def run_args(work: Path, *more: str, languages: str = " ".join(LANGUAGES)) -> list[str]:
    inputs = [part for pattern in INPUTS for part in ("--input", pattern)]
    return ["run", str(work), *inputs, "--lang", languages, "--quiet", *more]


def digests(work: Path) -> dict[str, str]:
    """sha256 of every shard and manifest of a work folder; dedup's sub-steps are cut to fit memory and may differ."""
    files = [path for path in work.rglob("*") if path.is_file() and not path.name.startswith(".")]
    wanted = [path for path in files if path.name != "inputs.json" and path.parent.parent.name != "dedup"]
    return {str(p.relative_to(work)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(wanted)}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example crawl, done serially."""
    target = tmp_path_factory.mktemp("once") / "work"
    roots(*run_args(target, "--executor", "serial"))
    return target


def rows(work: Path, language: str, stage: str) -> list[dict[str, Any]]:
    place = folder(work, language, stage)
    return [row for path in sorted(place.glob("*.parquet")) for batch in shards.read(path) for row in batch.to_pylist()]


def fates(work: Path, language: str) -> dict[str, list[str]]:
    """What became of every URL: the reason it was dropped, or "kept", once for every record."""
    index = rows(work, language, "index")
    fate = {row["id"]: row["drop"] for row in index}
    for stage in chain_stages()[1:]:
        fate.update({row["id"]: row["drop"] for row in rows(work, language, stage)})
    by_url: dict[str, list[str]] = {}
    for row in index:
        by_url.setdefault(row["url"], []).append(fate[row["id"]] or "kept")
    return by_url


def expectations() -> dict[str, dict[str, Any]]:
    return tomllib.loads((CRAWL / "expected.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_meets_its_fate(work: Path, language: str) -> None:
    got = fates(work, language)
    wrong: list[str] = []
    groups: dict[str, list[str]] = {}
    for url, expected in expectations().items():
        if expected["language"] not in ("", language):
            assert all(f != "kept" for f in got[url]), url
            continue
        if "like" in expected:
            groups.setdefault(expected["like"], []).extend(got[url])
            continue
        for wanted, found in zip(sorted(expected["fate"]), sorted(got[url]), strict=True):
            if not any(found.startswith(choice.strip()) for choice in wanted.split("|")):
                wrong.append(f"{url}: {found}, expected {wanted}")
    assert not wrong, "\n".join(wrong)
    for url, found_all in groups.items():
        assert found_all.count("kept") == 1, (url, found_all)
        assert all(f == "kept" or f.startswith("dedup.") for f in found_all), (url, found_all)


def test_personal_data_is_gone_and_its_kinds_are_known(work: Path) -> None:
    kinds = {
        url: {kind.lower() for kind in e["pii"]}
        for url, e in expectations().items()
        if e["language"] == "fr" and e.get("pii")
    }
    assert kinds, "the example crawl should hold personal data"
    urls = {row["id"]: row["url"] for row in rows(work, "fr", "index")}
    texts = {urls[row["id"]]: row for row in rows(work, "fr", "redact")}
    before = {urls[row["id"]]: row["text"] for row in rows(work, "fr", "extract")}
    for url, wanted in kinds.items():
        found = {span["kind"] for span in texts[url]["pii"]}
        assert wanted <= found, url
        for span in texts[url]["pii"]:
            secret = before[url][span["start"] : span["end"]]
            assert secret not in texts[url]["text"]
            data = b"".join(p.read_bytes() for p in sorted(folder(work, "fr", "shard").rglob("*")) if p.is_file())
            assert secret.encode() not in data


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_row_is_accounted_for(work: Path, language: str) -> None:
    assert list(verify(work, language)) == []
    stages = [json.loads((folder(work, language, s) / "manifest.json").read_text()) for s in chain_stages()]
    for before, after in pairwise(stages):
        assert before["kept"] == after["rows"], after["stage"]
        assert after["rows"] == after["kept"] + sum(after["drops"].values())
    assert stages[-1]["kept"] >= 3


@pytest.mark.parametrize(
    "how",
    [
        ["--executor", "local", "--workers", "1"],
        ["--executor", "local", "--workers", "2", "--set", "dedup.memory=1G"],
    ],
    ids=["one worker", "two workers"],
)
def test_the_same_bytes_whatever_the_way(work: Path, tmp_path: Path, how: list[str]) -> None:
    """Another number of workers, another hash seed, and the files given in another order, one by one."""
    files = sorted([*CRAWL.glob("*.warc.gz"), *CRAWL.glob("*.wet.gz")], reverse=True)
    inputs = [part for path in files for part in ("--input", str(path))]
    command = [sys.executable, "-m", "pipelines.cli", "run", str(tmp_path / "work"), *inputs]
    command += ["--lang", " ".join(reversed(LANGUAGES)), "--quiet", *how]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "7"}, stdout=subprocess.DEVNULL)
    assert digests(tmp_path / "work") == digests(work)


def test_a_second_run_makes_nothing(work: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*.parquet")}
    assert "before" in roots(*run_args(work, "--executor", "serial"))
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*.parquet")} == before
    dry = roots(*run_args(work, "--dry-run"))
    assert "0 to make" in dry
    assert "after" not in dry


def test_a_changed_bound_redoes_judging_and_what_follows(work: Path, tmp_path: Path) -> None:
    copy = tmp_path / "work"
    shutil.copytree(work, copy)
    before = digests(copy)
    bounds = tmp_path / "my.toml"
    bounds.write_text("[bounds.words]\nmin = 400\n", encoding="utf-8")
    roots(*run_args(copy, "--executor", "serial", "--set", f"filter.bounds={bounds}", languages="fr"))
    after = digests(copy)
    changed = {
        name.split("/")[1] if name.startswith("fr") else name for name in after if after[name] != before.get(name)
    }
    assert "filter" in changed
    assert {"shards", "manifest.json"} <= changed
    assert not changed & {"extract", "measure"}
    assert all(after[name] == before[name] for name in before if name.startswith(("index", "ar", "zh", "hi")))
    assert list(verify(copy, "fr")) == []


def test_the_command_that_judge_ends_with_makes_the_dataset_follow(work: Path, tmp_path: Path) -> None:
    copy = tmp_path / "a work folder"
    shutil.copytree(work, copy)
    bounds = tmp_path / "my.toml"
    bounds.write_text("[bounds.words]\nmin = 400\n", encoding="utf-8")
    said = roots("judge", str(copy), "--lang", "fr", "--bounds", str(bounds), "--executor", "serial")
    command = shlex.split(said.strip().splitlines()[-1].partition(": ")[2])
    assert command[:2] == ["roots", "run"]
    assert sorted(re.findall(r"^ *(.*) is out of date", roots("status", str(copy)), re.MULTILINE)) == LATE
    assert sorted(problem.split()[0] for problem in verify(copy, "fr") if "out of date" in problem) == LATE
    assert "warning: dedup is out of date" in roots("report", str(copy), "--lang", "fr")
    roots(*command[1:], "--executor", "serial")
    assert list(verify(copy, "fr")) == []
    assert "out of date" not in roots("status", str(copy))


def test_a_stage_made_again_leaves_those_after_it_out_of_date_though_the_documents_are_the_same(
    work: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "work"
    shutil.copytree(work, copy)
    assert "out of date" not in roots("status", str(copy))
    roots("redact", str(copy), "--lang", "fr", "--executor", "serial", "--set", "redact.style=fineweb")
    assert re.findall(r"^ *(.*) is out of date", roots("status", str(copy)), re.MULTILINE) == ["shard"]
    assert any("shard is out of date" in line for line in roots("verify", str(copy), code=1).splitlines())
    pytest.importorskip("tokenizers", reason="tokenizers is not installed: pip install 'roots-corpus[train]'")
    said = roots("tokenizer", "train", str(copy), "--lang", "French", "--set", "tokenizer.vocabulary=512")
    assert "warning: the dataset of fr is out of date: shard: " in said
    assert (copy / "fr" / "tokenizer").is_dir()


def test_labels_of_documents_that_were_not_measured_are_counted(work: Path, tmp_path: Path) -> None:
    ids = [id_ for path in sorted(work.glob("fr/measure/*.parquet")) for id_ in pq.read_table(path)["id"].to_pylist()]
    labels = {id_: "fine" if number % 2 else "junk" for number, id_ in enumerate(ids[:24])} | {"elsewhere": "fine"}
    (tmp_path / "labels.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")
    asked = ["--labels", str(tmp_path / "labels.json"), "--to", str(tmp_path / "my.toml")]
    said = roots("derive", "--lang", "fr", "--work", str(work), *asked)
    assert "warning: 1 of 25 labels name no measured document" in said


def test_a_stage_that_was_stopped_half_way_is_out_of_date(work: Path, tmp_path: Path) -> None:
    copy = tmp_path / "work"
    shutil.copytree(work, copy)
    command = ("filter", str(copy), "--lang", "fr", "--executor", "serial")
    roots(*command, "--set", "filter.bounds=roots", "--rank", "0", "--of", "2")
    assert "filter is out of date: 2 of 4 shards" in roots("status", str(copy))
    assert "filter is out of date" in roots("verify", str(copy), "--lang", "fr", code=1)


def test_an_archive_that_came_in_leaves_the_dataset_out_of_date(work: Path, tmp_path: Path) -> None:
    copy = tmp_path / "work"
    shutil.copytree(work, copy)
    inputs = json.loads((copy / "inputs.json").read_text())
    new = tmp_path / "new.warc.gz"
    shutil.copy(next(path for path in inputs.values() if path.endswith("00000.warc.gz")), new)
    patterns = [part for path in [*inputs.values(), str(new)] for part in ("--input", path)]
    for stage in ("index", "extract", "filter"):
        more = ["--lang", "fr"] if stage != "index" else patterns
        roots(stage, str(copy), "--executor", "serial", *more)
    assert "shard is out of date: 1 archives" in roots("status", str(copy))


def test_a_run_that_was_stopped_before_its_end_has_no_finished_dataset(work: Path, tmp_path: Path) -> None:
    copy = tmp_path / "work"
    shutil.copytree(work, copy)
    (copy / "fr" / "manifest.json").unlink()
    assert "shard is out of date: the run that made it did not come to its end" in roots("status", str(copy))


def test_a_mistake_in_a_setting_is_said_before_any_work(tmp_path: Path) -> None:
    for pair, hint in [
        ("dedup.jacard=0.9", "Did you mean 'jaccard'"),
        ("extrct.cpu_seconds=3", "Did you mean 'extract'"),
        ("dedup.jaccard=high", "is not a number"),
        ("extract.extractor=trafilatur", "trafilatura"),
        ("filter.bounds=rootz", "roots"),
    ]:
        assert hint in roots(*run_args(tmp_path / "work", "--set", pair), code=2)
    assert "unknown language 'frr': Northern Frisian is not one of ours" in roots(
        *run_args(tmp_path / "work", languages="frr"), code=2
    )
    assert not (tmp_path / "work").exists()


def test_inputs_that_are_not_there(tmp_path: Path) -> None:
    assert "no file matches" in roots("run", str(tmp_path / "w"), "-i", "nowhere/*.gz", "-l", "fr", code=2)
    assert "no work folder yet" in roots("extract", str(tmp_path / "w"), "-l", "fr", code=2)
    assert "roots index" in roots("status", str(tmp_path / "w"), code=2)


def test_stages_one_by_one_are_the_whole_job(work: Path, tmp_path: Path) -> None:
    target = tmp_path / "work"
    inputs = [part for pattern in INPUTS for part in ("--input", pattern)]
    roots("index", str(target), *inputs, "--executor", "serial", "--quiet")
    for command in stage_commands():
        if command not in ("index", "run"):
            roots(command, str(target), "--lang", "fr", "--executor", "serial", "--quiet")
    one_by_one = digests(target)
    whole = digests(work)
    assert {name: whole[name] for name in one_by_one} == one_by_one


def test_why_tells_the_whole_path(work: Path) -> None:
    by_fate: dict[str, str] = {}
    for url, expected in expectations().items():
        if expected["language"] == "fr" and "like" not in expected:
            by_fate.setdefault(expected["fate"][0].split(".")[0], url)
    kept = roots("why", by_fate["kept"], "--work", str(work), "--lang", "fr")
    for word in ("offset", "charset", "kept", "language fra_Latn", "words", "train/data-0"):
        assert word in kept or word.replace("train", "validation") in kept, word
    dropped = roots("why", by_fate["filter"], "--work", str(work), "--lang", "fr")
    assert "DROPPED: filter." in dropped
    assert "OUT OF BOUNDS" in dropped
    copies = [row for row in rows(work, "fr", "dedup") if row["drop"] == "dedup.near"]
    lost = roots("why", copies[0]["id"], "--work", str(work))
    assert copies[0]["duplicate_of"] in lost
    assert "Jaccard" in lost
    other = next(row["id"] for row in rows(work, "fr", "extract") if row["drop"] == "extract.other_language")
    assert "does not look like the wanted language" in roots("why", other, "--work", str(work), "--lang", "fr")
    assert "no record" in roots("why", "https://nowhere.example/", "--work", str(work), code=2)


def test_why_never_says_the_secret(work: Path) -> None:
    url = next(url for url, e in expectations().items() if e["language"] == "fr" and e.get("pii"))
    ids = {row["url"]: row["id"] for row in rows(work, "fr", "index")}
    text = next(row["text"] for row in rows(work, "fr", "extract") if row["id"] == ids[url])
    spans = next(row["pii"] for row in rows(work, "fr", "redact") if row["id"] == ids[url])
    said = roots("why", url, "--work", str(work))
    assert spans
    for span in spans:
        assert f"{span['kind']} at characters {span['start']} to {span['end']}" in said
        assert text[span["start"] : span["end"]] not in said


LATE = ["dedup", "redact", "shard"]  # after other bounds


@pytest.mark.parametrize("stage", STAGES)
def test_verify_names_a_changed_shard(work: Path, tmp_path: Path, stage: str) -> None:
    copy = tmp_path / "work"
    shutil.copytree(work, copy)
    assert "every row is accounted for" in roots("verify", str(copy), "--lang", "fr")
    place, pattern = folder(copy, "fr", stage), "*/*.arrow" if stage == "shard" else "*.parquet"
    path = max(sorted(place.glob(pattern)), key=lambda path: path.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    assert path.name in roots("verify", str(copy), "--lang", "fr", code=1)


def test_a_run_that_finds_all_done_refuses_a_damaged_dataset(work: Path, tmp_path: Path) -> None:
    copy = tmp_path / "work"
    shutil.copytree(work, copy)
    before = digests(copy)
    path = max(copy.glob("fr/shards/*/*.arrow"), key=lambda path: path.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    said = roots(*run_args(copy, "--executor", "serial", languages="fr"), code=1)
    assert str(path) in said
    assert "The dataset is in" not in said
    path.unlink()
    roots(*run_args(copy, "--executor", "serial", languages="fr"))
    assert digests(copy) == before


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("whole", [True, False])
def test_verify_and_status_see_a_language_whose_stage_is_gone(
    work: Path, tmp_path: Path, stage: str, whole: bool
) -> None:
    copy = tmp_path / "work"
    shutil.copytree(work, copy)
    place = folder(copy, "ar", stage)
    if whole:
        shutil.rmtree(place)
    else:
        (place / "manifest.json").unlink()
    said = roots("verify", str(copy), code=1)
    assert f"ar: {stage}: {place} is gone" in said
    if stage != "index":
        assert "fr: every row is accounted for, every checksum is right\n" in said
    assert "\nar: " in roots("status", str(copy))


@pytest.mark.parametrize("gone", ["manifest.json", "shards/dataset_dict.json", "shards/train/state.json"])
def test_verify_names_a_missing_description_of_the_dataset(work: Path, tmp_path: Path, gone: str) -> None:
    copy = tmp_path / "work"
    shutil.copytree(work, copy)
    (copy / "fr" / gone).unlink()
    assert f"{copy / 'fr' / gone} is missing" in roots("verify", str(copy), "--lang", "fr", code=1)


def test_verify_names_a_description_of_another_dataset(work: Path, tmp_path: Path) -> None:
    copy = tmp_path / "work"
    shutil.copytree(work, copy)
    shutil.copy(copy / "ar/manifest.json", copy / "fr/manifest.json")
    (copy / "hi/shards/train/state.json").write_text('{"_data_files": []}')
    (copy / "zh/shards/validation/state.json").write_text("no JSON")
    said = roots("verify", str(copy), code=1)
    assert "fr/manifest.json lists other shards" in said
    assert "hi/shards/train/state.json does not list the shards that are there" in said
    assert "zh/shards/validation/state.json is damaged" in said


def test_verify_says_that_a_run_which_stopped_early_has_no_dataset(work: Path, tmp_path: Path) -> None:
    copy = tmp_path / "work"
    shutil.copytree(work, copy)
    shutil.rmtree(copy / "fr/shards")
    (copy / "fr/manifest.json").unlink()
    assert "it has no dataset yet" in roots("verify", str(copy), "--lang", "fr")
    assert "fr: no dataset yet" in roots("status", str(copy))


def test_a_language_without_documents_is_no_success_to_read(tmp_path: Path) -> None:
    from datasets import load_from_disk

    target = tmp_path / "work"
    said = roots(*run_args(target, "--executor", "serial", languages="python"))
    assert "roots: no document of Python was kept. Chief reason: " in said
    assert "extract.other_language" in said
    assert "The dataset is in" not in said
    for stage in ("extract", "filter", "dedup", "redact"):  # its table alone would look like success
        assert "no document of Python was kept" in roots(stage, str(target), "--lang", "python", "--quiet")
    assert "no document of python" in roots(
        "publish", str(target), "--to", str(tmp_path / "release"), "--set", "publish.contact=a", "--quiet", code=1
    )
    assert not (tmp_path / "release").exists()
    splits = load_from_disk(str(target / "python/shards"))
    assert {name: split.num_rows for name, split in splits.items()} == {"train": 0, "validation": 0}


def test_verify_names_lost_documents(work: Path, tmp_path: Path) -> None:
    copy = tmp_path / "work"
    shutil.copytree(work, copy)
    path = sorted(folder(copy, "fr", "measure").glob("*.parquet"))[0]
    receipt = shards.read_receipt(path)
    assert receipt is not None
    batches = list(shards.read(path))
    shards.write(
        path, batches[0].schema.remove_metadata(), [b.slice(1) for b in batches], "measure", 1, receipt.fingerprint
    )
    said = roots("verify", str(copy), "--lang", "fr", code=1)
    assert "measure" in said
    assert "from different runs" in said


def test_verify_names_a_whole_shard_that_is_another_one(work: Path, tmp_path: Path) -> None:
    copy = tmp_path / "work"
    shutil.copytree(work, copy)
    path = sorted(folder(copy, "fr", "measure").glob("*.parquet"))[0]
    receipt = shards.read_receipt(path)
    assert receipt is not None
    batch = pa.Table.from_batches(list(shards.read(path))).combine_chunks().to_batches()[0]
    place = batch.schema.get_field_index("words")
    shifted = batch.set_column(
        place, batch.schema.field(place), pc.add(batch["words"], 1).cast(batch.schema.field(place).type)
    )
    shards.write(path, batch.schema.remove_metadata(), [shifted], "measure", 1, receipt.fingerprint)
    assert "is not the shard its manifest lists" in roots("verify", str(copy), "--lang", "fr", code=1)


def test_status_says_how_far_it_is(work: Path, tmp_path: Path) -> None:
    copy = tmp_path / "work"
    shutil.copytree(work, copy)
    sorted(folder(copy, "zh", "extract").glob("*.parquet"))[0].unlink()
    said = roots("status", str(copy))
    assert "missing: example-2024-00000" in said
    assert re.search(r"^fr shard .* done$", said, re.MULTILINE)


def all_commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from all_commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("command", list(all_commands(main)), ids=" ".join)
def test_help_has_an_example(command: tuple[str, ...]) -> None:
    text = roots(*command, "--help")
    assert re.search(rf"roots {' '.join(command)}\s", text.split("Options")[0].split("Example")[-1])


def test_an_unknown_command_is_answered() -> None:
    said = roots("exract", code=2)
    assert "exract" in said
    assert "'extract'" in said
