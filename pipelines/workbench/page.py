"""Write the threshold workbench: one HTML file in which a person who speaks a language sets its bounds.

The file has style, program, numbers and texts in it. It opens from a disk without a server, loads nothing and sends
nothing. Text of the crawl is packed (zlib, base64) and shown as text only; a content security policy lets no program
run but ours.
"""

import base64
import hashlib
import json
import re
import tomllib
import zlib
from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import cast

from filters.language import DEFAULT_SET, Bound, Language, bound_sets
from filters.signals.measures import MEASURES
from filters.signals.rules import SIGNALS, Rule, rules_of
from pipelines.job import work as folders
from pipelines.job.languages import load_any_language, load_text_language, own_file
from pipelines.workbench.overview import PlainWords, correlation, languages_of, stages_of
from pipelines.workbench.sample import (
    Sample,
    SampledSignal,
    Shown,
    ShownTexts,
    choose_whole,
    cut_excerpt,
    read_sample,
    read_shown_texts,
)
from pipelines.workbench.settings import ReportSettings
from pipelines.workbench.sources import sources_of
from roots.atomic import read_manifest, write_text
from roots.errors import InputError

_STYLES = ("base.css", "bounds.css", "reader.css", "overview.css")
_SCRIPTS = ("dom.js", "data.js", "bounds.js", "plot.js", "cards.js", "labels.js", "reader.js", "overview.js", "main.js")
_BLOCK = 64  # whole texts in one packed block; the page unpacks only the blocks that are read


def write_report(
    work: Path, language_code: str, target: Path | None = None, settings: ReportSettings | None = None
) -> Path:
    """Write the workbench of one language of a work folder to `target`, an HTML file; returns its path.

    Without a target it is CODE/report.html in the work folder. The same work folder gives the same bytes. Raises
    InputError if the language has not been measured, SettingsError for an unknown language or bound set, and for a
    programming language.
    """
    settings = settings or ReportSettings()
    language = load_text_language(language_code)
    target = target or work / language.code / "report.html"
    read_manifest(folders.folder(work, language.code, "measure"))  # raises if it is missing
    names = sorted(folders.known_shards(work))
    chains = [folders.chain(work, language.code, name, "filter") for name in names]
    sample = read_sample(chains, settings.numbers, [folders.folder(work, language.code, "filter") / n for n in names])
    if not sample.total:
        raise InputError(f"{work} has no document in {language.name}: there is nothing to report")
    begin = _begin(work, language_code, settings.bounds)
    readable = min(settings.documents, len(sample.ids))
    whole = choose_whole(sample, rules_of(begin[1].bounds), readable, settings.whole)
    shown = Shown(settings.excerpt, settings.longest, settings.redact)
    texts = read_shown_texts(chains, sample, readable, whole, shown)
    values = _values(work, language_code, begin, sample, settings) | {
        "readable": readable,
        "lengths": texts.lengths,
        "whole": whole,
    }
    packed = {"numbers": _pack(sample.packed())}
    packed["excerpts"] = _pack_excerpts(texts, settings.file_bytes // 2)
    room = settings.file_bytes - sum(map(len, packed.values())) - len(_page(language, values, {}).encode())
    blocks, held = _pack_texts(texts.whole, whole, room)
    packed |= {f"texts-{number}": block for number, block in enumerate(blocks)}
    values["whole"] = held
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, _page(language, values, packed))
    return target


def _begin(work: Path, language_code: str, bounds: str) -> tuple[str, Language]:
    """The bounds that the page starts from, and their name."""
    if bounds:
        return bounds, load_any_language(language_code, bounds)
    language = load_any_language(language_code)
    try:
        settings = read_manifest(folders.folder(work, language.code, "filter"))["settings"]
    except InputError:  # it is measured, but not judged yet
        return DEFAULT_SET, language
    rules = tuple(Rule(**rule) for rule in settings["rules"])
    for name in (DEFAULT_SET, *bound_sets(language.code, own_file(language_code))):
        known = load_any_language(language_code, name)
        if rules_of(known.bounds) == rules:
            return name, known
    note = "as the corpus was filtered"
    own = {rule.signal: Bound(rule.min, rule.max, note) for rule in rules}
    return "as filtered", replace(language, bounds=own)


def _values(
    work: Path, language_code: str, begin: tuple[str, Language], sample: Sample, settings: ReportSettings
) -> dict[str, object]:
    """The values for the page's program, without numbers and texts."""
    name, language = begin
    words = _plain_words()
    names = bound_sets(language.code, own_file(language_code))
    sets = {each: _bounds(load_any_language(language_code, each)) for each in names}
    sets[name] = _bounds(language)
    numbers = sample.numbers
    return {
        "language": {"code": language.code, "name": language.name, "tag": language.tag},
        "total": sample.total,
        "counted": len(sample.ids),
        "redacted": settings.redact,
        "key": hashlib.sha256("\n".join([language.code, str(sample.total), *sample.ids]).encode()).hexdigest()[:16],
        "begin": name,
        "standard": DEFAULT_SET,
        "sets": sets,
        "groups": words["groups"],
        "signals": [_signal(signal, words["signals"].get(signal), numbers.get(signal)) for signal in SIGNALS],
        "ids": sample.layout(),
        "stages": stages_of(work, language.code, words),
        "languages": languages_of(work),
        "sources": sources_of(work, language.code, settings.excerpt, settings.redact),
        "domains": sample.domains,
        "correlation": correlation({key: each.values for key, each in numbers.items() if each.whole}),
    }


def _bounds(language: Language) -> dict[str, dict[str, object]]:
    return {key: {"min": b.min, "max": b.max, "source": b.source} for key, b in language.bounds.items()}


def _signal(name: str, words: Mapping[str, str] | None, numbers: SampledSignal | None) -> dict[str, object]:
    """One signal in plain words, with the place of its numbers; `column` is null if it is not measured."""
    ceiling = MEASURES[name].high if name in MEASURES else 1  # a language score is a share
    if words is None:  # a new signal: its docstring, until someone writes plain words
        words = {
            "title": name.replace("_", " ").capitalize(),
            "what": MEASURES[name].meaning,
            "high": "",
            "low": "",
            "bad": "both",
            "axis": "share" if ceiling == 1 else "number",
            "group": "meaning",
        }
    return {"name": name, **words, "ceiling": ceiling, "column": numbers.column() if numbers else None}


def _plain_words() -> PlainWords:
    """What the page calls signals and reasons."""
    return cast(PlainWords, tomllib.loads(_part("words.toml")))


def _part(name: str) -> str:
    return (resources.files("pipelines") / "workbench" / name).read_text(encoding="utf-8")


def _pack(data: bytes) -> str:
    """Bytes as the page unpacks them. Base64 has no letter that could end a script element."""
    return base64.b64encode(zlib.compress(data, 9)).decode("ascii")


def _pack_json(values: object) -> str:
    return _pack(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))


def _pack_excerpts(texts: ShownTexts, limit: int) -> str:
    """Pack the URLs and excerpts of documents; halve the excerpts until they fit into `limit` bytes."""
    excerpts = texts.excerpts
    packed = _pack_json([texts.urls, excerpts])
    while len(packed) > limit and any(excerpts):
        excerpts = [cut_excerpt(excerpt, len(excerpt) // 2) for excerpt in excerpts]
        packed = _pack_json([texts.urls, excerpts])
    return packed


def _pack_texts(texts: Mapping[int, str], order: list[int], limit: int) -> tuple[list[str], list[int]]:
    """Pack whole texts in order into at most `limit` bytes; returns the blocks and the documents in them."""
    blocks: list[str] = []
    held: list[int] = []
    size = 0
    for start in range(0, len(order), _BLOCK):
        part = order[start : start + _BLOCK]
        block = _pack_json([texts[place] for place in part])
        size += len(block)
        if size > limit:
            break
        blocks.append(block)
        held += part
    return blocks, held


def _safe_json(values: object) -> str:
    """JSON for a script element: nothing in it can end the element or start a comment."""
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for letter in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate cannot be written


def _page(language: Language, values: Mapping[str, object], packed: Mapping[str, str]) -> str:
    """The whole file."""
    style = "\n".join(_part(name) for name in _STYLES)
    program = '"use strict";\n(() => {\n' + "\n".join(_part(name) for name in _SCRIPTS) + "\n})();\n"
    data = "\n".join(
        f'<script type="application/octet-stream" id="data-{name}">{block}</script>' for name, block in packed.items()
    )
    parts = {
        "POLICY": "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"style-src 'sha256-{_digest(style)}'; script-src 'sha256-{_digest(program)}'",
        "TITLE": f"{language.name} ({language.code}): threshold workbench",
        "STYLE": style,
        "VALUES": _safe_json(values),
        "DATA": data,
        "PROGRAM": program,
    }
    # One pass: a part must not be searched for the names of others.
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda found: parts[found[1]], _part("page.html"))


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
