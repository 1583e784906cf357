"""What `roots prompts` is asked for. No slow imports: a mistake is answered at once."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_RULES = ("xp3", "t0")


@dataclass(frozen=True)
class PromptsSettings:
    """How many examples stay, and how templates are rendered."""

    rule: str = "xp3"  # xp3: `cap` for each template; t0: `large` divided by the templates of a large data set
    cap: int = 100_000  # examples of a data set and template (xP3)
    large: int = 500_000  # examples of a data set in all its templates, where it has more records (T0)
    per_record: int = 0  # templates of a record; 0: all, but one in data sets with more records than `cap`
    alpha: float = 1.0  # languages are read by their number of examples to this power; 1 is xP3
    shares: Mapping[str, float] = field(default_factory=dict)  # of some languages, fixed: {code = 0.06}
    gram: int = 13  # words in a row that an evaluation record and an example may not share
    seed: int = 0  # of which examples stay under a cap, and of the filters `choice` and `random`
    lenient: bool = False  # an unknown field is empty, as in promptsource
    truncate: bool = False  # each value is cut after 2,048 characters, as in promptsource
    cpu_seconds: float = 2.0  # for one record, in all templates

    def __post_init__(self) -> None:
        if self.rule not in _RULES:
            raise ValueError(f"rule must be one of {', '.join(_RULES)}, not {self.rule!r}")
        if min(self.cap, self.large, self.gram) < 1 or self.per_record < 0:
            raise ValueError("cap, large and gram must be at least 1, per_record at least 0")
        if not (0 <= self.alpha < math.inf and 0 < self.cpu_seconds < math.inf):
            raise ValueError("alpha must be at least 0, cpu_seconds above 0, and both finite")
        if any(not 0 <= share <= 1 for share in self.shares.values()) or sum(self.shares.values()) > 1:
            raise ValueError("each of shares must lie between 0 and 1, and their sum must be at most 1")


@dataclass(frozen=True)
class RecordForm:
    """What the columns of the records mean."""

    columns: tuple[str, ...] = ()  # names of the columns of CSV and TSV without a row of names
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # column -> names of its numbers, from 0


@dataclass(frozen=True)
class DataSetFacts:
    """What is known of a data set besides its records."""

    name: str = ""  # "": that in the templates, or the name of its file
    language: str = ""  # of the records; a column `language` or `lang` goes before it
    task: str = ""  # "": the name of the data set
    license: str = ""


@dataclass(frozen=True)
class PromptsRequest:
    """What is prompted, and where to."""

    data: tuple[Path, ...]  # tables of records, or folders of them
    target: Path
    templates: Path | None = None  # None: the records are pairs
    against: tuple[Path, ...] = ()  # evaluation files
    tokenizer: Path | None = None  # None: shares are of bytes
    form: RecordForm = RecordForm()
    facts: DataSetFacts = DataSetFacts()
    settings: PromptsSettings = PromptsSettings()


def prompts_request(settings: PromptsSettings, given: Mapping[str, Any]) -> PromptsRequest:
    """Make the request of what the options of `roots prompts` say."""
    columns = tuple(name.strip() for name in given["columns"].split(",") if name.strip())
    facts = DataSetFacts(given["name"], given["language"], given["task"], given["license"])
    form = RecordForm(columns, given["labels"])
    against, tokenizer = tuple(given["against"]), given["tokenizer"]
    return PromptsRequest(
        tuple(given["data"]), given["target"], given["templates"], against, tokenizer, form, facts, settings
    )
