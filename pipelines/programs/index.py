"""The index of a source tree: one row per file, with its path, programming language and licence, without text."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from filters.programs.languages import code_language
from filters.programs.licences import (
    LICENCE_FILES,
    LONGEST_LICENCE,
    MANIFESTS,
    declared_licence,
    licence_of_manifest,
    licence_of_text,
)
from filters.text.charset import decode_page
from pipelines.archives.limits import Limits
from pipelines.archives.records import Record
from pipelines.programs.trees import SourceFile, clean_path, origin, read_tree, url_of
from pipelines.sources.tables import Table, read_table

SOURCE_KIND = "source"  # value of the column `kind` for a file of a source tree
_CHARSET = "utf-8"
_UNDECODABLE = 0.1  # share of undecodable characters above which a file is not text
_UNKNOWN = "LicenseRef-unknown"  # SPDX's name for a licence that is not on its list

# Why a file of a source tree is dropped; reasons that records of web archives share are in pipelines.index.
TREE_REASONS: dict[str, str] = {
    "index.link": "a link: no link is followed",
    "index.special": "a device, a pipe, a sparse file",
    "index.bad_path": "an absolute path, or one that leads out of the tree",
    "index.encrypted": "a file of a zip that needs a password",
    "index.unreadable": "the file system does not let it be read",
    "index.not_source": "in no programming language that is known",
}


def index_tree(source: Path, limits: Limits) -> Iterator[dict[str, object]]:
    """The rows of the index of a source tree, one per file.

    The tree is read twice, because a licence also holds for files that come before it.
    """
    licences = _licences(source, limits)
    address = origin(source)
    seen: Counter[str] = Counter()
    for file in read_tree(source, limits):
        url = url_of(source.name, address, file.path)
        seen[url] += 1  # an archive may hold a path twice
        row: dict[str, object] = {
            "id": f"<urn:sha1:{hashlib.sha1(f'{url}:{seen[url]}'.encode()).hexdigest()}>",
            "url": url,
            "file_path": source.name,
            "offset": file.place,
            "kind": SOURCE_KIND,
            "payload_bytes": file.size,
            "path": file.path,
        }
        yield row | _look(file, licences)


def index_programs(table: Table, limits: Limits, part: range | None = None) -> Iterator[dict[str, object]]:
    """The rows of the index of a table of programs, or of a part of it, with the licences that its rows state."""
    for record, file in program_files(table, limits, part):
        row: dict[str, object] = {
            "id": record.id,
            "url": record.url,
            "date": record.date,
            "file_path": table.path.name,
            "offset": file.place,
            "kind": SOURCE_KIND,
            "payload_bytes": file.size,
            "path": file.path,
        }
        found = _look(file, {})
        yield row | found | {"license": record.license or found.get("license")}


def program_files(
    table: Table, limits: Limits, wanted: Sequence[int] | None = None
) -> Iterator[tuple[Record, SourceFile]]:
    """The files in a table of programs, as those of a source tree; `wanted` are their places."""
    for record in read_table(table, limits, wanted):
        path = clean_path(record.path or "")
        problem = record.problem or (None if path else "bad_path")
        data = b"" if problem else record.body
        yield record, SourceFile(path or record.path or "", record.offset, data, len(record.body), problem)


def _look(file: SourceFile, licences: Mapping[str, str]) -> dict[str, object]:
    """Charset, language and licence of a file by its content, or why it is dropped."""
    if file.problem:
        return {"drop": f"index.{file.problem}"}
    if not file.data.strip():
        return {"drop": "index.empty"}
    text, charset, charset_from = source_text(file.data)
    if b"\0" in file.data or text.count("�") > _UNDECODABLE * len(text):
        return {"drop": "index.undecodable"}
    row: dict[str, object] = {
        "charset": charset,
        "charset_from": charset_from,
        "quick_chars": len(text),
        "use_signals": [],
    }
    code = code_language(file.path, text)
    if code is None:
        return row | {"drop": "index.not_source"}
    row["license"] = declared_licence(text) or _nearest(file.path, licences)
    return row | {"languages": [{"label": code, "score": 1.0}], "drop": None}


def source_text(data: bytes) -> tuple[str, str, str]:
    """A program's text with line feeds only, its charset, and the evidence for the charset."""
    try:
        text, charset, charset_from = data.decode("utf-8-sig"), _CHARSET, _CHARSET
    except UnicodeDecodeError:
        found = decode_page(data, None)
        text, charset, charset_from = found.text, found.charset, found.charset_from
    return re.sub(r"\r\n?", "\n", text), charset, charset_from


def _licences(source: Path, limits: Limits) -> dict[str, str]:
    """Folder -> the licence it declares; a manifest counts before a licence file."""
    declared: dict[str, str] = {}
    texts: dict[str, set[str]] = {}
    for file in read_tree(source, limits):
        folder, _, name = file.path.rpartition("/")
        if file.problem or not (name in MANIFESTS or LICENCE_FILES.match(name)):
            continue
        text = file.data[: 4 * LONGEST_LICENCE].decode("utf-8", "replace")
        if name in MANIFESTS:
            expression = licence_of_manifest(name, text)
            if expression:
                declared.setdefault(folder, expression)
        else:
            # An unknown licence counts too: files below must not take the licence of a folder above.
            texts.setdefault(folder, set()).add(licence_of_text(text) or _UNKNOWN)
    return {folder: " AND ".join(sorted(found)) for folder, found in texts.items()} | declared


def _nearest(path: str, licences: Mapping[str, str]) -> str | None:
    """The licence that the nearest folder above a file declares."""
    folder = path
    while folder:
        folder = folder.rpartition("/")[0]
        if folder in licences:
            return licences[folder]
    return None
