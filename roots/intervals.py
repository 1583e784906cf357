"""Confidence intervals of measured shares."""

import math

_Z = 1.959964  # standard normal quantile of a 95 % interval


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
