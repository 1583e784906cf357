"""FineWeb-2's way: its configuration of a language, read as our bounds and function words, and the words it counts.

FineWeb-2 has a YAML file for each of 1,929 languages (`configs/fra_Latn.yml` of its repository). Each key is an
argument of one of datatrove's filters, and becomes a bound here. What its pipeline fixes for all languages is the bound
set `fineweb2` of `filters/languages/default.toml`. Nothing slow is imported here.
"""

import csv
import io
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from filters.language import SEGMENTER_NAMES, SPACY, SPLITTER_NAMES, Bound, Language
from roots.errors import InputError, SettingsError, unknown_name
from roots.settings import build

PROJECT = "fineweb2"
_MOST_BYTES = 1 << 16  # of a configuration; FineWeb-2's have some 500
_MOST_ROWS = 1 << 22  # characters of a table of splitters
_SUFFIXES = (".yml", ".yaml")
_TOP, _REPEATED = range(2, 5), range(5, 11)  # n of the n-grams that have a signal

# What FineWeb-2's code cuts the words of a language with: a splitter of filters.text.splitters.
_SPLITTERS = {
    "spacy:xx": ("aka_Latn", "bam_Latn", "fat_Latn", "twi_Latn"),
    "spacy:tn": (
        "fon_Latn", "ibo_Latn", "kik_Latn", "lin_Latn", "nso_Latn", "nya_Latn", "sna_Latn", "sot_Latn", "swh_Latn",
        "tsn_Latn", "tso_Latn", "tum_Latn", "xho_Latn", "zul_Latn",
    ),
    "spacy:lg": ("kin_Latn", "lug_Latn", "run_Latn"),
    "indic": (
        "asm_Beng", "ben_Beng", "guj_Gujr", "hin_Deva", "kan_Knda", "mal_Mlym", "mar_Deva", "npi_Deva", "ory_Orya",
        "pan_Guru", "tam_Taml", "tel_Telu",
    ),
    "indic-urdu": ("urd_Arab",),
    "spacy:ar": ("arb_Arab",), "spacy:ca": ("cat_Latn",), "spacy:en": ("eng_Latn",), "spacy:es": ("spa_Latn",),
    "spacy:eu": ("eus_Latn",), "spacy:fr": ("fra_Latn",), "spacy:id": ("ind_Latn",), "spacy:pt": ("por_Latn",),
    "spacy:vi": ("vie_Latn",), "spacy:yo": ("yor_Latn",), "spacy:zh": ("cmn_Hani", "zho_Hans", "zho_Hant"),
}  # fmt: skip
_OTHER_TAGS = {"aka_Latn": "fat_Latn", "zho_Hans": "cmn_Hani", "zho_Hant": "cmn_Hani"}  # of FineWeb-2's files


@dataclass(frozen=True)
class _Configuration:
    """One of FineWeb-2's files: its ten keys, with the names and meanings of datatrove's arguments."""

    language_score: float  # least score of the language
    dup_line_frac: float  # of lines that occurred before; 0: off
    top_n_grams: tuple[tuple[int, float], ...]  # [n, largest share of the most frequent n-gram]
    dup_n_grams: tuple[tuple[int, float], ...]  # [n, largest share of n-grams that occurred before]
    line_punct_thr: float  # least share of lines that end in a mark; -1: off
    new_line_ratio: float  # line feeds a word
    min_avg_word_length: float  # 0: off
    max_avg_word_length: float  # 0: off
    max_non_alpha_words_ratio: float  # in truth the least share of words with a letter; 0: off
    stopwords: tuple[str, ...]  # of which a document needs two different ones

    def __post_init__(self) -> None:
        for name, allowed in (("top_n_grams", _TOP), ("dup_n_grams", _REPEATED)):
            sizes = [n for n, _ in getattr(self, name)]
            for n in sizes:
                if n not in allowed or sizes.count(n) > 1:
                    raise ValueError(f"{name} has n = {n}: each of {allowed[0]} to {allowed[-1]} may stand once")
        for each in fields(self):
            values = getattr(self, each.name)
            numbers = values if isinstance(values, tuple) else ((0, values),)
            if each.name != "stopwords" and not all(math.isfinite(value) for _, value in numbers):
                raise ValueError(f"{each.name} is not finite")
        if not self.stopwords:
            raise ValueError("stopwords is empty: a document needs two of them, so none would be kept")

    def bounds(self, source: str) -> dict[str, Bound]:
        """Our bounds that decide as datatrove's filters do; a filter that is off is a bound without limits."""
        off = [f"top_{n}_gram" for n in _TOP] + [f"repeated_{n}_grams" for n in _REPEATED]
        most = {f"top_{n}_gram": share for n, share in self.top_n_grams}
        most |= {f"repeated_{n}_grams": share for n, share in self.dup_n_grams}
        most |= {"line_feeds": self.new_line_ratio}
        least = {"language_score": self.language_score, "punctuated_lines": self.line_punct_thr}
        return {
            **dict.fromkeys(off, Bound(source=source)),
            **{signal: Bound(max=value, source=source) for signal, value in most.items()},
            **{signal: Bound(min=value, source=source) for signal, value in least.items()},
            "repeated_lines": Bound(max=self.dup_line_frac or None, source=source),
            "alphabetic_words": Bound(min=self.max_non_alpha_words_ratio or None, source=source),
            "mean_word_length": Bound(
                min=self.min_avg_word_length or None, max=self.max_avg_word_length or None, source=source
            ),
        }


class _Loader(yaml.SafeLoader):
    """YAML without aliases, which a few lines can blow up to gigabytes with, and without a key that stands twice."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has an alias (*), which no configuration of FineWeb-2 has")
        node: yaml.Node | None = super().compose_node(parent, index)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        keys = [key.value for key, _ in node.value]
        if len(set(map(str, keys))) < len(keys):
            raise yaml.YAMLError(f"a key stands twice in {keys}")
        return super().construct_mapping(node, deep)


def _read(path: Path) -> _Configuration:
    """Read a configuration. Raises InputError for a file that is none, and SettingsError for a wrong value in it."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > _MOST_BYTES:
        raise InputError(f"{path} has more than {_MOST_BYTES} bytes: it is no configuration of FineWeb-2")
    try:
        values = yaml.load(data.decode("utf-8"), _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise InputError(f"{path} is not valid YAML: {reason}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} is no configuration of FineWeb-2: it has no keys")
    known = [each.name for each in fields(_Configuration)]
    for key in values:
        if key not in known:
            raise SettingsError(f"{path}: {unknown_name('key', str(key), known)}")
    if missing := [name for name in known if name not in values]:
        raise SettingsError(f"{path} lacks {', '.join(missing)}: FineWeb-2's configurations have all ten keys")
    words = values["stopwords"]
    if isinstance(words, list) and not all(isinstance(word, str) for word in words):
        wrong = next(word for word in words if not isinstance(word, str))
        raise SettingsError(f"{path}: stopwords holds {wrong!r}, which is no text: write it in quotes")
    return build(_Configuration, values, str(path))


def _find(path: Path, language: Language) -> Path:
    """The configuration of a language: a file by path, or the one of its tag in a folder. Raises InputError."""
    if not path.is_dir():
        return path
    tags = {language.tag, f"{language.iso639_3}_{language.script}", _OTHER_TAGS.get(language.tag, language.tag)}
    found = [path / f"{tag}{suffix}" for tag in sorted(tags) for suffix in _SUFFIXES]
    for file in found:
        if file.is_file():
            return file
    raise InputError(f"{path} has no configuration of {language.name}: looked for {', '.join(f.name for f in found)}")


def is_configuration(bounds: str | Path) -> bool:
    """Whether bounds are named by FineWeb-2's configuration, or by the folder of all, such as ./configs.

    A folder without a slash in its name would be taken for the bound set of that name.
    """
    return str(bounds).lower().endswith(_SUFFIXES) or ("/" in str(bounds) and Path(bounds).is_dir())


def like_fineweb2(language: Language, bounds: str | Path, splitter: str = "") -> Language:
    """A language, loaded with FineWeb-2's bound set, as FineWeb-2 judges it.

    `bounds` is its configuration, or the folder of all; by any other bounds the language is judged as it was loaded.
    `splitter` cuts the words, by default the one that FineWeb-2 has; a .csv is datatrove's table of them. Raises
    SettingsError and InputError.
    """
    if splitter.endswith(".csv"):
        splitter = _assigned(Path(splitter), language)
    splitter = splitter or _splitter_of(language)
    _check_splitter(splitter)
    reading = replace(language.reading, definitions=PROJECT, segmenter=splitter, joiner=None)
    if not is_configuration(bounds):
        return replace(language, reading=reading)
    path = _find(Path(bounds), language)
    read = _read(path)
    try:
        own = read.bounds(f"FineWeb-2, {path.name}")
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from None
    words = tuple(sorted(set(read.stopwords)))
    return replace(
        language,
        reading=replace(reading, function_words=words),
        bounds=dict(sorted({**language.bounds, **own}.items())),
    )


def _splitter_of(language: Language) -> str:
    """The splitter that FineWeb-2 has for a language. Raises SettingsError where it is not known."""
    tag = f"{language.iso639_3}_{language.script}"
    for splitter, tags in _SPLITTERS.items():
        if tag in tags or language.tag in tags:
            return splitter
    raise SettingsError(
        f"which words FineWeb-2 counts in {tag} is not known here: name datatrove's table of splitters, as in --set "
        "filter.splitter=PATH/tokenizer_assignment.csv, or one of them, as in --set filter.splitter=spacy:uk"
    )


def _assigned(path: Path, language: Language) -> str:
    """The splitter that datatrove's tokenizer_assignment.csv gives a language: its first row counts there.

    Raises InputError for a file that is no such table, SettingsError where it has no splitter or one that is not here.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(io.StringIO(file.read(_MOST_ROWS))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read {path}: {error}") from None
    if not rows or not {"code_3", "script", "type", "tok_code"} <= rows[0].keys():
        raise InputError(
            f"{path} is not datatrove's table of splitters: it has no columns code_3, script, type, tok_code"
        )
    tags = {language.tag, f"{language.iso639_3}_{language.script}", _OTHER_TAGS.get(language.tag, language.tag)}
    for row in rows:
        if f"{row['code_3']}_{row['script']}" in tags and row["type"]:
            kind, code = row["type"], row["tok_code"]
            known = {"SpaCyTokenizer": f"{SPACY}{code}", "WhitespaceTokenizer": f"{SPACY}xx"}
            known["IndicNLPTokenizer"] = "indic-urdu" if code == "ur" else "indic"
            if kind in known:
                return known[kind]
            raise SettingsError(
                f"FineWeb-2 cuts words of {language.tag} by datatrove's {kind}, which is not here: "
                f"--set filter.splitter={SPACY}xx is near it, and some decisions will differ"
            )
    raise SettingsError(f"{path} has no splitter for {language.tag}")


def _check_splitter(name: str) -> None:
    """Raise SettingsError if a splitter is unknown, or the library that it asks is not installed."""
    code = name.removeprefix(SPACY)
    if code == name:
        if name not in (*SEGMENTER_NAMES, *SPLITTER_NAMES):
            raise SettingsError(unknown_name("splitter", name, (*SPLITTER_NAMES, *SEGMENTER_NAMES)))
        return
    needed = {"zh": "jieba", "vi": "pyvi", "th": "pythainlp", "ja": "sudachipy"}.get(code, "spacy")
    for module in ("spacy", needed):
        if find_spec(module) is None:
            install = "'roots-corpus[fineweb2]'" if module in ("spacy", "jieba") else module
            raise SettingsError(
                f"{name} cuts words as FineWeb-2 does, and needs {module}: pip install {install}; "
                "or --set filter.splitter=unicode for our words, by which some decisions will differ"
            )
    if find_spec(f"spacy.lang.{code}") is None:
        raise SettingsError(f"spaCy has no language {code!r}: {name} is no splitter")


def like_settings(text: str) -> dict[str, Mapping[str, object]]:
    """The settings that `--like PROJECT:PATH` stands for, by group. Raises SettingsError for another project."""
    project, _, path = text.partition(":")
    if project != PROJECT:
        raise SettingsError(f"{unknown_name('project', project, (PROJECT,))} Write it as {PROJECT}:PATH")
    path = f"./{path}" if path and "/" not in path else path
    if path and not is_configuration(path):
        raise SettingsError(f"{path} is neither a configuration (.yml) nor the folder of all")
    return {
        "extract": {"plain": "exact"},
        "filter": {"bounds": path or PROJECT, "definitions": PROJECT},
        "dedup": {"preset": PROJECT},
    }
