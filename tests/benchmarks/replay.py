"""FineWeb-2's filters and MinHash by datatrove, and `roots run --like fineweb2`, on the same JSON lines.

    python -m tests.benchmarks.replay --make-peer             # once: the peer, in an environment of its own
    python -m tests.benchmarks.replay                         # 12 languages, 10 scripts: about 15 minutes
    python -m tests.benchmarks.replay --languages hi --documents 3000 --configs fineweb-2/configs --json out.json

The documents are texts of the shared data and, of each second one, a spoiled one: marks taken off, lines repeated, cut
short, a word changed here and there. Without --configs both sides read a configuration that is written from the bounds
of our language files. The peer is given our scores of the language, so both judge by the same. Languages that need
spaCy's words are left out, and named, where the extra `fineweb2` is not installed.

Shown for each language: the share of filter decisions that agree, every document that disagrees with both reasons and
our values, the CPU seconds of both, and the documents that MinHash removed although no other is as similar as asked.
Our filters are timed on the texts as the first of a process, and again, when no piece of text is new to spaCy's table:
a long job is between the two, near the second.
Exit code 1: fewer than 99.9 % agree, or the filters take more than a thirtieth of datatrove's CPU seconds.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from filters.language import Language
from filters.near_duplicates.brute_force import find_similar, index_sets
from filters.near_duplicates.signatures import shingle_sets
from filters.signals.measures import measure
from filters.signals.rules import LANGUAGE_SCORE, judge, rules_of
from pipelines.dedup.settings import build_dedup
from pipelines.job import work as folders
from pipelines.job.languages import load_any_language
from roots.errors import SettingsError
from roots.shards import read
from tests.benchmarks.contenders import HERE, ROOT
from tests.benchmarks.environments import make_peer, peer_folder
from tests.benchmarks.measures import DATA, documents
from tests.benchmarks.process_tree import measure as measure_command

LANGUAGES = ("hi", "bn", "ta", "te", "gu", "ur", "fr", "es", "ar", "sw", "eu", "zh")
AGREEMENT, TIMES = 0.999, 30.0
FEW = 4  # documents, of the run that shows what starting costs
_FILE_OF = {"zh": "cmn_Hani"}  # the name of FineWeb-2's configuration, where it is not our tag

# datatrove's reason -> the signal that says the same
_SIGNALS = {
    "language_score": "language_score", "dup_line_frac": "repeated_lines", "empty": "words",
    **{f"top_{n}_gram": f"top_{n}_gram" for n in range(2, 5)},
    **{f"duplicated_{n}_n_grams": f"repeated_{n}_grams" for n in range(5, 11)},
    "line_punct_ratio": "punctuated_lines", "char_dup_ratio": "repeated_text", "list_ratio": "line_feeds",
    "gopher_short_doc": "words", "gopher_long_doc": "words",
    "gopher_below_avg_threshold": "mean_word_length", "gopher_above_avg_threshold": "mean_word_length",
    "gopher_too_many_hashes": "hash_signs", "gopher_too_many_ellipsis": "ellipses",
    "gopher_too_many_bullets": "bullet_lines", "gopher_too_many_end_ellipsis": "ellipsis_lines",
    "gopher_below_alpha_threshold": "alphabetic_words", "gopher_enough_stop_words": "different_function_words",
}  # fmt: skip


@dataclass(frozen=True)
class Document:
    """A text to judge, and what our run said of it."""

    text: str
    score: float | None = None  # of the language; None: not looked at, being in another
    signals: Mapping[str, float] = field(default_factory=dict)
    failed: tuple[str, ...] = ()
    duplicate_of: str = ""


@dataclass
class Result:
    """What one language came to."""

    language: str
    splitter: str
    judged: int
    dropped: int  # by datatrove's filters
    disagree: list[str]  # a line for each document
    same_reason: int  # documents dropped by both for a reason that both give
    removed: tuple[int, int, int]  # by both kinds of MinHash, by datatrove alone, by ours alone
    wrongly: list[str]  # removed by datatrove: the highest Jaccard with any other document
    seconds: dict[str, float]  # CPU
    versions: dict[str, str]  # of the peer's packages

    @property
    def agreement(self) -> float:
        """Share of the filters' decisions that agree."""
        return 1 - len(self.disagree) / self.judged

    @property
    def times(self) -> tuple[float, float]:
        """datatrove's CPU seconds for its filters over ours: of first texts, and of those that follow many."""
        theirs = self.seconds["datatrove filters"]
        return theirs / self.seconds["our filters"], theirs / self.seconds["our filters, no new piece"]


def spoiled(text: str, rng: random.Random) -> str:
    """A text that some filter may drop, or that is a near-duplicate: near the bounds as often as far from them."""
    lines = text.split("\n")
    words = text.split(" ")
    kind = rng.randrange(8)
    if kind == 0:
        return "\n".join(line.rstrip(".।。!?؟۔") if rng.random() < 0.8 else line for line in lines)
    if kind == 1:
        return "\n".join([*lines, *rng.choices(lines, k=rng.randint(1, 1 + len(lines)))])
    if kind == 2:
        return " ".join(words[: rng.randint(20, 90)])
    if kind == 3:
        return "\n".join(word if rng.random() < 0.5 else word + " " for word in words)
    if kind == 4:
        return " ".join(word if rng.random() > 0.2 else rng.choice(["#", "…", "12", "€", "|", "-"]) for word in words)
    if kind == 5:
        phrase = " ".join(words[: rng.randint(2, 12)])
        return f"{text}\n{' '.join([phrase] * rng.randint(2, 30))}\n"
    share = rng.choice((0.01, 0.03, 0.06))
    return " ".join(word if rng.random() > share else rng.choice(words) for word in words)


def made(code: str, count: int) -> dict[str, str]:
    """Texts by id: real ones and, of each second one, a spoiled one."""
    rng = random.Random(code)
    texts = [item["text"] for item in documents(code) if len(item["text"]) <= 50_000]
    rng.shuffle(texts)
    found = {f"{code}-{number}": text for number, text in enumerate(texts[: count - count // 3])}
    some = list(found.items())[: count // 3]
    return found | {f"{key}-spoiled": spoiled(text, rng) for key, text in some}


def write_configuration(path: Path, language: Language) -> None:
    """Write the bound set `fineweb2` of a language file in the form of FineWeb-2's files."""
    bounds = language.bounds
    words = [*language.reading.function_words[:15]]
    values = {
        "language_score": bounds["language_score"].min,
        "dup_line_frac": bounds["repeated_lines"].max,
        "top_n_grams": [[n, bounds[f"top_{n}_gram"].max] for n in range(2, 5)],
        "dup_n_grams": [[n, bounds[f"repeated_{n}_grams"].max] for n in range(5, 11)],
        "line_punct_thr": bounds["punctuated_lines"].min,
        "new_line_ratio": bounds["line_feeds"].max,
        "min_avg_word_length": bounds["mean_word_length"].min,
        "max_avg_word_length": bounds["mean_word_length"].max,
        "max_non_alpha_words_ratio": bounds["alphabetic_words"].min,
        "stopwords": words,
    }
    path.write_text("".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items()))


def write_lines(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def run_ours(texts: Mapping[str, str], code: str, config: Path, work: Path) -> float:
    """Run the whole job on some texts, on one core. Returns its CPU seconds; raises ChildProcessError if it fails."""
    write_lines(work / "in.jsonl", [{"id": key, "text": text} for key, text in texts.items()])
    command = [sys.executable, "-m", "pipelines.cli", "run", str(work / "job"), "--input", str(work / "in.jsonl")]
    command += ["--lang", code, "--like", f"fineweb2:{config}", "--executor", "serial", "--quiet"]
    usage = measure_command([*command, "--set", "dedup.audit=0"], folder=ROOT)
    if usage.exit_code:
        raise ChildProcessError(f"{' '.join(command)} ended with {usage.exit_code}:\n{usage.output[-4000:]}")
    return usage.cpu_seconds


def columns(work: Path, code: str, stage: str, wanted: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of a stage's shards."""
    for shard in sorted(folders.folder(work, code, stage).glob("*.parquet")):
        for batch in read(shard, ["id", *wanted]):
            for row in batch.to_pylist():
                yield row | {"id": _own_id(row["id"])}


def _own_id(key: str) -> str:
    """The id of a text as it was given: the rows of a table have the table's name before theirs."""
    return key.rpartition(":")[2]


def our_decisions(texts: Mapping[str, str], work: Path, language: Language) -> dict[str, Document]:
    """What our run said of each text."""
    found = {key: Document(text) for key, text in texts.items()}
    rules = [rule.signal for rule in rules_of(language.bounds) if rule.signal != LANGUAGE_SCORE]
    for row in columns(work, language.code, "extract", ["language", "language_score", "text"]):
        if row["text"] is not None:
            if row["text"] != texts[row["id"]]:
                raise ValueError(f"the text of {row['id']} was changed")
            found[row["id"]] = replace(found[row["id"]], score=row["language_score"])
    for row in columns(work, language.code, "measure", rules):
        found[row["id"]] = replace(found[row["id"]], signals={name: row[name] for name in rules})
    for row in columns(work, language.code, "filter", ["failed"]):
        found[row["id"]] = replace(found[row["id"]], failed=tuple(row["failed"] or ()))
    for row in columns(work, language.code, "dedup", ["duplicate_of", "drop"]):
        if row["drop"]:
            found[row["id"]] = replace(found[row["id"]], duplicate_of=_own_id(row["duplicate_of"] or row["drop"]))
    return found


def ask_peer(found: Mapping[str, Document], config: Path, work: Path, peer: Path) -> dict[str, Any]:
    """datatrove's decisions on the same texts, and its CPU seconds."""
    rows = [{"id": key, "text": one.text, "language_score": one.score} for key, one in found.items()]
    write_lines(work / "in" / "documents.jsonl", rows)
    script = HERE / "peers" / "datatrove_replay.py"
    command = [str(peer / "bin" / "python"), str(script), "--input", str(work / "in"), "--config", str(config)]
    command += ["--splitter", config.stem, "--work", str(work / "job")]
    answers: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    for part in ("filters", "minhash"):
        done = subprocess.run([*command, "--part", part], capture_output=True, text=True, check=False)
        if done.returncode:
            raise ChildProcessError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-4000:]}")
        answers = json.loads((work / "job" / f"{part}.json").read_text(encoding="utf-8"))
        seconds[part] = answers["seconds"]
    return answers | {"seconds": seconds}


def time_filters(texts: Sequence[str], language: Language) -> tuple[float, float]:
    """CPU seconds of measuring and judging, with all passes loaded: as the first texts, and when no piece is new."""
    rules = tuple(rule for rule in rules_of(language.bounds) if rule.signal != LANGUAGE_SCORE)
    array = pa.array(texts)
    judge(measure(array[:1], language.reading), rules)
    seconds = []
    for _ in range(2):
        start = time.process_time()
        judge(measure(array, language.reading), rules)
        seconds.append(time.process_time() - start)
    return seconds[0], seconds[1]


def disagreements(found: Mapping[str, Document], reasons: Mapping[str, str], language: Language) -> Iterator[str]:
    """A line for each document that one side drops and the other keeps."""
    for key, one in found.items():
        if bool(one.failed) == (key in reasons):
            continue
        signal = one.failed[0] if one.failed else _SIGNALS[reasons[key]]
        value = one.score if signal == LANGUAGE_SCORE else one.signals[signal]
        bound = language.bounds[signal]
        yield (
            f"{key}: datatrove {reasons.get(key, 'keeps it')}; ours {', '.join(one.failed) or 'keeps it'}, "
            f"{signal} = {value:.6g}, allowed {bound.min} to {bound.max}"
        )


def wrongly_removed(found: Mapping[str, Document], kept: Sequence[str], removed: Sequence[str]) -> Iterator[str]:
    """The documents among `removed` that no other kept by the filters is as similar to as FineWeb-2 asks, by value."""
    settings = build_dedup({"preset": "fineweb2"})
    if not removed:
        return
    chosen = shingle_sets(pa.array([found[key].text for key in removed]), settings.scheme)
    sets = shingle_sets(pa.array([found[key].text for key in kept]), settings.scheme)
    best = dict.fromkeys(removed, (0.0, ""))
    for document, other, score in zip(*find_similar(index_sets(chosen), sets, 0.01), strict=True):
        if kept[document] != removed[other]:
            best[removed[other]] = max(best[removed[other]], (float(score), kept[document]))
    for key, (score, other) in sorted(best.items(), key=lambda item: item[1]):
        if score < settings.jaccard:
            yield f"{key}: the most similar is {other or 'none'}, Jaccard {score:.2f}"


def replay(code: str, count: int, configs: Path | None, peer: Path, scratch: Path) -> Result:
    """Both sides on one language. Raises SettingsError where our side lacks a splitter."""
    usual = load_any_language(code, "fineweb2", "fineweb2")
    config = (configs or scratch) / f"{_FILE_OF.get(code, usual.tag)}.yml"
    if configs is None:
        write_configuration(config, usual)
    language = load_any_language(code, config, "fineweb2")
    texts = made(code, count)
    startup = run_ours(dict(list(texts.items())[:FEW]), code, config, scratch / "few")
    ours = run_ours(texts, code, config, scratch / "ours")
    found = our_decisions(texts, scratch / "ours" / "job", language)
    found = {key: one for key, one in found.items() if one.score is not None}
    answers = ask_peer(found, config, scratch / "peer", peer)
    reasons, removed = answers["reasons"], answers["removed"]
    own = [key for key, one in found.items() if one.duplicate_of]
    kept = [key for key, one in found.items() if key not in reasons or not one.failed]
    first, later = time_filters([one.text for one in found.values()], language)
    return Result(
        language=f"{language.name} ({config.stem})",
        splitter=language.reading.segmenter,
        judged=len(found),
        dropped=len(reasons),
        disagree=list(disagreements(found, reasons, language)),
        same_reason=sum(_SIGNALS[reason] in found[key].failed for key, reason in reasons.items()),
        removed=(len({*own} & {*removed}), len({*removed} - {*own}), len({*own} - {*removed})),
        wrongly=list(wrongly_removed(found, kept, removed)),
        seconds={
            "datatrove filters": answers["seconds"]["filters"],
            "datatrove MinHash": answers["seconds"]["minhash"],
            "our filters": first,
            "our filters, no new piece": later,
            "our job": ours,
            "our job, start-up": startup,
        },
        versions=answers["versions"],
    )


def lines(results: Sequence[Result]) -> Iterator[str]:
    """The tables, for a README."""
    yield "| language | words by | documents | dropped | agree | same reason | CPU s: theirs | first, later | times |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for one in results:
        ours = f"{one.seconds['our filters']:.2f}, {one.seconds['our filters, no new piece']:.2f}"
        cpu = f"{one.seconds['datatrove filters']:.1f} | {ours} | {one.times[0]:.0f} to {one.times[1]:.0f}"
        counts = f"{one.judged} | {one.dropped} | {one.agreement:.2%} | {one.same_reason}"
        yield f"| {one.language} | {one.splitter} | {counts} | {cpu} |"
    yield ""
    yield "| language | copies: both, datatrove alone, ours alone | wrong by datatrove | CPU s: theirs, our whole job |"
    yield "|---|---|---|---|"
    for one in results:
        theirs = one.seconds["datatrove filters"] + one.seconds["datatrove MinHash"]
        job = f"{one.seconds['our job']:.1f} ({one.seconds['our job, start-up']:.1f} to start)"
        yield f"| {one.language} | {', '.join(map(str, one.removed))} | {len(one.wrongly)} | {theirs:.1f}, {job} |"
    for one in results:
        yield from (f"{one.language}: {line}" for line in one.disagree)
        yield from (f"{one.language}, removed as a copy by datatrove: {line}" for line in one.wrongly[:5])


def main() -> int:
    """Print what both sides decide."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--make-peer", action="store_true", help="make the peer's environment, and end")
    parser.add_argument("--peer", type=Path, default=peer_folder("replay"), help="virtual environment of datatrove")
    parser.add_argument("--languages", nargs="+", default=LANGUAGES)
    parser.add_argument("--documents", type=int, default=1500, help="of each language")
    parser.add_argument("--configs", type=Path, help="FineWeb-2's folder of configurations")
    parser.add_argument("--json", type=Path, help="write all results here")
    chosen = parser.parse_args()
    if chosen.make_peer:
        make_peer("replay", chosen.peer)
        return 0
    if not DATA.is_dir():
        print(f"no {DATA}: this benchmark needs the project's shared texts")
        return 0
    results: list[Result] = []
    for code in chosen.languages:
        with TemporaryDirectory(prefix="roots-replay-") as scratch:
            try:
                results.append(replay(code, chosen.documents, chosen.configs, chosen.peer, Path(scratch)))
            except SettingsError as error:
                print(f"{code} is left out: {error}", flush=True)
                continue
        if chosen.json:
            text = json.dumps([asdict(one) for one in results], indent=1, ensure_ascii=False)
            chosen.json.write_text(text + "\n", encoding="utf-8")
        print(f"{code} done: {results[-1].agreement:.2%} agree", file=sys.stderr, flush=True)
    if not results:
        return 1
    print("\n".join(lines(results)))
    judged = sum(one.judged for one in results)
    agree = 1 - sum(len(one.disagree) for one in results) / max(1, judged)
    times = [number for one in results for number in one.times]
    print("\nthe peer: " + ", ".join(f"{name} {number}" for name, number in results[0].versions.items()))
    print(f"{agree:.3%} of {judged} decisions agree (goal {AGREEMENT:.1%})")
    print(f"datatrove's filters take {min(times):.0f} to {max(times):.0f} times our CPU seconds (goal {TIMES:.0f})")
    return 0 if agree >= AGREEMENT and min(times) >= TIMES else 1


if __name__ == "__main__":
    sys.exit(main())
