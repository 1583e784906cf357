"""index, of a source tree: one row a file, with its path, its programming language and its licence; no text."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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
from pipelines.programs.trees import SourceFile, origin, read_tree, url_of

KIND = "source"  # of a record of the index that is a file of a source tree
_CHARSET = "utf-8"
_UNDECODABLE = 0.1  # share of undecodable characters above which a file is no text
_UNKNOWN = "LicenseRef-unknown"  # SPDX's name for a licence that is not on its list

# Why a file of a source tree is dropped; those that a record of a web archive can have too are in pipelines.index.
REASONS: dict[str, str] = {
    "index.link": "a link: no link is followed",
    "index.special": "a device, a pipe, a sparse file",
    "index.bad_path": "an absolute path, or one that leads out of the tree",
    "index.encrypted": "a file of a zip that needs a password",
    "index.unreadable": "the file system refuses it",
    "index.not_source": "of none of the programming languages that are known",
}


def index_tree(source: Path, limits: Limits) -> Iterator[dict[str, Any]]:
    """The rows of the index of a source tree, one a file.

    The tree is read twice: a licence holds for files that may come before it.
    """
    licences = _licences(source, limits)
    address = origin(source)
    seen: Counter[str] = Counter()
    for file in read_tree(source, limits):
        url = url_of(source.name, address, file.path)
        seen[url] += 1  # an archive may hold one path twice
        row: dict[str, Any] = {
            "id": f"<urn:sha1:{hashlib.sha1(f'{url}:{seen[url]}'.encode()).hexdigest()}>",
            "url": url,
            "file_path": source.name,
            "offset": file.place,
            "kind": KIND,
            "payload_bytes": file.size,
            "path": file.path,
        }
        yield row | _look(file, licences)


def _look(file: SourceFile, licences: Mapping[str, str]) -> dict[str, Any]:
    """What the content of a file says: charset, language, licence; or why it is dropped."""
    if file.problem:
        return {"drop": f"index.{file.problem}"}
    if not file.data.strip():
        return {"drop": "index.empty"}
    text, charset, told_by = source_text(file.data)
    if b"\0" in file.data or text.count("�") > _UNDECODABLE * len(text):
        return {"drop": "index.undecodable"}
    row: dict[str, Any] = {"charset": charset, "charset_from": told_by, "quick_chars": len(text), "signals": []}
    code = code_language(file.path, text)
    if code is None:
        return row | {"drop": "index.not_source"}
    row["license"] = declared_licence(text) or _nearest(file.path, licences)
    return row | {"languages": [{"label": code, "score": 1.0}], "drop": None}


def source_text(data: bytes) -> tuple[str, str, str]:
    """A program's text with line feeds alone, its charset, and what told it: nearly all are UTF-8."""
    try:
        text, charset, told_by = data.decode("utf-8-sig"), _CHARSET, _CHARSET
    except UnicodeDecodeError:
        found = decode_page(data, None)
        text, charset, told_by = found.text, found.charset, found.charset_from
    return re.sub(r"\r\n?", "\n", text), charset, told_by


def _licences(source: Path, limits: Limits) -> dict[str, str]:
    """For every folder of a tree that says its licence, what it says: a manifest's word before a licence file's."""
    said: dict[str, str] = {}
    texts: dict[str, set[str]] = {}
    for file in read_tree(source, limits):
        folder, _, name = file.path.rpartition("/")
        if file.problem or not (name in MANIFESTS or LICENCE_FILES.match(name)):
            continue
        text = file.data[: 4 * LONGEST_LICENCE].decode("utf-8", "replace")
        if name in MANIFESTS:
            expression = licence_of_manifest(name, text)
            if expression:
                said.setdefault(folder, expression)
        else:
            # One that is not known stands as such, so that nothing below takes the licence of a folder above.
            texts.setdefault(folder, set()).add(licence_of_text(text) or _UNKNOWN)
    return {folder: " AND ".join(sorted(found)) for folder, found in texts.items()} | said


def _nearest(path: str, licences: Mapping[str, str]) -> str | None:
    """What the nearest folder above a file says of licences."""
    folder = path
    while folder:
        folder = folder.rpartition("/")[0]
        if folder in licences:
            return licences[folder]
    return None
