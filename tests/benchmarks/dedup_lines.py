"""What lines and passages cost, and whether they stay within the memory limit: dedup without them and with each.

    python -m tests.benchmarks.dedup_lines --pages 100000 --memory 500M [--folder /big/disk]

Generated pages of generated sites: each site repeats a menu of 12 lines, and each page has 20 lines of its own. Each
run is one process; its peak is the largest sum over all processes (PSS), polled. Target: below `--memory`.
"""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

import pyarrow as pa

from pipelines.dedup.lines import LINE_STEPS
from pipelines.dedup.passages import PASSAGE_STEPS
from pipelines.dedup.settings import parse_bytes
from roots import shards
from tests.benchmarks.process_tree import measure

ROOT = Path(__file__).parents[2]
NAMES = ("id", "text", "language", "url", "date", "drop")
SCHEMA = pa.schema([pa.field(name, pa.string()) for name in NAMES])
SHARD = 10_000  # pages
SITES = 5_000
MENU, OWN = 12, 20  # lines
RULES = "boilerplate,newspaper,template"
VARIANTS = (
    ("plain", "", "0", ()),
    ("lines", RULES, "0", LINE_STEPS),
    ("passages", "", "200", PASSAGE_STEPS),
)
RUN = """
import sys
from pathlib import Path
from pipelines.dedup.run import run_dedup
from pipelines.dedup.settings import DedupSettings
from roots import process
from roots.executors import Threads
process.begin()  # as the command does
folder, memory, rules = Path(sys.argv[1]), sys.argv[2], tuple(rule for rule in sys.argv[3].split(",") if rule)
chains = {path.name: [path] for path in sorted((folder / "extract").glob("*.parquet"))}
settings = DedupSettings(lines=rules, passages=int(sys.argv[4]), memory=memory, audit=0)
run_dedup(chains, folder / sys.argv[5], settings, Threads(2))
"""


def make(folder: Path, pages: int, seed: int = 5) -> int:
    """Write the pages; returns their bytes of text."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdefghijklmnopqrst", k=rng.randrange(2, 9))) for _ in range(20_000)]
    menus = [[" ".join(rng.choices(words, k=4)) for _ in range(MENU)] for _ in range(SITES)]
    size = 0
    (folder / "extract").mkdir(parents=True)
    for first in range(0, pages, SHARD):
        rows = []
        for page in range(first, min(pages, first + SHARD)):
            site = int(rng.paretovariate(0.6)) % SITES
            text = "\n".join([*menus[site], *(" ".join(rng.choices(words, k=10)) for _ in range(OWN))])
            size += len(text)
            rows.append({"id": f"{page}", "text": text, "language": "eng", "url": f"https://site{site}.org/{page}"})
        path = folder / "extract" / f"part-{first // SHARD:05d}.parquet"
        shards.write(path, SCHEMA, [pa.RecordBatch.from_pylist(rows, SCHEMA)], "extract", 1, "")
    return size


def main() -> int:
    """Run dedup plain, with lines and with passages; returns 1 if memory was above the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=100_000)
    parser.add_argument("--memory", default="500M")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    missed = False
    folder = Path(tempfile.mkdtemp(prefix="roots-lines-", dir=options.folder))
    try:
        size = make(folder, options.pages)
        print(f"{options.pages:,} pages, {size / 1e6:.0f} MB of text, {options.pages * (MENU + OWN):,} lines")
        for name, rules, passages, names in VARIANTS:
            command = [sys.executable, "-c", RUN, str(folder), options.memory, rules, passages, name]
            usage = measure(command, interval=0.1, folder=ROOT, limit_seconds=3600)
            if usage.exit_code:
                raise ChildProcessError(usage.output[-3000:])
            steps = [folder / name / step for step in names]
            scratch = sum(path.stat().st_size for step in steps for path in step.glob("*.parquet"))
            missed |= usage.peak_tree_pss > parse_bytes(options.memory)
            print(
                f"{name}: {usage.wall_seconds:.1f} s, {usage.cpu_seconds:.1f} CPU s, "
                f"{usage.peak_tree_pss / 1e6:.0f} MB, scratch of it {scratch / size:.2f} bytes a byte of text"
            )
    finally:
        shutil.rmtree(folder)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
