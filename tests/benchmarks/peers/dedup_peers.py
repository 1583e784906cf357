"""Near-deduplication by others, each as its own documentation shows it; run with the Python of their environment.

    python dedup_peers.py datatrove|datasketch|rensa FOLDER WORKERS

FOLDER holds `jsonl/*.jsonl` with id and text; survivors are written to FOLDER/out. Shingles are 5 words, lower-cased,
14 bands of 8. Prints one JSON line: how many were kept.
"""

import json
import re
import sys
from pathlib import Path

WORD = re.compile(r"\w+")


def shingles(text: str) -> list[str]:
    words = WORD.findall(text.lower())
    return [" ".join(words[at : at + 5]) for at in range(len(words) - 4)]


def documents(folder: Path):
    for path in sorted((folder / "jsonl").glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


def write(folder: Path, removed: set[int]) -> int:
    (folder / "out").mkdir(exist_ok=True)
    kept = 0
    with (folder / "out" / "kept.jsonl").open("w", encoding="utf-8") as out:
        for number, row in enumerate(documents(folder)):
            if number not in removed:
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
                kept += 1
    return kept


def datasketch(folder: Path, workers: int) -> int:
    from datasketch import MinHash, MinHashLSH
    from xxhash import xxh32_intdigest

    lsh = MinHashLSH(num_perm=112, params=(14, 8))
    removed = set()
    for number, row in enumerate(documents(folder)):
        sketch = MinHash(112, hashfunc=xxh32_intdigest)
        sketch.update_batch([shingle.encode() for shingle in set(shingles(row["text"]))])
        if lsh.query(sketch):
            removed.add(number)
        else:
            lsh.insert(number, sketch)
    return write(folder, removed)


def rensa(folder: Path, workers: int) -> int:
    from rensa import RMinHash

    buckets: list[dict[tuple[int, ...], int]] = [{} for _ in range(14)]
    removed = set()
    for number, row in enumerate(documents(folder)):
        sketch = RMinHash(num_perm=112, seed=42)
        sketch.update(shingles(row["text"]))
        digest = sketch.digest()
        keys = [tuple(digest[8 * band : 8 * band + 8]) for band in range(14)]
        if any(key in bucket for key, bucket in zip(keys, buckets, strict=True)):
            removed.add(number)
        for key, bucket in zip(keys, buckets, strict=True):
            bucket.setdefault(key, number)
    return write(folder, removed)


def datatrove(folder: Path, workers: int) -> int:
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.hashing import HashConfig

    config = MinhashConfig(hash_config=HashConfig(precision=64), num_buckets=14, hashes_per_bucket=8, n_grams=5)
    work = {name: str(folder / "work" / name) for name in ("signatures", "buckets", "remove", "logs")}
    reader = JsonlReader(str(folder / "jsonl"), glob_pattern="*.jsonl")
    shards = len(list((folder / "jsonl").glob("*.jsonl")))
    steps = [
        ([reader, MinhashDedupSignature(output_folder=work["signatures"], config=config)], shards),
        ([MinhashDedupBuckets(input_folder=work["signatures"], output_folder=work["buckets"], config=config)], 14),
        ([MinhashDedupCluster(input_folder=work["buckets"], output_folder=work["remove"], config=config)], 1),
        (
            [
                reader,
                MinhashDedupFilter(input_folder=work["remove"]),
                JsonlWriter(str(folder / "out"), compression=None),
            ],
            shards,
        ),
    ]
    for number, (pipeline, tasks) in enumerate(steps):
        LocalPipelineExecutor(
            pipeline=pipeline, tasks=tasks, workers=min(workers, tasks), logging_dir=f"{work['logs']}/{number}"
        ).run()
    return sum(1 for path in (folder / "out").glob("*.jsonl") for _ in path.open(encoding="utf-8"))


if __name__ == "__main__":
    run = {"datatrove": datatrove, "datasketch": datasketch, "rensa": rensa}[sys.argv[1]]
    print(json.dumps({"kept": run(Path(sys.argv[2]), int(sys.argv[3]))}))
