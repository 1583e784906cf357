"""The settings of the stages, one frozen dataclass for each group; those of dedup are in pipelines.dedup.settings.

No slow library is imported here, so a wrong setting is refused before Arrow, Numba or a language model is loaded. A
stage derives from its settings, or has them as a field.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

from filters.language import DEFAULT_SET as DEFAULT_BOUNDS
from filters.language import Language
from pipelines.archives.limits import Limits
from pipelines.extraction.extractors import CONTENTS, DEFAULT, FORMS, LEARNED, PLAIN, Bounds, check_extractor
from pipelines.sources.layouts import TableSettings
from roots.errors import unknown_name
from roots.settings import ASIDE

_SECRET_BYTES = 16  # fewer could be guessed
_MOST_TIMES = 100  # that one document may be in a dataset


@dataclass(frozen=True)
class LanguageIdSettings:
    """Which model names languages, in index and in extract: the group `language_id`."""

    # A fastText model by path, or lid.176; empty: ours with lid.176 (filters.language_id.identify).
    model: str = field(default="", metadata=ASIDE)


@dataclass(frozen=True)
class IndexSettings(TableSettings, LanguageIdSettings):
    """Settings of index: how much is read, in bytes where nothing else is said."""

    body_bytes: int = Limits.body_bytes  # of one record
    head_bytes: int = Limits.head_bytes  # of one HTTP head
    unpacked_bytes: int = Limits.unpacked_bytes  # of one archive, unpacked
    document_pages: int = 4  # of one document that are looked at for its language, spread over it; 0: none
    part_bytes: int = field(default=128 << 20, metadata=ASIDE)  # of a table, folder or zip of documents in one shard

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.document_pages < 0:
            raise ValueError(f"document_pages = {self.document_pages}: 0 or more is needed")
        if min(self.body_bytes, self.head_bytes, self.unpacked_bytes, self.part_bytes) < 1:
            raise ValueError("body_bytes, head_bytes, unpacked_bytes and part_bytes must be at least 1")


@dataclass(frozen=True)
class ExtractSettings(TableSettings, LanguageIdSettings):
    """Settings of extract."""

    extractor: str = DEFAULT  # how main text is found: `roots run --help` names all
    content: str = CONTENTS[0]  # of a page, by the learned extractor: "text", or "page" for all but menus and the like
    form: str = FORMS[0]  # of main text by the learned extractor: "text", or "markdown"
    # a model of the learned extractor by path (`roots extractor train`); empty: ours
    main_text_model: str = field(default="", metadata=ASIDE)
    language_score: float = (
        0.2  # least score of the wanted language, on the main text (tests/benchmarks/gate_recall.py)
    )
    gate_score: float = 0.05  # the same on the quick text, to look at a page at all
    body_bytes: int = Bounds.body_bytes  # of one page
    html_chars: int = Bounds.html_chars  # of one page, decoded
    depth: int = Bounds.depth  # of nested elements
    cpu_seconds: float = 8.0  # for one page; real pages need less than 1
    document_pages: int = Bounds.document_pages  # of one document that are read: its first ones
    document_seconds: float = Bounds.document_seconds  # for one document; 60 pages a second are usual
    memory_bytes: int = 384 << 20  # for one page
    plain: str = Bounds.plain  # plain text and rows of tables: "tidy", or "exact", as they are

    def __post_init__(self) -> None:
        super().__post_init__()
        check_extractor(self.extractor)
        if self.content not in CONTENTS:
            raise ValueError(unknown_name("content", self.content, CONTENTS))
        if self.form not in FORMS:
            raise ValueError(unknown_name("form of main text", self.form, FORMS))
        if self.form != FORMS[0] and self.extractor != LEARNED:
            raise ValueError(f"form = {self.form!r} is for the extractor {LEARNED}, not for {self.extractor}")
        if self.plain not in PLAIN:
            raise ValueError(unknown_name("way to take plain text", self.plain, PLAIN))
        if not 0 <= self.gate_score <= 1 or not 0 <= self.language_score <= 1:
            raise ValueError("gate_score and language_score must be from 0 to 1")
        if min(self.body_bytes, self.html_chars, self.depth, self.cpu_seconds, self.memory_bytes) <= 0:
            raise ValueError("body_bytes, html_chars, depth, cpu_seconds and memory_bytes must be above 0")
        if min(self.document_pages, self.document_seconds) <= 0:
            raise ValueError("document_pages and document_seconds must be above 0")


@dataclass(frozen=True)
class ProgramSettings(TableSettings):
    """Settings of extract for programming languages."""

    body_bytes: int = Limits.body_bytes
    unpacked_bytes: int = Limits.unpacked_bytes


@dataclass(frozen=True)
class FilterSettings:
    """Settings of measure and filter.

    `{code}` in a path stands for the language, so that each language can have its own model.
    """

    # A set of the language's file, or a TOML file by path; of definitions "fineweb2" also a configuration (--like).
    bounds: str = DEFAULT_BOUNDS
    definitions: str = "repaired"  # "roots", "fineweb2": signals exactly as their own code computes them
    # Of definitions "fineweb2": cuts words, as "spacy:uk" does, or a table of splitters (.csv); empty: FineWeb-2's.
    splitter: str = ""
    perplexity_model: str = ""  # a KenLM model by path; empty: perplexity is not measured
    perplexity_pieces: str = ""  # the SentencePiece model whose pieces it counts, by path; empty: it counts words
    quality_model: str = ""  # a fastText model of good and bad text by path (`roots quality train`)

    def __post_init__(self) -> None:
        if self.splitter and self.definitions != "fineweb2":
            raise ValueError(f"splitter = {self.splitter!r} is for definitions = fineweb2, which --like sets")

    def models(self, language: Language) -> Language:
        """The language, read with the models named here."""
        model, pieces, good = (
            path.replace("{code}", language.code)
            for path in (self.perplexity_model, self.perplexity_pieces, self.quality_model)
        )
        reading = replace(language.reading, perplexity_model=model, perplexity_pieces=pieces, quality_model=good)
        return replace(language, reading=reading)


@dataclass(frozen=True)
class RedactSettings:
    """Settings of redact: personal data of `kinds`, found by the rules of a `preset`, is replaced in a `style`.

    Without kinds, those of the preset that are on by default (of these, in source code, only e-mail and IP addresses
    and keys); without a style, the preset's own. A document with more than `drop_over` spans is dropped as
    `redact.too_many`; 0 drops none. The style "synthetic" needs `secret_file`,
    whose bytes decide the replacements. Only its digest is recorded, so that another secret makes other shards.
    """

    preset: str = "ours"  # which rules find personal data
    kinds: tuple[str, ...] = ()  # what is replaced; empty: the kinds that the preset has on
    style: str = ""  # how it is replaced; empty: the preset's own
    drop_over: int = 0  # spans from which a document is dropped; 0: none is
    # random bytes that decide the replacements of the style synthetic
    secret_file: str = field(default="", metadata=ASIDE)

    def __post_init__(self) -> None:
        if self.drop_over < 0:
            raise ValueError(f"drop_over = {self.drop_over}: 0 or more is needed")
        if self.kinds or self.style or self.preset != "ours":
            self._check_names()
        if self.style == "synthetic":
            self.secret()

    def _check_names(self) -> None:
        from filters.personal_data import REDACTION_PRESETS, STYLES  # slow to import, and few runs need it here

        if self.preset not in REDACTION_PRESETS:
            raise ValueError(unknown_name("preset", self.preset, REDACTION_PRESETS))
        for kind in self.kinds:
            if kind not in REDACTION_PRESETS[self.preset].kinds:
                raise ValueError(unknown_name("kind of personal data", kind, REDACTION_PRESETS[self.preset].kinds))
        if self.style and self.style not in STYLES:
            raise ValueError(unknown_name("style of redaction", self.style, STYLES))

    def secret(self) -> bytes:
        """The bytes of the secret file. Raises ValueError where it is missing or too short."""
        if not self.secret_file:
            raise ValueError("style synthetic needs a secret: name a file of random bytes with redact.secret_file=PATH")
        try:
            secret = Path(self.secret_file).read_bytes()
        except OSError as error:
            raise ValueError(f"cannot read secret_file {self.secret_file}: {error.strerror}") from None
        if len(secret) < _SECRET_BYTES:
            raise ValueError(
                f"secret_file {self.secret_file} has {len(secret)} bytes: {_SECRET_BYTES} or more are needed"
            )
        return secret


@dataclass(frozen=True)
class ShardSettings:
    """Settings of the split and the final shards."""

    shard_bytes: int = 256_000_000  # of text, before compression: about 100 MB on disk
    validation_share: float = 0.05  # of documents; ROOTS kept 5 % of each language for validation
    salt: str = "roots"  # another salt gives another split
    # [SIZE, TIMES]: a document that stands for SIZE copies or more is in the dataset TIMES times; at 2.5, every second
    # one is there three times. FineWeb-2's rehydration is [[2, 2], [3, 3], [5, 5], [100, 8], [1000, 1]].
    rehydrate: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        if self.shard_bytes < 1:
            raise ValueError(f"shard_bytes = {self.shard_bytes} is below 1")
        if not 0 <= self.validation_share < 1:
            raise ValueError(f"validation_share = {self.validation_share} is not in [0, 1)")
        for size, times in self.rehydrate:
            if size < 2 or not 1 <= times <= _MOST_TIMES:
                raise ValueError(f"rehydrate = [{size}, {times:g}]: a size of 2 or more, and 1 to {_MOST_TIMES} times")

    @property
    def weights(self) -> list[tuple[int, float]]:
        """How many times a document is there, by the least size of its cluster; smallest size first."""
        return sorted(dict(self.rehydrate).items())
