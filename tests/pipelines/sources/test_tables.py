"""Tables of text are read row by row, in every form and layout, and no bad row ends one."""

import gzip
import json
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.text.charset import decode_page
from pipelines.archives.limits import Limits
from pipelines.archives.records import Record
from pipelines.index import faults_of
from pipelines.programs.index import index_programs
from pipelines.sources.doors import read_source, read_source_at
from pipelines.sources.layouts import TableSettings
from pipelines.sources.tables import find_table
from roots.errors import InputError, SettingsError
from tests.support.tables import FORMS, jsonl, tar_of

TEXTS = (
    'Le chat dort.\nIl rêve, "dit-on".',
    "ሰላም ለዓለም።",
    "مرحبا بالعالم",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "你好，世界。",
    "Ẹ kú àárọ̀, gbogbo ènìyàn.",
)
ROWS = [
    {
        "text": text,
        "id": f"<urn:uuid:0000-{number:012d}>",
        "url": f"https://a.example/{number}",
        "date": f"2026-01-0{number + 1}",
    }
    for number, text in enumerate(TEXTS)
]


def read(path: Path, settings: TableSettings | None = None, limits: Limits | None = None) -> list[Record]:
    return list(read_source(path, settings or TableSettings(), limits or Limits()))


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    path = put(tmp_path, name, FORMS[name](ROWS))
    records = read(path)
    assert [record.body.decode() for record in records] == list(TEXTS)
    assert [record.id for record in records] == [row["id"] for row in ROWS]
    assert [record.url for record in records] == [row["url"] for row in ROWS]
    assert [record.date for record in records] == [f"{row['date']}T00:00:00Z" for row in ROWS]
    assert {record.problem for record in records} == {None}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("dense", [True, False])
def test_rows_are_found_again_by_their_places(name: str, dense: bool, tmp_path: Path) -> None:
    path = put(tmp_path, name, FORMS[name](ROWS))
    places = [record.offset for record in read(path)]
    assert places == sorted(set(places))
    again = read_source_at(path, places[1::2], TableSettings(), Limits(), dense)
    assert [record.body.decode() for record in again] == list(TEXTS[1::2])


def test_tabs_part_cells_and_quotes_are_text(tmp_path: Path) -> None:
    path = put(tmp_path, "a.tsv", b'text\tid\n"un" chat\t1\nsans fin "\t2\n')
    assert [record.body.decode() for record in read(path)] == ['"un" chat', 'sans fin "']


_HEADERS = {
    "warc-record-id": "<urn:uuid:8f1c>",
    "warc-target-uri": "https://b.example/",
    "warc-date": "2023-02-01T10:00:00Z",
}


def _oscar_2109(folder: Path, documents: list[list[str]], **changes: int) -> Path:
    lines, metas = [], []
    for number, document in enumerate(documents):
        headers = {**_HEADERS, "warc-record-id": f"<urn:uuid:{number}>"}
        metas.append({"headers": headers, "offset": len(lines), "nb_sentences": len(document)})
        lines += [*document, ""]
    metas[-1] |= changes
    put(folder, "fr_meta_part_1.jsonl.gz", gzip.compress(jsonl(metas)))
    return put(folder, "fr_part_1.txt.gz", gzip.compress("\n".join(lines).encode()))


def test_documents_of_oscar_2109_are_cut_by_their_metadata(tmp_path: Path) -> None:
    path = _oscar_2109(tmp_path, [["Un.", "", "Deux."], ["Trois."]])
    first, second = read(path)
    assert (first.body, second.body) == (b"Un.\n\nDeux.", b"Trois.")
    assert (first.id, second.id) == ("<urn:uuid:0>:fr:0", "<urn:uuid:1>:fr:4")
    assert second.url == "https://b.example/"
    assert [each.body for each in read_source_at(path, [4], TableSettings(), Limits(), False)] == [b"Trois."]


def test_metadata_that_do_not_fit_the_text_are_a_reason(tmp_path: Path) -> None:
    assert [r.problem for r in read(_oscar_2109(tmp_path, [["Un."], ["Deux."]], nb_sentences=9))] == [None, "truncated"]
    other = _oscar_2109(tmp_path, [["Un."], ["Deux.", "Trois.", "Quatre."]], offset=3, nb_sentences=2)
    assert [record.problem for record in read(other)] == [None, "bad_length"]


@pytest.mark.parametrize("changes", [{"nb_sentences": 1 << 60}, {"offset": 1 << 60}, {"nb_sentences": -1}])
def test_counts_of_oscar_2109_that_lie_cost_no_memory(changes: dict[str, int], tmp_path: Path) -> None:
    path = _oscar_2109(tmp_path, [["Un."], ["mot " * 2500] * 2000], **changes)
    tracemalloc.start()
    problems = [record.problem for record in read(path, limits=Limits(body_bytes=100_000))]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert problems[0] is None
    assert problems[1] in ("truncated", "broken", "too_large")
    assert peak < 12 << 20


def test_a_text_without_blank_lines_is_never_whole_in_memory(tmp_path: Path) -> None:
    path = put(tmp_path, "fr.txt", b"Un.\n\n" + (b"mot " * 250 + b"\n") * 20_000 + b"\nDeux.\n")
    tracemalloc.start()
    records = read(path, TableSettings(split="blank"), Limits(body_bytes=100_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [record.body for record in records] == [b"Un.", b"", b"Deux."]
    assert [record.problem for record in records] == [None, "too_large", None]
    assert peak < 8 << 20


def test_blank_lines_end_documents_when_asked(tmp_path: Path) -> None:
    path = put(tmp_path, "fr.txt", b"Un.\nDeux.\n\n \nTrois.")
    assert [r.body for r in read(path, TableSettings(split="blank"))] == [b"Un.\nDeux.", b"Trois."]
    assert [r.body for r in read(path)] == [b"Un.\nDeux.\n\n \nTrois."]


BAD_LINES = {
    "no JSON": (b'{"text": "un', "broken"),
    "no object": (b'["text"]', "broken"),
    "a number": (b"17", "broken"),
    "a text that is a number": (b'{"text": 5}', "broken"),
    "a text that is a list": (b'{"text": ["a"]}', "broken"),
    "too large": (b'{"text": "' + b"x" * 5000 + b'"}', "too_large"),
    "too deep": (b'{"meta": ' + b"[" * 1900 + b"]" * 1900 + b', "text": "a"', "broken"),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_a_bad_line_is_a_row_with_a_reason(case: str, tmp_path: Path) -> None:
    line, problem = BAD_LINES[case]
    good = b'{"text": "un", "id": "1"}\n'
    path = put(tmp_path, "a.jsonl", good + line + b"\n" + good.replace(b"1", b"2"))
    first, bad, last = read(path, limits=Limits(body_bytes=4000))
    assert (first.problem, bad.problem, last.problem) == (None, problem, None)
    assert bad.body == b""
    assert last.offset == len(good) + len(line) + 1


def test_null_texts_are_rows_without_a_body(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"text": None, "id": "1"},
        {"id": "2"},
        {"text": "", "id": "3"},
        {"text": "un", "id": "4"},
    ]
    for name in ("a.jsonl", "a.parquet"):
        assert [(r.body, r.problem) for r in read(put(tmp_path, name, FORMS[name](rows)))][:3] == [(b"", None)] * 3


def test_lone_surrogates_are_replaced_and_pairs_joined(tmp_path: Path) -> None:
    path = put(tmp_path, "a.jsonl", b'{"text": "a\\ud800b \\ud83d\\ude00", "id": "1"}\n')
    assert read(path)[0].body.decode() == "a\ufffdb 😀"


ESCAPES = ["", "\\n", "a\\\\nb", '\n\t\r\b\f"\\/', "\u00e9\u0000", "\\u00e9", "été \U0001f600\n", '\\"\n']


@pytest.mark.parametrize("ascii_only", [True, False])
def test_escapes_in_a_text_mean_what_json_says(ascii_only: bool, tmp_path: Path) -> None:
    lines = [json.dumps({"text": text}, ensure_ascii=ascii_only).replace("/", "\\/") for text in ESCAPES]
    path = put(tmp_path, "a.jsonl", "\n".join(lines).encode())
    assert [record.body.decode() for record in read(path)] == ESCAPES


def test_a_text_in_another_charset_keeps_its_bytes(tmp_path: Path) -> None:
    text = "Les élèves étaient très fatigués après la leçon de français.".encode("latin-1")
    path = put(tmp_path, "a.jsonl", b'{"text": "' + text + b'", "id": "1"}\n')
    table = pa.table({"text": pa.array([text]).view(pa.string())})
    pq.write_table(table, tmp_path / "a.parquet")
    for (record,) in (read(path), read(tmp_path / "a.parquet")):
        assert (record.body, record.problem) == (text, None)
        assert decode_page(record.body, record.header_charset).text.encode("latin-1") == text


def test_a_truncated_file_gives_its_rows_and_says_so(tmp_path: Path) -> None:
    rows = [{"text": f"Texte {n} " + "mot " * (n % 7), "id": str(n)} for n in range(5000)]
    for name in ("a.jsonl.gz", "a.jsonl.zst", "a.csv.gz"):
        whole = FORMS[name](rows)
        records = read(put(tmp_path, name, whole[: len(whole) * 2 // 3]))
        assert records[-1].problem == "truncated", name
        assert {record.problem for record in records[:-1]} <= {None}


def test_ids_are_made_ones_own(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"text": "a", "id": 1},
        {"text": "b", "id": 1},
        {"text": "c", "id": None},
        {"text": "d", "id": "x" * 30},
    ]
    ids = [record.id for record in read(put(tmp_path, "t.jsonl", jsonl(rows)))]
    assert ids[0] == "t.jsonl:1"
    assert ids[1] == f"t.jsonl:1#{len(jsonl(rows[:1]))}"
    assert ids[2].startswith("<urn:sha1:")
    assert ids[3] == "x" * 30


def test_parquet_may_have_wide_and_encoded_columns(tmp_path: Path) -> None:
    for kind in (pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.binary()):
        table = pa.table(
            {"text": pa.array(["un", "deux"]).cast(kind) if kind != pa.binary() else pa.array([b"un", b"deux"])}
        )
        pq.write_table(table, tmp_path / "a.parquet")
        assert [record.body for record in read(tmp_path / "a.parquet")] == [b"un", b"deux"], kind


def test_dates_become_iso_in_utc(tmp_path: Path) -> None:
    dates = [datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)]
    pq.write_table(
        pa.table({"text": ["a", "b"], "timestamp": pa.array(dates, pa.timestamp("us", "UTC"))}), tmp_path / "a.parquet"
    )
    assert read(tmp_path / "a.parquet")[0].date == "2020-01-02T03:04:05Z"
    path = put(
        tmp_path,
        "a.jsonl",
        b'{"text": "a", "ts": 1577934245}\n{"text": "a", "ts": 1577934245000}\n{"text": "a", "ts": "soon"}\n',
    )
    assert [record.date for record in read(path)] == ["2020-01-02T03:04:05Z"] * 2 + [None]


def test_a_column_can_be_named(tmp_path: Path) -> None:
    path = put(tmp_path, "a.jsonl", b'{"corps": {"texte": "un"}, "lien": "https://a.example/"}\n')
    with pytest.raises(InputError, match=r"no column of text among corps, lien: name it with --field text=COLUMN"):
        find_table(path, TableSettings())
    (record,) = read(path, TableSettings(text_column="corps.texte", url_column="lien"))
    assert (record.body, record.url) == (b"un", "https://a.example/")


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"oscar-23\.01"):
        TableSettings(layout="oscar-23.1")


@pytest.mark.parametrize(
    ("name", "data"), [("a.jsonl", b""), ("b.jsonl", b"\n\n"), ("c.parquet", b"PAR1 no more"), ("d.csv", b"text\n")]
)
def test_a_table_without_rows_is_an_error(name: str, data: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=name):
        read(put(tmp_path, name, data))


def test_a_tar_of_other_files_is_no_table(tmp_path: Path) -> None:
    assert find_table(put(tmp_path, "a.tar.gz", tar_of({"a.py": b"x = 1\n"})), TableSettings()) is None
    assert find_table(put(tmp_path, "a.warc", b"WARC/1.0\r\n"), TableSettings()) is None
    assert json.loads("{}") == {}


def test_a_table_of_programs_gives_files_with_paths_and_licences(tmp_path: Path) -> None:
    code = 'def area(width, height):\n    """The area of a rectangle."""\n    return width * height\n'
    rows: list[dict[str, Any]] = [
        {
            "hexsha": "a" * 40,
            "content": code,
            "max_stars_repo_path": path,
            "max_stars_repo_licenses": ["MIT", "Apache-2.0"],
        }
        for path in ("src/area.py", "../../etc/passwd")
    ]
    table = find_table(put(tmp_path, "a.parquet", FORMS["a.parquet"](rows)), TableSettings())
    assert table is not None
    good, bad = index_programs(table, Limits())
    assert (good["path"], good["license"]) == ("src/area.py", "Apache-2.0 AND MIT")
    assert good["languages"] == [{"label": "python", "score": 1.0}]
    assert bad["drop"] == "index.bad_path"
    (refused,) = faults_of([table.path], ["fr"]).values()
    assert "name a programming language" in refused
    assert faults_of([table.path], ["python"]) == {}
