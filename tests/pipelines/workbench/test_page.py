"""The file of the workbench: its content, hostile text that stays text, the same bytes for the same work."""

import base64
import json
import re
import tomllib
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filters.language import load_language
from filters.signals.rules import SIGNALS, rules_of
from pipelines.job.languages import read_bounds
from pipelines.workbench.overview import correlation
from pipelines.workbench.page import _SCRIPTS, _STYLES, _plain_words, _safe_json, write_report
from pipelines.workbench.sample import choose_whole, cut_excerpt, read_sample
from pipelines.workbench.settings import ReportSettings
from roots.errors import InputError, SettingsError
from roots.settings import build
from tests.support.paths import ROOT
from tests.support.workbench_work import ARABIC, HOSTILE, french, judge_again, make_work

HOSTILE_URL = "https://bad.example/</script><script>window.stolen = 3</script>"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    hostile = [("</script><b>id", HOSTILE_URL, HOSTILE, 0.9), ("empty", "https://e.example/", "", 0.0)]
    private = [("private", "https://p.example/", "Écrivez à jeanne.martin@example.org pour le moulin du village.", 0.9)]
    return make_work(tmp_path_factory.mktemp("work"), "fr", [*french(300), *hostile, *private])


@pytest.fixture(scope="module")
def page(work: Path) -> str:
    return write_report(work, "fr", work / "pages" / "report.html").read_text(encoding="utf-8")


def values_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="values">(.*?)</script>', page, re.S)
    assert found
    values: dict[str, Any] = json.loads(found[1])
    return values


def unpacked(page: str, name: str) -> bytes:
    found = re.search(rf'id="data-{name}">([A-Za-z0-9+/=]*)</script>', page)
    assert found, name
    return zlib.decompress(base64.b64decode(found[1]))


def numbers_of(page: str) -> tuple[dict[str, np.ndarray[Any, Any]], list[str]]:
    """Columns and ids, read as the page's program reads them."""
    values, data, at = values_of(page), unpacked(page, "numbers"), 0
    size = values["counted"]
    columns = {}
    known = [signal for signal in values["signals"] if signal["column"]]
    for signal in sorted(known, key=lambda signal: signal["column"]["place"]):
        different = signal["column"]["different"]
        table = np.frombuffer(data, "<f4" if signal["column"]["kind"] == "float32" else "<i4", different, at)
        low = np.frombuffer(data, np.uint8, size, at + 4 * different).astype(np.int64)
        high = np.frombuffer(data, np.uint8, size, at + 4 * different + size).astype(np.int64)
        columns[signal["name"]] = table[low | high << 8]
        at += 4 * different + 2 * size
    assert len(data) - at == values["ids"]
    return columns, data[at:].decode().split("\n")


def test_the_page_holds_every_number_as_it_is_stored(work: Path, page: str) -> None:
    columns, ids = numbers_of(page)
    values = values_of(page)
    assert values["total"] == values["counted"] == len(ids) == 302
    failed = judge_again(work, "fr", load_language("fr"))
    for rule in rules_of(load_language("fr").bounds):
        if rule.signal not in columns:
            continue
        column = columns[rule.signal]
        kind = np.float32 if column.dtype == np.float32 else np.float64
        low = column < kind(-np.inf if rule.min is None else rule.min)
        high = column > kind(np.inf if rule.max is None else rule.max)
        crossed = low | high
        assert {id_ for id_, out in zip(ids, crossed, strict=True) if out} == {
            id_ for id_, signals in failed.items() if rule.signal in signals
        }, rule


def test_hostile_text_ends_no_element(page: str) -> None:
    assert "stolen" not in page  # text of the crawl is in the page only packed
    opened = re.findall(r"<script\b[^>]*>", page)
    assert len(opened) == page.count("</script>")
    urls, excerpts = json.loads(unpacked(page, "excerpts"))
    assert HOSTILE_URL in urls
    assert any("window.stolen = 2" in excerpt for excerpt in excerpts)
    assert _safe_json({"a": "</script><!-- & \u2028"}) == '{"a":"\\u003c/script\\u003e\\u003c!-- \\u0026 \\u2028"}'


def test_the_policy_lets_only_our_program_run(page: str) -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    assert "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]
    assert not re.search(r"""\bsrc=|\bhref="(?!#)|@import|url\((?!#)""", page.partition('id="values"')[0])


@pytest.mark.parametrize("name", _SCRIPTS)
def test_the_program_never_reads_html_from_data(name: str) -> None:
    program = (ROOT / "pipelines" / "workbench" / name).read_text(encoding="utf-8")
    sinks = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|createContextualFragment|fetch\("
    )
    assert not re.search(sinks, program)
    assert "{{" not in program


def test_the_same_work_gives_the_same_bytes(work: Path, page: str, tmp_path: Path) -> None:
    again = write_report(work, "fra", tmp_path / "again.html").read_bytes()
    assert again == page.encode()
    assert str(work) not in page


def test_a_smaller_sample_is_a_part_of_a_larger_one(work: Path, tmp_path: Path) -> None:
    def ids(settings: ReportSettings) -> list[str]:
        return numbers_of(write_report(work, "fr", tmp_path / "part.html", settings).read_text(encoding="utf-8"))[1]

    assert ids(ReportSettings(documents=10, numbers=20)) == ids(ReportSettings(documents=50, numbers=50))[:20]


def test_the_size_of_the_file_is_bounded(work: Path, tmp_path: Path) -> None:
    target = write_report(
        work, "fr", tmp_path / "small.html", ReportSettings(documents=40, numbers=60, file_bytes=250_000, excerpt=9)
    )
    small = target.read_text(encoding="utf-8")
    values = values_of(small)
    assert (values["counted"], values["readable"]) == (60, 40)
    assert 0 < len(values["whole"]) <= 40
    assert len(small.encode()) < 260_000
    assert max(map(len, json.loads(unpacked(small, "excerpts"))[1])) <= 9
    none = write_report(work, "fr", tmp_path / "none.html", ReportSettings(file_bytes=0)).read_text(encoding="utf-8")
    assert values_of(none)["whole"] == []
    assert not any(json.loads(unpacked(none, "excerpts"))[1])
    for wrong in ({"documents": 0}, {"numbers": 10}, {"numbers": 70_000}, {"excerpt": -1}, {"sample": 3}):
        with pytest.raises(SettingsError):
            build(ReportSettings, wrong, "report")


def test_personal_data_are_replaced_unless_a_setting_keeps_them(work: Path, page: str, tmp_path: Path) -> None:
    assert b"jeanne.martin" not in b"".join(unpacked(page, f"texts-{place}") for place in range(5))
    assert b"jeanne.martin" not in unpacked(page, "excerpts")
    raw = write_report(work, "fr", tmp_path / "raw.html", ReportSettings(redact=False)).read_text(encoding="utf-8")
    assert b"jeanne.martin@example.org" in unpacked(raw, "excerpts")


def test_documents_next_to_a_bound_are_shown_whole_first(work: Path) -> None:
    chains = [
        [work / "index" / n, work / "fr" / "extract" / n, work / "fr" / "measure" / n]
        for n in ("a.parquet", "b.parquet")
    ]
    sample = read_sample(chains, 1000, [work / "none"] * 2)
    rules = [rule for rule in rules_of(load_language("fr").bounds) if rule.signal == "words" and rule.min]
    values = sample.numbers["words"].values
    first = choose_whole(sample, rules, len(sample.ids), 20)
    below = sorted(values[values < rules[0].min])[-len([v for v in values[first] if v < rules[0].min]) :]
    assert sorted(v for v in values[first] if v < rules[0].min) == below
    assert len(first) == len(set(first)) == 20
    assert sorted(choose_whole(sample, rules, len(sample.ids), 1000)) == list(range(302))


def test_the_page_starts_from_the_bounds_of_the_filter(work: Path, tmp_path: Path) -> None:
    def begin(settings: ReportSettings | None = None) -> tuple[str, Mapping[str, Any]]:
        values = values_of(write_report(work, "fr", tmp_path / "begin.html", settings).read_text(encoding="utf-8"))
        return values["begin"], values["sets"][values["begin"]]

    assert begin()[0] == "default"
    judge_again(work, "fr", load_language("fr", "roots"))
    assert begin()[0] == "roots"
    own = tmp_path / "own.toml"
    own.write_text('[bounds.words]\nmin = 33\nmax = "none"\n', encoding="utf-8")
    judge_again(work, "fr", load_language("fr", read_bounds(own)))
    name, bounds = begin()
    assert name == "as filtered"
    assert (bounds["words"]["min"], bounds["words"]["max"]) == (33, None)
    assert begin(ReportSettings(bounds="gopher"))[1]["words"]["min"] == 50
    judge_again(work, "fr", load_language("fr"))


@pytest.mark.parametrize(
    ("text", "limit", "wanted"),
    [
        ("le moulin du village", 11, "le moulin"),
        ("court", 12, "court"),
        ("กาลครั้งหนึ่ง", 6, "กาลค"),  # before a vowel sign and a tone mark: the whole cluster goes
        ("नमस्ते" * 9, 15, ("नमस्ते" * 9)[:14]),
        ("👩\u200d👩\u200d👧" * 3, 8, ("👩\u200d👩\u200d👧" * 3)[:5]),
        ("ọ̀rọ̀" * 4, 9, ("ọ̀rọ̀" * 4)[:8]),
    ],
)
def test_a_text_is_cut_between_words_or_whole_characters(text: str, limit: int, wanted: str) -> None:
    assert cut_excerpt(text, limit) == wanted


def test_missing_work_is_reported(work: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no manifest"):
        write_report(work, "ar", tmp_path / "x.html")
    with pytest.raises(SettingsError, match="unknown language"):
        write_report(work, "klingon", tmp_path / "x.html")
    with pytest.raises(SettingsError, match="unknown bound set"):
        write_report(work, "fr", tmp_path / "x.html", ReportSettings(bounds="rots"))
    unjudged = make_work(
        tmp_path / "work", "ar", [("1", "x", ARABIC, 0.9)] * 1 + [("2", "", ARABIC[:90], 0.2)], judged=False
    )
    values = values_of(write_report(unjudged, "ar", tmp_path / "y.html").read_text(encoding="utf-8"))
    assert [stage["stage"] for stage in values["stages"]] == ["index", "extract", "measure"]
    empty = make_work(tmp_path / "empty", "fr", [("1", "x", "", 0.9), ("2", "x", "", 0.9)])
    with pytest.raises(InputError, match="has no document in French"):
        write_report(empty, "fr", tmp_path / "x.html")


def test_the_overview_counts_what_the_stages_did(page: str) -> None:
    values = values_of(page)
    stages = {stage["stage"]: stage for stage in values["stages"]}
    assert list(stages) == ["index", "extract", "measure", "filter"]
    assert stages["extract"]["drops"] == [{"reason": "extract.empty", "rows": 1, "what": "no main text in it"}]
    assert stages["filter"]["rows"] == stages["filter"]["kept"] + sum(
        drop["rows"] for drop in stages["filter"]["drops"]
    )
    assert sum(domain["documents"] for domain in values["domains"]) <= 302
    assert values["domains"][0]["documents"] >= values["domains"][-1]["documents"]
    assert [language["code"] for language in values["languages"]] == ["fr"]


def test_correlation_is_of_ranks() -> None:
    steps = np.arange(50.0)
    found = correlation({"a": steps, "b": steps**3, "c": -np.sqrt(steps), "same": np.ones(50), "ties": steps // 10})
    assert found["names"] == ["a", "b", "c", "ties"]
    assert found["rows"][0][:3] == [1.0, 1.0, -1.0]
    assert 0.9 < found["rows"][0][3] < 1


def test_plain_words_are_complete_and_of_known_signals() -> None:
    words = _plain_words()
    assert set(words["signals"]) <= set(SIGNALS)
    for name, word in words["signals"].items():
        assert set(word) == {"title", "what", "high", "low", "bad", "axis", "group"}, name
        assert word["group"] in words["groups"], name
        assert word["bad"] in ("high", "low", "both"), name
        assert word["axis"] in ("share", "number", "log"), name
    titles = [word["title"] for word in words["signals"].values()]
    assert len(set(titles)) == len(titles)


def test_all_parts_are_packaged() -> None:
    held = {path.name for path in (ROOT / "pipelines" / "workbench").iterdir() if path.suffix not in (".py", ".md", "")}
    assert held == {*_SCRIPTS, *_STYLES, "page.html", "words.toml"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "workbench/*" in project["tool"]["setuptools"]["package-data"]["pipelines"]
