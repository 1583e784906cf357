"""The example crawl: its script makes just these archives, every reader reads them, each stage has work."""

import subprocess
import sys
import tomllib
import zlib
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastwarc.warc import ArchiveIterator as FastWarcIterator
from warcio.archiveiterator import ArchiveIterator as WarcioIterator

CRAWL = Path(__file__).parent / "fixtures" / "crawl"
ARCHIVES = sorted(CRAWL.glob("*.gz"))
FATES = {"kept", "index", "extract", "filter", "dedup"}


@pytest.fixture(scope="module")
def expected() -> dict[str, dict[str, Any]]:
    return tomllib.loads((CRAWL / "expected.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("crawl")
    subprocess.run([sys.executable, CRAWL / "build.py", target], check=True, capture_output=True)
    return target


def by_warcio(path: Path) -> list[tuple[str, str, int]]:
    """(type, url, bytes of body) of every record. The raw stream: warcio knows no recent brotli."""
    with path.open("rb") as file:
        return [
            (record.rec_type, record.rec_headers.get_header("WARC-Target-URI") or "", len(record.raw_stream.read()))
            for record in WarcioIterator(file)
        ]


def by_fastwarc(path: Path) -> list[tuple[str, str, int]]:
    """The same by FastWARC."""
    with path.open("rb") as file:
        return [
            (record.headers["WARC-Type"], record.headers.get("WARC-Target-URI", ""), len(record.reader.read()))
            for record in FastWarcIterator(file, parse_http=True)
        ]


@pytest.mark.skipif("ng" in zlib.ZLIB_RUNTIME_VERSION, reason="zlib-ng writes other, equally good, bytes")
def test_the_build_gives_the_committed_files(rebuilt: Path) -> None:
    assert sorted(path.name for path in rebuilt.iterdir()) == sorted(
        [path.name for path in ARCHIVES] + ["expected.toml"]
    )
    for path in sorted(rebuilt.iterdir()):
        committed = CRAWL / path.name
        assert path.read_bytes() == committed.read_bytes(), f"{path.name}: run {CRAWL.name}/build.py and commit"


def test_it_is_small() -> None:
    assert len(ARCHIVES) == 4
    assert 150_000 < sum(path.stat().st_size for path in ARCHIVES) < 600_000


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.name)
def test_two_readers_agree_on_every_record(path: Path) -> None:
    warcio, fastwarc = by_warcio(path), by_fastwarc(path)
    assert warcio[:-1] == fastwarc[:-1]
    assert warcio[-1][:2] == fastwarc[-1][:2]  # the last one may be cut: how much is left of it may differ
    assert len(warcio) > 2


def test_it_holds_every_kind_of_record() -> None:
    kinds = Counter(kind for path in ARCHIVES for kind, _, _ in by_warcio(path))
    assert set(kinds) == {"warcinfo", "request", "response", "metadata", "revisit", "conversion"}
    assert kinds["response"] > 90


def test_the_last_record_of_the_last_archive_is_cut() -> None:
    last = max(path for path in ARCHIVES if path.name.endswith(".warc.gz"))
    with last.open("rb") as file:
        for record in WarcioIterator(file):
            body = record.raw_stream.read()
    assert record.rec_headers.get_header("WARC-Target-URI").endswith("/coupee.html")
    assert 0 < len(body) < int(record.http_headers.get_header("Content-Length"))


def test_it_speaks_many_languages_in_many_scripts(expected: dict[str, dict[str, Any]]) -> None:
    kept = Counter(page["language"] for page in expected.values() if "kept" in page["fate"])
    assert len(kept) >= 12
    assert {"en", "ar", "zh", "hi", "bn", "ta"} <= set(kept)  # six scripts
    assert kept["fr"] >= 25


def test_every_page_has_an_expectation_and_every_expectation_a_page(expected: dict[str, dict[str, Any]]) -> None:
    crawled = Counter(
        url for path in ARCHIVES for kind, url, _ in by_warcio(path) if kind in ("response", "revisit", "conversion")
    )
    assert crawled == {url: len(page["fate"]) for url, page in expected.items()}


def test_expectations_are_well_formed(expected: dict[str, dict[str, Any]]) -> None:
    for url, page in expected.items():
        assert set(page) <= {"language", "fate", "like", "pii"}, url
        for fate in page["fate"]:
            assert all(part.split(".")[0] in FATES for part in fate.split(" | ")), url
        if "like" in page:
            assert page["like"] in expected, url
        assert urlsplit(url).hostname.endswith(".example"), f"{url}: a name that somebody may own"  # RFC 2606


def test_it_shows_every_stage_something_to_do(expected: dict[str, dict[str, Any]]) -> None:
    fates = {fate for page in expected.values() if page["language"] in ("", "fr") for fate in page["fate"]}
    assert {"kept", "index.status", "index.truncated", "index.revisit", "filter", "dedup.exact", "dedup.near"} <= fates
    assert {kind for page in expected.values() for kind in page.get("pii", [])} == {"EMAIL", "IP_ADDRESS", "KEY"}
