"""Near-duplicates against the peers: the whole job, on the same documents and settings.

    python -m tests.benchmarks.dedup --make-peer     makes the peers' two virtual environments, once
    python -m tests.benchmarks.dedup [--documents 35000] [--rounds 3] [--json FILE]

Documents are texts of `../shared/data` in 45 languages. One in five is a near copy of another, with 0.2 to 4 % of its
words changed. All contenders use 112 hashes in 14 bands of 8 on shingles of 5 words. Ours also finds exact copies,
verifies every removal, writes the evidence, and measures itself ("no audit": without that); the others do not.

text-dedup cannot share an environment with the other peers, and none of them with us. `--peer` and `--text-dedup` name
the Python of each, if it is not in the cache folder. Each run is one process in a fresh folder; contenders take turns.
"""

import argparse
import gzip
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from roots import shards
from roots.schema import EXTRACT
from tests.benchmarks.environments import make_peer, python_of
from tests.benchmarks.process_tree import Usage, measure

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TEXTS = ROOT.parent / "shared" / "data"
# How many times the wall seconds of ours the peer must take.
TARGETS = {"datatrove": 30.0, "text-dedup": 5.0}
CONTENDERS = ("roots", "roots, no audit", "roots, lean", "datatrove", "datasketch", "rensa", "text-dedup")
PEAK_TARGET = 350e6  # bytes (PSS) of all processes: the leanest peer


def texts_of_shared() -> list[str]:
    """All texts of at least 200 bytes, in the order of their files."""
    found = []
    for path in sorted(TEXTS.glob("text_*/*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            found += [text for line in lines if len((text := json.loads(line)["text"]).encode()) >= 200]
    if not found:
        raise SystemExit(f"no texts in {TEXTS}: they are not part of the repository")
    return found


def originals(count: int, rng: random.Random) -> list[str]:
    """`count` different documents of about 4 KB: neighbouring texts of one file joined, then parts of two joined."""
    joined: list[str] = []
    held: list[str] = []
    for text in texts_of_shared():
        held.append(text)
        if sum(len(part.encode()) for part in held) > rng.choice([400, 1500, 3000, 5000, 9000]):
            joined.append("\n".join(held))
            held = []
    whole = len(joined)
    while len(joined) < count:
        one, other = joined[rng.randrange(whole)], joined[rng.randrange(whole)]
        low, high = rng.randrange(1 + len(one) // 2), rng.randrange(1 + len(other) // 2)
        joined.append(one[low : low + 2500] + "\n" + other[high : high + 2500])
    rng.shuffle(joined)
    return joined[:count]


def edited(text: str, rng: random.Random) -> str:
    """A near copy: 0.2 to 4 % of its words become others."""
    words = text.split(" ")
    for _ in range(max(1, int(len(words) * rng.choice([0.002, 0.005, 0.01, 0.02, 0.04])))):
        words[rng.randrange(len(words))] = "".join(rng.choices("abcdefghijklmnop", k=8))
    return " ".join(words)


def extracted(rows: Sequence[tuple[str, str]]) -> pa.RecordBatch:
    """(id, text) as a batch of the stage extract."""
    ids, texts = zip(*rows, strict=True)
    columns = {"id": pa.array(ids), "text": pa.array(texts)}
    return pa.RecordBatch.from_arrays(
        [columns.get(field.name, pa.nulls(len(rows), field.type)) for field in EXTRACT], schema=EXTRACT
    )


def make_corpus(folder: Path, documents: int, parts: int, seed: int = 3) -> int:
    """Write the documents as our shards and as JSONL; returns their bytes of text."""
    rng = random.Random(seed)
    texts = originals(documents * 4 // 5, rng)
    texts += [edited(rng.choice(texts), rng) for _ in range(documents - len(texts))]
    rng.shuffle(texts)
    (folder / "extract").mkdir(parents=True)
    (folder / "jsonl").mkdir()
    for part in range(parts):
        rows = [(f"<urn:uuid:{part:03d}-{number:07d}>", text) for number, text in enumerate(texts[part::parts])]
        batches = (extracted(rows[low : low + 1000]) for low in range(0, len(rows), 1000))
        shards.write(folder / "extract" / f"part-{part:03d}.parquet", EXTRACT, batches, "extract", 1, "")
        with (folder / "jsonl" / f"part-{part:03d}.jsonl").open("w", encoding="utf-8") as out:
            out.writelines(json.dumps({"id": id_, "text": text}, ensure_ascii=False) + "\n" for id_, text in rows)
    return sum(len(text.encode()) for text in texts)


OURS = """
import json, sys
from pathlib import Path
from pipelines.dedup.run import run_dedup
from pipelines.dedup.settings import DedupSettings
from roots import process
from roots.executors import Threads
process.begin()  # as the command does
folder, workers, audit, memory = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
chains = {path.name: [path] for path in sorted((folder / "extract").glob("*.parquet"))}
manifest = run_dedup(chains, folder / "dedup", DedupSettings(audit=audit, memory=memory), Threads(workers))
print(json.dumps({"kept": manifest.kept, "drops": manifest.drops}))
"""


# The allocator of the C library returns what is freed: more CPU time for less memory.
LEAN = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_TRIM_THRESHOLD_": "1000000"}


def command_of(contender: str, folder: Path, options: argparse.Namespace) -> list[str]:
    """The command of one contender."""
    workers = str(options.workers)
    if contender.startswith("roots"):
        audit = "0" if contender.endswith("no audit") else "500"
        return [sys.executable, "-c", OURS, str(folder), workers, audit, options.memory]
    if contender == "text-dedup":
        files = str(folder / "jsonl" / "*.jsonl")
        return [
            options.text_dedup, "-m", "text_dedup.minhash", "--path", "json", "--data_files", files, "--split", "train",
            "--column", "text", "--b", "14", "--r", "8", "--num_perm", "112", "--ngram", "5", "--min_length", "5",
            "--hash_func", "xxh3", "--hash_bits", "32", "--num_proc", workers, "--batch_size", "10000",
            "--cache_dir", str(folder / "cache"), "--output", str(folder / "out"),
        ]  # fmt: skip
    return [options.peer, str(HERE / "peers" / "dedup_peers.py"), contender, str(folder), workers]


def run_once(contender: str, corpus: Path, options: argparse.Namespace) -> tuple[Usage, Any]:
    """One run in a folder with links to the corpus. Raises ChildProcessError with what was printed if it fails."""
    with tempfile.TemporaryDirectory(prefix="roots-dedup-") as scratch:
        folder = Path(scratch)
        for part in ("extract", "jsonl"):
            shutil.copytree(corpus / part, folder / part, copy_function=os.link)
        command = command_of(contender, folder, options)
        environment = {**os.environ, **(LEAN if "lean" in contender else {})}
        usage = measure(command, interval=0.05, environment=environment, folder=ROOT, limit_seconds=3600)
        if usage.exit_code:
            raise ChildProcessError(f"{contender} ended with {usage.exit_code}:\n{usage.output[-3000:]}")
        lines = [line for line in usage.output.splitlines() if line.startswith('{"kept"')]
        return usage, json.loads(lines[-1]) if lines else _count_text_dedup(options, folder)


def _count_text_dedup(options: argparse.Namespace, folder: Path) -> dict[str, int]:
    script = f"import datasets; print(len(datasets.load_from_disk({str(folder / 'out')!r})))"
    return {"kept": int(subprocess.run([options.text_dedup, "-c", script], capture_output=True, check=True).stdout)}


def signatures_a_second(folder: Path) -> tuple[float, float]:
    """Documents and megabytes that one core signs a second, best of three; the shards are read beforehand."""
    from filters.near_duplicates.rules import Scheme
    from filters.near_duplicates.signatures import band_keys, sign_texts

    texts = [
        batch["text"]
        for path in sorted((folder / "extract").glob("*.parquet"))
        for batch in shards.read(path, ["text"])
    ]
    size = sum(batch.nbytes for batch in texts)
    scheme = Scheme()
    band_keys(sign_texts(texts[0], scheme), scheme)
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        for batch in texts:
            band_keys(sign_texts(batch, scheme), scheme)
        best = min(best, time.process_time() - start)
    return sum(map(len, texts)) / best, size / best / 1e6


def main() -> int:
    """Measure and print a table; returns 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=35_000)
    parser.add_argument("--parts", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", default="2G")
    parser.add_argument("--make-peer", action="store_true")
    parser.add_argument("--peer", default=python_of("dedup"), help="Python with datatrove, datasketch and rensa")
    parser.add_argument("--text-dedup", default=python_of("text_dedup"), help="Python with text-dedup")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.make_peer:
        make_peer("dedup")
        make_peer("text_dedup")
        return 0
    if not (options.peer and options.text_dedup):
        raise SystemExit("no peers: python -m tests.benchmarks.dedup --make-peer, or name --peer and --text-dedup")
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="roots-dedup-corpus-") as scratch:
        corpus = Path(scratch) / "corpus"
        size = make_corpus(corpus, options.documents, options.parts)
        rate, megabytes = signatures_a_second(corpus)
        print(f"{options.documents} documents, {size / 1e6:.0f} MB", flush=True)
        print(f"signatures: {rate:,.0f} documents, {megabytes:.0f} MB a second a core (target 25,000, 100)", flush=True)
        run_once("roots", corpus, options)  # compiles what is not cached
        runs: dict[str, list[tuple[Usage, Any]]] = {}
        for _ in range(options.rounds):
            for contender in CONTENDERS:
                runs.setdefault(contender, []).append(run_once(contender, corpus, options))
    for contender, found in runs.items():
        results[contender] = {
            "wall": statistics.median(usage.wall_seconds for usage, _ in found),
            "cpu": statistics.median(usage.cpu_seconds for usage, _ in found),
            "pss": max(usage.peak_tree_pss for usage, _ in found),
            "kept": found[0][1]["kept"],
        }
    missed = not (rate >= 25_000 and megabytes >= 100)
    ours = results["roots"]
    print(f"{'':16s} {'wall s':>8s} {'CPU s':>8s} {'peak MB':>8s} {'kept':>8s} {'x wall':>7s} {'x CPU':>7s}")
    for contender, row in results.items():
        times = row["wall"] / ours["wall"]
        target = TARGETS.get(contender)
        verdict = "" if target is None else f"  >= {target:g}: {'met' if times >= target else 'MISSED'}"
        missed |= target is not None and times < target
        print(f"{contender:16s} {row['wall']:8.2f} {row['cpu']:8.2f} {row['pss'] / 1e6:8.0f} {row['kept']:8d} "
              f"{times:7.1f} {row['cpu'] / ours['cpu']:7.1f}{verdict}")  # fmt: skip
    peak = ours["pss"]
    missed |= peak > PEAK_TARGET
    print(f"peak of ours: target {PEAK_TARGET / 1e6:.0f} MB {'met' if peak <= PEAK_TARGET else 'MISSED'}")
    if options.json:
        options.json.write_text(
            json.dumps({"documents": options.documents, "bytes": size, "signatures": rate, **results}, indent=1)
        )
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
