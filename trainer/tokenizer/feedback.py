"""Fertility feedback: languages that need more tokens for the same content weigh more in the next sample."""

from collections.abc import Mapping, Sequence

from tokenizers import Tokenizer

# The cost of a language falls with its share to the power 0.08 to 0.15, so weights change by the inverse of about 1/8.
LIMIT_EXPONENT = 8.0


def count_tokens(tokenizer: Tokenizer, lines: Sequence[str]) -> int:
    """Return the number of tokens that these lines need together."""
    return sum(len(encoding.ids) for encoding in tokenizer.encode_batch_fast(list(lines), add_special_tokens=False))


def gini(values: Sequence[float]) -> float:
    """Return the Gini coefficient: 0 if all values are equal, near 1 if one holds almost all. No values give 0."""
    ordered = sorted(values)
    whole = sum(ordered)
    if not whole:
        return 0.0
    n = len(ordered)
    return sum((2 * rank - n - 1) * value for rank, value in enumerate(ordered, start=1)) / (n * whole)


def reweigh(
    weights: Mapping[str, float], costs: Mapping[str, float], eta: float, limits: Mapping[str, float]
) -> dict[str, float]:
    """Return the weights after a round of feedback, summing to 1: each times (cost / mean cost) ** eta.

    A language whose limit is below the mean cost is multiplied by (cost / limit) ** LIMIT_EXPONENT instead.
    """
    if not costs:
        return dict(weights)
    mean = sum(costs.values()) / len(costs)
    raised = dict(weights)
    for key in costs:
        limit = limits.get(key, mean)
        raised[key] *= (costs[key] / limit) ** LIMIT_EXPONENT if limit < mean else (costs[key] / mean) ** eta
    whole = sum(raised.values())
    return {key: value / whole for key, value in raised.items()}


def with_fixed_shares(weights: Mapping[str, float], fixed: Mapping[str, float]) -> dict[str, float]:
    """Return weights that sum to 1: fixed languages get their share, and the others divide the rest."""
    free = sum(value for key, value in weights.items() if key not in fixed) or 1.0
    rest = 1.0 - sum(fixed.values())
    return {key: fixed.get(key, value / free * rest) for key, value in weights.items()}
