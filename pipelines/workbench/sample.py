"""The documents in the workbench: which ones, their signals, their texts.

A digest of the id decides which documents are sampled. So the order of archives does not matter, and a larger sample
holds every document of a smaller one.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import category

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.personal_data import as_shown, redact_url
from filters.signals.rules import SIGNALS, Rule
from pipelines.addresses import host_of
from roots import storage
from roots.errors import ShardError
from roots.shards import open_shard, read, read_kept

_MISSING = 0xFFFF  # rank of a document without a number
_DOMAINS = 25  # hosts that are listed
_NEAR = 60  # documents on each side of a bound that are shown whole first
_MARGIN = 400  # characters redacted beyond the end of what is shown
_STEPS = 48  # values of a signal near which documents are shown whole


@dataclass(frozen=True)
class Shown:
    """How much of a text is shown."""

    excerpt: int  # characters of every document
    longest: int  # characters, at most, of one shown whole
    redact: bool  # whether personal data are replaced by tags


@dataclass(frozen=True)
class SampledSignal:
    """One signal of the sampled documents."""

    values: npt.NDArray[np.float64]  # (documents,); NaN for no number
    kind: str  # "float32" or "int32": as it is stored and judged
    place: int  # of its column among the packed columns

    @property
    def whole(self) -> bool:
        """Whether every document has a number."""
        return not bool(np.isnan(self.values).any())

    def ranks(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint16]]:
        """The distinct values in order, and for each document the index of its value; _MISSING for none."""
        known = ~np.isnan(self.values)
        table, inverse = np.unique(self.values[known], return_inverse=True)
        ranks = np.full(len(self.values), _MISSING, np.uint16)
        ranks[known] = inverse
        return table, ranks

    def column(self) -> dict[str, object]:
        """Where the page finds the column."""
        return {"kind": self.kind, "place": self.place, "different": len(self.ranks()[0])}


@dataclass(frozen=True)
class Sample:
    """The sampled documents in the order of their digests."""

    total: int  # documents that were measured
    ids: list[str]
    rows: npt.NDArray[np.int64]  # the position of each among all measured documents
    numbers: dict[str, SampledSignal]  # signals that have numbers
    domains: list[dict[str, object]] = field(default_factory=list)

    def packed(self) -> bytes:
        """All columns, then the ids. A column: its table (float32 or int32), then low and high bytes of the ranks."""
        parts: list[bytes] = []
        for numbers in self.numbers.values():
            table, ranks = numbers.ranks()
            parts.append(table.astype("<f4" if numbers.kind == "float32" else "<i4").tobytes())
            parts += [(ranks & 0xFF).astype(np.uint8).tobytes(), (ranks >> 8).astype(np.uint8).tobytes()]
        return b"".join([*parts, "\n".join(self.ids).encode("utf-8", "replace")])

    def layout(self) -> int:
        """Bytes of the ids, which come last."""
        return len("\n".join(self.ids).encode("utf-8", "replace"))


def read_sample(chains: Sequence[Sequence[Path]], size: int, verdicts: Sequence[Path]) -> Sample:
    """Sample at most `size` of the documents that `chains` ([index, extract, measure] each) keep.

    `verdicts` are the shards of the filter stage, for the drops of each host; missing ones are left out.
    """
    digests: list[int] = []
    domains: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    for chain, verdict in zip(chains, verdicts, strict=True):
        hosts: list[str] = []
        for batch in read_kept(chain, ["id", "url"]):
            digests += [_digest(name) for name in batch["id"].to_pylist()]
            hosts += [_host(url) for url in batch["url"].to_pylist()]
        domains.update(hosts)
        dropped.update(_dropped(hosts, verdict))
    order = np.argsort(np.array(digests, np.uint64), kind="stable")[:size]
    ids, columns = _read_numbers(chains, order)
    numbers: dict[str, SampledSignal] = {}
    for signal, column in columns.items():
        if column.null_count < len(column):
            kind = "float32" if pa.types.is_float32(column.type) else "int32"
            values = np.array(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
            numbers[signal] = SampledSignal(values, kind, len(numbers))
    listed = [
        {"domain": host, "documents": count, "dropped": dropped[host]}
        for host, count in sorted(domains.items(), key=lambda item: (-item[1], item[0]))[:_DOMAINS]
    ]
    return Sample(len(digests), ids, order.astype(np.int64), numbers, listed)


def _digest(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def _host(url: str | None) -> str:
    """The host of a URL as it is listed: without "www.", at most 100 characters."""
    return host_of(url or "").removeprefix("www.")[:100] or "(no address)"


def _dropped(hosts: Sequence[str], verdict: Path) -> Iterator[str]:
    """Hosts of the documents that the filter stage dropped; none if it has not run."""
    if not storage.is_file(verdict):
        return
    kept = [drop is None for batch in read(verdict, ["drop"]) for drop in batch["drop"].to_pylist()]
    if len(kept) != len(hosts):
        raise ShardError(f"{verdict} judges {len(kept)} documents of {len(hosts)}: run `roots filter` again")
    yield from (host for host, keep in zip(hosts, kept, strict=True) if not keep)


def _pick(
    chains: Sequence[Sequence[Path]], wanted: npt.NDArray[np.int64], columns: Sequence[str]
) -> Iterator[tuple[npt.NDArray[np.int64], pa.RecordBatch]]:
    """Read the kept rows of all chains at the positions `wanted`: (indices into `wanted`, columns) for each batch."""
    order = np.argsort(wanted, kind="stable")
    rows = wanted[order]
    start = 0
    for chain in chains:
        for batch in read_kept(chain, columns):
            low, high = np.searchsorted(rows, [start, start + batch.num_rows])
            if high > low:
                yield order[low:high], batch.take(pa.array((rows[low:high] - start).tolist(), pa.int64()))
            start += batch.num_rows


def _read_numbers(
    chains: Sequence[Sequence[Path]], order: npt.NDArray[np.intp]
) -> tuple[list[str], dict[str, pa.Array]]:
    """Ids and signals of the rows `order`, in that order."""
    if not len(order):
        return [], {}
    stored = {name for path in chains[0] for name in open_shard(path).schema_arrow.names}
    signals = [signal for signal in SIGNALS if signal in stored]  # an older work folder may lack a new signal
    found = list(_pick(chains, order.astype(np.int64), ["id", *signals]))
    table = pa.Table.from_batches([batch for _, batch in found]).combine_chunks()
    places = np.concatenate([place for place, _ in found])
    table = table.take(pa.array(np.argsort(places).tolist(), pa.int64())).combine_chunks()
    columns = {signal: table[signal].chunk(0) for signal in signals}
    return table["id"].to_pylist(), columns


def choose_whole(sample: Sample, rules: Sequence[Rule], readable: int, count: int) -> list[int]:
    """Which of the first `readable` documents are shown whole: at most `count`, most useful first.

    First the nearest to each bound on either side, then some near every value to which a bound could be moved, then the
    others.
    """
    chosen: dict[int, None] = {}
    limits = [(rule.signal, limit) for rule in rules for limit in (rule.min, rule.max) if limit is not None]
    for signal, limit in limits:
        if signal in sample.numbers:
            chosen |= dict.fromkeys(_nearest(sample.numbers[signal].values[:readable], limit, _NEAR))
    spread: list[int] = []
    for numbers in sample.numbers.values():
        values = numbers.values[:readable]
        known = values[~np.isnan(values)]
        if len(known):
            low, high = np.quantile(known, [0.001, 0.999])
            steps = np.concatenate([np.linspace(low, high, _STEPS), np.quantile(known, np.linspace(0, 1, _STEPS))])
            for step in steps.tolist():
                spread += _nearest(values, step, 1)
    chosen |= dict.fromkeys(spread)
    chosen |= dict.fromkeys(range(readable))
    return list(chosen)[:count]


def _nearest(values: npt.NDArray[np.float64], limit: float, count: int) -> list[int]:
    """The documents nearest to a limit: `count` below it, and `count` at or above it."""
    found: list[int] = []
    for side in (values < limit, values >= limit):
        places = np.flatnonzero(side)
        far = np.abs(values[places] - limit)
        if len(places) > count:
            edge = np.partition(far, count - 1)[count - 1]
            places, far = places[far <= edge], far[far <= edge]
        found += places[np.argsort(far, kind="stable")][:count].tolist()
    return found


@dataclass(frozen=True)
class ShownTexts:
    """Texts of the first documents of a sample."""

    urls: list[str]
    excerpts: list[str]
    lengths: list[int]  # characters of the whole text
    whole: Mapping[int, str]


def read_shown_texts(
    chains: Sequence[Sequence[Path]], sample: Sample, readable: int, whole: Sequence[int], shown: Shown
) -> ShownTexts:
    """Read the texts of the first `readable` documents: an excerpt of each, and the whole text of those in `whole`."""
    urls, excerpts, lengths = [""] * readable, [""] * readable, [0] * readable
    wanted = set(whole)
    found: dict[int, str] = {}
    for places, batch in _pick(chains, sample.rows[:readable], ["url", "text", "language"]):
        for place, row in zip(places.tolist(), batch.to_pylist(), strict=True):
            text = row["text"] or ""
            urls[place] = _clean(redact_url(row["url"] or ""), row["language"], shown)[:200]
            lengths[place] = len(text)
            # Redact more than is shown, so that an address at the cut is found whole.
            limit = shown.longest if place in wanted else shown.excerpt
            clean = _clean(text[: limit + _MARGIN], row["language"], shown)
            excerpts[place] = cut_excerpt(clean, shown.excerpt)
            if place in wanted:
                found[place] = cut_excerpt(clean, limit)
    return ShownTexts(urls, excerpts, lengths, found)


def cut_excerpt(text: str, limit: int) -> str:
    """At most `limit` characters, cut after a word; without spaces, never before a combining mark."""
    if len(text) <= limit:
        return text
    for end in range(limit, max(limit - 40, 0), -1):
        if text[end].isspace():
            return text[:end]
    while limit and (category(text[limit])[0] == "M" or "\u200d" in text[limit - 1 : limit + 1]):
        limit -= 1
    return text[:limit]


def _clean(text: str, language: str | None, shown: Shown) -> str:
    """A text as the dataset has it: personal data are replaced by tags."""
    if not shown.redact or not text:
        return text
    return as_shown(text, language)
