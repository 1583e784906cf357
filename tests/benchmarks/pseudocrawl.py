"""How the captures of a list of seeds are found in a columnar index: ours, pyarrow's push-down, DuckDB.

    python -m tests.benchmarks.pseudocrawl [--rows 2000000] [--seeds 614] [--rounds 3]

An index like Common Crawl's is made: as many rows as asked for in files sorted by SURT key, with row groups of 100,000
and URLs of made-up hosts whose numbers of pages fall off as those of the web do (Zipf). Of the seeds two thirds are
domains, the others prefixes of URLs; one in twelve is not in the index at all, as it was with ROOTS's 614. All must
find the same captures; each round runs each of them once, in a process of its own; CPU seconds are compared.

What decides is how many seeds there are to a row group. A snapshot of Common Crawl has 300 files of some ten million
rows and ROOTS had 614 seeds: two seeds a file, one in fifty row groups. `--seeds 4` on two million rows is denser than
that by ten; with `--seeds 614` there are seeds in every group, and nearly every byte must be read.

DuckDB is asked in two ways: a join on ranges of keys, and a filter with every range in it. Needs the extra [bench].
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import reduce
from operator import itemgetter, or_
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from pipelines.pseudocrawl.captures import KEY, NEEDED, Lookup
from pipelines.pseudocrawl.seeds import Seed
from tests.support.cc_index import SCHEMA

GROUP = 100_000
HOSTS = 200_000
START = datetime(2024, 5, 1)


def make(folder: Path, rows: int, files: int = 2) -> None:
    """Write the index."""
    chance = random.Random(1)
    ranks = chance.choices(range(HOSTS), weights=[1 / (rank + 10) for rank in range(HOSTS)], k=rows)
    ends = ("com", "org", "fr", "sw", "in")
    pages = sorted(
        (row(f"{ends[rank % 5]},site{rank:06d}", page) for page, rank in enumerate(ranks)), key=itemgetter(KEY)
    )
    for number in range(files):
        mine = pages[len(pages) * number // files : len(pages) * (number + 1) // files]
        with pq.ParquetWriter(folder / f"part-{number:05d}.parquet", SCHEMA, compression="gzip") as writer:
            for at in range(0, len(mine), GROUP):
                writer.write_table(pa.Table.from_pylist(mine[at : at + GROUP], SCHEMA))


def row(host: str, page: int) -> dict[str, object]:
    """One capture."""
    path = f"/{('news', 'blog', 'a')[page % 3]}/{page * 2654435761 % 2**32:08x}.html"
    end, name = host.split(",")
    return {
        "url_surtkey": f"{host}){path}", "url": f"https://www.{name}.{end}{path}",
        "fetch_time": START + timedelta(seconds=page), "fetch_status": 200, "content_mime_type": "text/html",
        "content_mime_detected": "text/html", "content_languages": "fra",
        "warc_filename": f"crawl-data/x/{page % 90:05d}.warc.gz", "warc_record_offset": page % 2**30,
        "warc_record_length": 20_000 + page % 9_999,
    }  # fmt: skip


def seeds_of(count: int) -> list[Seed]:
    """The seeds, sites of every size."""
    chance = random.Random(2)
    ends = ("com", "org", "fr", "sw", "in")
    seeds = []
    for number, rank in enumerate(chance.sample(range(HOSTS), count)):
        site = f"site{rank:06d}.{ends[rank % 5]}" if number % 12 else f"nothing{number}.example"
        seeds.append(Seed(site if number % 3 else f"https://www.{site}/news/", "fr"))
    return seeds


def ours(files: Sequence[Path], seeds: Sequence[Seed]) -> int:
    """Row groups by their footers, then bisection."""
    lookup = Lookup(tuple(seeds))
    return sum(batch.num_rows for path in files for batch in lookup.make(path.name, [path]))


def pushed_down(files: Sequence[Path], seeds: Sequence[Seed]) -> int:
    """pyarrow's dataset with one filter of all ranges."""
    key = pc.field("url_surtkey")
    wanted = reduce(or_, [(key >= low) & (key < high) for seed in seeds for low, high in seed.ranges])
    return int(
        ds.dataset([str(path) for path in files])
        .to_table(columns=list(NEEDED), filter=wanted, use_threads=False)
        .num_rows
    )


def duckdb_join(files: Sequence[Path], seeds: Sequence[Seed]) -> int:
    """DuckDB, a join on ranges."""
    import duckdb

    link = duckdb.connect(config={"threads": 1})
    ranges = pa.table(list(zip(*(pair for seed in seeds for pair in seed.ranges), strict=True)), names=["low", "high"])
    link.register("ranges", ranges)
    names = [str(path) for path in files]
    return len(
        link.execute(
            f"SELECT DISTINCT {', '.join('c.' + name for name in NEEDED)} FROM read_parquet($files) c "
            "JOIN ranges r ON c.url_surtkey >= r.low AND c.url_surtkey < r.high",
            {"files": names},
        ).fetchall()
    )


def duckdb_filter(files: Sequence[Path], seeds: Sequence[Seed]) -> int:
    """DuckDB, one filter of all ranges."""
    import duckdb

    link = duckdb.connect(config={"threads": 1})
    ranges = [
        f"(url_surtkey >= '{low}' AND url_surtkey < '{high}')".replace("\x00", "' || chr(0) || '")
        for seed in seeds
        for low, high in seed.ranges
    ]
    query = f"SELECT {', '.join(NEEDED)} FROM read_parquet($files) WHERE {' OR '.join(ranges)}"
    return len(link.execute(query, {"files": [str(path) for path in files]}).fetchall())


CONTENDERS: dict[str, Callable[[Sequence[Path], Sequence[Seed]], int]] = {
    "ours": ours,
    "pyarrow filter": pushed_down,
    "duckdb join": duckdb_join,
    "duckdb filter": duckdb_filter,
}


def alone(name: str, folder: str, seeds: int) -> dict[str, float]:
    """Run one contender in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.pseudocrawl", "--contender", name, "--folder", folder]
    done = subprocess.run([*command, "--seeds", str(seeds)], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> int:
    """Make the index, run the rounds, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--seeds", type=int, default=614)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        files, seeds = sorted(Path(options.folder).glob("*.parquet")), seeds_of(options.seeds)
        wall, cpu = time.perf_counter(), time.process_time()
        found = CONTENDERS[options.contender](files, seeds)
        print(json.dumps({"found": found, "cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}))
        return 0
    with tempfile.TemporaryDirectory(prefix="roots-index-") as folder:
        make(Path(folder), options.rows)
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        print(f"{options.rows:,} rows, {size / 1e6:,.0f} MB, {options.seeds} seeds, {options.rounds} rounds")
        results = {name: [alone(name, folder, options.seeds) for _ in range(options.rounds)] for name in CONTENDERS}
    counts = {result["found"] for each in results.values() for result in each}
    print(f"{'contender':<16}{'captures':>10}{'CPU s':>9}{'wall s':>9}{'M rows/CPU s':>14}")
    for name, each in sorted(results.items(), key=lambda item: statistics.median(one["cpu"] for one in item[1])):
        cpu, wall = (statistics.median(one[key] for one in each) for key in ("cpu", "wall"))
        print(f"{name:<16}{each[0]['found']:>10,.0f}{cpu:>9.2f}{wall:>9.2f}{options.rows / cpu / 1e6:>14.2f}")
    if len(counts) != 1:
        print("the contenders do not find the same captures")
    return int(len(counts) != 1)


if __name__ == "__main__":
    sys.exit(main())
