"""How dedup's time, memory and scratch grow with the corpus.

    python -m tests.benchmarks.dedup_scale --documents 50000 500000 5000000 --memory 2G --folder /big/disk [--json FILE]

A corpus of real texts with known edits is made for each size, shard by shard. Documents are passages of the texts in
`../shared/data`; one in five is a near copy of an earlier one; a tenth of the corpus, up to 300,000 documents, are
copies of one template with a few other words. Each size is one process; its peak is the largest sum over all processes
(PSS), polled.

Targets: below `--memory` at every size, and a time for each document that grows by at most a half from step to step.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.dedup.settings import parse_bytes
from roots import shards
from roots.schema import EXTRACT
from tests.benchmarks.dedup import OURS, ROOT, edited, extracted, texts_of_shared
from tests.benchmarks.process_tree import measure

SHARD = 25_000  # documents
TEMPLATE_SHARE, TEMPLATE_MOST = 0.1, 300_000
BYTES = 2_000  # of text in a document, about; less than a web page has, so that five million fit on a laptop's disk


def document(number: int, texts: list[str], seed: int) -> str:
    """The document of that number, which depends on nothing else."""
    rng = random.Random(f"{seed} {number}")
    if rng.random() < 0.2 and number:  # a near copy of an earlier document that is not a copy
        other = rng.randrange(number)
        if random.Random(f"{seed} {other}").random() >= 0.2:
            return edited(document(other, texts, seed), rng)
    parts = []
    size = 0
    while size < BYTES // 2:
        text = texts[rng.randrange(len(texts))]
        start = rng.randrange(1 + len(text) // 2)
        parts.append(text[start : start + rng.randrange(200, 1200)])
        size += len(parts[-1])
    return "\n".join(parts)


def rows(low: int, high: int, count: int, texts: list[str], seed: int) -> Iterator[tuple[str, str]]:
    """(id, text) of documents low to high of `count`."""
    template = document(-1, texts, seed)
    copies = min(int(count * TEMPLATE_SHARE), TEMPLATE_MOST)
    every = count // max(1, copies)
    for number in range(low, high):
        text = document(number, texts, seed)
        if number % every == 0 and number // every < copies:
            rng = random.Random(f"{seed} own {number}")
            text = f"{template} {' '.join(''.join(rng.choices('abcdefghijklmnop', k=8)) for _ in range(3))}"
        yield f"<urn:roots:{number:09d}>", text


def make(folder: Path, count: int, seed: int = 11) -> int:
    """Write the corpus; returns its bytes of text."""
    texts = texts_of_shared()
    (folder / "extract").mkdir(parents=True)
    size = 0
    for part, low in enumerate(range(0, count, SHARD)):
        mine = list(rows(low, min(count, low + SHARD), count, texts, seed))
        size += sum(len(text.encode()) for _, text in mine)
        batches = (extracted(mine[at : at + 1000]) for at in range(0, len(mine), 1000))
        shards.write(folder / "extract" / f"part-{part:05d}.parquet", EXTRACT, batches, "extract", 1, "")
    return size


def run(count: int, options: argparse.Namespace) -> dict[str, Any]:
    """Make a corpus, run dedup on it, and return what it took."""
    folder = Path(tempfile.mkdtemp(prefix="roots-scale-", dir=options.folder))
    try:
        size = make(folder, count)
        command = [sys.executable, "-c", OURS, str(folder), str(options.workers), "500", options.memory]
        usage = measure(command, interval=0.1, folder=ROOT, limit_seconds=options.limit)
        if usage.exit_code:
            raise ChildProcessError(usage.output[-3000:])
        scratch = sum(path.stat().st_size for path in (folder / "dedup").rglob("*") if path.is_file())
        report = json.loads((folder / "dedup" / "report.json").read_text(encoding="utf-8"))
        return {
            "documents": count,
            "text_bytes": size,
            "wall": usage.wall_seconds,
            "cpu": usage.cpu_seconds,
            "pss": usage.peak_tree_pss,
            "scratch": scratch,
            "kept": report["kept"],
            "largest_cluster": report["largest_clusters"][0]["size"],
            "recall": report["sample"]["recall_above_threshold"],
        }
    finally:
        shutil.rmtree(folder)


def main() -> int:
    """Run all sizes and print a table; returns 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, nargs="+", default=[50_000, 500_000])
    parser.add_argument("--memory", default="2G")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--limit", type=float, default=4 * 3600, help="seconds of one run")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found: list[dict[str, Any]] = []
    missed = False
    titles = (
        "documents",
        "text MB",
        "wall s",
        "CPU s",
        "us/doc",
        "peak MB",
        "scratch/doc",
        "kept",
        "largest",
        "recall",
    )
    print("".join(f"{title:>12s}" for title in titles), flush=True)
    for count in options.documents:
        row = run(count, options)
        found.append(row)
        cells = (
            f"{count}", f"{row['text_bytes'] / 1e6:.0f}", f"{row['wall']:.1f}", f"{row['cpu']:.1f}",
            f"{row['cpu'] / count * 1e6:.0f}", f"{row['pss'] / 1e6:.0f}", f"{row['scratch'] / count:.0f}",
            f"{row['kept']}", f"{row['largest_cluster']}", f"{row['recall']['recall'] or 0:.4f}",
        )  # fmt: skip
        print("".join(f"{cell:>12s}" for cell in cells), flush=True)
        missed |= row["pss"] > parse_bytes(options.memory)
        if len(found) > 1:
            missed |= row["cpu"] / count > 1.5 * found[-2]["cpu"] / found[-2]["documents"]
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    print("MISSED a target" if missed else "targets met")
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
