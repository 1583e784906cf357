"""Do filters and dedup make a better corpus? Compare models trained on real pages, from archives to verdict.

    python -m tests.benchmarks.ablation [--lang en] [--seeds 3] [--tokens 400000] [--to build/ablation] [--judge WORK]

Reads the shared archives (web pages and manual pages) and, as one more archive, the shared near-duplicates (a manual
for several architectures). `roots run` makes the clean corpus; the raw one is what was extracted, without filters and
dedup. Then it runs the commands of a user: `roots ablate raw clean`, and `roots memorization` for one model of each.
Both corpora are split by the same rule, and both models read the same number of bytes. Neither is trained on
near-copies of held-out text, half of which comes from each corpus.
"""

import argparse
import gzip
import html
import io
import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipelines.job import work as folders
from pipelines.job.settings import ShardSettings
from pipelines.shard import in_validation
from roots import shards
from trainer import ablate

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def write_archive(path: Path) -> None:
    """The shared near-duplicates as pages of one archive."""
    with gzip.open(DATA / "near_dup" / "docs.jsonl.gz", "rt", encoding="utf-8") as lines, path.open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for line in lines:
            row = json.loads(line)
            blocks = "".join(f"<p>{html.escape(block)}</p>\n" for block in row["text"].split("\n") if block.strip())
            head = f'<!doctype html><html lang="{row["lang"]}"><head><meta charset="utf-8"><title></title></head>'
            page = f"{head}<body><article>{blocks}</article></body></html>".encode()
            status = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.1")
            uri = f"https://manual.example/{row['id']}"
            writer.write_record(
                writer.create_warc_record(uri, "response", payload=io.BytesIO(page), http_headers=status)
            )


def write_raw(clean: Path, raw: Path, language: str) -> None:
    """Write all that was extracted in the language, without filters and dedup, as a work folder."""
    settings = ShardSettings()
    texts: dict[str, list[str]] = {"train": [], "validation": []}
    for path in sorted(folders.folder(clean, language, "extract").glob("*.parquet")):
        for batch in shards.read_kept([path], ["id", "text"]):
            held = in_validation(batch["id"], settings)
            for split, wanted in (("train", ~held), ("validation", held)):
                texts[split] += [batch["text"][int(at)].as_py() for at in np.flatnonzero(wanted)]
    for split, mine in texts.items():
        ablate.write_texts(raw / language / "shards" / split / "data-00000-of-00001.arrow", mine)


def roots(*arguments: object) -> None:
    """Run one of our commands as a user would, and show its output."""
    print(f"$ roots {' '.join(map(str, arguments))}", flush=True)
    subprocess.run([sys.executable, "-m", "pipelines.cli", *map(str, arguments)], check=True)


def main() -> None:
    """Make both corpora, compare them, and measure what both models have memorised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lang", default="en")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=400_000, help="that each model is trained on")
    parser.add_argument("--to", type=Path, default=Path("build/ablation"), help="folder to write")
    parser.add_argument("--judge", default="", help="work folder whose validation text judges both")
    options = parser.parse_args()
    if not DATA.is_dir():
        print(f"not run: {DATA} is absent")
        return
    target = options.to
    clean, raw, found = target / "clean", target / "raw", target / "found"
    target.mkdir(parents=True, exist_ok=True)
    write_archive(target / "manual.warc.gz")
    archives = [target / "manual.warc.gz", DATA / "warc" / "built" / "*.warc.gz"]
    inputs = [part for archive in archives for part in ("--input", archive)]
    roots("run", clean, *inputs, "--lang", options.lang, "--quiet")
    write_raw(clean, raw, options.lang)
    sets = [f"ablate.seeds={options.seeds}", f"train.tokens={options.tokens}", "train.threads=1"]
    sets += [f"ablate.judge={options.judge}"] if options.judge else []
    pairs = [part for pair in sets for part in ("--set", pair)]
    roots("ablate", raw, clean, "--lang", options.lang, "--to", found, *pairs)
    known = target / "memorization"
    roots("memorization", found / "first-0", "--lang", options.lang, "--beside", found / "second-0", "--to", known)
    print(f"first: raw; second: filtered and deduplicated. {found}/ablation.svg, {known}/memorization.svg")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"CPU seconds of all commands: {used.ru_utime + used.ru_stime:.0f}")


if __name__ == "__main__":
    main()
