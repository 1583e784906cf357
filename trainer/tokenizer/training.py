"""Train a byte-level BPE tokenizer with BLOOM's layout on a sample that is fair to small languages.

There is no normaliser, so every text decodes to the same bytes. Ids 0 to 3 are `<unk> <s> </s> <pad>`; then come the
256 bytes, the merges and the reserved tokens (BLOOM: 250,680 + 200 = 250,880 rows). Source: Workshop 2022, section
3.1.3.
"""

import resource
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

from roots.errors import InputError, SettingsError, unknown_name
from roots.settings import as_values
from trainer import corpus
from trainer.settings import SPECIAL_TOKENS, TokenizerSettings
from trainer.tokenizer import merges, sampling
from trainer.tokenizer.feedback import count_tokens, gini, reweigh, with_fixed_shares
from trainer.tokenizer.files import TrainedTokenizer, padded_rows
from trainer.tokenizer.patterns import PATTERNS, cut_by


def empty_tokenizer(pattern: str) -> Tokenizer:
    """Return a byte-level BPE tokenizer with this pattern (a key of PATTERNS) and no merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = cut_by(PATTERNS[pattern].released)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def train_on_texts(texts: Iterable[str], settings: TokenizerSettings) -> Tokenizer:
    """Train on texts and return the whole tokenizer: special, byte, merged and reserved tokens.

    The order of the texts does not matter: the same texts give the same file.
    """
    pieces = merges.count_pieces(texts, PATTERNS[settings.pattern].counted)
    before = [*SPECIAL_TOKENS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    size = settings.vocabulary - settings.reserved
    tokenizer = empty_tokenizer(settings.pattern)
    tokenizer.model = models.BPE(
        *merges.learn_merges(pieces, before, size, settings.min_frequency, settings.max_token_bytes)
    )
    names = [*SPECIAL_TOKENS, *(f"<|reserved_{i}|>" for i in range(settings.reserved))]
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    return tokenizer


def train_tokenizer(
    sources: Mapping[str, Sequence[Path]],
    settings: TokenizerSettings,
    parallel: Mapping[str, Sequence[str]] | None = None,
) -> TrainedTokenizer:
    """Train on the shards of one or many languages (`sources`: language -> shards).

    Feedback rounds need `parallel` (language -> the same sentences). After each round, languages that need more tokens
    than the mean, or more than `within` allows, weigh more in the next sample. Of the rounds that come nearest to
    `within`, the one with the most even costs is returned.

    Raises SettingsError if feedback has no parallel text or a setting names an unknown language, InputError if there
    is no text.
    """
    start, used = time.monotonic(), time.process_time()
    for name, languages in (("shares", settings.shares), ("within", settings.within)):
        for language in sorted(set(languages) - set(sources)):
            raise SettingsError(f"tokenizer.{name}: {unknown_name('language', language, sources)}")
    sizes = {language: corpus.text_bytes(sources[language]) for language in sorted(sources)}
    if not sum(sizes.values()):
        raise InputError("the shards hold no text: nothing to train a tokenizer on")
    parallel = _parallel(parallel or {}, sizes, settings)
    limits, seen_bytes = _limits(sources, parallel, settings)
    weights = sampling.language_weights(sizes, settings.fill, settings.alpha)
    available = {language: float(size * settings.repeat) for language, size in sizes.items()}
    best: tuple[tuple[float, float], Tokenizer, dict[str, int]] | None = None
    history: list[dict[str, Any]] = []
    for round_ in range(settings.rounds + 1):
        given = sampling.quotas(with_fixed_shares(weights, settings.shares), available, settings.budget_mb * 1e6)
        texts = (sampling.sample_texts(sources[key], sizes[key], given[key], settings.seed) for key in sizes)
        tokenizer = train_on_texts(chain.from_iterable(texts), settings)
        seen_bytes += sum(given.values())
        costs = {language: count_tokens(tokenizer, lines) for language, lines in parallel.items()}
        missed = max((costs[key] / limit - 1 for key, limit in limits.items() if costs[key] > limit), default=0.0)
        said = {"missed": missed, "gini": gini(list(costs.values()))}
        quotas = {key: round(value) for key, value in given.items()}
        history.append({"round": round_, **said, "costs": costs, "quotas": quotas})
        if best is None or (missed, said["gini"]) < best[0]:
            best = (missed, said["gini"]), tokenizer, quotas
        weights = reweigh(weights, costs, settings.eta, limits)
    assert best is not None
    took = time.monotonic() - start, time.process_time() - used
    made = {"text_bytes": sizes, "sampled_bytes": best[2], "limits": limits, "rounds": history}
    return TrainedTokenizer(best[1], {**made, **_costs(*took, seen_bytes), **_size(best[1], settings)})


def _parallel(
    given: Mapping[str, Sequence[str]], sizes: Mapping[str, int], settings: TokenizerSettings
) -> dict[str, Sequence[str]]:
    """Return the parallel text of our languages. Raises SettingsError if feedback needs more of it."""
    found = {language: lines for language, lines in given.items() if language in sizes}
    if settings.rounds and len(found) < 2:
        raise SettingsError(
            "tokenizer.rounds: feedback needs parallel text of at least two of the languages (--parallel)"
        )
    for language in settings.within:
        if language not in found:
            raise SettingsError(
                f"tokenizer.within: there is no parallel text of {language!r} to measure it on (--parallel)"
            )
    return found


def _limits(
    sources: Mapping[str, Sequence[Path]], parallel: Mapping[str, Sequence[str]], settings: TokenizerSettings
) -> tuple[dict[str, float], float]:
    """Return the most tokens that each language of `within` may need for its parallel text, and the bytes read."""
    limits, seen_bytes = dict[str, float](), 0.0
    bare = replace(_alone(settings), vocabulary=settings.own_rows, multiple=1, reserved=0, repeat=1)
    for language, times in settings.within.items():
        own = train_tokenizer({language: sources[language]}, bare)
        seen_bytes += sum(own.report["sampled_bytes"].values())
        limits[language] = times * count_tokens(own.tokenizer, parallel[language])
    return limits, seen_bytes


def _size(tokenizer: Tokenizer, settings: TokenizerSettings) -> dict[str, object]:
    """Return the settings, the number of tokens, and the rows of the embedding."""
    tokens = tokenizer.get_vocab_size()
    return {"settings": as_values(settings), "tokens": tokens, "rows": padded_rows(tokens, settings.multiple)}


def _costs(seconds: float, cpu_seconds: float, text_bytes: float) -> dict[str, float]:
    """Return the time and memory that training took, all rounds and reading included."""
    return {
        "seconds": round(seconds, 2), "cpu_seconds": round(cpu_seconds, 2),
        "mb_per_second": round(text_bytes / 1e6 / seconds, 2),
        "mb_per_cpu_second": round(text_bytes / 1e6 / cpu_seconds, 2),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }  # fmt: skip


def _alone(settings: TokenizerSettings) -> TokenizerSettings:
    """Return the settings for one language: shares and feedback compare languages, so they go."""
    return replace(settings, rounds=0, shares={}, within={})


def train_monolingual(sources: Mapping[str, Sequence[Path]], settings: TokenizerSettings) -> dict[str, Tokenizer]:
    """Train a tokenizer for each language alone, with the vocabulary of the common one, as the BLOOM paper does."""
    bare = _alone(settings)
    return {language: train_tokenizer({language: paths}, bare).tokenizer for language, paths in sorted(sources.items())}
