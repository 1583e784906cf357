"""The settings of the steps from a corpus to a model, one frozen dataclass a group; those of `train` are a Recipe.

Nothing slow is imported here: a mistake in a setting is answered before Arrow or torch is loaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from roots.errors import unknown_name

SPECIAL_TOKENS = ("<unk>", "<s>", "</s>", "<pad>")  # ids 0 to 3
_PATTERNS = ("bloom", "roots")  # of trainer.tokenizer.patterns


@dataclass(frozen=True)
class TokenizerSettings:
    """All settings that decide a tokenizer; the shards decide the rest."""

    vocabulary: int = 32_768  # rows of the embedding, reserved tokens and padding included
    multiple: int = 128  # the vocabulary is a multiple of this: 128 x tensor-parallel size
    reserved: int = 200  # tokens kept free for later, as in BLOOM
    pattern: str = "roots"  # how text is cut before merging: bloom or roots
    alpha: float = 0.3  # a language weighs (its kept bytes) ** alpha, as in BLOOM
    fill: float = 0.5  # share of all bytes that the water-fill keeps, as in BLOOM
    budget_mb: int = 200  # text sampled for training, all languages together
    shares: Mapping[str, float] = field(default_factory=dict)  # fixed shares of the budget: {en = 0.15}
    repeat: int = 4  # the text of a small language counts at most this many times
    min_frequency: int = 2  # pairs seen less often are not merged
    max_token_bytes: int = 32  # of one token
    rounds: int = 0  # rounds of fertility feedback; 0 turns it off
    eta: float = 1.0  # after a round, the weight of a language is multiplied by (its cost / mean cost) ** eta
    within: Mapping[str, float] = field(default_factory=dict)  # {hi = 1.1}: at most 1.1 x its own tokenizer's tokens
    own_rows: int = 8192  # vocabulary of that own tokenizer, trained on as much of the language as the budget allows
    seed: int = 42  # of the sample

    def __post_init__(self) -> None:
        if self.pattern not in _PATTERNS:
            raise ValueError(unknown_name("pattern", self.pattern, _PATTERNS))
        if self.multiple < 1 or self.vocabulary % self.multiple:
            raise ValueError(f"vocabulary {self.vocabulary} is not a multiple of {self.multiple}")
        if self.vocabulary - self.reserved < 256 + len(SPECIAL_TOKENS):
            raise ValueError(
                f"vocabulary must hold 256 bytes, {len(SPECIAL_TOKENS)} special and {self.reserved} reserved tokens"
            )
        if self.budget_mb < 1:
            raise ValueError("budget_mb must be at least 1")
        if any(not 0 < share < 1 for share in self.shares.values()):
            raise ValueError("shares: each must lie between 0 and 1")
        if sum(self.shares.values()) > 1:
            raise ValueError("shares: their sum is above 1")
        if any(not 0 < times < float("inf") for times in self.within.values()):
            raise ValueError("within: each must be above 0")
        if min(self.min_frequency, self.max_token_bytes) < 1 or self.reserved < 0 or not 0 <= self.eta < float("inf"):
            raise ValueError("min_frequency and max_token_bytes must be at least 1, reserved and eta at least 0")
        if self.within and not self.rounds:
            raise ValueError("within: only feedback can bring a language within a limit; set rounds")
        if self.own_rows < 256 + len(SPECIAL_TOKENS):
            raise ValueError(f"own_rows must hold 256 bytes and {len(SPECIAL_TOKENS)} special tokens")
        if not (0 < self.fill <= 1 and 0 <= self.alpha <= 1 and self.repeat >= 1 and self.rounds >= 0):
            raise ValueError("fill must lie in (0, 1], alpha in [0, 1]; repeat >= 1; rounds >= 0")
        if not 0 <= self.seed < 1 << 63:
            raise ValueError(f"seed must lie between 0 and 2^63 - 1, not {self.seed}")


@dataclass(frozen=True)
class TokensSettings:
    """All settings that decide token shards; texts and tokenizer decide the rest."""

    multiple: int = 128  # rows of the embedding are padded to a multiple of this
    copies: int = 1  # of the training text, each cut in another way; for small corpora, which are read many times
    dropout: float = 0.0  # probability that a merge is skipped in the copies; held-out text is always cut in full
    seed: int = 42  # of the skipped merges
    end: str = ""  # with --format: the token that ends documents; "": the one that the tokenizer's files name

    def __post_init__(self) -> None:
        if min(self.multiple, self.copies) < 1:
            raise ValueError("multiple and copies must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout must be at least 0 and below 1")
        if self.copies > 1 and not self.dropout:
            raise ValueError("copies without dropout are all the same: set tokens.dropout, or train longer")


TOKEN_FORMAT_NAMES = ("megatron", "nanotron", "olmo", "litgpt")  # of trainer.data.token_formats


@dataclass(frozen=True)
class TokenFilesRequest:
    """Which datasets are written as token files of another project, and where to."""

    work: Path
    languages: Sequence[str]
    form: str  # one of TOKEN_FORMAT_NAMES
    target: Path
    tokenizer: Path | None = None  # None: that of the work folder
    settings: TokensSettings = field(default_factory=TokensSettings)


@dataclass(frozen=True)
class EvaluateSettings:
    """What is evaluated, and how."""

    bytes: int = 1_000_000  # of held-out text per language
    length: int = 0  # tokens per window; 0 is the length of training
    curve: tuple[int, ...] = (1, 2, 4)  # multiples of that length, for the extrapolation curve
    samples: int = 3  # continuations shown
    sample_tokens: int = 80  # of a continuation
    temperature: float = 0.8  # of the draws
    top_k: int = 50  # draw from this many likeliest tokens; 0 is all
    seed: int = 0  # of the draws

    def __post_init__(self) -> None:
        if min(self.bytes, self.sample_tokens, *self.curve, 1) < 1:
            raise ValueError("bytes, sample_tokens and each of curve must be at least 1")
        if min(self.length, self.samples, self.top_k, self.seed) < 0:
            raise ValueError("length, samples, top_k and seed must be at least 0")
        if self.seed + self.samples > 1 << 63:
            raise ValueError("seed must lie between 0 and 2^63 - 1")
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(f"temperature must be at least 0 and finite, not {self.temperature:g}")


@dataclass(frozen=True)
class TaskSettings:
    """How a model is asked the questions of tasks."""

    shots: tuple[int, ...] = ()  # solved examples before each question; (): as the task says
    limit: int = 0  # questions of a task; 0 is all
    length: int = 2_048  # tokens that are read at once; lm-evaluation-harness has the same for Bloom models
    tokens: int = 256  # generated at most, even if a task asks for more
    resamples: int = 1_000  # for intervals
    seed: int = 0  # of solved examples and intervals

    def __post_init__(self) -> None:
        if min(self.length, self.tokens, self.resamples) < 1 or self.length < 2:
            raise ValueError("length must be at least 2, tokens and resamples at least 1")
        if min(self.limit, self.seed, *self.shots, 0) < 0 or max(self.shots, default=0) > 100:
            raise ValueError("limit and seed must be at least 0, shots between 0 and 100")


@dataclass(frozen=True)
class GenerateSettings:
    """How text is generated."""

    tokens: int = 128  # of a continuation, at most
    temperature: float = 0.0  # 0 takes the likeliest token
    top_k: int = 0  # draw from this many likeliest tokens; 0 is all
    top_p: float = 1.0  # draw from the likeliest tokens whose chances sum up to this
    samples: int = 1  # continuations of each prompt
    seed: int = 0  # of the draws; each prompt and sample has draws of its own
    stop: tuple[str, ...] = ()  # texts that end a continuation
    length: int = 2_048  # tokens that the model sees at once

    def __post_init__(self) -> None:
        if min(self.tokens, self.samples) < 1 or self.length <= self.tokens:
            raise ValueError("tokens and samples must be at least 1, and length above tokens")
        if min(self.temperature, self.top_k, self.seed) < 0 or not 0 < self.top_p <= 1:
            raise ValueError("temperature, top_k and seed must be at least 0, top_p above 0 and at most 1")
        if self.samples > 1 and not self.temperature:
            raise ValueError("samples above 1 need a temperature above 0: the likeliest text is always the same")


@dataclass(frozen=True)
class ExportSettings:
    """The name of the model, its licence, and its formats."""

    name: str = "roots-model"  # of the model
    licence: str = "apache-2.0"  # Hugging Face's name of it
    licence_file: str = ""  # file with its text; by default the text of this project's licence, Apache-2.0
    gguf: bool = False  # a file for llama.cpp, too; only of tokenizers with tokenizer.pattern=bloom


@dataclass(frozen=True)
class AblateSettings:
    """How two corpora are compared."""

    bytes: int = 0  # training text of each corpus per language; 0 is what the smaller corpus has
    seeds: int = 3  # models of each corpus
    held_out_bytes: int = 200_000  # per language, half of it from the validation text of each corpus
    judge: str = ""  # a work folder whose validation text is used instead
    vocabulary: int = 4_096  # of the common tokenizer

    def __post_init__(self) -> None:
        if self.seeds < 2:
            raise ValueError("seeds must be at least 2: one run says nothing about chance")
        if self.bytes < 0 or self.held_out_bytes < 1:
            raise ValueError("bytes must be at least 0, held_out_bytes at least 1")
        TokenizerSettings(vocabulary=self.vocabulary)  # refuses what no tokenizer can have


@dataclass(frozen=True)
class MemorizationSettings:
    """What the model is asked."""

    prefix: int = 32  # tokens given
    suffix: int = 16  # tokens it must continue with
    windows: int = 200  # per group
    tokens: int = 20_000_000  # of the training stream in which copies are counted
    seed: int = 0  # of the windows

    def __post_init__(self) -> None:
        if min(self.prefix, self.suffix, self.windows, self.tokens) < 1:
            raise ValueError("prefix, suffix, windows and tokens must be at least 1")
        if self.seed < 0:
            raise ValueError("seed must be at least 0")
