"""How much of its training text a model has memorised, by the number of copies in the corpus.

A window of prefix + suffix tokens is memorised if the model, given the prefix, greedily continues with exactly the
suffix (Carlini et al. 2023, arXiv 2202.07646, definition 3.1). Windows are drawn at random within groups by copies in
the training tokens. Windows of held-out text, with no copy there, show what can be guessed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import torch

from trainer import picture
from trainer.data.token_shards import Ints, TokenIds, TokenShards
from trainer.model.decoder import AlibiLM, Sampling
from trainer.settings import MemorizationSettings

_EDGES = (1, 2, 4, 8, 16, 32, 64, 128)  # copies; a group reaches from one edge to below the next


@dataclass(frozen=True)
class CopyGroup:
    """Windows with about as many copies, and how many of them the model knows."""

    copies: str
    asked: int
    known: int

    @property
    def share(self) -> float:
        """Share of windows that the model knows."""
        return self.known / self.asked if self.asked else 0.0


def window_keys(stream: Ints | TokenIds | npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint64]:
    """Return a 64-bit key of the `size` tokens that begin at each position; equal windows have equal keys.

    Keys of 2 k tokens are made from those of k. Two different windows share a key with probability 2 ** -64.
    """
    if len(stream) < size:
        return np.zeros(0, np.uint64)
    power, length = _scrambled(stream.astype(np.uint64)), 1
    key, done = np.zeros(len(stream) + 1, np.uint64), 0
    left = size
    while left:
        if left & 1:
            stop = len(stream) - done - length + 1
            key = _scrambled(key[:stop] * np.uint64(0x9E3779B97F4A7C15) + power[done : done + stop])
            done += length
        left >>= 1
        if left:
            count = len(power) - length
            power = _scrambled(power[:count] * np.uint64(0x9E3779B97F4A7C15) + power[length : length + count])
            length *= 2
    return key[: len(stream) - size + 1]


def _scrambled(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def copies_of(stream: Ints | TokenIds, size: int) -> tuple[Ints, Ints]:
    """Return (first position, copies) of every different window of a stream."""
    _, first, counts = np.unique(window_keys(stream, size), return_index=True, return_counts=True)
    return first.astype(np.int64), counts.astype(np.int64)


@torch.no_grad()
def _count_known(model: AlibiLM, windows: Ints, prefix: int, rows: int = 32) -> int:
    """Return how many of the windows (N, prefix + suffix) the model completes exactly."""
    found = 0
    for start in range(0, len(windows), rows):
        part = torch.from_numpy(windows[start : start + rows]).to(model.head.device)
        made = model.generate(part[:, :prefix], part.shape[1] - prefix, Sampling(temperature=0))
        found += int((made == part[:, prefix:]).all(1).sum())
    return found


def measure_memorization(
    model: AlibiLM, train: TokenShards, held_out: TokenShards, settings: MemorizationSettings
) -> list[CopyGroup]:
    """Ask a model for windows of its training text, in groups by copies; the first group is held-out text."""
    size = settings.prefix + settings.suffix
    stream = train.read(0, min(train.tokens, settings.tokens))
    first, copies = copies_of(stream, size)
    other = held_out.read(0, min(held_out.tokens, settings.tokens))
    keys = window_keys(other, size)
    unseen = np.flatnonzero(~np.isin(keys, window_keys(stream, size)))
    rng = np.random.default_rng(settings.seed)
    groups = [_ask(model, other, unseen, "0", settings, rng)]
    for low, high in zip(_EDGES, [*_EDGES[1:], 1 << 62], strict=True):
        inside = first[(copies >= low) & (copies < high)]
        label = str(low) if high == low + 1 else f"{low} to {high - 1}" if high < 1 << 62 else f"{low} or more"
        if len(inside):
            groups.append(_ask(model, stream, inside, label, settings, rng))
    return groups


def _ask(
    model: AlibiLM,
    stream: TokenIds,
    starts: Ints,
    label: str,
    settings: MemorizationSettings,
    rng: np.random.Generator,
) -> CopyGroup:
    count = min(settings.windows, len(starts))
    drawn = np.sort(rng.choice(starts, count, replace=False)) if count else starts
    size = settings.prefix + settings.suffix
    windows = (
        np.stack([stream[at : at + size] for at in drawn]).astype(np.int64) if count else np.zeros((0, size), np.int64)
    )
    return CopyGroup(label, count, _count_known(model, windows, settings.prefix))


def render_memorization(results: Mapping[str, Sequence[CopyGroup]]) -> tuple[str, str]:
    """Return a table and a picture of measurements (name -> groups), such as before and after dedup."""
    labels = list(dict.fromkeys(group.copies for groups in results.values() for group in groups))
    labels.sort(key=lambda label: int(label.split()[0]))
    by_name = {name: {group.copies: group for group in groups} for name, groups in results.items()}
    head = ["copies in training", *(f"known, {name}" for name in results), *(f"asked, {name}" for name in results)]
    rows = [
        [label, *(by_name[n][label].share if label in by_name[n] else None for n in results),
         *(by_name[n][label].asked if label in by_name[n] else None for n in results)]
        for label in labels
    ]  # fmt: skip
    bars = {label: {n: by_name[n][label].share for n in results if label in by_name[n]} for label in labels}
    return picture.markdown_table(head, rows), picture.draw_bars(
        "Training text known by heart", "share of windows", bars
    )


def groups_as_values(groups: Sequence[CopyGroup]) -> list[dict[str, object]]:
    """Return groups as plain values."""
    return [{**asdict(group), "share": group.share} for group in groups]
