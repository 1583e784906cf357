"""What indexing costs a page, and how many odd charsets are read right.

`python -m tests.benchmarks.indexing [FOLDER]` with the folder of the built WARC files of the shared data.
"""

import csv
import sys
import time
from collections import Counter
from pathlib import Path

from filters.text.charset import decode_page
from pipelines.archives.limits import Limits
from pipelines.archives.records import read_records
from pipelines.index import Index

BUILT = Path(__file__).parents[3] / "shared" / "data" / "warc" / "built"
PAGE_BYTES = 150_000  # of an average page of a crawl


def cost(folder: Path) -> None:
    """Print milliseconds of CPU a page, best of three, and of that the reading alone."""
    path = folder / "real-pages-bundle.warc.gz"
    stage = Index()
    best = {"index": float("inf"), "reading": float("inf")}
    pages = size = 0
    for _ in range(3):
        began = time.process_time()
        pages = sum(batch.num_rows for batch in stage.make("", [path]))
        best["index"] = min(best["index"], time.process_time() - began)
        began = time.process_time()
        size = sum(len(record.body) for record in read_records(path, Limits()))
        best["reading"] = min(best["reading"], time.process_time() - began)
    print(f"{pages} records, {size / pages / 1000:.0f} KB a record")
    for name, seconds in best.items():
        milliseconds = seconds / pages * 1000
        print(f"{name:8} {milliseconds:.3f} ms a record, {milliseconds * PAGE_BYTES * pages / size:.3f} ms at 150 KB")


def charsets(folder: Path) -> None:
    """Print how many of the odd-charset pages decode as their true charset does, by what they declare."""
    csv.field_size_limit(1 << 24)
    with (folder / "odd-charsets-bundle.manifest.tsv").open(encoding="utf-8", newline="") as file:
        truth = {row["url"]: row for row in csv.DictReader(file, delimiter="\t")}
    right: Counter[str] = Counter()
    pages: Counter[str] = Counter()
    for record in read_records(folder / "odd-charsets-bundle.warc.gz", Limits()):
        row = truth[str(record.url)]
        text = record.body.decode(row["charset"], "replace").removeprefix("\ufeff")
        pages[row["declared"]] += 1
        right[row["declared"]] += decode_page(record.body, record.header_charset).text == text
    for declared in sorted(pages):
        print(f"{declared:36} {right[declared]:3} of {pages[declared]:3}")
    print(f"{'all':36} {right.total():3} of {pages.total():3}")


if __name__ == "__main__":
    built = Path(sys.argv[1]) if len(sys.argv) > 1 else BUILT
    if not built.is_dir():
        sys.exit(f"no folder {built}: name the folder of the built WARC files")
    cost(built)
    charsets(built)
