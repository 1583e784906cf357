"""How correct dedup is: exact Jaccard on real texts, natural near-duplicates, and two published protocols.

    python -m tests.benchmarks.dedup_truth texts                  real texts with edits, twelve languages
    python -m tests.benchmarks.dedup_truth natural                chapters of one guide for three machines
    python -m tests.benchmarks.dedup_truth core PATH              CORE Deduplication Dataset 2020
    python -m tests.benchmarks.dedup_truth news PATH              NEWS-COPY, its labelled test set

`texts` and `natural` read `../shared/data`. PATH is a .jsonl, .jsonl.gz or .parquet file, or a folder of them, as these
data are published: CORE with `core_id`, `processed_title`, `processed_abstract` and `labelled_duplicates`, a list of
ids (Gyawali et al. 2020, LREC); NEWS-COPY with `article` and `cluster` (Silcock et al. 2023, ICLR). --set key=value
changes a setting of dedup. Exit code 1 means that a target was missed.

CORE. As in the paper, a document counts as a duplicate if its cluster has another document, and correctly so if all
labelled duplicates are in it. F1 is given for the class of duplicates and for the others; macro F1 is their mean.
text-dedup's table gives .952 under that name, which is the mean of the two precisions, so both are printed.

NEWS-COPY. Adjusted Rand index (Hubert and Arabie 1985) of the clusters. A cluster of ours is a kept document with all
that were removed for it; there are no chains, which this index rewards.
"""

import argparse
import gzip
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import comb
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from filters.near_duplicates import brute_force
from filters.near_duplicates import signatures as near
from pipelines.dedup.run import run_dedup
from pipelines.dedup.settings import PRESETS, DedupSettings, with_preset
from roots import shards
from roots.executors import Serial
from roots.intervals import wilson
from roots.settings import build, parse_pairs
from tests.benchmarks.dedup import TEXTS, extracted

LANGUAGES = ("ar", "bn", "en", "es", "fr", "hi", "pt", "sw", "ta", "vi", "yo", "zh")
DEFAULT, THOROUGH = near.Scheme(), near.Scheme(bands=PRESETS["thorough"]["bands"])
TARGETS = {"default": 0.97, "thorough": 0.995}  # recall of pairs with a Jaccard of .8 or more
PEERS = {"core": 0.952, "news": 0.729}
# What text-dedup sets on these data: short shingles, a low threshold.
PROTOCOLS: dict[str, dict[str, Any]] = {
    "core": {"words": 2, "bands": 50, "rows": 4, "jaccard": 0.5},
    "news": {"words": 2, "bands": 64, "rows": 4, "jaccard": 0.45},
}


class ComparedPairs(NamedTuple):
    """Pairs of similar texts with their exact Jaccard, and which of them each scheme finds."""

    jaccard: np.ndarray[Any, Any]
    found: Mapping[str, np.ndarray[Any, Any]]

    def recall(self, scheme: str, low: float, high: float = 2.0) -> tuple[int, int]:
        """Pairs found and all pairs with low <= Jaccard < high."""
        inside = (self.jaccard >= low) & (self.jaccard < high)
        return int(self.found[scheme][inside].sum()), int(inside.sum())


def compare(texts: Sequence[str], least: float) -> ComparedPairs:
    """All pairs with a Jaccard of at least `least`, by brute force."""
    batch = pa.array(texts)
    sets = near.shingle_sets(batch, DEFAULT)
    one, other, jaccard = brute_force.find_similar(brute_force.index_sets(sets), sets, least)
    once = one < other
    found = {}
    for name, scheme in (("default", DEFAULT), ("thorough", THOROUGH)):
        keys = near.band_keys(near.sign_texts(batch, scheme), scheme)
        found[name] = ((keys[one[once]] == keys[other[once]]) & (keys[one[once]] != 0)).any(axis=1)
    return ComparedPairs(jaccard[once], found)


def edited_texts(language: str, count: int = 150) -> list[str]:
    """Real texts of one language, and copies of most with passages of 1 to 5 characters replaced in 1 to 15 places."""
    rng = random.Random(language)
    found: list[str] = []
    for folder in ("text_open", "text_restricted"):
        path = TEXTS / folder / f"{language}.jsonl.gz"
        if path.is_file():
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                found += [json.loads(line)["text"] for line in lines]
    texts = [text for text in found if len(text) > 300][:count]
    for text in texts[:100]:
        characters = list(text)
        for _ in range(rng.choice([1, 3, 8, 15])):
            start = rng.randrange(len(characters))
            characters[start : start + rng.randrange(1, 6)] = rng.choices(text, k=3)
        texts.append("".join(characters))
    return texts


def clusters(texts: Mapping[str, str], settings: DedupSettings) -> dict[str, tuple[str, float | None]]:
    """The outcome of each document in a run of dedup: {id: (the id that is kept for it, Jaccard if removed)}."""
    with tempfile.TemporaryDirectory(prefix="roots-truth-") as scratch:
        folder = Path(scratch)
        (folder / "extract").mkdir()
        path = folder / "extract" / "all.parquet"
        items = list(texts.items())
        batches = (extracted(items[low : low + 1000]) for low in range(0, len(items), 1000))
        shards.write(path, extracted(items[:1]).schema, batches, "extract", 1, "")
        run_dedup({path.name: [path]}, folder / "dedup", settings, Serial())
        rows = pq.read_table(folder / "dedup" / path.name).to_pylist()
    return {row["id"]: (row["duplicate_of"] or row["id"], row["jaccard"]) for row in rows}


def line(name: str, cells: Iterable[object]) -> str:
    return f"{name:10s}" + "".join(f"{cell!s:>24s}" for cell in cells)


def share(hits: int, tries: int) -> str:
    """A share with its 95 % interval."""
    low, high = wilson(hits, tries)
    return f"{hits / tries:.4f} ({low:.3f}-{high:.3f})" if tries else "-"


def texts_table() -> Iterator[str]:
    """Recall and precision by language. The last line says whether the targets are met."""
    yield line("language", ("documents", "pairs >= .8", "recall, default", "recall, thorough", "precision"))
    totals: Counter[str] = Counter()
    for language in LANGUAGES:
        texts = edited_texts(language)
        pairs = compare(texts, 0.8)
        named = {f"{language} {number}": text for number, text in enumerate(texts)}
        gone = [(one, kept) for one, (kept, _) in clusters(named, DedupSettings(audit=0)).items() if one != kept]
        left, right = (pa.array([named[pair[side]] for pair in gone], pa.string()) for side in (0, 1))
        sets = near.shingle_sets(pa.concat_arrays([left, right]), DEFAULT)
        left_sets = np.arange(len(gone))
        right_ones = int((near.jaccards(*sets, left_sets, left_sets + len(gone)) >= 0.8).sum())
        found = {name: pairs.recall(name, 0.8) for name in TARGETS}
        totals.update({"documents": len(texts), "pairs": pairs.jaccard.size, "gone": len(gone), "right": right_ones})
        totals.update({name: hits for name, (hits, _) in found.items()})
        cells = [share(*found[name]) for name in TARGETS]
        yield line(language, (len(texts), pairs.jaccard.size, *cells, share(right_ones, len(gone))))
    cells = [share(totals[name], totals["pairs"]) for name in TARGETS]
    yield line("all", (totals["documents"], totals["pairs"], *cells, share(totals["right"], totals["gone"])))
    met = all(totals[name] >= least * totals["pairs"] for name, least in TARGETS.items())
    yield verdict(met and totals["right"] == totals["gone"])


def verdict(met: bool) -> str:
    return "targets met" if met else "MISSED a target"


def natural_table() -> Iterator[str]:
    """The natural near-duplicates by interval of Jaccard, then by language."""
    documents: dict[str, list[str]] = {}
    with gzip.open(TEXTS / "near_dup" / "docs.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            documents.setdefault(row["lang"], []).append(row["text"])
    count = sum(map(len, documents.values()))
    yield f"{count} documents in {len(documents)} languages; pairs of one language"
    by_language = {language: compare(texts, 0.5) for language, texts in sorted(documents.items())}
    everything = ComparedPairs(
        np.concatenate([pairs.jaccard for pairs in by_language.values()]),
        {name: np.concatenate([pairs.found[name] for pairs in by_language.values()]) for name in TARGETS},
    )
    yield line("Jaccard", ("pairs", "recall, default", "expected", "recall, thorough", "expected"))
    for low, high in pairwise((0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 2.0)):
        inside = everything.jaccard[(everything.jaccard >= low) & (everything.jaccard < high)]
        cells: list[object] = [inside.size]
        for name, scheme in (("default", DEFAULT), ("thorough", THOROUGH)):
            expected = [near.candidate_probability(float(each), scheme.bands, scheme.rows) for each in inside]
            cells += [share(*everything.recall(name, low, high)), f"{np.mean(expected):.4f}" if expected else "-"]
        yield line(f"{low:.1f}-{high:.1f}" if high <= 1 else "1", cells)
    yield line("language", ("documents", "pairs >= .8", "recall, default", "recall, thorough"))
    for language, pairs in by_language.items():
        cells = [len(documents[language]), pairs.recall("default", 0.8)[1]]
        yield line(language, [*cells, *(share(*pairs.recall(name, 0.8)) for name in TARGETS)])
    totals = [everything.recall(name, 0.8) for name in TARGETS]
    yield line("all", [count, totals[0][1], *(share(*each) for each in totals)])
    yield verdict(all(hits >= least * of for (hits, of), least in zip(totals, TARGETS.values(), strict=True)))


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a file, or of all files of a folder in the order of their names. Raises SystemExit if there is none."""
    files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    files = [each for each in files if each.name.endswith((".jsonl", ".jsonl.gz", ".parquet"))]
    if not files or not files[0].is_file():
        raise SystemExit(f"{path}: no .jsonl, .jsonl.gz or .parquet file there")
    for each in files:
        if each.suffix == ".parquet":
            for batch in pq.ParquetFile(each).iter_batches(1000):
                yield from batch.to_pylist()
        else:
            with (gzip.open if each.suffix == ".gz" else open)(each, "rt", encoding="utf-8") as lines:
                yield from map(json.loads, lines)


def score_core(rows: Iterable[Mapping[str, Any]], settings: DedupSettings) -> dict[str, float]:
    """Precision, recall and F1 of both classes, their macro means, and the share of clusters that are exactly right."""
    wanted: dict[str, set[str]] = {}
    texts: dict[str, str] = {}
    for row in rows:
        id_ = str(row["core_id"])
        wanted[id_] = {str(other) for other in row["labelled_duplicates"] or ()}
        texts[id_] = f"{row['processed_title'] or ''} {row['processed_abstract'] or ''}"
    members: dict[str, set[str]] = {}
    outcome = clusters(texts, settings)
    for id_, (kept, _) in outcome.items():
        members.setdefault(kept, set()).add(id_)
    counts: Counter[str] = Counter()
    for id_, labelled in wanted.items():
        predicted = members[outcome[id_][0]] - {id_}
        counts["whole"] += predicted == labelled
        if predicted:
            counts["TP" if labelled and labelled <= predicted else "FP"] += 1
        else:
            counts["FN" if labelled else "TN"] += 1
    tp, fp, fn, tn = (counts[name] for name in ("TP", "FP", "FN", "TN"))
    found = {"documents": len(wanted), "accuracy": counts["whole"] / len(wanted)}
    for name, (right, wrong, missed) in {"duplicates": (tp, fp, fn), "others": (tn, fn, fp)}.items():
        found[f"precision, {name}"] = right / (right + wrong) if right + wrong else 0.0
        found[f"recall, {name}"] = right / (right + missed) if right + missed else 0.0
        found[f"F1, {name}"] = 2 * right / (2 * right + wrong + missed) if right + wrong + missed else 0.0
    for measure in ("precision", "F1"):
        found[f"macro {measure}"] = (found[f"{measure}, duplicates"] + found[f"{measure}, others"]) / 2
    return found


def adjusted_rand(one: Sequence[object], other: Sequence[object]) -> float:
    """Adjusted Rand index of two clusterings: 1 for equal ones, about 0 for chance."""
    together = sum(comb(size, 2) for size in Counter(zip(one, other, strict=True)).values())
    left, right = (sum(comb(size, 2) for size in Counter(labels).values()) for labels in (one, other))
    chance = left * right / comb(len(one), 2) if len(one) > 1 else 0.0
    most = (left + right) / 2
    return 1.0 if most == chance else (together - chance) / (most - chance)


def score_news(rows: Iterable[Mapping[str, Any]], settings: DedupSettings) -> dict[str, float]:
    """Adjusted Rand index, and how many documents and clusters there are."""
    labels: dict[str, object] = {}
    texts: dict[str, str] = {}
    for number, row in enumerate(rows):
        labels[f"{number:09d}"], texts[f"{number:09d}"] = row["cluster"], row["article"] or ""
    outcome = clusters(texts, settings)
    ours = [outcome[id_][0] for id_ in labels]
    return {
        "documents": len(labels), "labelled clusters": len(set(labels.values())), "our clusters": len(set(ours)),
        "adjusted Rand index": adjusted_rand(list(labels.values()), ours),
    }  # fmt: skip


def protocol(name: str, path: Path, pairs: Sequence[str]) -> Iterator[str]:
    """One published protocol."""
    values = parse_pairs([f"dedup.{pair}" for pair in pairs]).get("dedup", {})
    base = {} if "preset" in values else PROTOCOLS[name]
    settings = build(DedupSettings, with_preset({"url": "none", "audit": 0, **base, **values}), "dedup")
    score, headline = (score_core, "macro precision") if name == "core" else (score_news, "adjusted Rand index")
    found = score(read_rows(path), settings)
    for measure, value in found.items():
        yield f"{measure:24s}{value:>12.4f}" if isinstance(value, float) else f"{measure:24s}{value:>12,}"
    yield f"text-dedup's {headline} is {PEERS[name]:.3f}; " + verdict(found[headline] >= PEERS[name])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table; returns 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["texts", "natural", "core", "news"])
    parser.add_argument("path", type=Path, nargs="?", help="where the data of core and news are")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of dedup")
    options = parser.parse_args(arguments)
    if options.part in PROTOCOLS and options.path is None:
        parser.error(f"{options.part}: say where its data are")
    if options.part not in PROTOCOLS and not TEXTS.is_dir():
        parser.error(f"no {TEXTS}: real texts are not part of the repository")
    tables = {"texts": texts_table, "natural": natural_table}
    found = tables[options.part]() if options.part in tables else protocol(options.part, options.path, options.set)
    last = ""
    for last in found:
        print(last, flush=True)
    return int(last.endswith(verdict(False)))


if __name__ == "__main__":
    sys.exit(main())
