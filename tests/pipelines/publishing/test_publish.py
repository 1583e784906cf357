"""Releases: files, card, manifest, catalogue, and what is refused."""

import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from filters.personal_data import find_spans
from pipelines import release
from pipelines.catalogue import Catalogue, Rights, Source, check_rights, load_catalogue, refusal
from pipelines.job.request import plan_jobs
from pipelines.job.stages import STAGES
from pipelines.job.work import chain, find_archives
from pipelines.pipeline import run_stages
from pipelines.publishing.card_head import Code, card_table, code, escape
from pipelines.publishing.deliver import deliver
from pipelines.publishing.files import ACCOUNTS
from pipelines.publishing.publish import Selection, publish_release
from pipelines.publishing.settings import Delivery, PublishSettings
from pipelines.publishing.validate import _check_card, validate
from roots.errors import InputError, PublishError, SettingsError
from roots.executors import Local, Serial
from roots.settings import build
from roots.shards import read_kept
from tests.support.paths import ROOT

CRAWL = ROOT / "tests/fixtures/crawl"
SETTINGS = PublishSettings(contact="takedown@example.org", date="2026-11-21", name="Ours <b>| x")
CATALOGUE = """
[news]
name = "A | paper"
license = "CC-BY-4.0"
custodian = "<script>"
addresses = ["{host}"]
[rest]
name = "Rest"
license = "all rights reserved"
files = ["example-2024-0000[1-3].*"]
"""


@pytest.fixture(scope="session")
def work(tmp_path_factory) -> Path:
    """The work folder of the example crawl, French and Arabic."""
    folder = tmp_path_factory.mktemp("publish") / "work"
    archives = find_archives([str(CRAWL / "*.gz")])
    for job in plan_jobs(folder, ["fr", "ar"], archives, {"shard": {"shard_bytes": 8000, "validation_share": 0.2}}):
        run_stages(job, tuple(STAGES), Serial())
    return folder


@pytest.fixture(scope="session")
def released(work, tmp_path_factory) -> Path:
    """A release of it."""
    folder = tmp_path_factory.mktemp("released") / "release"
    publish_release(Selection(work), folder, build_settings(file_bytes=16000), Serial())
    return folder


def build_settings(**values) -> PublishSettings:
    return build(PublishSettings, {"contact": "takedown@example.org", "date": "2026-11-21", **values}, "publish")


def documents(folder: Path, tag: str = "fra_Latn") -> list[dict]:
    return [row for path in sorted(folder.glob(f"data/{tag}/*.parquet")) for row in pq.read_table(path).to_pylist()]


def originals(work: Path, code: str = "fr") -> list[dict]:
    paths = sorted((work / code / "shards").glob("*/*.arrow"))
    return [row for path in paths for row in pa.ipc.open_stream(path).read_all().to_pylist()]


def bytes_of(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and ACCOUNTS not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_every_document_is_released_once_with_its_columns(work, released):
    kept = {row["id"]: row for row in originals(work)}
    rows = documents(released)
    assert len(rows) == len(kept) > 10
    for row in rows:
        assert row == {**kept[row["id"]], "source": "unlisted"}
    names = [path.name for path in sorted((released / "data/fra_Latn").iterdir())]
    assert all(re.fullmatch(r"(train|validation)-\d{5}-of-\d{5}\.parquet", name) for name in names)
    assert sum(name.startswith("train") for name in names) > 1


def test_files_have_page_index_checksums_and_row_groups_of_a_size(released, monkeypatch, tmp_path):
    path = next(released.glob("data/fra_Latn/train*.parquet"))
    column = pq.read_metadata(path).row_group(0).column(0)
    assert column.has_offset_index
    assert column.has_column_index
    assert column.compression == "ZSTD"
    monkeypatch.setattr(release, "RELEASE_GROUP_BYTES", 3000)
    batches = list(release.read_parquet(path))
    written = release.write_parquet(tmp_path / "a.parquet", release.RELEASED, batches)
    single = [batch.slice(n, 1) for batch in batches for n in range(batch.num_rows)]
    assert release.write_parquet(tmp_path / "b.parquet", release.RELEASED, single) == written
    assert pq.read_metadata(tmp_path / "a.parquet").num_row_groups > 1


def test_any_executor_makes_the_same_bytes_and_a_second_run_makes_nothing(work, released, tmp_path):
    settings = build_settings(file_bytes=16000)
    done: list[float] = []
    publish_release(Selection(work), tmp_path / "r", settings, Local(2), lambda *state: done.append(state[1]))
    assert bytes_of(tmp_path / "r") == bytes_of(released)
    files = len(list((tmp_path / "r/data").rglob("*.parquet")))
    assert done == list(range(files + 1))
    done.clear()
    publish_release(Selection(work), tmp_path / "r", settings, Serial(), lambda *state: done.append(state[1]))
    assert done == [files]
    assert bytes_of(tmp_path / "r") == bytes_of(released)


def test_a_publication_that_was_killed_goes_on_and_makes_only_the_files_that_are_missing(work, released, tmp_path):
    settings = build_settings(file_bytes=16000)
    shutil.copytree(released, tmp_path / "r")
    files = sorted((tmp_path / "r/data").rglob("*.parquet"))
    accounts = [tmp_path / "r" / ACCOUNTS / path.relative_to(tmp_path / "r") for path in files]
    files[0].unlink()  # killed before the file was in its place
    accounts[1].unlink()  # killed between a file and its account
    accounts[2].write_bytes(accounts[2].read_bytes()[:-9])
    made = {path: path.stat().st_mtime_ns for path in files[3:]}
    done: list[float] = []
    publish_release(Selection(work), tmp_path / "r", settings, Serial(), lambda *state: done.append(state[1]))
    assert done == list(range(len(files) - 3, len(files) + 1))
    assert made == {path: path.stat().st_mtime_ns for path in files[3:]}
    assert bytes_of(tmp_path / "r") == bytes_of(released)


def test_other_rights_make_all_files_again(work, released, tmp_path):
    shutil.copytree(released, tmp_path / "r")
    done: list[float] = []
    rights = Rights(refuse_use_signals=())
    publish_release(
        Selection(work, [], rights),
        tmp_path / "r",
        build_settings(file_bytes=16000),
        Serial(),
        lambda *s: done.append(s[1]),
    )
    assert done[0] == 0


def test_a_damaged_file_is_named_and_made_again(work, tmp_path):
    folder = tmp_path / "r"
    publish_release(Selection(work, ["fr"]), folder, build_settings(), Serial())
    assert list(release.check_files(folder)) == []
    path = next(folder.glob("data/fra_Latn/train*.parquet"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    (folder / "data/fra_Latn/other.parquet").write_bytes(b"")
    problems = list(release.check_files(folder))
    assert any("not the file that the manifest names" in each for each in problems)
    assert any("other.parquet" in each for each in problems)
    publish_release(Selection(work, ["fr"]), folder, build_settings(), Serial())
    assert list(release.check_files(folder)) == []


def test_another_cut_leaves_no_file_of_the_old_one(work, tmp_path):
    publish_release(Selection(work, ["fr"]), tmp_path / "r", build_settings(file_bytes=8000), Serial())
    publish_release(Selection(work, ["fr"]), tmp_path / "r", build_settings(), Serial())
    assert len(list((tmp_path / "r").glob("data/fra_Latn/train*.parquet"))) == 1


def test_datasets_loads_it_whole_and_as_a_stream(released, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert list(validate(released)) == []


def test_the_card_has_valid_metadata_and_the_sections_people_expect(released):
    text = (released / "README.md").read_text(encoding="utf-8")
    head = yaml.safe_load(text.split("---")[1])
    manifest = release.read_release_manifest(released)
    assert {config["config_name"] for config in head["configs"]} == {"fra_Latn", "arb_Arab"}
    assert head["language"] == ["ar", "fr"]
    french = next(info for info in head["dataset_info"] if info["config_name"] == "fra_Latn")
    assert sum(split["num_examples"] for split in french["splits"]) == len(documents(released))
    for title in (
        "How to load",
        "How it was made",
        "dropped",
        "Personal",
        "limits",
        "licences",
        "Takedown",
        "Versions",
        "Citation",
    ):
        assert re.search(rf"^#+ .*{title}", text, re.MULTILINE), title
    assert "takedown@example.org" in text.replace("\\", "")
    for reason, rows in manifest["languages"]["fra_Latn"]["stages"]["filter"]["drops"].items():
        assert f"| `{reason}` | {rows} |" in text


def problems_of(text: str, manifest: dict) -> list[str]:
    import huggingface_hub

    return list(_check_card(huggingface_hub, text, manifest))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("", "", None),
        ('license: "other"', 'license: "CC BY"', "license 'CC BY'"),
        ('license_name: "see-sources"\n', "", "license_name"),
        ('"LICENSE.md"', '"README.md"', "license_link"),
        ('"n<1K"', '"small"', "size_categories 'small'"),
        ('"multilingual"', '"many"', "multilinguality 'many'"),
        ('- "fr"', '- "French"', "language 'French'"),
        ('config_name: "fra_Latn"\n  data', 'config_name: "fr"\n  data', "configs"),
        ("num_examples: ", "num_examples: 9", "splits of"),
        ('split: "train"', 'split: "no-hyphens"', "cannot be read"),
        ('dtype: "int64"', 'dtype: "long"', "cannot be read"),
        ("pretty_name:", "pretty_name: [", "cannot be read"),
    ],
)
def test_the_card_is_checked_by_the_libraries_and_against_the_lists_of_the_hub(released, old, new, problem):
    text = (released / "README.md").read_text(encoding="utf-8")
    assert old in text
    found = problems_of(text.replace(old, new), release.read_release_manifest(released))
    assert [problem in each for each in found[:1]] == [True] if problem else found == []


def test_a_licence_without_a_name_has_a_file_of_its_own(released):
    text = (released / "LICENSE.md").read_text(encoding="utf-8")
    assert "takedown@example.org" in text
    assert "the licence of its source" in text


def test_cells_are_escaped_and_numbers_are_aligned_to_the_right():
    lines = list(card_table(("A", "B"), [(Code("x|`y"), 1000), ("<b>|*", 2)]))
    assert lines[1:] == ["| --- | ---: |", "| `xy` | 1,000 |", "| &lt;b&gt;\\|\\* | 2 |"]
    assert list(card_table(("A",), [])) == ["None."]
    assert code("a\nb") == "`a b`"
    assert escape("a\nb_c") == "a b\\_c"


def test_values_from_outside_are_escaped(work, tmp_path):
    host = next(row["url"] for row in originals(work)).split("/")[2]
    path = tmp_path / "sources.toml"
    path.write_text(CATALOGUE.format(host=host))
    publish_release(Selection(work, ["fr"], Rights(catalogue=str(path))), tmp_path / "r", SETTINGS, Serial())
    text = (tmp_path / "r/README.md").read_text(encoding="utf-8").split("---", 2)[2]
    assert "<script>" not in text
    assert "<b>" not in text
    assert "A \\| paper" in text


def test_documents_have_source_and_licence_and_a_release_can_leave_some_out(work, tmp_path):
    host = next(row["url"] for row in originals(work)).split("/")[2]
    path = tmp_path / "sources.toml"
    path.write_text(CATALOGUE.format(host=host))
    all_ = publish_release(Selection(work, ["fr"], Rights(catalogue=str(path))), tmp_path / "all", SETTINGS, Serial())
    rows = documents(tmp_path / "all")
    assert {row["source"] for row in rows if row["url"].split("/")[2] == host} == {"news"}
    assert {row["license"] for row in rows if row["source"] == "news"} == {"CC-BY-4.0"}
    counts = all_["languages"]["fra_Latn"]["sources"]
    assert sum(each["rows"] for each in counts.values()) == len(rows)
    rights = Rights(catalogue=str(path), licenses=("CC-BY-4.0",), unlisted="drop")
    open_ = publish_release(Selection(work, ["fr"], rights), tmp_path / "open", SETTINGS, Serial())
    assert {row["license"] for row in documents(tmp_path / "open")} == {"CC-BY-4.0"}
    left = open_["languages"]["fra_Latn"]["left_out"]
    assert sum(left.values()) + len(documents(tmp_path / "open")) == len(rows)
    without = publish_release(
        Selection(work, ["fr"], Rights(catalogue=str(path), leave_out=("news",))), tmp_path / "w", SETTINGS, Serial()
    )
    assert without["languages"]["fra_Latn"]["left_out"] == {"publish.source": counts["news"]["rows"]}


def test_a_release_without_documents_is_refused_with_the_reason(work, tmp_path):
    path = tmp_path / "sources.toml"
    path.write_text(CATALOGUE.format(host="none.example").replace("example-2024-0000[1-3].*", "none"))
    rights = Rights(catalogue=str(path), unlisted="drop")
    with pytest.raises(PublishError, match=r"may be released: publish.unlisted \d+"):
        publish_release(Selection(work, ["fr"], rights), tmp_path / "none", build_settings(), Serial())
    assert not (tmp_path / "none/README.md").exists()


def test_a_language_without_documents_is_left_out_and_named(work, tmp_path):
    copy = tmp_path / "work"
    shutil.copytree(work, copy)
    (copy / "sw/extract").mkdir(parents=True)
    done = deliver(Delivery(copy, str(tmp_path / "release"), settings={"publish": {"contact": "me"}}), Serial())
    assert done.left_out == ("sw",)
    assert any("left out" in line and "sw" in line for line in done.lines())
    assert {language["code"] for language in done.manifest["languages"].values()} == {"ar", "fr"}


@pytest.mark.parametrize(
    ("use_signals", "reason"),
    [
        (["noai"], "publish.use_signals"),
        (["noindex", "tdm-reservation"], "publish.use_signals"),
        (["no-train-ai"], "publish.use_signals"),
        (["noindex", "noarchive"], None),
        ([], None),
        (None, None),
    ],
)
def test_a_page_that_forbids_training_is_left_out_unless_a_setting_allows_it(use_signals, reason):
    assert refusal(Rights(), "unlisted", None, use_signals) == reason
    assert refusal(Rights(refuse_use_signals=()), "unlisted", None, use_signals) is None


def test_the_old_name_of_a_setting_is_answered_with_the_new_one():
    with pytest.raises(SettingsError, match="Did you mean 'refuse_use_signals'"):
        build(Rights, {"refuse_signals": ["noai"]}, "rights")


def test_an_unknown_use_signal_is_refused():
    with pytest.raises(SettingsError, match="noai"):
        build(Rights, {"refuse_use_signals": ["noia"]}, "rights")


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://www.press.example/news/1", "news"),
        ("http://press.example/sport/1", "press"),
        ("https://blog.press.example/x", "press"),
        ("https://PRESS.example/", "press"),
        ("https://notpress.example/", "unlisted"),
        ("https://press.example.evil.org/", "unlisted"),
        ("https://press.example/newsroom", "press"),
        ("http://[", "unlisted"),
        ("http://press.example./news/1", "news"),
        ("http://press.example/x/../%6Eews/1", "news"),
        ("http://xn--prsse-hra.example/%C3%A9t%c3%a9", "presse"),
        ("http://PRÄSSE.example/été/1", "presse"),
        ("http://prässe.example/ete", "unlisted"),
        (None, "unlisted"),
    ],
)
def test_the_longest_matching_address_decides_the_source(url, source):
    sources = {
        "press": Source("Press", "x", addresses=("press.example",)),
        "news": Source("News", "y", addresses=("https://press.example/news/",)),
        "presse": Source("Presse", "y", addresses=("www.prässe.example/été",)),
    }
    assert Catalogue(sources).source_of(url, "f") == source


@pytest.mark.parametrize(
    "text",
    ["x = 1", "[a]\nname='n'", "[a]\nname='n'\nlicense='l'", "[a]\nname='n'\nlicense='l'\nfiles=['f']\nlicence='l'",
     "[", "[a]\nname='n'\nlicense='l'\nfiles=['f']\navailability='maybe'"],
)  # fmt: skip
def test_a_bad_catalogue_is_refused(text, tmp_path):
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises((InputError, SettingsError), match=r"c\.toml"):
        load_catalogue(str(tmp_path / "c.toml"))


def test_a_source_or_licence_that_is_not_in_the_catalogue_is_refused():
    catalogue = Catalogue({"a": Source("A", "CC0-1.0", files=("f",))})
    with pytest.raises(SettingsError, match="no source 'b'"):
        check_rights(Rights(leave_out=("b",)), catalogue)
    with pytest.raises(SettingsError, match="CC-0"):
        check_rights(Rights(licenses=("CC-0",), unlisted="drop"), catalogue)


def test_text_that_did_not_pass_redact_or_verify_is_refused_unless_a_setting_allows_it(work, tmp_path):
    broken = tmp_path / "work"
    shutil.copytree(work, broken)
    path = next((broken / "fr/redact").glob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(PublishError, match="verify"):
        publish_release(Selection(broken, ["fr"]), tmp_path / "a", build_settings(), Serial())
    shutil.rmtree(broken)
    shutil.copytree(work, broken)
    manifest = json.loads((broken / "fr/manifest.json").read_text())
    manifest["stages"]["redact"]["settings"]["kinds"] = []
    (broken / "fr/manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(PublishError, match="redact"):
        publish_release(Selection(broken, ["fr"]), tmp_path / "b", build_settings(), Serial())
    publish_release(Selection(broken, ["fr"]), tmp_path / "b", build_settings(unredacted=True), Serial())
    assert documents(tmp_path / "b")


@pytest.mark.parametrize(
    "values",
    [{"contact": ""}, {"version": "1"}, {"file_bytes": 0}, {"license": "CC BY 4.0"}, {"license_link": "LICENCE"}],
)
def test_a_bad_setting_is_refused(values):
    with pytest.raises(SettingsError):
        build(PublishSettings, {"contact": "x", **values}, "publish")


def test_a_folder_without_a_dataset_is_refused(tmp_path):
    with pytest.raises(InputError, match="no dataset"):
        publish_release(Selection(tmp_path), tmp_path / "r", build_settings(), Serial())
    with pytest.raises(InputError, match="not a release"):
        release.read_release_manifest(tmp_path)


def test_no_replaced_address_is_anywhere_in_the_release(work, released):
    addresses = set()
    for path in sorted((work / "fr/redact").glob("*.parquet")):
        for batch in read_kept(chain(work, "fr", path.name, "redact"), ["text"]):
            for text in batch["text"].to_pylist():
                addresses |= {text[span.start : span.end] for span in find_spans(text, ["email", "phone", "iban"])}
    assert addresses
    readable = [(released / name).read_text() for name in ("README.md", "manifest.json")]
    readable += [str(row) for row in documents(released)]
    assert not [place for place in readable if any(address in place for address in addresses)]
