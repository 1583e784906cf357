"""Settings of dedup, and the schemes of other projects as presets."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from filters.near_duplicates.rules import BORDERS, LINE_RULES, LineRule, Scheme, check_line_rules
from pipelines.catalogue import Source, load_catalogue
from roots.errors import SettingsError, unknown_name
from roots.settings import as_values, build

_EXACT = ("verified", "roots", "code")
_KEEP = ("longest", "oldest", "newest")
_URL = ("none", "exact", "page")
_RELEASED = ("remove", "mark")
_SCOPES = ("source", "language", "global")
_LEAST_PASSAGE, _MOST_PASSAGE = 20, 10_000  # characters
_SOURCES = ("host", "file", "catalogue", "entry")


@dataclass(frozen=True)
class KeepBy:
    """Which copy is kept, by a column: the highest or lowest number, or the value that comes first in a list.

    Written as {highest = "function_words"}, {lowest = "score"} or {prefer = "source", order = ["press", "blog"]}.
    """

    highest: str = ""  # a column of numbers; a document without one comes last
    lowest: str = ""
    prefer: str = ""  # a column of texts
    order: tuple[str, ...] = ()  # its values, the preferred first; all others come last

    def __post_init__(self) -> None:
        if len([name for name in (self.highest, self.lowest, self.prefer) if name]) != 1:
            raise ValueError("keep takes one of highest, lowest and prefer, with the name of a column")
        if bool(self.prefer) != bool(self.order):
            raise ValueError('keep needs both prefer and order, as in {prefer = "license", order = ["cc0", "cc-by"]}')

    @property
    def column(self) -> str:
        """The column it reads."""
        return self.highest or self.lowest or self.prefer


def keep_columns(keep: str | KeepBy) -> tuple[str, ...]:
    """The columns, besides id and text, by which it is decided which copy is kept."""
    if isinstance(keep, KeepBy):
        return (keep.column,)
    return () if keep == "longest" else ("date",)


@dataclass(frozen=True)
class DedupSettings:
    """Settings of dedup. Defaults of the scheme are FineWeb-2's: 112 hashes, 14 bands of 8, shingles of 5 words."""

    # A scheme of another project, below the settings named beside it: fineweb2, thorough, roots, slimpajama, lee2022,
    # gopher or the-stack (PRESETS).
    preset: str = ""
    words: int = 5  # of a shingle
    bands: int = 14  # of MinHash values
    rows: int = 8  # MinHash values of a band
    seed: int = 1  # of the hashes
    jaccard: float = 0.8  # of the shingle sets, verified; Lee et al. 2022, Gopher and SlimPajama aim at the same
    # "roots": equal without white space, digits and ASCII punctuation, so a table of other numbers is a copy too.
    # "verified": if a word differs, the Jaccard must be high enough as well. "code": equal without white space.
    exact: str = "verified"
    keep: str | KeepBy = "longest"  # which copy stays: "longest", "oldest", "newest", or by a column
    url: str = "exact"  # keep only the newest fetch of a URL: "exact", "page" (cut as ROOTS did), or "none" to keep all
    memory: str = "2G"  # of all processes together; on a cluster or with --rank, of each
    audit: int = 500  # documents that the report compares by brute force with 10,000 others; 0: no report
    scope: str = "language"  # where copies are looked for: in one "source", one "language", or all languages ("global")
    source: str = "host"  # what a source is: README.md; of `roots run --catalogue` the default is "entry"
    catalogue: str = ""  # path of a catalogue (pipelines.catalogue), which gives `source` and `license`
    lines: tuple[str | LineRule, ...] = ()  # which repeated lines of a source are removed: names, or rules as tables
    every_copy: bool = False  # remove the first copy of a repeated line too, as ROOTS did
    passages: int = 0  # characters of a run that is cut out of all documents but one; 0: none is
    passage_border: str = "sentence"  # a run is cut back to whole ones: "grapheme", "sentence" or "line"
    against: tuple[str, ...] = ()  # folders of releases that new documents are also compared with
    released: str = "remove"  # a copy of a released document is removed, or kept and noted in its row ("mark")
    alone: tuple[str, ...] = ()  # sources whose documents are compared with none
    alarm: float = 0.75  # share of its documents that a source of 100 or more may lose before the report names it
    strict: bool = False  # whether an alarm is an error

    def __post_init__(self) -> None:
        for name in ("jaccard", "alarm"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)} is not in (0, 1]")
        if self.audit < 0:
            raise ValueError(f"audit = {self.audit} is below 0")
        if self.exact not in _EXACT:
            raise ValueError(unknown_name("rule for exact", self.exact, _EXACT))
        if self.url not in _URL:
            raise ValueError(unknown_name("rule for url", self.url, _URL))
        if self.scope not in _SCOPES:
            raise ValueError(unknown_name("scope", self.scope, _SCOPES))
        if self.released not in _RELEASED:
            raise ValueError(unknown_name("rule for released", self.released, _RELEASED))
        if isinstance(self.keep, str) and self.keep not in _KEEP:
            raise ValueError(unknown_name("rule for keep", self.keep, _KEEP) + '; or a table: {highest = "COLUMN"}')
        check_line_rules(self.lines)
        if self.passages and not _LEAST_PASSAGE <= self.passages <= _MOST_PASSAGE:
            raise ValueError(f"passages = {self.passages} is not 0 or in [{_LEAST_PASSAGE}, {_MOST_PASSAGE}]")
        if self.passage_border not in BORDERS:
            raise ValueError(unknown_name("border of passages", self.passage_border, BORDERS))
        parse_bytes(self.memory)
        _ = self.scheme
        if self.source not in _SOURCES:
            raise ValueError(unknown_name("rule for source", self.source, _SOURCES))
        if self.source == "catalogue" and not self.catalogue:
            raise ValueError("source = catalogue: name one with dedup.catalogue=PATH")
        load_catalogue(self.catalogue)

    @property
    def scheme(self) -> Scheme:
        """How a document becomes shingles, hashes and bands."""
        return Scheme(self.words, self.bands, self.rows, self.seed, "space" if self.exact == "code" else "roots")

    @property
    def line_rules(self) -> tuple[LineRule, ...]:
        """The rules of `lines`, the named ones too."""
        return tuple(map(_line_rule, self.lines))

    def as_values(self) -> dict[str, object]:
        """The settings that decide rows and report, as plain values: no memory, no paths, a preset by its values."""
        aside = ("preset", "memory", "catalogue", "against")
        return {name: value for name, value in as_values(self).items() if name not in aside}


# Schemes that others published, as our settings; README.md says how each differs. All are verified here; of these
# papers only Lee et al. verified (by edit similarity).
PRESETS: dict[str, dict[str, object]] = {
    # Penedo et al. 2025, arXiv 2506.20920; its Jaccard is taken from the midpoint of its curve.
    "fineweb2": {"words": 5, "bands": 14, "rows": 8, "jaccard": 0.72, "url": "none"},
    "thorough": {"words": 5, "bands": 32, "rows": 8, "jaccard": 0.8},
    # Laurençon et al. 2022, arXiv 2303.03915, its steps for crawled sites; shingles of 6 words replace its SimHash.
    "roots": {
        "words": 6, "bands": 14, "rows": 8, "jaccard": 0.8, "exact": "roots", "url": "page", "scope": "source",
        "lines": ("boilerplate", "newspaper"), "passages": 200,
    },
    "slimpajama": {"words": 13, "bands": 9, "rows": 13, "jaccard": 0.8, "url": "none"},  # Soboleva et al. 2023
    # Lee et al. 2022, arXiv 2107.06499: 9,000 hashes.
    "lee2022": {"words": 5, "bands": 450, "rows": 20, "jaccard": 0.8, "url": "none"},
    "gopher": {"words": 13, "bands": 14, "rows": 8, "jaccard": 0.8, "url": "none"},  # Rae et al. 2021; bands ours
    # Kocetkov et al. 2022, arXiv 2211.15533: code, cut into tokens.
    "the-stack": {"words": 5, "bands": 32, "rows": 8, "jaccard": 0.7, "exact": "code", "url": "none"},
}  # fmt: skip


def with_preset(values: Mapping[str, object]) -> dict[str, object]:
    """Settings as a user wrote them, and below them those of `preset`. Raises SettingsError for an unknown preset."""
    preset = str(values.get("preset", ""))
    if preset and preset not in PRESETS:
        raise SettingsError("dedup: " + unknown_name("preset", preset, PRESETS))
    return {**PRESETS.get(preset, {}), **values}


def for_sources(values: Mapping[str, object], sources: Mapping[str, Source]) -> dict[str, object]:
    """Settings, as a user wrote them, for a run that reads a catalogue: its entries are the sources.

    Raises SettingsError where an entry has its own rules and another setting says what a source is.
    """
    found: dict[str, object] = {"source": "entry", **values}
    own = {name: each for name, each in sources.items() if each.lines is not None or "dedup" in each.leave_out}
    if not own:
        return found
    if found["source"] != "entry":
        raise SettingsError(f"dedup.source = {found['source']}: {', '.join(own)} of the catalogue need it to be entry")
    usual = build_dedup(found).line_rules
    held: dict[LineRule, list[str]] = {rule: [] for rule in usual}
    for name, each in sources.items():
        for rule in usual if each.lines is None else map(_line_rule, each.lines):
            held.setdefault(rule, []).append(name)
    lines = [as_values(replace(rule, sources=rule.sources or tuple(names))) for rule, names in held.items() if names]
    alone = [name for name, each in sources.items() if "dedup" in each.leave_out]
    return {**found, "lines": lines, "alone": alone}


def _line_rule(rule: str | LineRule) -> LineRule:
    return LINE_RULES[rule] if isinstance(rule, str) else rule


def build_dedup(values: Mapping[str, object]) -> DedupSettings:
    """Build the settings from what a user wrote, `preset` among it. Raises SettingsError for a mistake."""
    return build(DedupSettings, with_preset(values), "dedup")


def parse_bytes(text: str) -> int:
    """Bytes of "512M", "2G", "1.5 GiB", in powers of 1024. Raises ValueError for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?\s*", text, re.IGNORECASE)
    if not match:
        raise ValueError(f"memory = {text!r}: write it as 512M or 2G")
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))
