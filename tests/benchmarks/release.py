"""A release of the shared multilingual crawl, from archives to archives: published, loaded, pointed at, made again.

    python -m tests.benchmarks.release [--lang fr,ar,sw] [--workers 2] [--input 'crawl/*.warc.gz'] [--work FOLDER]

Shown: that every language passes verify and publish, that `datasets.load_dataset(folder, "fra_Latn")` loads it and
streams it, and that what is made again from a pointer release and the archives has the sha256 of the release, file by
file; then a takedown of the largest domain, and that what is made again after it is the release without it.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

from pipelines import release
from pipelines.addresses import host_of
from pipelines.job.request import plan_jobs
from pipelines.job.stages import STAGES
from pipelines.job.work import find_archives
from pipelines.pipeline import run_stages
from pipelines.publishing.pointers import make_pointers, rebuild
from pipelines.publishing.publish import Selection, publish_release
from pipelines.publishing.settings import PublishSettings, RebuildSettings, TakedownSettings
from pipelines.publishing.takedown import takedown
from pipelines.publishing.takedown_list import parse_requests
from pipelines.publishing.validate import validate
from roots.executors import Executor, make_executor
from roots.settings import parse_pairs

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data" / "warc" / "built"
LANGUAGES = "fr,ar,bn,ca,en,es,eu,hi,id,pt,sw,ta,vi,yo,zh,zu"
T = TypeVar("T")


def main() -> int:
    """Read the command line; returns 1 when something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lang", default=LANGUAGES)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--input", default=str(SHARED / "*.warc.gz"))
    parser.add_argument(
        "--lines", default="{characters = 15, times = 3}", help="dedup.lines: edits that a pointer release must carry"
    )
    parser.add_argument("--work", type=Path, help="a work folder that is made or gone on with (else a temporary one)")
    options = parser.parse_args()
    if options.input.startswith(str(SHARED)) and not SHARED.is_dir():
        raise SystemExit(f"no archives at {SHARED}: nothing is measured")
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as scratch:
        return check(options.work or Path(scratch) / "work", Path(scratch), options)


def timed(name: str, work: Callable[[], T]) -> T:
    """Do something, and say how long it took."""
    start = time.monotonic()
    result = work()
    print(f"{name}: {time.monotonic() - start:.1f} s", flush=True)
    return result


def check(work: Path, scratch: Path, options: argparse.Namespace) -> int:
    """Everything in order; returns 1 when something is not as it should be."""
    executor = make_executor("local", options.workers)
    timed("archives to datasets", lambda: run(work, options))
    folder, settings = scratch / "release", PublishSettings(contact="benchmark")
    manifest = timed("publish", lambda: publish_release(Selection(work), folder, settings, executor))
    problems = timed("validate (every language whole and streamed)", lambda: list(validate(folder)))
    load(folder, sorted(manifest["languages"]))
    pointers = scratch / "pointers"
    timed("pointers", lambda: make_pointers(folder, pointers, executor))
    again = scratch / "again"
    timed("rebuild", lambda: rebuild(pointers, again, [options.input], RebuildSettings(), executor))
    problems += same(folder, again)
    problems += take_down(folder, executor, scratch, options.input)
    for problem in problems:
        print(f"  {problem}")
    print("all as it should be" if not problems else f"{len(problems)} problems")
    return 1 if problems else 0


def run(work: Path, options: argparse.Namespace) -> None:
    """All stages for all languages."""
    archives = find_archives([options.input])
    settings = parse_pairs([f"dedup.lines={options.lines}"] if options.lines else [])
    for job in plan_jobs(work, options.lang.split(","), archives, settings):
        run_stages(job, tuple(STAGES), make_executor("local", options.workers))


def load(folder: Path, tags: Sequence[str]) -> None:
    """Load one language as a user does, and say what came."""
    import datasets

    datasets.disable_progress_bars()
    tag = "fra_Latn" if "fra_Latn" in tags else tags[0]
    with tempfile.TemporaryDirectory() as cache:
        whole = datasets.load_dataset(str(folder), tag, cache_dir=cache)
        stream = datasets.load_dataset(str(folder), tag, split="train", streaming=True, cache_dir=cache)
        seen = sum(1 for _ in islice(stream, 10**6))
        print(f"datasets.load_dataset(folder, {tag!r}): {whole.num_rows}; streamed {seen} of train")


def same(one: Path, other: Path) -> list[str]:
    """Compare the files of two releases by their manifests and their bytes."""
    first, second = release.read_release_manifest(one)["files"], release.read_release_manifest(other)["files"]
    problems = [f"{name} is another file" for name in sorted(first) if first[name] != second.get(name)]
    problems += release.check_files(other)
    rows = sum(entry["rows"] for name, entry in first.items() if name.startswith("data/"))
    edits = Counter[str]()
    for path in sorted(other.glob("data/*/*.parquet")):
        for batch in release.read_parquet(path, ["lines", "pii"]):
            for name in ("lines", "pii"):
                edits[name] += sum(map(bool, batch[name].to_pylist()))
    print(
        f"made again: {len(first)} files, {rows} documents ({edits['lines']} with lines cut out, {edits['pii']} with "
        f"personal data replaced), {len(problems)} with another sha256"
    )
    return problems


def take_down(folder: Path, executor: Executor, scratch: Path, archives: str) -> list[str]:
    """Take the largest domain down, twice; make the release again from new pointers."""
    hosts: Counter[str] = Counter()
    for path in sorted(folder.glob("data/*/*.parquet")):
        for batch in release.read_parquet(path, ["url"]):
            hosts.update(host_of(url or "") for url in batch["url"].to_pylist())
    domain = max(hosts, key=lambda host: (hosts[host] if host else 0, host))
    requests, signed = parse_requests([f"domain:{domain}"]), TakedownSettings(signed_off_by="benchmark")
    diff = timed("takedown of a domain", lambda: takedown(folder, requests, signed, executor).difference)
    if diff is None:
        return ["the takedown found nothing"]
    print(f"  {len(diff['removed'])} documents, {len(diff['files'])} files written again, {json.dumps(diff['proof'])}")
    problems = (
        []
        if takedown(folder, requests, signed, executor).difference is None
        else ["a second takedown changed something"]
    )
    make_pointers(folder, scratch / "pointers-2", executor)
    rebuild(scratch / "pointers-2", scratch / "again-2", [archives], RebuildSettings(), executor)
    return problems + same(folder, scratch / "again-2")


if __name__ == "__main__":
    sys.exit(main())
