"""How far a run is: step, tokens, position in the data, and the statistics that separate a loss spike from noise."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from trainer.data.feed import DataPosition


@dataclass
class SpikeGuard:
    """Finds spikes by the running mean and variance of the log loss and the log gradient norm."""

    means: list[float] = field(default_factory=lambda: [0.0, 0.0])
    variances: list[float] = field(default_factory=lambda: [0.0, 0.0])
    seen: int = 0
    high: int = 0  # updates in a row above the limit
    since: int = -1  # position in the data where they began

    def spiked(self, values: list[float], limit: float, position: int) -> bool:
        """Add the loss and gradient norm of one update; return whether it is the second in a row far above normal."""
        logs = [math.log(max(value, 1e-12)) for value in values]
        z = [
            (x - m) / math.sqrt(max(v, 1e-4)) if self.seen >= 50 else 0.0
            for x, m, v in zip(logs, self.means, self.variances, strict=True)
        ]
        if limit and max(z) > limit:
            self.since = position if not self.high else self.since
            self.high += 1
            return self.high >= 2
        self.high = 0
        self.seen += 1
        weight = max(0.02, 1 / self.seen)
        for at, x in enumerate(logs):
            change = x - self.means[at]
            self.means[at] += weight * change
            self.variances[at] = (1 - weight) * (self.variances[at] + weight * change * change)
        return False


@dataclass
class RunState:
    """The state of a run, apart from weights and optimiser."""

    step: int = 0
    tokens: int = 0
    place: DataPosition = field(default_factory=DataPosition)
    guard: SpikeGuard = field(default_factory=SpikeGuard)
    rollbacks: int = 0
    lengths: tuple[tuple[int, int, int], ...] = ()  # changes of train.tokens: step, before, after

    def as_values(self) -> dict[str, object]:
        """Return plain values for a checkpoint."""
        return {
            "step": self.step, "tokens": self.tokens, "place": self.place.as_values(), "guard": asdict(self.guard),
            "rollbacks": self.rollbacks, "lengths": [list(change) for change in self.lengths],
        }  # fmt: skip

    @staticmethod
    def of(values: Mapping[str, Any]) -> "RunState":
        """Read what `as_values` returned."""
        place = DataPosition(values["place"]["position"], tuple((a, b) for a, b in values["place"]["skipped"]))
        lengths = tuple((at, before, after) for at, before, after in values.get("lengths", []))
        return RunState(
            values["step"], values["tokens"], place, SpikeGuard(**values["guard"]), values["rollbacks"], lengths
        )
