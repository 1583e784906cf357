"""Catalogues of small sources in eight forms, each with a chain of its own, for tests and benchmarks."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.tables import FORMS, Rows

_WHO = ["le meunier", "une enfant", "la vieille rivière", "mon voisin", "la route", "notre maîtresse", "un fermier"]
_DOES = ["regarde", "suit", "oublie", "dessine", "trouve", "traverse", "raconte", "écoute"]
_WHAT = ["le pont de pierre", "un petit bateau", "le mur du jardin", "la dernière maison du village", "une porte"]
_WHEN = ["dans la nuit", "avec les autres", "pour la première fois", "sans un mot", "au bord de la mer", "le dimanche"]


def french(seed: Sequence[int]) -> str:
    """A French text of 15 sentences; another seed gives another one."""
    chance = np.random.default_rng(seed)

    def one(of: Sequence[str]) -> str:
        return of[int(chance.integers(len(of)))]

    return "\n".join(
        f"{one(_WHO).capitalize()} {one(_DOES)} {one(_WHAT)} {one(_WHEN)}, et {one(_WHO)} {one(_DOES)} {one(_WHAT)}."
        for _ in range(15)
    )


def _warc(rows: Rows) -> bytes:
    pages = ["<p>".join(["<html><body><article>", *row["text"].split("\n")]) for row in rows]
    return b"".join(_record(row, "response", page) for row, page in zip(rows, pages, strict=True))


def _wet(rows: Rows) -> bytes:
    return b"".join(_record(row, "conversion", row["text"]) for row in rows)


def _record(row: Any, kind: str, text: str) -> bytes:
    body = text.encode()
    if kind == "response":
        body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + body
    form = "application/http; msgtype=response" if kind == "response" else "text/plain"
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: {row['id']}\r\nWARC-Date: {row['date']}\r\n"
        f"WARC-Target-URI: {row['url']}\r\nContent-Type: {form}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + body + b"\r\n\r\n", mtime=0)


def _docx(text: str) -> bytes:
    word = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    lines = "".join(f"<w:p><w:r><w:t>{line}</w:t></w:r></w:p>" for line in text.split("\n"))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("[Content_Types].xml"), "<Types/>")
        body = f"<w:document {word}><w:body>{lines}</w:body></w:document>"
        archive.writestr(zipfile.ZipInfo("word/document.xml"), body)
    return out.getvalue()


def _put(name: str, write: Callable[[Rows], bytes]) -> Callable[[Rows, Path], str]:
    def put(rows: Rows, folder: Path) -> str:
        (folder / name).write_bytes(write(rows))
        return name

    return put


def _books(rows: Rows, folder: Path) -> str:
    (folder / "books").mkdir()
    for number, row in enumerate(rows):
        (folder / "books" / f"{number}.docx").write_bytes(_docx(row["text"]))
    return "books"


def _saved(rows: Rows, folder: Path) -> str:
    saved = folder / "saved"
    saved.mkdir()
    (saved / "data-00000-of-00001.arrow").write_bytes(FORMS["b.arrow"](rows))
    (saved / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    (saved / "dataset_info.json").write_text("{}")
    return "saved"


_PUT: dict[str, Callable[[Rows, Path], str]] = {
    "warc": _put("pages.warc.gz", _warc),
    "wet": _put("pages.warc.wet.gz", _wet),
    "jsonl": _put("a.jsonl.zst", FORMS["a.jsonl.zst"]),
    "parquet": _put("a.parquet", FORMS["a.parquet"]),
    "csv": _put("a.csv", FORMS["a.csv"]),
    "text": _put("a.txt", lambda rows: "\n\n".join(row["text"] for row in rows).encode()),
    "documents": _books,
    "saved": _saved,
}


def _rows(source: int, count: int) -> Rows:
    """Documents of a source: the first is in every other source, too, and the last is short."""
    texts = [
        french([7, 0]),
        *(french([source, number]) for number in range(count - 2)),
        "Le pont est loin de la ville.",
    ]
    return [
        {
            "text": f"{text}\nVoir aussi la page {source}." if 0 < number < count - 1 else text,
            "id": f"<urn:uuid:00000000-0000-{source:04d}-0000-{number:012d}>",
            "url": f"https://s{source}.example/{number}",
            "date": f"2026-01-01T00:00:{source % 60:02d}Z",
        }
        for number, text in enumerate(texts)
    ]


def write_sources(folder: Path, sources: int, documents: int) -> Path:
    """Write a catalogue of some sources, each with some documents, all forms in turn; returns its path.

    Each seventh says that it is in Swahili, each ninth is killed, and two of five have bounds of their own.
    """
    entries: list[str] = []
    for number in range(sources):
        form = list(_PUT)[number % len(_PUT)]
        name = f"{form}-{number:03d}"
        (folder / name).mkdir(parents=True)
        path = _PUT[form](_rows(number, documents), folder / name)
        entries += ["[[source]]", f'name = "{name}"', f'path = "{name}/{path}"', 'license = "CC-BY-4.0"']
        entries += [f'custodian = "Custodian {number}"', f"languages = {['sw'] if number % 7 == 5 else ['fr']}"]
        entries += ['kill = "broken sentences"'] if number % 9 == 8 else []
        entries += ['settings.source.split = "blank"'] if form == "text" else []
        entries += ["min_bytes = 10", 'leave_out = ["filter"]'] if number % 5 == 0 else []
        entries += ["min_bytes = 1024", "bounds.function_words = {}", ""] if number % 5 == 1 else [""]
    catalogue = folder / "sources.toml"
    catalogue.write_text("\n".join(entries))
    return catalogue
