"""Pages of chosen sites are found in the index of a crawl and fetched politely, and nothing else is."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pipelines.cli.main import main
from pipelines.pseudocrawl import fetch as pseudocrawl
from pipelines.pseudocrawl.captures import LOOKUP_REASONS, Finder, Lookup, Select
from pipelines.pseudocrawl.fetch import FETCH_REASONS, Pseudocrawl, fetch_archives, record_url
from pipelines.pseudocrawl.ranges import Manners, PathRanges, ServerRanges
from pipelines.pseudocrawl.seeds import Seed, read_seeds
from roots import shards
from roots.errors import InputError, MissingRange, ShardError, StageFailed
from roots.executors import Serial
from tests.support.cc_index import PREFIX, TABLE, Mischief, build, serve, surt, write_index
from tests.support.paths import ROOT

CRAWL = ROOT / "tests/fixtures" / "crawl"
ARCHIVES = sorted(CRAWL.glob("*.warc.gz"))
QUICK = {"requests_per_second": 10_000.0, "backoff_seconds": 0.001, "most_seconds": 0.01, "timeout_seconds": 5.0}


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    root = tmp_path_factory.mktemp("bucket")
    return root, build(root, ARCHIVES)


def hosts(rows: list[dict[str, Any]]) -> list[str]:
    return sorted({row["url"].split("/")[2].removeprefix("www.") for row in rows})


def wanted(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By URL the newest capture that is a page."""
    best: dict[str, dict[str, Any]] = {}
    for row in rows:
        html = row["content_mime_detected"].lower() in ("text/html", "application/xhtml+xml")
        if row["fetch_status"] == 200 and html:
            known = best.get(row["url"])
            if known is None or known["fetch_time"] < row["fetch_time"]:
                best[row["url"]] = row
    return best


def fetched(work: Path) -> list[dict[str, Any]]:
    """What came of every range."""
    return [
        row
        for path in sorted((work / "pseudocrawl/fetch").glob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


def members(work: Path) -> dict[str, bytes]:
    """Every packed record of the archives, by URL."""
    archives = work / "pseudocrawl/archives"
    return {
        row["url"]: (archives / row["archive"]).read_bytes()[row["archive_offset"] :][: row["length"]]
        for row in fetched(work)
        if row["drop"] is None
    }


def fetch_until_done(work: Path, seeds: list[Seed], places: list[str], settings: Pseudocrawl) -> dict[str, Path]:
    """Run the same command until it succeeds: an error page instead of an index is an error each time."""
    for _ in range(50):
        try:
            return fetch_archives(work, seeds, places, settings, Serial())
        except StageFailed as failed:
            if "came damaged" not in str(failed) and "no Parquet file" not in str(failed):
                raise
    raise AssertionError("50 runs failed")


# Seeds


@pytest.mark.parametrize(
    ("site", "inside", "outside"),
    [
        ("example.org", "https://www.example.org/a https://news.example.org/ http://example.org:8080/x",
         "https://example.org.uk/ https://example.orga/ https://myexample.org/"),
        ("www.example.org", "https://example.org/", "https://example.com/"),
        ("https://www.example.org/News/", "https://example.org/news/ https://example.org/news/a/b http://example.org/news?p=1",
         "https://example.org/newspaper https://sub.example.org/news/a https://example.org/"),
        ("example.org/news", "https://example.org/newspaper https://example.org/news/a", "https://example.org/new"),
        ("https://example.org", "https://example.org/ https://www.example.org/a", "https://sub.example.org/"),
    ],
)  # fmt: skip
def test_a_seed_means_its_site_and_no_other(site: str, inside: str, outside: str) -> None:
    finder = Finder([Seed(site, "fr")])

    def key(url: str) -> str:
        return surt(url.replace(":8080", "")).replace(")", ":8080)", 1) if ":8080" in url else surt(url)

    for urls, found in ((inside, 0), (outside, -1)):
        for keys in (sorted(map(key, urls.split())), sorted(map(key, urls.split()), reverse=True)):
            assert finder.find(pa.array(keys)).tolist() == [found] * len(keys), keys


def test_hosts_and_paths_in_other_scripts_have_the_keys_that_surt_gives() -> None:
    assert Seed("https://пример.рф/новости", "ar").ranges[0][0] == (
        "xn--p1ai,xn--e1afmkfd)/%d0%bd%d0%be%d0%b2%d0%be%d1%81%d1%82%d0%b8"
    )
    assert Seed("https://www2.example.co.uk/%D0%BD", "fr").ranges[0][0] == "uk,co,example)/%d0%bd"


def test_of_several_seeds_the_narrowest_counts() -> None:
    finder = Finder([Seed("example.org/news", "fr"), Seed("example.org", "en")])
    assert finder.find(pa.array(["org,example)/", "org,example)/news/a"])).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("example.org", "line 2: write a site, a tab"),
        ("example.org\tklingon", "line 2: .*klingon"),
        ("com\tfr", "top-level"),
        ("ftp://example.org/\tfr", "name a domain"),
        ("https://example.org/?a=1\tfr", "name a domain"),
        ("exa mple.org\tfr", "no name of a host"),
        ("https://me:secret@example.org/\tfr", "name a domain"),
    ],
)
def test_a_mistake_in_the_seeds_is_named_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "seeds.tsv").write_text(f"site\tlanguage\n{line}\n")
    with pytest.raises(InputError, match=said):
        read_seeds(tmp_path / "seeds.tsv")


def test_seeds_are_read_with_a_header_comments_and_repeats(tmp_path: Path) -> None:
    (tmp_path / "seeds.tsv").write_text("site\tlanguage\n# news\nb.example\tfr\n\na.example\tsw\r\nb.example\tfr\n")
    assert read_seeds(tmp_path / "seeds.tsv") == (Seed("a.example", "sw"), Seed("b.example", "fr"))


# Looking up


def test_only_row_groups_that_can_hold_a_seed_are_read(crawl: tuple[Path, list[dict[str, Any]]]) -> None:
    root, rows = crawl
    file = pq.ParquetFile(sorted((root / TABLE).glob("*.parquet"))[0])
    assert file.metadata.num_row_groups > 2
    one = Finder([Seed(hosts(rows)[0], "fr")]).groups(file.metadata)
    assert 0 < len(one) < file.metadata.num_row_groups
    assert Finder([Seed("nowhere.invalid", "fr")]).groups(file.metadata) == []


def test_what_the_index_says_is_not_trusted(tmp_path: Path) -> None:
    good = {"url_surtkey": "org,example)/a", "url": "https://example.org/a", "fetch_status": 200,
            "content_mime_detected": "text/html", "warc_filename": "a/b.warc.gz", "warc_record_offset": 0,
            "warc_record_length": 10}  # fmt: skip
    bad = {
        "lookup.no_place": [{"warc_filename": "../../etc/passwd"}, {"warc_filename": "/etc/passwd"},
                            {"warc_filename": "http://evil.example/x"}, {"warc_record_offset": -1},
                            {"warc_record_length": 0}, {"warc_filename": None}],
        "lookup.too_large": [{"warc_record_length": 2**31 - 1}],
        "lookup.status": [{"fetch_status": 404}],
        "lookup.not_html": [{"content_mime_detected": "application/pdf"}],
        None: [{}],
    }  # fmt: skip
    for reason, changes in bad.items():
        for change in changes:
            path = write_index([good | change], tmp_path / "index.parquet")
            (batch,) = Lookup((Seed("example.org", "fr"),)).make("index.parquet", [path])
            assert batch["drop"].to_pylist() == [reason], change


def test_of_one_url_the_newest_fetch_stays(tmp_path: Path) -> None:
    from datetime import datetime

    rows = [
        {"url_surtkey": f"org,example)/{name}", "url": f"https://example.org/{name}", "fetch_status": 200,
         "fetch_time": datetime(2020, month, 1), "content_mime_detected": "text/html", "warc_filename": f"w{month}",
         "warc_record_offset": 0, "warc_record_length": 9}
        for name, month in (("a", 1), ("a", 3), ("a", 2), ("b", 1), ("c", 5), ("c", 5))
    ]  # fmt: skip
    lookup = Lookup((Seed("example.org", "fr"),))
    paths = []
    for number in range(2):
        index = write_index(rows[number::2], tmp_path / f"{number}.index")
        paths.append(tmp_path / f"{number}.parquet")
        shards.write(paths[-1], Lookup.schema, lookup.make("", [index]), "lookup", 1, "")
    found = [row for batch in Select().make("", paths) for row in batch.to_pylist()]
    assert sorted((row["url"][-1], row["file_path"]) for row in found if not row["drop"]) == [
        ("a", "w3"), ("b", "w1"), ("c", "w5"),
    ]  # fmt: skip
    assert sum(row["drop"] == "select.older" for row in found) == 3


# Fetching


def test_a_record_is_one_whole_record_of_the_right_url() -> None:
    packed = gzip.compress(
        b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://a.example/\r\n\r\nbody\r\n\r\n"
    )
    assert record_url(packed, 1000) == "https://a.example/"
    for broken in (
        packed[:-1],
        packed + b"x",
        packed + packed,
        b"<Error>SlowDown</Error>",
        b"",
        packed[:40] + b"?" * 40,
    ):
        assert record_url(broken, 1000) is None, broken
    assert record_url(gzip.compress(b"<Error>SlowDown</Error>"), 1000) is None
    bomb = gzip.compress(b"WARC/1.0\r\nWARC-Target-URI: https://a.example/\r\n\r\n" + bytes(10_000_000))
    assert record_url(bomb, 1 << 20) is None


@pytest.mark.parametrize("where", ["folder", "server", "misbehaving"])
def test_the_pages_of_the_seeds_and_no_others_arrive_byte_for_byte(
    crawl: tuple[Path, list[dict[str, Any]]], tmp_path: Path, where: str
) -> None:
    root, rows = crawl
    chosen = hosts(rows)[::2]
    seeds = [Seed(host, "fr") for host in chosen]
    mischief = Mischief(share=0.25 if where == "misbehaving" else 0.0)
    with serve(root, mischief) as (url, _):
        place, data = (str(root / TABLE), str(root)) if where == "folder" else (url + "cc-index-table.paths", url)
        settings = Pseudocrawl(data=data, records=30, attempts=30, contact="us@example.org", **QUICK)
        got = fetch_until_done(tmp_path, seeds, [place], settings)
        asked = len(mischief.requests)
        again = fetch_until_done(tmp_path, seeds, [place], settings)
        if where != "folder":  # only what the files of the index are is asked again
            assert [method for method, _ in mischief.requests[asked:]].count("GET") <= 1 + mischief.done.get("503", 0)
            assert mischief.agents == {f"{Manners(contact='us@example.org').user_agent}"}
    assert got == again
    assert len(got) > 1
    if where == "misbehaving":
        assert all(mischief.done.get(kind, 0) > 0 for kind in mischief.kinds), mischief.done
    expected = {url: row for url, row in wanted(rows).items() if url.split("/")[2].removeprefix("www.") in chosen}
    source = {row["warc_filename"]: (root / row["warc_filename"]).read_bytes() for row in rows}
    packed = {
        url: source[row["warc_filename"]][row["warc_record_offset"] :][: row["warc_record_length"]]
        for url, row in expected.items()
    }
    cut = {url for url, data in packed.items() if record_url(data, 1 << 30) != url}
    dropped = {row["url"] for row in fetched(tmp_path) if row["drop"]}
    assert members(tmp_path) == {url: data for url, data in packed.items() if url not in cut}
    assert dropped == cut
    table = (tmp_path / "pseudocrawl/seeds.tsv").read_text().splitlines()
    assert len(table) == 1 + len(seeds)
    assert sum(int(line.split("\t")[-1]) for line in table[1:]) == len(expected) - len(cut)


def test_a_server_that_fails_for_now_loses_nothing(crawl: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    root, rows = crawl
    seeds = [Seed(host, "fr") for host in hosts(rows)]
    settings = {"records": 20, "attempts": 2, **QUICK}
    mischief = Mischief(kinds=("503",), always=ARCHIVES[1].name)
    with serve(root, mischief) as (url, _):
        with pytest.raises(StageFailed, match=r"503 \(asked 2 times\)") as failed:
            fetch_archives(tmp_path, seeds, [str(root / TABLE)], Pseudocrawl(data=url, **settings), Serial())
        assert failed.value.failures
        mischief.always = ""
        fetch_archives(tmp_path, seeds, [str(root / TABLE)], Pseudocrawl(data=url, **settings), Serial())
    urls = [row["url"] for row in fetched(tmp_path)]
    assert sorted(urls) == sorted(wanted(rows))


def test_nothing_is_fetched_twice_if_seeds_are_added_or_a_run_stops(
    crawl: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    root, rows = crawl
    seeds = [Seed(host, "fr") for host in hosts(rows)]
    settings: dict[str, Any] = {"records": 40, "attempts": 2, "connections": 1, **QUICK}
    with serve(root) as (url, mischief):
        fetch_archives(tmp_path, seeds[::2], [str(root / TABLE)], Pseudocrawl(data=url, **settings), Serial())
        first = len(mischief.requests)
        assert first == len(members(tmp_path)) + len([row for row in fetched(tmp_path) if row["drop"]]) * 2
        mischief.kinds, mischief.always = ("503",), ARCHIVES[2].name
        with pytest.raises(StageFailed):
            fetch_archives(tmp_path, seeds, [str(root / TABLE)], Pseudocrawl(data=url, **settings), Serial())
        mischief.always = ""
        fetch_archives(tmp_path, seeds, [str(root / TABLE)], Pseudocrawl(data=url, **settings), Serial())
    failed = mischief.done["503"]
    bad = len([row for row in fetched(tmp_path) if row["drop"]])
    assert bad < 10
    assert len(mischief.requests) - failed <= len(members(tmp_path)) + 2 * bad * 3 + 3  # some in flight when it stopped
    assert members(tmp_path).keys() == set(wanted(rows)) - {row["url"] for row in fetched(tmp_path) if row["drop"]}
    assert not (tmp_path / "pseudocrawl/earlier").exists()


def test_a_refusal_stops_the_job_and_a_missing_archive_is_a_reason(
    crawl: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    root, rows = crawl
    seeds = [Seed(host, "fr") for host in hosts(rows)]
    with serve(root, Mischief(forbidden=ARCHIVES[0].name)) as (url, mischief):
        with pytest.raises(StageFailed, match="answered 403: is this the right place"):
            fetch_archives(tmp_path / "a", seeds, [str(root / TABLE)], Pseudocrawl(data=url, **QUICK), Serial())
        mischief.forbidden = ""
        got = fetch_archives(
            tmp_path / "b", seeds, [str(root / TABLE)], Pseudocrawl(data=url + "elsewhere/", **QUICK), Serial()
        )
    assert {row["drop"] for row in fetched(tmp_path / "b")} == {"fetch.missing"}
    assert [path.stat().st_size for path in got.values()] == [0] * len(got)


def test_an_archive_that_is_gone_is_fetched_again(crawl: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    root, rows = crawl
    seeds = [Seed(hosts(rows)[0], "fr")]
    settings = Pseudocrawl(data=str(root))
    (path,) = fetch_archives(tmp_path, seeds, [str(root / TABLE)], settings, Serial()).values()
    held = path.read_bytes()
    for damage in (path.unlink, lambda: path.write_bytes(held[:-1])):
        damage()
        fetch_archives(tmp_path, seeds, [str(root / TABLE)], settings, Serial())
        assert path.read_bytes() == held


def test_a_server_without_ranges_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100)
    with serve(tmp_path) as (url, mischief):
        ranges = ServerRanges(url, Manners(**QUICK), 2)
        assert ranges.read("file", 10, 5) == b"xxxxx"
        for start, length in ((98, 5), (200, 5)):
            with pytest.raises(MissingRange):
                ranges.read("file", start, length)
            with pytest.raises(MissingRange):
                PathRanges(str(tmp_path)).read("file", start, length)
        mischief.kinds, mischief.always = ("whole",), "file"
        with pytest.raises(ShardError, match="gives no ranges"):
            ranges.read("file", 10, 5)
        with pytest.raises(InputError, match="404"):
            ranges.size("nothing")


def test_requests_keep_their_pace_and_secrets_stay_out_of_messages(tmp_path: Path) -> None:
    import time

    (tmp_path / "file").write_bytes(b"x" * 100)
    with serve(tmp_path, Mischief(share=1.0, kinds=("503",))) as (url, mischief):
        ranges = ServerRanges(url.replace("http://", "http://me:secret@"), Manners(**QUICK | {"attempts": 3}), 2)
        with pytest.raises(ShardError, match=r"503 \(asked 3 times\)") as error:
            ranges.read("file?token=secret", 0, 1)
        assert "secret" not in str(error.value)
        assert len(mischief.requests) == 3
        mischief.share = 0.0
        ranges = ServerRanges(url, Manners(**QUICK | {"requests_per_second": 50.0}), 2)
        start = time.monotonic()
        for _ in range(6):
            ranges.read("file", 0, 1)
        assert time.monotonic() - start >= 5 / 50


# The whole job


def test_the_rest_of_the_job_runs_unchanged_on_what_was_fetched(
    crawl: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    root, rows = crawl
    seeds = tmp_path / "seeds.tsv"
    seeds.write_text("\n".join(f"{host}\tfr" for host in hosts(rows)) + "\nnothing.invalid\tfr\n")
    work = tmp_path / "work"
    options = ["--domains", str(seeds), "--cc-index", str(root / TABLE), "--set", f"pseudocrawl.data={root}"]
    for arguments in (
        ["index", str(work), *options, "--quiet", "--executor", "serial"],
        ["extract", str(work), "--lang", "fr", "--quiet", "--executor", "serial"],
    ):
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        if arguments[0] == "index":
            assert "1 of" in result.output
            assert "nothing.invalid" in result.output
    index = [row for path in sorted((work / "index").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    assert sorted(row["url"] for row in index) == sorted(row["url"] for row in fetched(work) if not row["drop"])
    assert json.loads((work / "inputs.json").read_text()).keys() == {
        path.name for path in (work / "index").glob("*.parquet")
    }
    texts = [row for path in (work / "fr/extract").glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    assert sum(row["drop"] is None for row in texts) > 5
    page = next(row["url"] for row in rows if row["fetch_status"] == 404)
    said = CliRunner().invoke(main, ["why", page, "--work", str(work)], catch_exceptions=False).output
    assert "lookup   DROPPED: lookup.status" in said
    other = page.replace("https://", "http://www.") + "#part"
    spelled = CliRunner().invoke(main, ["why", other, "--work", str(work)], catch_exceptions=False).output
    assert [line.removesuffix(f"   {page}") for line in spelled.splitlines()] == said.splitlines()
    assert page in spelled
    said = CliRunner().invoke(main, ["why", texts[0]["id"], "--work", str(work)], catch_exceptions=False).output
    assert "index    kept" in said
    said = CliRunner().invoke(main, ["why", index[0]["url"], "--work", str(work)], catch_exceptions=False).output
    assert "fetch    kept" in said
    assert f"{PREFIX}/" in said


def test_every_reason_in_the_code_has_a_sentence() -> None:
    import re

    code = "".join((Path(pseudocrawl.__file__).parent / name).read_text() for name in ("fetch.py", "captures.py"))
    used = set(re.findall(r'"((?:lookup|select|fetch)\.[a-z_]+)"', code))
    assert used == set(LOOKUP_REASONS) | set(FETCH_REASONS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--domains", "seeds.tsv"], "go together"),
        (["--cc-index", "x"], "go together"),
        (["--set", "pseudocrawl.records=5", "--input", str(ARCHIVES[0])], "need --domains"),
        (["--domains", "seeds.tsv", "--cc-index", "x", "--set", "pseudocrawl.record=5"], "Did you mean 'records'"),
        (["--domains", "seeds.tsv", "--cc-index", "x", "--of", "2"], "one command"),
        (["--domains", "seeds.tsv", "--cc-index", "x"], "no Parquet file is there"),
    ],
)
def test_a_wrong_option_is_an_error_before_any_work(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("seeds.tsv").write_text("a.example\tfr\n")
    result = CliRunner().invoke(main, ["index", "work", "--quiet", *arguments])
    assert result.exit_code == 2
    assert said in result.output
    dry = CliRunner().invoke(main, ["index", "work", "--domains", "seeds.tsv", "--cc-index", "x", "--dry-run"])
    assert "1 seeds" in dry.output
    assert not Path("work").exists()
