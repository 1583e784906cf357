"""The rules of deduplication as plain values: how documents are compared, and which repeated lines are removed.

Nothing heavy is imported here, so that settings are checked before Numba is loaded.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from roots.errors import unknown_name

_DIGESTS = ("roots", "space")
BORDERS = ("grapheme", "sentence", "line")  # where a passage may be cut out


@dataclass(frozen=True)
class Scheme:
    """How a document becomes shingles, hashes and bands. Defaults: FineWeb-2 (Penedo et al. 2025, section 3.4)."""

    words: int = 5  # in a shingle; for scripts without spaces see shingle_tables.SCRIPTS_WITHOUT_SPACES
    bands: int = 14
    rows: int = 8  # values of the signature in a band; there are bands * rows hash functions
    seed: int = 1
    digest: str = "roots"  # what the exact digest leaves out: shingle_tables.make_tables

    def __post_init__(self) -> None:
        for name, low, high in (("words", 1, 1000), ("bands", 1, 1000), ("rows", 1, 100)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} = {getattr(self, name)} is not in [{low}, {high}]")
        if self.digest not in _DIGESTS:
            raise ValueError(f"digest = {self.digest!r} is not one of {', '.join(_DIGESTS)}")

    @property
    def hashes(self) -> int:
        """Length of a signature."""
        return self.bands * self.rows


@dataclass(frozen=True)
class LineRule:
    """Removes lines of at least `characters` that occur often in a source: in any, or in one of `sources`.

    Often is either `times` times or more, or on more than `pages` pages and on more than `share` of the pages.
    """

    name: str = ""  # recorded with each removed line; without a name, the numbers are
    characters: int = 1  # of the line, without outer white space
    times: int = 0  # 0: pages count
    pages: int = 0
    share: float = 0.0
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.times and (self.pages or self.share):
            raise ValueError("a rule for lines counts either times, or pages and share")
        if not (self.times or self.pages or self.share):
            raise ValueError("a rule for lines needs times, pages or share")
        if self.times == 1 or self.characters < 1:
            raise ValueError("a rule for lines needs 2 times or more, and 1 character or more")
        if not (self.times >= 0 <= self.pages and 0 <= self.share < 1):
            raise ValueError("a rule for lines needs 0 pages or more, and a share in [0, 1)")

    @property
    def label(self) -> str:
        """The name that is recorded with a removed line."""
        often = f"times={self.times}" if self.times else f"pages={self.pages} share={self.share:g}"
        return self.name or f"characters={self.characters} {often}"


LINE_RULES = {
    "template": LineRule("template", characters=15, times=10),
    "newspaper": LineRule("newspaper", times=2),
    "boilerplate": LineRule("boilerplate", pages=10, share=0.01),
}


def check_line_rules(rules: Iterable[str | LineRule]) -> None:
    """Raise ValueError for a name that no rule has."""
    for rule in rules:
        if isinstance(rule, str) and rule not in LINE_RULES:
            hint = "; or a table: {characters = 15, times = 10}"
            raise ValueError(unknown_name("rule for lines", rule, LINE_RULES) + hint)
