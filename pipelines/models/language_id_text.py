"""Read a folder of text by language, to train or to measure a language model.

A file is named by its language: `fr.jsonl.gz` (rows with `text`, `source` and `license`), `fr.txt`, or as FLORES names
them `fra_Latn.dev`, one sentence a line.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO, cast

from filters.language import known_codes, load_language
from filters.language_id.samples import TextSource
from filters.language_id.scripts import UNKNOWN_SCRIPT, script_of, split_label, standard_label
from roots.errors import InputError

TextsByLabel = dict[str, list[TextSource]]  # "fra_Latn" -> its sources
CHINESE = "zho_Hans"  # one label for both forms of it: filters.language_id.scripts tells them apart
_SCRIPT_CHARACTERS = 10_000  # of a text from which its script is counted


def wanted_labels() -> dict[str, str]:
    """Code -> label of all languages that have a file: "fr" -> "fra_Latn"; the two forms of Chinese share a label."""
    found = {code: load_language(code) for code in known_codes()}
    return {
        code: CHINESE if language.iso639_3 == "zho" else f"{language.iso639_3}_{language.script}"
        for code, language in found.items()
    }


def read_folders(folders: Iterable[Path]) -> TextsByLabel:
    """Text of several folders: label -> sources of all of them. Raises InputError as `read_folder` does."""
    return join_texts(map(read_folder, folders))


def join_texts(parts: Iterable[TextsByLabel]) -> TextsByLabel:
    """All sources of each label, in the order of the parts."""
    joined: TextsByLabel = {}
    for part in parts:
        for label, sources in part.items():
            joined.setdefault(label, []).extend(sources)
    return joined


def read_folder(folder: Path) -> TextsByLabel:
    """Text of a folder: label -> sources. Raises InputError for a folder that is missing or holds no text."""
    labels = wanted_labels()
    texts: TextsByLabel = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        name, _, kind = path.name.partition(".")
        reader = _READERS.get(kind)
        if reader is not None:
            sources = reader(path)
            code, script = split_label(labels.get(name) or standard_label(name))
            if script == UNKNOWN_SCRIPT and sources:
                script = script_of(" ".join(sources[0].documents)[:_SCRIPT_CHARACTERS])
            texts.setdefault(CHINESE if code == "zho" else f"{code}_{script}", []).extend(sources)
    if not texts:
        raise InputError(
            f"no text in {folder}: a file per language is expected, such as fr.jsonl.gz, fr.txt, fra_Latn.dev"
        )
    return texts


def _read_json_lines(path: Path) -> list[TextSource]:
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    with _opened(path) as lines:
        for line in lines:
            row = json.loads(line)
            found[row.get("source", path.name), row.get("license", "not said")].append(one_line(row["text"]))
    return [TextSource(name, licence, tuple(texts)) for (name, licence), texts in sorted(found.items())]


def _read_lines(path: Path) -> list[TextSource]:
    with _opened(path) as lines:
        texts = [one_line(line) for line in lines]
    return [TextSource(f"{path.parent.name}/{path.name}", "not said", tuple(filter(None, texts)))]


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return cast(TextIO, gzip.open(path, "rt", encoding="utf-8"))
    return path.open(encoding="utf-8")


def one_line(text: str) -> str:
    """A text with single spaces for all white space."""
    return " ".join(text.split())


_READERS = {
    "jsonl.gz": _read_json_lines, "jsonl": _read_json_lines,
    "txt.gz": _read_lines, "txt": _read_lines, "dev": _read_lines, "devtest": _read_lines,
}  # fmt: skip
