"""From what pieces of a crawl cost to what all of it will: ratios to bytes, and how sure they are.

Cost is proportional to the bytes of an archive, and pieces are drawn byte by byte, so the ratio of sums is the
estimate. Its error is found by the jackknife (each piece left out once), widened by Student's t for so few pieces, and
narrowed by the part of the crawl that was measured itself.

Source: Cochran 1977, Sampling Techniques, sections 6.2 and 6.17.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEAST_PIECES = 3

# Quantiles of Student's t at .975 for 2 to 30 degrees of freedom; beyond that the normal distribution's is near enough.
_STUDENT = (
    4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110,
    2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@dataclass(frozen=True)
class Interval:
    """An estimate, and the range in which the truth lies in 95 of 100 such samples."""

    low: float
    middle: float
    high: float

    def times(self, factor: float) -> "Interval":
        """All three, so many times."""
        return Interval(self.low * factor, self.middle * factor, self.high * factor)

    def plus(self, other: "Interval") -> "Interval":
        """Sums of both; the range is that of errors that all fall on the same side."""
        return Interval(self.low + other.low, self.middle + other.middle, self.high + other.high)


NOTHING = Interval(0.0, 0.0, 0.0)


def total_of(costs: Sequence[float], sizes: Sequence[float], whole: float) -> Interval:
    """What a crawl of `whole` bytes will cost, when pieces of these sizes (bytes) cost that much.

    Raises ValueError for fewer than LEAST_PIECES pieces.
    """
    count = len(costs)
    if count < LEAST_PIECES or len(sizes) != count or min(sizes) <= 0:
        raise ValueError(f"{count} pieces are too few to say how sure an estimate is: {LEAST_PIECES} are needed")
    cost, size = sum(costs), sum(sizes)
    without = [(cost - c) / (size - s) for c, s in zip(costs, sizes, strict=True)]
    mean = sum(without) / count
    error = math.sqrt((count - 1) / count * sum((ratio - mean) ** 2 for ratio in without))
    error *= math.sqrt(max(0.0, 1 - size / whole))
    wide = error * (_STUDENT[count - 3] if count - 3 < len(_STUDENT) else 1.96)
    ratio = cost / size
    return Interval(max(0.0, ratio - wide) * whole, ratio * whole, (ratio + wide) * whole)


def elapsed(tasks: int, task_seconds: float, driver_seconds: float, workers: int) -> float:
    """Seconds that a stage of equal tasks takes: the driver's part, full rounds of all workers, and the last round."""
    return driver_seconds + (math.ceil(tasks / workers) * task_seconds if tasks else 0.0)
