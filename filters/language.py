"""Languages: one TOML file each in `filters/languages/`, over `default.toml`.

A file holds the names and codes of a language, its script, how its words are cut, its function words, words that mark
pornographic spam, bounds for its documents, and documents to keep and to drop, which the tests judge. A bound set has a
name (`default`, `roots`, ...); it lies over the set of that name in `default.toml`.
"""

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from roots.errors import SettingsError, unknown_name
from roots.settings import build

DEFAULT_SET = "default"
SEGMENTER_NAMES = ("unicode", "elision", "icu", "roots")  # of filters.text.words, which is slow to import
SPACY = "spacy:"  # begins the name of spaCy's segmenter of a language: "spacy:fr"
SPLITTER_NAMES = (f"{SPACY}CODE", "indic", "indic-urdu")  # of filters.text.splitters: words as FineWeb-2 has them
_DEFINITIONS = ("repaired", "roots", "fineweb2")
BoundTables = Mapping[str, Mapping[str, Any]]  # signal -> what `Bound` takes


@dataclass(frozen=True)
class Bound:
    """The values that a signal of a document may have, both ends included; None is no limit."""

    min: float | None = None
    max: float | None = None
    source: str = ""  # where the numbers come from

    def __post_init__(self) -> None:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")


@dataclass(frozen=True)
class Reading:
    """How texts of a language are measured: everything that decides the signals besides the text."""

    script: str  # ISO 15924
    segmenter: str = "unicode"  # one of SEGMENTER_NAMES or SPLITTER_NAMES
    function_words: tuple[str, ...] = ()
    flagged_words: tuple[str, ...] = ()
    joiner: str | None = None  # looks up pairs of words, joined by this, in the word lists too
    character_ngram: int = 10
    word_ngram: int = 5
    longest_word: int = 0  # of ROOTS's definitions: longer words are left out; 0 leaves all in
    definitions: str = "repaired"  # one of _DEFINITIONS: see filters.signals.measures
    perplexity_model: str = ""  # path of a KenLM model; empty: perplexity is not measured
    perplexity_pieces: str = ""  # path of the SentencePiece model whose pieces it counts; empty: it counts words
    quality_model: str = ""  # path of a fastText model of good and bad text; empty: quality is not measured

    def __post_init__(self) -> None:
        if self.definitions not in _DEFINITIONS:
            raise ValueError(f"definitions {self.definitions!r} are none of {', '.join(_DEFINITIONS)}")
        known = (*SEGMENTER_NAMES, *SPLITTER_NAMES)
        if self.segmenter not in known and not self.segmenter.startswith(SPACY):
            raise ValueError(f"segmenter {self.segmenter!r} is none of {', '.join(known)}")


@dataclass(frozen=True)
class Example:
    """A document written by us; `reason` is the signal that must drop it, empty where it must be kept."""

    text: str
    reason: str = ""


@dataclass(frozen=True)
class Language:
    """One language, with the bound set it was loaded with."""

    code: str  # two letters where ISO 639-1 has them: "fr"
    iso639_3: str
    name: str  # in English
    reading: Reading
    tag: str = ""  # of a release: "fra_Latn"
    bounds: Mapping[str, Bound] = field(default_factory=dict)  # signal -> bound
    kept: tuple[Example, ...] = ()
    dropped: tuple[Example, ...] = ()

    @property
    def script(self) -> str:
        """ISO 15924 code of the script."""
        return self.reading.script


# Scripts that put no space between words, so that only a segmenter with a dictionary finds them.
_UNSPACED = frozenset({"Thai", "Laoo", "Khmr", "Mymr", "Jpan", "Hani", "Hans", "Hant"})
_NEEDED = ("name", "iso639_3", "script")  # keys of a language file
_FILES = "filters.languages"  # the package that holds the language files


@dataclass(frozen=True)
class _LanguageFile:
    """What a language file may hold; the fields of `Language` and `Reading` say what it means."""

    name: str
    iso639_3: str
    script: str
    tag: str = ""
    aliases: tuple[str, ...] = ()
    segmenter: str = ""  # empty: the one that the script needs
    function_words: tuple[str, ...] = ()
    flagged_words: tuple[str, ...] = ()
    joiner: str | None = None
    character_ngram: int = Reading.character_ngram
    word_ngram: int = Reading.word_ngram
    longest_word: int = Reading.longest_word
    roots_function_words: str = ""  # code of the list of stopwordsiso that ROOTS used
    bounds: Mapping[str, Mapping[str, Mapping[str, object]]] = field(default_factory=dict)  # set -> signal -> bound
    kept: tuple[Example, ...] = ()
    dropped: tuple[Example, ...] = ()


@cache
def _file(code: str) -> dict[str, Any]:
    try:
        file = tomllib.loads(resources.files(_FILES).joinpath(f"{code}.toml").read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{code}.toml is not valid TOML: {error}") from None
    if code != DEFAULT_SET:
        _check_needed(file, code)
    return file


def _check_needed(file: Mapping[str, object], code: str) -> None:
    for key in _NEEDED:
        if not isinstance(file.get(key), str):
            raise SettingsError(f"{code}.toml has no {key}: a language file needs {', '.join(_NEEDED)}, each a text")


@cache
def known_codes() -> tuple[str, ...]:
    """Codes of all languages that have a file, sorted."""
    names = (file.name.partition(".") for file in resources.files(_FILES).iterdir())
    return tuple(sorted(code for code, _, kind in names if kind == "toml" and code != DEFAULT_SET))


@cache
def _names() -> dict[str, str]:
    """All names of languages, in lower case -> code."""
    names: dict[str, str] = {}
    for code in reversed(known_codes()):
        try:
            file = _file(code)
        except SettingsError:  # raised when that language is asked for; the others are not touched by it
            names[code] = code
            continue
        tag = f"{file['iso639_3']}_{file['script']}"
        for name in (*file.get("aliases", ()), file["iso639_3"], tag, file["name"], code):
            names[name.lower().replace("-", "_")] = code
    return names


@cache
def full_names() -> dict[str, str]:
    """Code of every language -> its name in English; its code, if its file cannot be read."""
    titles: dict[str, str] = {}
    for code in known_codes():
        with suppress(SettingsError):
            titles[code] = _file(code)["name"]
    return {code: titles.get(code, code) for code in known_codes()}


def find_code(name: str, others: Mapping[str, str] | None = None) -> str:
    """The code of the language called `name`: "fr", "fra", "fra_Latn" or "French" give "fr".

    Raises SettingsError that names the nearest name, also of `others` (code -> name), or says how to add a language.
    """
    wanted = name.strip().lower().replace("-", "_")
    found = wanted if wanted in known_codes() else _names().get(wanted)  # a code needs no file of another language
    if found is None:
        from filters.language_names import describe_unknown

        more = others or {}
        also = {spelling.lower(): code for code, title in more.items() for spelling in (code, title)}
        raise SettingsError(describe_unknown(name, also | _names(), {**more, **full_names()}))
    return found


def bound_sets(name: str, own: Mapping[str, object] | None = None) -> tuple[str, ...]:
    """Names of the bound sets that the language can be judged by, sorted; `own` as in `load_language`."""
    return _set_names(_read(name, own)[1])


def load_language(
    name: str,
    bounds: str | BoundTables = DEFAULT_SET,
    definitions: str = "repaired",
    own: Mapping[str, object] | None = None,
) -> Language:
    """Load a language by any of its names, with a bound set by name or with bounds of your own.

    Your own bounds are tables such as {"special_characters": {"min": ..., "max": ..., "source": ...}}. They lie over
    the default set, so they need only hold what differs; `max = "none"` lifts a limit. `own` is the contents of a
    language file of yours; `name` is then its code. TOML files of both are read by pipelines.job. Raises SettingsError
    for an unknown language, set or bound, and for a file that is not one of a language.
    """
    code, file = _read(name, own)
    values = {key: getattr(file, key) for key in ("script", "joiner", "character_ngram", "word_ngram", "longest_word")}
    values |= {"segmenter": _segmenter_of(file, definitions), "definitions": definitions}
    return Language(
        code=code,
        iso639_3=file.iso639_3,
        name=file.name,
        reading=build(Reading, values | _word_lists(file, definitions), f"{code}.toml"),
        tag=file.tag or f"{file.iso639_3}_{file.script}",
        bounds=_bounds_of(code, file, bounds),
        kept=file.kept,
        dropped=file.dropped,
    )


def _read(name: str, own: Mapping[str, object] | None) -> tuple[str, _LanguageFile]:
    """The code of a language, and its file."""
    code = find_code(name) if own is None else name
    tables = _file(code) if own is None else own
    _check_needed(tables, code)
    return code, build(_LanguageFile, tables, f"{code}.toml")


def _segmenter_of(file: _LanguageFile, definitions: str) -> str:
    wanted = file.segmenter or ("icu" if file.script in _UNSPACED else Reading.segmenter)
    return "roots" if definitions == "roots" and wanted != "icu" else wanted


def _set_names(file: _LanguageFile) -> tuple[str, ...]:
    return tuple(sorted({*file.bounds, *_file(DEFAULT_SET)["bounds"]}))


def _bounds_of(code: str, file: _LanguageFile, bounds: str | BoundTables) -> dict[str, Bound]:
    """The bounds of a set by name, or of your own."""
    general = _file(DEFAULT_SET)["bounds"]
    if not isinstance(bounds, str):
        tables = [general[DEFAULT_SET], file.bounds.get(DEFAULT_SET, {}), bounds]
    elif bounds in _set_names(file):
        tables = [general.get(bounds, {}), file.bounds.get(bounds, {})]
    else:
        raise SettingsError(unknown_name(f"bound set of {code}", bounds, _set_names(file)))
    merged: dict[str, Any] = {}
    for table in tables:
        for signal, values in table.items():
            merged[signal] = {**merged.get(signal, {}), **values}
    found = {signal: build(Bound, values, f"bounds.{signal}") for signal, values in merged.items()}
    return dict(sorted(found.items()))


def _word_lists(file: _LanguageFile, definitions: str) -> dict[str, tuple[str, ...]]:
    """The function words and flagged words of a language, sorted, each once."""
    words = set(file.function_words)
    if definitions == "roots" and file.roots_function_words:
        # ROOTS's bounds are for lists of this length: its own came from the same collection.
        words = _stopwords_iso(file.roots_function_words)
    flagged = {*_file(DEFAULT_SET)["flagged_words"], *file.flagged_words}
    return {"function_words": tuple(sorted(words)), "flagged_words": tuple(sorted(flagged))}


def _stopwords_iso(code: str) -> set[str]:
    """Function words of the package stopwordsiso, without entries that have no letter."""
    import stopwordsiso  # 8 MB of lists, for ROOTS's definitions only

    return {word.strip().lower() for word in stopwordsiso.stopwords(code) if any(map(str.isalpha, word))}


def libraries_of(splitter: str) -> Iterator[str]:
    """Names of the distributions whose versions decide what a splitter cuts."""
    if splitter.startswith(SPACY):
        yield "spacy"
        yield from {"zh": ["jieba"], "vi": ["pyvi"]}.get(splitter.removeprefix(SPACY), [])
