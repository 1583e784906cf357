"""A takedown of one document in a hundred from a release of 1 GB of text, by address and by domain.

    python -m tests.benchmarks.takedown [--megabytes 1000] [--workers 2] [--work FOLDER]

The release is made of the documents of `../shared/data/text_open` over and over, under addresses of their own: 100
files, 1,000 domains. Shown: files written again, seconds, the proof of absence, and that all other files are the same.
"""

import argparse
import gzip
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import pyarrow as pa

from pipelines import release
from pipelines.publishing.card import write_release_card
from pipelines.publishing.settings import TakedownSettings
from pipelines.publishing.takedown import takedown
from pipelines.publishing.takedown_list import Requests, parse_requests
from roots.executors import make_executor
from roots.identity import sha256_of

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data" / "text_open"
FILES, DOMAINS, TAG = 100, 1000, "fra_Latn"


def documents() -> Iterator[str]:
    """Texts without end."""
    texts: list[str] = []
    for path in sorted(SHARED.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            texts += [json.loads(line)["text"] for line in islice(file, 400)]
    return cycle(texts)


def make_release(folder: Path, megabytes: float) -> dict[str, object]:
    """Write a release with that much text. A domain's pages lie together, as a crawl in order of address has them."""
    texts = documents()
    files = {}
    totals = {"rows": 0, "text_bytes": 0, "bytes": 0, "characters": 0}
    for number in range(FILES):
        rows, size = [], 0
        while size < megabytes * 1e6 / FILES:
            place = len(rows)
            text = f"{next(texts)}\n{number}-{place}"
            size += len(text.encode())
            # Ten domains a file, in runs: where a page is in its file decides which.
            domain = number * DOMAINS // FILES + int(10 * size / (megabytes * 1e6 / FILES)) % 10
            url = f"https://site{domain}.example/{number}/{place}"
            rows.append({"id": f"{number}-{place}", "text": text, "url": url, "source": "unlisted"})
        name = f"data/{TAG}/train-{number:05d}-of-{FILES:05d}.parquet"
        written = release.write_parquet(
            folder / name, release.RELEASED, [pa.RecordBatch.from_pylist(rows, release.RELEASED)]
        )
        files[name] = written.as_values()
        for key in totals:
            totals[key] += files[name][key]
    name = f"clusters/{TAG}.parquet"
    files[name] = release.write_parquet(folder / name, release.CLUSTERS, []).as_values()
    stage = {"rows": totals["rows"], "kept": totals["rows"], "drops": {}, "settings": {}, "version": 1}
    manifest = {
        "format": 1, "name": "bench", "version": "1.0.0", "rights": {}, "sources": {}, "files": files,
        "settings": {"license": "other", "license_link": "", "contact": "x", "citation": ""},
        "languages": {TAG: {
            "code": "fr", "name": "French", "made_by": {}, "dedup": {}, "inputs": {}, "words": 0, "sources": {},
            "left_out": {}, "pii": {}, "splits": {"train": totals},
            "stages": dict.fromkeys(("extract", "dedup", "redact"), stage),
        }},
        "history": [{"version": "1.0.0", "date": "", "note": "first release"}],
    }  # fmt: skip
    release.write_release_manifest(folder, manifest)
    write_release_card(folder, manifest)
    return totals


def digests(folder: Path) -> dict[str, str]:
    """sha256 of every data file."""
    return {path.name: sha256_of(path) for path in sorted(folder.glob("data/*/*.parquet"))}


def run(folder: Path, title: str, requests: Requests, workers: int) -> None:
    """One takedown, and what it did."""
    before = digests(folder)
    start = time.monotonic()
    diff = takedown(
        folder, requests, TakedownSettings(signed_off_by="benchmark"), make_executor("local", workers)
    ).difference
    seconds = time.monotonic() - start
    if diff is None:
        raise SystemExit("nothing was taken down")
    after = digests(folder)
    touched = {name.rpartition("/")[2] for name in diff["files"]}
    others = [name for name in before if name not in touched]
    if any(before[name] != after[name] for name in others):
        raise SystemExit("a file that was not touched has changed")
    again = takedown(
        folder, requests, TakedownSettings(signed_off_by="benchmark"), make_executor("local", workers)
    ).difference
    then = "nothing to do" if again is None else "changed"
    print(
        f"{title}: {len(diff['removed'])} documents gone, {len(touched)} of {len(before)} files written again in "
        f"{seconds:.1f} s with {workers} workers; {len(others)} files byte for byte as before; searched "
        f"{diff['proof']['rows']} rows, found {diff['proof']['found']}; again: {then}"
    )


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--work", type=Path, default=None, help="where the release is made (a temporary folder)")
    options = parser.parse_args()
    if not SHARED.is_dir():
        raise SystemExit(f"no text at {SHARED}: nothing is measured")
    with tempfile.TemporaryDirectory(dir=options.work) as scratch:
        folder = Path(scratch) / "release"
        start = time.monotonic()
        totals = make_release(folder, options.megabytes)
        print(
            f"{totals['rows']} documents, {int(str(totals['text_bytes'])) / 1e6:.0f} MB of text, made in "
            f"{time.monotonic() - start:.0f} s",
            flush=True,
        )
        urls: list[str] = []
        for path in sorted(folder.glob("data/*/*.parquet")):
            for batch in release.read_parquet(path, ["url"]):
                urls += batch["url"].to_pylist()
        domains = frozenset(f"site{number}.example" for number in range(0, DOMAINS, 100))
        run(
            folder,
            "1 % of the domains",
            parse_requests([f"domain:{domain}" for domain in sorted(domains)]),
            options.workers,
        )
        kept = [url for url in urls if url.split("/")[2] not in domains]
        run(folder, "1 % of the addresses", parse_requests(kept[::100]), options.workers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
