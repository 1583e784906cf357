"""Byte-level BPE as BLOOM has it, with a sample that is fair to small languages.

No normaliser: every text comes back byte for byte. Ids 0 to 3 are `<unk> <s> </s> <pad>`, then 256 bytes, then merges,
then the reserved tokens, as in BLOOM (250,680 + 200 = 250,880 rows). Source: Workshop 2022, section 3.1.3.
"""

import hashlib
import json
import math
import resource
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import as_file, files
from itertools import chain
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors

from roots.errors import InputError, SettingsError, unknown_name
from roots.settings import as_values
from roots.shards import write_text
from trainer import corpus
from trainer.tokenizer import merges as bpe
from trainer.tokenizer import sampling

SPECIAL = ("<unk>", "<s>", "</s>", "<pad>")
UNKNOWN, BEGIN, END, PAD = range(4)

PULL = 8.0  # measured: the cost of a language falls with its share to the power 0.08 (Hindi) to 0.15 (Arabic, Chinese)
_ALONE: dict[str, Any] = {"rounds": 0, "shares": (), "within": ()}  # settings that mean nothing for one language

_UNSPACED = r"\p{Han}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Hiragana}\p{Katakana}"
_STOPS = r"\s()|.,!?…。，、।۔،"
_WORD = r"\p{L}\p{M}\x{200C}\x{200D}"  # joiners are letters' business: Persian, Malayalam, Sinhala need them


@dataclass(frozen=True)
class _Pattern:
    """How text is cut before merging: as the tokenizer does it, and as the trainer counts it (`bpe.count`).

    The trainer's pieces are bounded: 8 characters in scripts without spaces, 32 in others. Clause-long pieces are what
    makes BPE training run out of memory (32 GB and more reported for 20 GB of text), and no merge could use them.
    """

    released: str
    counted: str


def _roots(word: str, marks: str) -> str:
    return "|".join(
        [
            word,
            r" ?\p{N}{1,2}",  # two digits a piece: 0.965 bits a byte against 0.969 for one, 0.972 for three (nanochat)
            marks,
            r"[\r\n]{1,16}",
            r"[^\S\r\n]{1,16}(?!\S)",  # leave one space for the word that follows
            r"[^\S\r\n]{1,16}",
        ]
    )


PATTERNS = {
    # BLOOM's, written as one plain class: the released one nests a class, which only Oniguruma reads as meant.
    "bloom": _Pattern(
        rf" ?[^{_STOPS}]+",
        rf" ?(?:[{_UNSPACED}]{{1,8}}|[^{_STOPS}{_UNSPACED}]{{1,32}})|(?:(?! [^{_STOPS}])[{_STOPS}]){{1,32}}",
    ),
    # Ours: combining marks and joiners stay inside words, digits in twos, punctuation and line breaks apart.
    "roots": _Pattern(
        _roots(rf" ?[{_WORD}]+(?:['’ʼ][{_WORD}]+)*", rf" ?[^\s\p{{N}}{_WORD}]+"),
        _roots(
            rf" ?(?:[{_UNSPACED}]{{1,8}}|[{_WORD}&&[^{_UNSPACED}]]{{1,32}}(?:['’ʼ][{_WORD}]{{1,32}})?)",
            rf" ?[^\s\p{{N}}{_WORD}]{{1,16}}",
        ),
    ),
}


@dataclass(frozen=True)
class TokenizerSettings:
    """What decides a tokenizer, besides the shards."""

    vocabulary: int = 32_768  # rows of the embedding, reserved tokens and padding included
    multiple: int = 128  # rows are padded to a multiple of this: 128 x tensor-parallel size
    reserved: int = 200  # tokens kept free for later, as BLOOM does
    pattern: str = "roots"  # a key of PATTERNS
    alpha: float = 0.3  # BLOOM: share of a language = (its kept bytes) ** alpha
    fill: float = 0.5  # BLOOM: the water-fill keeps this share of all bytes
    budget_mb: int = 200  # text sampled for training, in all languages together
    shares: tuple[str, ...] = ()  # languages with a fixed share of the budget: ("en=0.15",); feedback leaves them alone
    repeat: int = 4  # a small language's text counts at most this often
    min_frequency: int = 2  # of a pair, to be merged
    max_token_bytes: int = 32
    rounds: int = 0  # of fertility feedback; 0 is none
    eta: float = 1.0  # weight of a language *= (its cost / mean cost) ** eta after a round
    within: tuple[str, ...] = ()  # ("hi=1.1",): feedback gives Hindi at most 1.1 times the tokens of its own tokenizer
    own_rows: int = 8192  # of that own tokenizer, trained on all text of the language that the budget allows
    seed: int = 42

    def __post_init__(self) -> None:
        if self.pattern not in PATTERNS:
            raise ValueError(unknown_name("pattern", self.pattern, PATTERNS))
        if self.multiple < 1 or self.vocabulary % self.multiple:
            raise ValueError(f"vocabulary {self.vocabulary} is no multiple of {self.multiple}")
        if self.vocabulary - self.reserved < 256 + len(SPECIAL):
            raise ValueError(
                f"vocabulary must hold 256 bytes, {len(SPECIAL)} special and {self.reserved} reserved tokens"
            )
        if self.budget_mb < 1:
            raise ValueError("budget_mb must be at least 1")
        if any(not 0 < share < 1 for share in numbers("shares", self.shares).values()):
            raise ValueError("shares: each must lie between 0 and 1")
        if sum(numbers("shares", self.shares).values()) > 1:
            raise ValueError("shares: their sum is above 1")
        if any(times <= 0 for times in numbers("within", self.within).values()):
            raise ValueError("within: each must be above 0")
        if self.within and not self.rounds:
            raise ValueError("within: it takes rounds of feedback to bring a language there; set rounds")
        if self.own_rows < 256 + len(SPECIAL):
            raise ValueError(f"own_rows must hold 256 bytes and {len(SPECIAL)} special tokens")
        if not (0 < self.fill <= 1 and 0 <= self.alpha <= 1 and self.repeat >= 1 and self.rounds >= 0):
            raise ValueError("fill must lie in (0, 1], alpha in [0, 1]; repeat >= 1; rounds >= 0")


def numbers(setting: str, pairs: Sequence[str]) -> dict[str, float]:
    """Read ("en=0.15",) as {"en": 0.15}. Raises ValueError, with the setting's name, for anything else."""
    found: dict[str, float] = {}
    for pair in pairs:
        language, _, number = pair.partition("=")
        try:
            found[language] = float(number)
        except ValueError:
            raise ValueError(f"{setting}: {pair!r} is not language=number, as en=0.15") from None
    return found


@dataclass(frozen=True)
class Trained:
    """What a training made: the tokenizer and what is said of it."""

    tokenizer: Tokenizer
    report: Mapping[str, Any] = field(default_factory=dict)


def padded(tokens: int, multiple: int = 128) -> int:
    """Rows of an embedding for so many tokens: the next multiple."""
    return math.ceil(tokens / multiple) * multiple


def empty_tokenizer(pattern: str) -> Tokenizer:
    """A byte-level BPE with that pre-tokenizer and no merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _cutter(PATTERNS[pattern].released)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def _cutter(pattern: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def fit(texts: Iterable[str], settings: TokenizerSettings) -> Tokenizer:
    """Train on texts and give a whole tokenizer: special, byte, merged and reserved tokens.

    Equal texts give an equal file, in whatever order they come.
    """
    pieces = bpe.count(texts, PATTERNS[settings.pattern].counted)
    before = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    size = settings.vocabulary - settings.reserved
    tokenizer = empty_tokenizer(settings.pattern)
    tokenizer.model = models.BPE(*bpe.learn(pieces, before, size, settings.min_frequency, settings.max_token_bytes))
    names = [*SPECIAL, *(f"<|reserved_{i}|>" for i in range(settings.reserved))]
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    return tokenizer


def train(
    sources: Mapping[str, Sequence[Path]],
    settings: TokenizerSettings,
    parallel: Mapping[str, Sequence[str]] | None = None,
) -> Trained:
    """Train on the shards of one or many languages (`sources`: language -> shards).

    `parallel` (language -> the same sentences) is needed for feedback rounds: after each, the languages that are cut
    into more tokens than the mean weigh more in the next sample, and so do those of `within` that are cut into more
    than that. The round with the most even cost is given back, of those that keep `within`, or miss it least.
    Raises SettingsError where feedback has no parallel text, InputError where there is no text.
    """
    start, used = time.monotonic(), time.process_time()
    sizes = {language: corpus.text_bytes(sources[language]) for language in sorted(sources)}
    if not sum(sizes.values()):
        raise InputError("the shards hold no text: nothing to train a tokenizer on")
    parallel = _parallel(parallel or {}, sizes, settings)
    limits, seen_bytes = _limits(sources, parallel, settings)
    weights = sampling.language_weights(sizes, settings.fill, settings.alpha)
    fixed = {k: v for k, v in numbers("shares", settings.shares).items() if k in weights}
    available = {language: float(size * settings.repeat) for language, size in sizes.items()}
    best: tuple[tuple[float, float], Tokenizer, dict[str, int]] | None = None
    history: list[dict[str, Any]] = []
    for round_ in range(settings.rounds + 1):
        given = sampling.quotas(held(weights, fixed), available, settings.budget_mb * 1e6)
        texts = (sampling.sample(sources[key], sizes[key], given[key], settings.seed) for key in sizes)
        tokenizer = fit(chain.from_iterable(texts), settings)
        seen_bytes += sum(given.values())
        costs = {language: cost(tokenizer, lines) for language, lines in parallel.items()}
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
    return Trained(best[1], {**made, **_costs(*took, seen_bytes), **_size(best[1], settings)})


def _parallel(
    given: Mapping[str, Sequence[str]], sizes: Mapping[str, int], settings: TokenizerSettings
) -> dict[str, Sequence[str]]:
    """The parallel text of our languages. Raises SettingsError where feedback needs more."""
    found = {language: lines for language, lines in given.items() if language in sizes}
    if settings.rounds and len(found) < 2:
        raise SettingsError(
            "tokenizer.rounds: feedback needs parallel text of at least two of the languages (--parallel)"
        )
    for language in numbers("within", settings.within):
        if language in sizes and language not in found:
            raise SettingsError(
                f"tokenizer.within: there is no parallel text of {language!r} to hold it to (--parallel)"
            )
    return found


def _limits(
    sources: Mapping[str, Sequence[Path]], parallel: Mapping[str, Sequence[str]], settings: TokenizerSettings
) -> tuple[dict[str, float], float]:
    """Tokens that each language of `within` is to have for its parallel text at most; bytes of text read to know it."""
    limits, seen_bytes = dict[str, float](), 0.0
    bare = replace(settings, vocabulary=settings.own_rows, multiple=1, reserved=0, repeat=1, **_ALONE)
    for language, times in numbers("within", settings.within).items():
        if language in sources:
            own = train({language: sources[language]}, bare)
            seen_bytes += sum(own.report["sampled_bytes"].values())
            limits[language] = times * cost(own.tokenizer, parallel[language])
    return limits, seen_bytes


def _size(tokenizer: Tokenizer, settings: TokenizerSettings) -> dict[str, Any]:
    """Settings, tokens, and rows of the embedding that they need."""
    tokens = tokenizer.get_vocab_size()
    return {"settings": as_values(settings), "tokens": tokens, "rows": padded(tokens, settings.multiple)}


def _costs(seconds: float, cpu_seconds: float, text_bytes: float) -> dict[str, Any]:
    """What a training took, all rounds and reading included: by the clock, of one core, and of memory."""
    return {
        "seconds": round(seconds, 2), "cpu_seconds": round(cpu_seconds, 2),
        "mb_per_second": round(text_bytes / 1e6 / seconds, 2),
        "mb_per_cpu_second": round(text_bytes / 1e6 / cpu_seconds, 2),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }  # fmt: skip


def monolingual(sources: Mapping[str, Sequence[Path]], settings: TokenizerSettings) -> dict[str, Tokenizer]:
    """A tokenizer of each language alone, as large as the common one: what the BLOOM paper compares with."""
    bare = replace(settings, **_ALONE)
    return {language: train({language: paths}, bare).tokenizer for language, paths in sorted(sources.items())}


def cost(tokenizer: Tokenizer, lines: Sequence[str]) -> int:
    """Tokens that these lines need together."""
    return sum(len(encoding.ids) for encoding in tokenizer.encode_batch_fast(list(lines), add_special_tokens=False))


def gini(values: Sequence[float]) -> float:
    """Gini coefficient: 0 where all are equal, towards 1 where one bears all. 0 for no values."""
    ordered = sorted(values)
    whole = sum(ordered)
    if not whole:
        return 0.0
    n = len(ordered)
    return sum((2 * rank - n - 1) * value for rank, value in enumerate(ordered, start=1)) / (n * whole)


def reweigh(
    weights: Mapping[str, float], costs: Mapping[str, float], eta: float, limits: Mapping[str, float]
) -> dict[str, float]:
    """Weights after a round of feedback, summing to 1: times (cost / mean cost) ** eta.

    A language whose limit is below the mean goes there instead, and faster: times (cost / limit) ** PULL.
    """
    if not costs:
        return dict(weights)
    mean = sum(costs.values()) / len(costs)
    raised = dict(weights)
    for key in costs:
        limit = limits.get(key, mean)
        raised[key] *= (costs[key] / limit) ** PULL if limit < mean else (costs[key] / mean) ** eta
    whole = sum(raised.values())
    return {key: value / whole for key, value in raised.items()}


def held(weights: Mapping[str, float], fixed: Mapping[str, float]) -> dict[str, float]:
    """Weights summing to 1 in which the fixed languages have their share and the others divide the rest."""
    free = sum(value for key, value in weights.items() if key not in fixed) or 1.0
    rest = 1.0 - sum(fixed.values())
    return {key: fixed.get(key, value / free * rest) for key, value in weights.items()}


def save(trained: Trained, folder: Path) -> None:
    """Write tokenizer.json, the file transformers reads beside it, and the report.

    The tokenizer's file depends on the texts and settings alone; times and memory stand in report.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = dict(zip(("unk_token", "bos_token", "eos_token", "pad_token"), SPECIAL, strict=True))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "padding_side": "left",
        **names,
    }
    write_text(folder / "tokenizer_config.json", json.dumps(config, indent=1) + "\n")
    write_text(folder / "special_tokens_map.json", json.dumps(names, indent=1) + "\n")
    write_text(folder / "report.json", json.dumps(trained.report, indent=1, sort_keys=True) + "\n")
    write_text(folder / "tokenizer.json", trained.tokenizer.to_str(pretty=True))


def load(path: Path) -> Tokenizer:
    """A tokenizer from its file or folder; special tokens in a text are then plain text, as in any web page.

    Raises InputError for what is missing or no tokenizer.
    """
    file = path / "tokenizer.json" if path.is_dir() else path
    try:
        raw = file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"no tokenizer {file} ({error.strerror}): make one with `roots tokenizer train`") from None
    except UnicodeDecodeError:
        raise InputError(f"{file} is no tokenizer.json: it is not UTF-8") from None
    try:
        kind = json.loads(raw)["model"]["type"]  # the library answers a wrong file with a bare Exception: look first
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{file} is no tokenizer.json") from None
    if kind not in ("BPE", "Unigram", "WordPiece", "WordLevel"):
        raise InputError(f"{file} holds an unknown kind of tokenizer, {kind!r}")
    tokenizer = Tokenizer.from_str(raw)
    tokenizer.encode_special_tokens = True
    return tokenizer


def find(name: str) -> Tokenizer:
    """A tokenizer by path, or as `package:file` inside an installed package. Raises InputError where there is none."""
    package, colon, file = name.partition(":")
    if Path(name).exists() or not colon:
        return load(Path(name))
    try:
        with as_file(files(package).joinpath(file)) as path:
            return load(path)
    except ModuleNotFoundError:
        raise InputError(f"no package {package!r} is installed, in which to look for {file}") from None


def identity(tokenizer: Tokenizer) -> str:
    """sha256 of what a tokenizer is: token files made with another one are refused."""
    return hashlib.sha256(json.dumps(json.loads(tokenizer.to_str()), sort_keys=True).encode()).hexdigest()
