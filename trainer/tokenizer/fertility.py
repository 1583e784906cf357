"""How good and how fair a tokenizer is: tokens per word, bytes per token, cost of the same content in every language.

Parallel text is a folder with one file per language, such as `fra_Latn.dev` or `fr.txt`, and one sentence per line,
all in the same order (FLORES, UDHR). Treebanks are CoNLL-U files, plain or gzip, whose names begin with the language.

Fertility is tokens per word (Rust et al. 2021). Premium is tokens of a language over tokens of English for the same
sentences (Petrov et al. 2023). The Gini coefficient compares the token counts of all languages.
"""

import gzip
import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from tokenizers import Tokenizer

from roots.errors import InputError
from trainer import picture
from trainer.settings import SPECIAL_TOKENS
from trainer.tokenizer.feedback import count_tokens, gini

_THREE = {  # ISO 639-3 code, as in the file names of FLORES -> two-letter code; other codes stay as they are
    "arb": "ar", "eus": "eu", "cat": "ca", "zho": "zh", "eng": "en", "fra": "fr", "hin": "hi", "ben": "bn",
    "urd": "ur", "tam": "ta", "tel": "te", "mal": "ml", "mar": "mr", "guj": "gu", "pan": "pa", "kan": "kn",
    "npi": "ne", "ory": "or", "asm": "as", "ind": "id", "por": "pt", "spa": "es", "vie": "vi", "swh": "sw",
    "yor": "yo", "ibo": "ig", "zul": "zu", "xho": "xh", "sna": "sn", "kin": "rw", "lug": "lg", "wol": "wo",
    "bam": "bm", "lin": "ln", "tsn": "tn", "sot": "st", "tso": "ts", "twi": "tw", "aka": "ak", "kik": "ki",
    "nya": "ny", "run": "rn", "swa": "sw",
}  # fmt: skip


@dataclass(frozen=True)
class _Fairness:
    """Cost of the same content in every language, for one tokenizer."""

    tokens: Mapping[str, int]  # language -> tokens of the parallel text
    premium: Mapping[str, float]  # over English
    bytes_per_token: Mapping[str, float]
    gini: float
    mean_premium: float
    median_premium: float
    max_premium: float


@dataclass(frozen=True)
class _WordCuts:
    """How one tokenizer cuts the words of one treebank."""

    words: int
    fertility: float  # tokens per word
    continued: float  # share of words cut into two tokens or more
    bytes_alone: float  # share of tokens that are a single byte of a longer character


def _language_of(path: Path) -> str:
    """Return the language of a file name: `fra_Latn.dev` -> fr, `zho_Hant.dev` -> zh-Hant, `fr_gsd-ud.conllu` -> fr."""
    code, _, rest = re.split(r"[.\-]", path.name)[0].partition("_")
    code = _THREE.get(code, code)
    return f"{code}-Hant" if rest == "Hant" else code


def read_parallel(folder: Path, part: str = "all") -> dict[str, list[str]]:
    """Read the sentences of each language: language -> lines.

    `part` is all, or even or odd lines only, so that feedback and evaluation can use different lines. Raises InputError
    for a missing folder or files of different lengths.
    """
    if not folder.is_dir():
        raise InputError(f"no folder {folder} with parallel text")
    found: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in (".json", ".md", "") or not path.is_file():
            continue
        lines = path.read_text(encoding="utf-8").splitlines()
        found[_language_of(path)] = lines[
            {"all": slice(None), "even": slice(0, None, 2), "odd": slice(1, None, 2)}[part]
        ]
    lengths = {len(lines) for lines in found.values()}
    if len(lengths) != 1:
        raise InputError(f"{folder}: parallel files must have the same number of lines, found {sorted(lengths)}")
    return found


def _fairness(tokenizer: Tokenizer, parallel: Mapping[str, Sequence[str]], base: str = "en") -> _Fairness:
    """Measure a tokenizer on parallel text. Raises InputError if the base language is missing."""
    if base not in parallel:
        raise InputError(f"the parallel text lacks {base!r}, the language that premiums compare with")
    tokens = {language: count_tokens(tokenizer, lines) for language, lines in parallel.items()}
    size = {language: sum(len(line.encode()) for line in lines) for language, lines in parallel.items()}
    premium = {language: count / tokens[base] for language, count in tokens.items()}
    others = [value for language, value in premium.items() if language != base] or [1.0]
    return _Fairness(
        tokens, premium, {k: size[k] / tokens[k] for k in tokens}, gini(list(tokens.values())),
        mean(others), median(others), max(others),
    )  # fmt: skip


def read_treebank(path: Path) -> Iterator[list[tuple[str, bool]]]:
    """Yield the sentences of a CoNLL-U file as (surface word, space before it); a multiword token is one word."""
    opener = gzip.open if path.suffix == ".gz" else open
    words: list[tuple[str, bool]] = []
    space, last = False, 0
    with opener(path, "rt", encoding="utf-8") as file:
        for line in file:
            cells = line.rstrip("\n").split("\t")
            if not line.strip():
                if words:
                    yield words
                words, space, last = [], False, 0
            elif len(cells) >= 10 and "." not in cells[0]:
                first, _, end = cells[0].partition("-")
                if int(first) > last or end:
                    words.append((cells[1], space))
                    space = "SpaceAfter=No" not in cells[9]
                    last = int(end or first)
    if words:
        yield words


def fertility(tokenizer: Tokenizer, sentences: Iterator[list[tuple[str, bool]]]) -> _WordCuts:
    """Measure how a tokenizer cuts words, each with the space before it in running text."""
    words = [(" " if space else "") + word for sentence in sentences for word, space in sentence]
    if not words:
        raise InputError("the treebank holds no words")
    pieces = [encoding.ids for encoding in tokenizer.encode_batch(words, add_special_tokens=False)]
    tokens = sum(len(ids) for ids in pieces)
    alone = {
        i for token, i in tokenizer.get_vocab(with_added_tokens=False).items() if len(token) == 1 and ord(token) > 0xA0
    }
    return _WordCuts(
        len(words),
        tokens / len(words),
        sum(len(ids) > 1 for ids in pieces) / len(words),
        sum(i in alone for ids in pieces for i in ids) / max(1, tokens),
    )


def random_texts(count: int, seed: int) -> list[str]:
    """Return texts of random Unicode characters with special tokens and control characters."""
    rng = random.Random(seed)
    planes = [(0, 0x80), (0x80, 0x800), (0x800, 0xD800), (0xE000, 0x10000), (0x10000, 0x110000)]
    texts = []
    for _ in range(count):
        low, high = rng.choice(planes)
        text = "".join(chr(rng.randrange(low, high)) for _ in range(rng.randrange(1, 60)))
        texts.append(text + rng.choice(["", "\x00", "\r\n", *SPECIAL_TOKENS, "  "]) + text[:3])
    return texts


def round_trip_share(tokenizer: Tokenizer, texts: Sequence[str]) -> float:
    """Return the share of texts that decode to the same text."""
    back = [
        tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids, skip_special_tokens=False)
        for text in texts
    ]
    return sum(a == b for a, b in zip(texts, back, strict=True)) / len(texts)


def _unused_share(tokenizer: Tokenizer, texts: Sequence[str]) -> float:
    """Return the share of tokens, without special and reserved ones, that these texts never use."""
    used = {i for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False) for i in encoding.ids}
    known = set(tokenizer.get_vocab(with_added_tokens=False).values())
    return len(known - used) / len(known)


def _encoding_speed(tokenizer: Tokenizer, texts: Sequence[str]) -> float:
    """Return megabytes encoded per second, with the threads that the library uses."""
    start = time.perf_counter()
    count_tokens(tokenizer, texts)
    return sum(len(text.encode()) for text in texts) / 1e6 / max(1e-9, time.perf_counter() - start)


def compare_tokenizers(
    tokenizers: Mapping[str, Tokenizer],
    parallel: Mapping[str, Sequence[str]],
    treebanks: Sequence[Path] = (),
    monolingual: Mapping[str, Tokenizer] | None = None,
) -> dict[str, object]:
    """Measure several tokenizers on the same text; return plain values, for `render_comparison` and for JSON.

    With `monolingual` (language -> a tokenizer of that language alone, of the same size) the tokens of the parallel
    text are also compared with those of the language's own tokenizer, as in the BLOOM paper.
    """
    lines = [line for language in sorted(parallel) for line in parallel[language]]
    strange = random_texts(300, seed=1)
    found: dict[str, Any] = {}
    for name, tokenizer in tokenizers.items():
        fair = _fairness(tokenizer, parallel)
        found[name] = {
            "size": tokenizer.get_vocab_size(),
            **asdict(fair),
            "fertility": {p.name: asdict(fertility(tokenizer, read_treebank(p))) for p in treebanks},
            "round_trip": round_trip_share(tokenizer, strange),
            "unused": _unused_share(tokenizer, lines),
            "mb_per_second": round(_encoding_speed(tokenizer, lines), 2),
        }
        if monolingual:
            found[name]["over_monolingual"] = {
                k: fair.tokens[k] / count_tokens(own, parallel[k])
                for k, own in sorted(monolingual.items())
                if k in parallel
            }
    return found


def render_comparison(found: Mapping[str, Any]) -> tuple[str, str]:
    """Return the result of `compare_tokenizers` as Markdown tables and as a picture (SVG)."""
    names = list(found)
    summary = picture.markdown_table(
        ["measure", *names],
        [
            [label, *(float(found[name][key]) for name in names)]
            for key, label in (
                ("size", "tokens"), ("mean_premium", "mean premium"), ("median_premium", "median premium"),
                ("max_premium", "maximum premium"), ("gini", "Gini"), ("round_trip", "round trip"),
                ("unused", "unused tokens"), ("mb_per_second", "MB/s encoded"),
            )
        ],
    )  # fmt: skip
    languages = sorted(found[names[0]]["premium"], key=lambda k: found[names[0]]["premium"][k])
    head = ["language", *(f"premium, {n}" for n in names), *(f"bytes/token, {n}" for n in names)]
    keys = ("premium", "bytes_per_token")
    by_language = picture.markdown_table(
        head, [[k, *(found[n][key][k] for key in keys for n in names)] for k in languages]
    )
    words = picture.markdown_table(
        ["treebank", "words", *(f"fertility, {n}" for n in names), *(f"words cut, {n}" for n in names)],
        [
            [
                bank,
                first["words"],
                *(found[n]["fertility"][bank][key] for key in ("fertility", "continued") for n in names),
            ]
            for bank, first in found[names[0]]["fertility"].items()
        ],
    )
    parts = [summary, by_language, words]
    if "over_monolingual" in found[names[0]]:
        own = found[names[0]]["over_monolingual"]
        parts.append(picture.markdown_table(["language", *(f"{n} / monolingual" for n in names)],
                                   [[k, *(found[n]["over_monolingual"][k] for n in names)] for k in own]))  # fmt: skip
    rows = {k: {n: found[n]["premium"][k] for n in names} for k in languages}
    return "\n".join(parts), picture.draw_bars("Tokens for the same content, over English", "premium", rows)
