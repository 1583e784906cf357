"""Which examples stay, of all data sets of a folder, and what the mixture is made of.

The order in which examples are chosen is that of keyed digests of record and template. So the choice depends on nothing
but them: no order of files, no number of workers, no alphabet.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.prompts.settings import PromptsSettings
from roots import shards
from roots.errors import InputError, SettingsError, unknown_name
from roots.schema import DROP, ID
from roots.settings import as_values

RENDERED, _MIXED = "rendered", "mixed"  # folders of the chain, below that of the prompts
_SCHEMA = pa.schema([ID, DROP])
_READ = ("id", "record", "data_set", "template", "inputs", "targets")
_SHOWN = 20  # contaminated examples in the manifest

_Keys = npt.NDArray[np.uint64]
_Ints = npt.NDArray[np.int64]


def _key(*parts: object) -> int:
    text = "\0".join(map(str, parts)).encode("utf-8", "replace")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())


@dataclass
class _Examples:
    """The examples that were rendered, a column each; `shards` are the rows of each shard."""

    ids: list[str] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    records: list[int] = field(default_factory=list)
    pairs: list[int] = field(default_factory=list)  # of input and target
    groups: list[int] = field(default_factory=list)  # data set and template
    names: dict[tuple[str, str], int] = field(default_factory=dict)  # data set and template -> group
    shards: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, rows: Iterable[Mapping[str, str]], seed: int) -> None:
        before = len(self.ids)
        for row in rows:
            self.ids.append(row["id"])
            self.keys.append(_key(seed, row["id"]))
            self.records.append(_key(row["data_set"], row["record"]))
            self.pairs.append(_key(row["inputs"], row["targets"]))
            self.groups.append(self.names.setdefault((row["data_set"], row["template"]), len(self.names)))
        self.shards[name] = len(self.ids) - before


def _ranks(groups: _Ints | _Keys, keys: _Keys) -> _Ints:
    """Return the rank of each row among those of its group, by key, from 0."""
    order = np.lexsort((keys, groups))
    ordered = groups[order]
    first = np.searchsorted(ordered, ordered, side="left")
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - first
    return ranks


def _verdicts(examples: _Examples, settings: PromptsSettings) -> list[str | None]:
    """Return the drop of each example: copies, then templates of one record, then what is over the cap."""
    keys, records = np.array(examples.keys, np.uint64), np.array(examples.records, np.uint64)
    pairs, groups = np.array(examples.pairs, np.uint64), np.array(examples.groups, np.int64)
    drops = np.full(len(keys), None, object)
    drops[_ranks(pairs, keys) > 0] = "prompts.copy"
    sets: dict[str, list[int]] = defaultdict(list)
    for (name, _), group in examples.names.items():
        sets[name].append(group)
    most, caps = np.zeros(len(examples.names), np.int64), np.zeros(len(examples.names), np.int64)
    for numbers in sets.values():
        held = len(np.unique(records[np.isin(groups, numbers)]))
        most[numbers] = settings.per_record or (1 if settings.rule == "xp3" and held > settings.cap else len(numbers))
        caps[numbers] = settings.cap if settings.rule == "xp3" else held
        if settings.rule == "t0" and held > settings.large:
            caps[numbers] = max(1, settings.large // len(numbers))
    for limit, member in ((most, records), (caps, groups)):
        left = np.flatnonzero(drops == None)  # noqa: E711 - an array is compared element by element
        over = _ranks(member[left], keys[left]) >= limit[groups[left]]
        drops[left[over]] = "prompts.capped"
    return list(drops)


class PromptShard(NamedTuple):
    """The chain of one file of prompts."""

    rendered: Path
    mixed: Path

    @property
    def chain(self) -> list[Path]:
        """What `read_kept` reads."""
        return [self.rendered, self.mixed]


def prompt_shards(folder: Path) -> list[PromptShard]:
    """Return the chains of a folder of prompts. Raises InputError if it is none."""
    found = sorted((folder / RENDERED).glob("*/*.parquet"))
    if not found:
        raise InputError(f"{folder} holds no prompts: make them with `roots prompts`")
    return [PromptShard(path, folder / _MIXED / path.relative_to(folder / RENDERED)) for path in found]


def mix_prompts(folder: Path, settings: PromptsSettings) -> None:
    """Write which of the rendered examples of a folder stay. The same examples stay in any order of files."""
    chains, examples = prompt_shards(folder), _Examples()
    for chain in chains:
        batches = shards.read_kept([chain.rendered], _READ)
        examples.add(str(chain.mixed), (row for batch in batches for row in batch.to_pylist()), settings.seed)
    drops = _verdicts(examples, settings)
    digest = hashlib.sha256(json.dumps(as_values(settings), sort_keys=True).encode()).hexdigest()
    at = 0
    for name, rows in examples.shards.items():
        path, part = Path(name), slice(at, at + rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        batches = _batches(examples.ids[part], drops[part])
        shards.write(path, _SCHEMA, batches, "mix", 1, digest)
        at += rows


def _batches(ids: Sequence[str], drops: Sequence[str | None]) -> Iterator[pa.RecordBatch]:
    for at in range(0, len(ids), shards.BATCH_ROWS):
        part = slice(at, at + shards.BATCH_ROWS)
        yield pa.RecordBatch.from_arrays(
            [pa.array(ids[part], pa.string()), pa.array(drops[part], pa.string())], schema=_SCHEMA
        )


class Sizes(NamedTuple):
    """Examples, and how long they are in the unit of the manifest."""

    examples: int
    size: int


def mixture_weights(sizes: Mapping[str, Sizes], settings: PromptsSettings) -> dict[str, float]:
    """Return the share of examples of each language in the mixture. Raises SettingsError for an unknown one."""
    for language in settings.shares:
        if language not in sizes:
            raise SettingsError(f"prompts.shares: {unknown_name('language', language, sizes)}")
    free = {name: size.examples**settings.alpha for name, size in sizes.items() if name not in settings.shares}
    left = 1 - sum(settings.shares.values())
    total = sum(free.values())
    weights = {name: left * weight / total for name, weight in free.items()} | dict(settings.shares)
    whole = sum(weights.values()) or 1.0
    return {name: round(weight / whole, 6) for name, weight in sorted(weights.items())}


def contaminated(folder: Path) -> tuple[int, list[dict[str, str]]]:
    """Return how many examples are in evaluation files, and the first of them with where they are."""
    count, shown = 0, list[dict[str, str]]()
    for chain in prompt_shards(folder):
        for batch in shards.read(chain.rendered, ["id", "source", "why", "drop"]):
            for row in batch.to_pylist():
                if row["drop"] == "prompts.contaminated":
                    count += 1
                    if len(shown) < _SHOWN:
                        shown.append({key: row[key] for key in ("id", "source", "why")})
    return count, shown
