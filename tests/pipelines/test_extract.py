import gzip
import time

import pytest

from pipelines import extract as extract_module
from pipelines.archives.records import Record
from pipelines.extract import EXTRACT_REASONS, Extract
from pipelines.extraction.extractors import Bounds
from pipelines.extraction.page import extract_page, is_deeper
from pipelines.index import Index
from roots import shards
from roots.errors import SettingsError
from roots.schema import EXTRACT

FRENCH = [
    "La bibliothèque municipale ouvre ses portes chaque matin à neuf heures, et les lecteurs du quartier y viennent.",
    "Les enfants choisissent des albums illustrés, pendant que leurs parents lisent les journaux de la semaine.",
    "Le soir, une conteuse raconte les légendes de la région devant un public attentif et souvent nombreux.",
]
SWAHILI = [
    "Maktaba ya mji hufunguliwa kila asubuhi saa tatu, na wasomaji wa mtaa huja kusoma vitabu na magazeti.",
    "Watoto huchagua vitabu vya picha, wakati wazazi wao wanasoma habari za wiki nzima wakiwa wamekaa kimya.",
    "Jioni, mwanamke mmoja husimulia hadithi za kale za eneo hilo mbele ya watu wengi wanaosikiliza kwa makini.",
]
ENGLISH = "The county library opens its doors every morning at nine, and readers of the neighbourhood come to it."


def page(paragraphs, extra=""):
    body = "".join(f"<p>{text}</p>" for text in paragraphs)
    return f"<!DOCTYPE html><html><head><title>t</title></head><body><article>{body}</article>{extra}</body></html>"


def write_archive(path, pages):
    with path.open("wb") as file:
        for number, (content_type, body) in enumerate(pages):
            data = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
            http = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n".encode() + data
            head = (
                f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:{number:032x}>\r\n"
                f"WARC-Date: 2024-01-02T03:04:05Z\r\nWARC-Target-URI: http://x.example/{number}\r\n"
                f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n"
            )
            file.write(gzip.compress(head.encode() + http + b"\r\n\r\n", 1))
    return path


def run(tmp_path, pages, **settings):
    """Index and extract an archive; give the rows of the extract shard by number of page."""
    archive = write_archive(tmp_path / "a.warc.gz", pages)
    index = Index()
    shards.write(tmp_path / "index.parquet", index.schema, index.make("a", [archive]), "index", 1, "f")
    kept = [row for batch in shards.read_kept([tmp_path / "index.parquet"], ["id", "url"]) for row in batch.to_pylist()]
    stage = Extract(**{"language": "fra", **settings})
    target = tmp_path / "extract.parquet"
    receipt = shards.write(
        target, stage.schema, stage.make("a", [tmp_path / "index.parquet", archive]), "extract", 1, "f"
    )
    rows = [row for batch in shards.read(target) for row in batch.to_pylist()]
    assert [row["id"] for row in rows] == [row["id"] for row in kept]
    assert receipt.rows == len(kept) == receipt.kept + sum(receipt.drops.values())
    assert set(receipt.drops) <= set(EXTRACT_REASONS)
    return {int(row["url"].rpartition("/")[2]): out for row, out in zip(kept, rows, strict=True)}


HTML = "text/html; charset=utf-8"


def test_other_languages_are_dropped_with_a_reason(tmp_path):
    links = "".join(f"<li><a href='/{number}'>{text}</a></li>" for number, text in enumerate(FRENCH * 3))
    rows = run(
        tmp_path,
        [
            (HTML, page(FRENCH)),
            (HTML, page(SWAHILI)),
            ("text/plain; charset=utf-8", "\r\n".join(FRENCH)),
            (
                HTML,
                f"<html><body><nav>{links}</nav><article><p>{ENGLISH * 12}</p></article></body></html>",
            ),
            (HTML, f"<html><body><script>1</script><select><option>{FRENCH[0]}</option></select></body></html>"),
        ],
    )
    assert rows[0]["text"].split("\n") == FRENCH
    assert (rows[0]["language"], rows[0]["language_script"], rows[0]["drop"]) == ("fra", "Latn", None)
    assert rows[0]["language_score"] > 0.9
    assert rows[0]["top_langs"][0]["label"] == "fra_Latn"
    assert rows[0]["extractor"] == "learned"
    assert (rows[1]["drop"], rows[1]["text"], rows[1]["language"]) == ("extract.other_language", None, None)
    assert (rows[2]["extractor"], rows[2]["text"]) == ("plain", "\n".join(FRENCH))
    assert (rows[3]["drop"], rows[3]["language"], rows[3]["text"]) == ("extract.language", "eng", None)
    assert (rows[3]["judged_chars"], rows[3]["judged_start"]) == (len(ENGLISH * 12), (ENGLISH * 12)[:400])
    assert (rows[0]["judged_chars"], rows[0]["judged_start"]) == (None, None)


def test_one_archive_gives_texts_in_another_language(tmp_path):
    rows = run(tmp_path, [(HTML, page(FRENCH)), (HTML, page(SWAHILI))], language="swh", extractor="resiliparse")
    assert rows[0]["drop"] == "extract.other_language"
    assert [line for line in rows[1]["text"].split("\n") if line] == SWAHILI
    assert rows[1]["extractor"] == "resiliparse"


def hostile():
    """Pages of some MB each, made when they are needed."""
    return {
        "nested tags": page(FRENCH, "<div>" * 100_000 + "x"),
        "nested inline tags": page(FRENCH, "<b>" * 100_000 + "x"),
        "paragraphs": page(FRENCH * 33_000),
        "spans": page(FRENCH, "<span>un mot</span>" * 300_000),
        "cells": page(FRENCH, "<table><tr>" + "<td>un</td>" * 200_000 + "</table>"),
        "line breaks": page(FRENCH, "<br>" * 500_000),
        "attributes": page(FRENCH, "<p " + " ".join(f"a{n}=1" for n in range(100_000)) + ">x</p>"),
        "entities": page(FRENCH, "&amp;" * 300_000 + "&#" + "9" * 100_000 + ";" + "&lt" * 100_000),
        "an entity bomb": '<?xml version="1.0"?><!DOCTYPE html [<!ENTITY a "aaaaaaaaaa">'
        + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
        + f"]><html><body><p>{' '.join(FRENCH)} &i;</p></body></html>",
        "an open comment": page(FRENCH, "<!--" * 200_000),
        "an open script": page(FRENCH, "<script>" + "</scrip" * 200_000),
        "open tags": page(FRENCH, "<" * 500_000 + "<a " * 100_000),
        "one long text": page(FRENCH, " ".join(FRENCH) * 6_000),
        "links": page(FRENCH, '<p><a href="/">un lien</a></p>' * 50_000),
        "lists in lists": page(FRENCH, "<ul><li>" * 30_000),
        "forms": page(FRENCH, "<form><input>" * 50_000),
        "NUL bytes": page(FRENCH, "\x00" * 100_000),
        "surrogates": page(FRENCH, "\ud800\udc00 \udfff" * 1000),
    }


@pytest.mark.parametrize("extractor", ["cascade", "resiliparse"])
def test_a_hostile_page_costs_only_itself(tmp_path, extractor):
    bad = hostile()
    pages = [(HTML, body) for one in bad.values() for body in (one, page(FRENCH))]
    limits = {"cpu_seconds": 1.0, "memory_bytes": 256 << 20}
    start = time.monotonic()
    rows = run(tmp_path, pages, extractor=extractor, gate_score=0.0, **limits)
    seconds = time.monotonic() - start
    verdicts = {name: rows.get(2 * number, {"drop": "index"})["drop"] for number, name in enumerate(bad)}
    neighbours = [rows[2 * number + 1]["text"] for number in range(len(bad))]
    assert all([line for line in text.split("\n") if line] == FRENCH for text in neighbours)
    assert seconds < 4 * len(bad), verdicts
    assert verdicts["NUL bytes"] is None
    assert verdicts["nested tags"] == "extract.too_deep", verdicts


def test_an_oversized_page_is_dropped_before_any_engine_reads_it(tmp_path):
    huge = page(FRENCH, "x" * (17 << 20))
    rows = run(tmp_path, [(HTML, page(FRENCH)), (HTML, huge), (HTML, page(SWAHILI)), (HTML, page(FRENCH))])
    assert rows[0]["drop"] is None
    assert 1 not in rows or rows[1]["drop"] == "extract.too_large"
    assert rows[3]["drop"] is None


BAD_ENGINES = """
import ctypes, os, re, time
from pipelines.extraction import engines, page


def engine(html):
    if "SPIN" in html:
        re.match(r"(a+)+$", "a" * 60 + "b")
    if "SEGFAULT" in html:
        ctypes.string_at(0)
    if "EAT" in html:
        held = [bytearray(8 << 20) for _ in range(1000)]
    if "FAIL" in html:
        raise KeyError("engine")
    if "DEEP" in html:
        return engine(html)
    if "LEAVE" in html:
        os._exit(5)
    return engines.resiliparse(html)


def pages(archives, extractor, bounds, tables, **more):
    page.find_engine = lambda name, *learned: engine
    return page.pages(archives, extractor, bounds, tables)
"""


def test_an_engine_that_hangs_or_dies_costs_one_page(tmp_path, monkeypatch):
    (tmp_path / "bad_engines.py").write_text(BAD_ENGINES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(extract_module, "PAGES", "bad_engines:pages")
    evils = ["SPIN", "SEGFAULT", "EAT", "FAIL", "DEEP", "LEAVE"]
    pages = [(HTML, body) for evil in evils for body in (page([*FRENCH, evil]), page(FRENCH))]
    rows = run(tmp_path, pages, extractor="cascade", cpu_seconds=0.3, memory_bytes=64 << 20)
    assert [rows[2 * number]["drop"] for number in range(6)] == [
        "extract.timeout", "extract.crash", "extract.memory", "extract.crash", "extract.crash", "extract.crash",
    ]  # fmt: skip
    assert all(rows[2 * number + 1]["drop"] is None for number in range(6))


def record(**fields):
    base = {
        "id": "urn:1", "url": None, "date": None, "offset": 0, "kind": "response", "status": 200,
        "content_type": "text/html", "header_charset": "utf-8", "body": b"", "problem": None,
    }  # fmt: skip
    return Record(**{**base, **fields})


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"body": b""}, (None, "e", "extract.empty")),
        ({"body": b"", "problem": "truncated"}, (None, "e", "extract.unreadable")),
        ({"body": b"<p>x", "problem": "too_large"}, (None, "e", "extract.too_large")),
        ({"body": b"x" * 40_001}, (None, "e", "extract.too_large")),
        ({"body": b"<b>" * 10_000}, (None, "e", "extract.too_deep")),
        ({"body": b"<p>text"}, ("<p>text", "e", None)),
        ({"body": b"<nav/><p>text"}, ("<nav/><p>text", "e", None)),
        ({"body": b"<nav/><p>text", "content_type": "application/xhtml+xml"}, ("<nav></nav><p>text", "e", None)),
        ({"body": "é\r\n \x00".encode(), "content_type": "text/plain"}, ("é", "plain", None)),
        ({"body": b" \n", "content_type": "text/plain"}, (None, "plain", "extract.empty")),
        ({"body": b"a < b", "kind": "wet", "content_type": "text/html"}, ("a < b", "plain", None)),
    ],
)
def test_each_kind_of_record_has_its_outcome(fields, outcome):
    assert extract_page(record(**fields), lambda html: html, "e", Bounds(html_chars=40_000, depth=20))[:3] == outcome


def test_depth_counts_open_elements_only():
    assert not is_deeper("<div></div>" * 50_000, 1000)
    assert is_deeper("<div><a>x</a>" * 5000, 1000)
    assert not is_deeper("<div>" * 999 + "<a>x</a>" * 5000, 1000)
    assert not is_deeper("<p>text<br><li>" * 50_000, 1000)
    assert not is_deeper("</div>" * 50_000 + "<b/>" * 5000, 1000)


def test_settings_are_checked_before_any_work():
    with pytest.raises(SettingsError, match="does not know 'ibo'"):
        Extract(language="ibo", model="lid.176")
    with pytest.raises(SettingsError, match="unknown extractor"):
        Extract(language="fra", extractor="trafilature")
    with pytest.raises(ValueError, match="above 0"):
        Extract(language="fra", cpu_seconds=0)
    with pytest.raises(ValueError, match="model_sha256"):
        Extract(language="fra", model_sha256="0" * 64)


def test_batches_are_bounded_and_have_the_schema(tmp_path, monkeypatch):
    monkeypatch.setattr(extract_module, "_BATCH_CHARS", 1000)
    archive = write_archive(
        tmp_path / "a.warc.gz", [(HTML, page([f"{n} {text}" for text in FRENCH])) for n in range(12)]
    )
    shards.write(tmp_path / "index.parquet", Index().schema, Index().make("a", [archive]), "index", 1, "f")
    batches = list(Extract(language="fra").make("a", [tmp_path / "index.parquet", archive]))
    assert sum(batch.num_rows for batch in batches) == 12
    assert max(batch.num_rows for batch in batches) <= 4
    assert all(batch.schema.equals(EXTRACT) for batch in batches)
