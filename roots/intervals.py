"""Confidence intervals of measured numbers."""

import math

_Z = 1.959964  # standard normal quantile of a 95 % interval

# Two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom.
_STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


def student(degrees: int) -> float:
    """The two-sided 95 % quantile of Student's t; above 30 degrees of freedom that of the normal distribution."""
    return _STUDENT[degrees - 1] if degrees <= len(_STUDENT) else 1.96


def wilson(hits: int, tries: int) -> tuple[float, float]:
    """The 95 % interval of the share hits / tries, within [0, 1]; (0, 1) without tries.

    Source: Wilson 1927, the score interval.
    """
    if not tries:
        return 0.0, 1.0
    share = hits / tries
    middle = (share + _Z * _Z / (2 * tries)) / (1 + _Z * _Z / tries)
    half = _Z / (1 + _Z * _Z / tries) * math.sqrt(share * (1 - share) / tries + _Z * _Z / (4 * tries * tries))
    return max(0.0, middle - half), min(1.0, middle + half)
