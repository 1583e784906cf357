"""Every known layout: a small file true to its form, what is read of it, and the same file in hostile variants."""

import bz2
import gzip
import lzma
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.archives.limits import Limits
from pipelines.archives.records import Record
from pipelines.sources.doors import read_source
from pipelines.sources.layouts import LAYOUTS, TableSettings
from pipelines.sources.tables import find_table
from tests.support.paths import ROOT
from tests.support.tables import FORMS, Rows, jsonl

_HEADERS = {
    "warc-record-id": "<urn:uuid:8f1c>",
    "warc-target-uri": "https://b.example/",
    "warc-date": "2023-02-01T10:00:00Z",
}
# Layout, perhaps with a kind of it -> name of the file, rows, and what is read of the first row.
_ROWS: dict[str, tuple[str, list[dict[str, Any]], Mapping[str, str | None]]] = {
    "oscar-23.01": (
        "fr_meta_part_1.jsonl.zst",
        [
            {
                "content": "Un texte.",
                "warc_headers": _HEADERS,
                "metadata": {
                    "identification": {"label": "fr", "prob": 1.0},
                    "quality_warnings": None,
                    "sentence_identifications": [None],
                },
            }
        ],
        {"id": "fr_meta_part_1.jsonl.zst:<urn:uuid:8f1c>", "url": "https://b.example/", "date": "2023-02-01T10:00:00Z"},
    ),
    "oscar-hub": (
        "a.jsonl",
        [
            {
                "id": 0,
                "text": "Un texte.",
                "meta": {
                    "warc_headers": _HEADERS,
                    "identification": {"label": "fr", "prob": 1.0},
                    "annotation": None,
                    "line_identifications": [],
                },
            }
        ],
        {"id": "a.jsonl:<urn:uuid:8f1c>", "url": "https://b.example/", "date": "2023-02-01T10:00:00Z"},
    ),
    "glotcc": (
        "fra-Latn_0.parquet",
        [
            {
                "content": "Un texte.",
                "warc-target-uri": "https://b.example/",
                "warc-date": "2023-02-01T10:00:00Z",
                "warc-record-id": "<urn:uuid:0000-1111-2222>",
                "tlsh": "x",
            }
        ],
        {"id": "<urn:uuid:0000-1111-2222>", "url": "https://b.example/", "date": "2023-02-01T10:00:00Z"},
    ),
    "wikipedia-html": (
        "frwiki-NS0-20260101-ENTERPRISE-HTML.json.tar.gz",
        [
            {
                "name": "Chat",
                "identifier": 7,
                "url": "https://fr.wikipedia.org/wiki/Chat",
                "date_modified": "2026-01-01T00:00:00Z",
                "article_body": {"html": "<p>Un texte.</p>", "wikitext": "Un texte."},
                "license": [{"name": "CC", "identifier": "CC-BY-SA-4.0"}],
            }
        ],
        {
            "id": "frwiki-NS0-20260101-ENTERPRISE-HTML.json.tar.gz:7",
            "url": "https://fr.wikipedia.org/wiki/Chat",
            "license": "CC-BY-SA-4.0",
        },
    ),
    "fineweb": (
        "000_00000.parquet",
        [
            {
                "text": "Un texte.",
                "id": "<urn:uuid:0000-1111-2222>",
                "dump": "CC-MAIN-2024-10",
                "url": "https://b.example/",
                "date": "2024-03-01T01:02:03Z",
                "file_path": "s3://x",
                "language": "fra",
                "language_script": "Latn",
                "minhash_cluster_size": 2,
                "top_langs": "{}",
            }
        ],
        {"id": "<urn:uuid:0000-1111-2222>", "url": "https://b.example/", "date": "2024-03-01T01:02:03Z"},
    ),
    "hplt": (
        "10_1.jsonl.zst",
        [
            {
                "f": "x.warc",
                "o": 1,
                "s": 2,
                "u": "https://b.example/",
                "c": "text/html",
                "ts": "2021-05-06T07:08:09Z",
                "lang": ["fra_Latn"],
                "prob": [1.0],
                "text": "Un texte.",
                "id": "0123456789abcdef0123",
            }
        ],
        {"id": "0123456789abcdef0123", "url": "https://b.example/", "date": "2021-05-06T07:08:09Z"},
    ),
    "hplt-1": (
        "fr_1.jsonl.zst",
        [
            {
                "id": 3,
                "document_lang": "fr",
                "scores": [1.0],
                "langs": ["fr"],
                "text": "Un texte.",
                "url": "https://b.example/",
                "collection": "wide17",
            }
        ],
        {"id": "fr_1.jsonl.zst:3", "url": "https://b.example/", "date": None},
    ),
    "culturax": (
        "fr_part_00000.parquet",
        [{"text": "Un texte.", "timestamp": "2019/04/25 12:57:54", "url": "https://b.example/", "source": "mC4"}],
        {"url": "https://b.example/", "date": "2019-04-25T12:57:54Z"},
    ),
    "c4": (
        "c4-fr.tfrecord-00000-of-02048.json.gz",
        [{"text": "Un texte.", "timestamp": "2019-04-25T12:57:54Z", "url": "https://b.example/"}],
        {"url": "https://b.example/", "date": "2019-04-25T12:57:54Z"},
    ),
    "roots": (
        "a.jsonl.gz",
        [{"text": "Un texte.", "meta": "{'url': 'https://b.example/', 'n': None}"}],
        {"url": "https://b.example/"},
    ),
    "madlad": ("fr_clean_0000.jsonl.gz", [{"text": "Un texte."}], {"url": None, "date": None, "license": None}),
    "oscar-23.01 of 2022": (
        "fr_meta_part_2.jsonl.gz",
        [
            {
                "content": "Un texte.",
                "warc_headers": _HEADERS,
                "metadata": {
                    "identification": {"label": "fr", "prob": 0.9},
                    "annotation": ["short_sentences", "footer"],
                    "sentence_identifications": [{"label": "fr", "prob": 0.9}, None],
                },
            }
        ],
        {"id": "fr_meta_part_2.jsonl.gz:<urn:uuid:8f1c>", "url": "https://b.example/", "date": "2023-02-01T10:00:00Z"},
    ),
    "hplt of 2025": (
        "10_2.jsonl.zst",
        [
            {
                "f": "./x.warc.gz",
                "o": 1,
                "s": 2,
                "rs": 3,
                "u": "https://b.example/",
                "c": "text/html",
                "ts": "2024-05-06T07:08:09Z",
                "crawl_id": "CC-MAIN-2024-10",
                "lang": ["fra_Latn", "eng_Latn"],
                "prob": [0.9, 0.1],
                "text": "Un texte.",
                "seg_langs": ["fra_Latn"],
                "id": "0123456789abcdef0123",
                "filter": "keep",
                "pii": [[0, 2]],
                "doc_scores": [9.0],
                "web-register": {"NA": 0.9},
            }
        ],
        {"id": "0123456789abcdef0123", "url": "https://b.example/", "date": "2024-05-06T07:08:09Z"},
    ),
    "fineweb in English": (
        "000_00001.parquet",
        [
            {
                "text": "Un texte.",
                "id": "<urn:uuid:0000-1111-2222>",
                "dump": "CC-MAIN-2013-20",
                "url": "https://b.example/",
                "date": "2013-05-18T05:48:54Z",
                "file_path": "s3://x",
                "language": "en",
                "language_score": 0.9,
                "token_count": 3,
            }
        ],
        {"id": "<urn:uuid:0000-1111-2222>", "url": "https://b.example/", "date": "2013-05-18T05:48:54Z"},
    ),
    "c4 in many languages": (
        "c4-xx-validation.tfrecord-00000-of-00001.json.gz",
        [{"text": "Un texte.", "timestamp": "2020-02-17T18:30:09Z", "url": "https://b.example/"}],
        {"url": "https://b.example/", "date": "2020-02-17T18:30:09Z"},
    ),
    "madlad of 2024": ("clean_docs_v2-00000-of-00010.jsonl.gz", [{"text": "Un texte."}], {"url": None}),
    "the-stack": (
        "train-00000.parquet",
        [
            {
                "hexsha": "a" * 40,
                "content": "Un texte.",
                "max_stars_repo_path": "src/a.py",
                "max_stars_repo_licenses": ["MIT"],
                "ext": "py",
            }
        ],
        {"id": "a" * 40, "path": "src/a.py", "license": "MIT"},
    ),
    "the-stack-v2": (
        "train-00001.parquet",
        [{"blob_id": "b" * 40, "path": "src/a.py", "detected_licenses": ["MIT", "Apache-2.0"], "content": "Un texte."}],
        {"id": "b" * 40, "path": "src/a.py", "license": "Apache-2.0 AND MIT"},
    ),
}


# Those that are no tables of rows: files by name, and what is read of the first document.
_TEXTS: dict[str, tuple[dict[str, bytes], Mapping[str, str | None]]] = {
    "cc-100": (
        {"fr.txt.xz": lzma.compress(b"Un texte.\nSa suite.\n\nUn autre.\n")},
        {"url": None, "date": None, "license": None},
    ),
    "oscar of 2019": ({"fr.txt.gz": gzip.compress(b"Un texte.\nSa suite.\n\nUn autre.\n")}, {"url": None}),
    "oscar-21.09": (
        {
            "fr_part_1.txt.gz": gzip.compress(b"Un texte.\nSa suite.\n\nUn autre.\n"),
            "fr_meta_part_1.jsonl.gz": gzip.compress(
                jsonl(
                    [
                        {"headers": _HEADERS, "offset": 0, "nb_sentences": 2},
                        {"headers": _HEADERS, "offset": 3, "nb_sentences": 1},
                    ]
                )
            ),
        },
        {"id": "<urn:uuid:8f1c>:fr:0", "url": "https://b.example/", "date": "2023-02-01T10:00:00Z"},
    ),
}


def bytes_of(name: str, rows: Rows) -> bytes:
    """The rows in the form that the name of a file stands for."""
    form = "a.json.tar.gz" if ".tar" in name else "a" + name[name.index(".") :]
    return FORMS[form](rows) if form in FORMS else gzip.compress(jsonl(rows))


def read(
    folder: Path, name: str, data: bytes, settings: TableSettings | None = None, limit: int = 5000
) -> list[Record]:
    (folder / name).write_bytes(data)
    return list(read_source(folder / name, settings or TableSettings(), Limits(body_bytes=limit)))


@pytest.mark.parametrize("case", _ROWS)
def test_a_known_layout_is_found_by_its_columns(case: str, tmp_path: Path) -> None:
    name, rows, wanted = _ROWS[case]
    layout = LAYOUTS[case.partition(" ")[0]]
    (record,) = read(tmp_path, name, bytes_of(name, rows))
    table = find_table(tmp_path / name, TableSettings())
    assert table is not None
    assert table.layout.summary == layout.summary
    assert (record.content_type, record.problem) == (layout.content_type, None)
    assert b"Un texte." in record.body
    assert {field: getattr(record, field) for field in wanted} == dict(wanted)


@pytest.mark.parametrize("case", _TEXTS)
def test_a_known_layout_of_plain_text_is_read(case: str, tmp_path: Path) -> None:
    files, wanted = _TEXTS[case]
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    settings = TableSettings() if case == "oscar-21.09" else TableSettings(layout="cc-100")
    first, second = read_source(tmp_path / next(iter(files)), settings, Limits())
    assert (first.body, second.body) == (b"Un texte.\nSa suite.", b"Un autre.")
    assert {field: getattr(first, field) for field in wanted} == dict(wanted)


def test_every_layout_has_a_true_file_and_a_line_in_the_readme() -> None:
    others = {"wikipedia-xml"}  # tests/pipelines/sources/test_wikipedia.py has its dumps
    assert {case.partition(" ")[0] for case in (*_ROWS, *_TEXTS)} | others >= set(LAYOUTS)
    readme = (ROOT / "pipelines" / "sources" / "README.md").read_text(encoding="utf-8")
    assert [name for name in LAYOUTS if f"| `{name}`" not in readme] == []


def changed(case: str, text: object) -> dict[str, Any]:
    """The row of a layout with another text."""
    row = deepcopy(_ROWS[case][1][0])
    column = LAYOUTS[case.partition(" ")[0]].columns["text"]
    *above, last = column.split(".")
    place = row
    for name in above:
        place = place[name]
    place[last] = text
    return row


@pytest.mark.parametrize("case", _ROWS)
def test_hostile_rows_of_every_layout_have_reasons(case: str, tmp_path: Path) -> None:
    name = _ROWS[case][0]
    good = _ROWS[case][1][0]
    rows = [good, changed(case, None), changed(case, "x" * 6000), good, changed(case, "")]
    records = read(tmp_path, name, bytes_of(name, rows))
    assert [record.problem for record in records] == [None, None, "too_large", None, None]
    assert [bool(record.body) for record in records] == [True, False, False, True, False]
    assert len({record.id for record in records}) == len(rows)


@pytest.mark.parametrize("case", [case for case in _ROWS if "json" in _ROWS[case][0] and ".tar" not in _ROWS[case][0]])
def test_lone_surrogates_of_every_layout_are_replaced(case: str, tmp_path: Path) -> None:
    name = _ROWS[case][0]
    data = jsonl([changed(case, "Un @ texte.")]).replace(b"@", b"\\ud83d")
    plain = f"{name.partition('.')[0]}.jsonl"
    assert read(tmp_path, plain, data)[0].body == "Un \ufffd texte.".encode()


@pytest.mark.parametrize("case", [case for case in _ROWS if _ROWS[case][0].endswith(("gz", "zst"))])
def test_a_cut_file_of_every_layout_gives_rows_and_says_so(case: str, tmp_path: Path) -> None:
    name = _ROWS[case][0]
    data = bytes_of(name, [changed(case, f"Texte {number} {number**7:x}") for number in range(3000)])
    records = read(tmp_path, name, data[: len(data) * 2 // 3])
    assert records[-1].problem == "truncated"
    assert {record.problem for record in records[:-1]} <= {None}


@pytest.mark.parametrize("case", [case for case in _ROWS if _ROWS[case][0].endswith("parquet")])
def test_columns_of_parquet_may_be_dictionaries_or_wide(case: str, tmp_path: Path) -> None:
    name, rows, wanted = _ROWS[case]
    table = pa.Table.from_pylist(rows)
    for kind in (pa.dictionary(pa.int32(), pa.string()), pa.large_string()):
        columns = [column.cast(kind) if pa.types.is_string(column.type) else column for column in table.columns]
        pq.write_table(pa.table(columns, names=table.column_names), tmp_path / name)
        (record,) = read_source(tmp_path / name, TableSettings(), Limits())
        assert record.body == b"Un texte."
        assert {field: getattr(record, field) for field in wanted} == dict(wanted)


@pytest.mark.parametrize("name", ["fr_clean_0000.jsonl.gz", "noisy_docs_v2-00000-of-00010.jsonl.gz", "fr.jsonl.gz"])
def test_line_ends_of_madlad_are_line_ends(name: str, tmp_path: Path) -> None:
    rows = [{"text": r"Un.\nDeux."}, {"text": "Un.\nIl écrit \\n."}]
    escaped, other = read(tmp_path, name, gzip.compress(jsonl(rows)))
    assert escaped.body.decode() == (r"Un.\nDeux." if name == "fr.jsonl.gz" else "Un.\nDeux.")
    assert other.body.decode() == "Un.\nIl écrit \\n."


_PACKINGS: dict[str, Callable[[bytes], bytes]] = {"xz": lzma.compress, "gz": gzip.compress, "bz2": bz2.compress}


@pytest.mark.parametrize("packing", _PACKINGS)
def test_hostile_plain_text_is_rows_with_reasons(packing: str, tmp_path: Path) -> None:
    text = b"Un.\n\n" + b"x" * 6000 + b"\n\n \t\n" + b"mot\n" * 2000 + b"\nDeux \xff.\n"
    records = read(tmp_path, f"fr.txt.{packing}", _PACKINGS[packing](text), TableSettings(layout="cc-100"))
    assert [record.problem for record in records] == [None, "too_large", "too_large", None]
    assert records[-1].body == b"Deux \xff."  # its charset is found by index, as that of a page is
    cut = _PACKINGS[packing](b"".join(b"Texte %x.\n\n" % number**7 for number in range(20_000)))[:-2000]
    assert read(tmp_path, f"cut.txt.{packing}", cut, TableSettings(layout="cc-100"))[-1].problem == "truncated"
