"""The same 1,000 documents through every door: as web archives, tables and data sets. Their datasets must be equal.

    python -m tests.benchmarks.doors [--documents 1000] [--data ../shared/data]

The documents are texts of the shared data in French and four other languages, with cut, repeated and slightly changed
ones; without that folder, they are made of sentences of the example crawl. Each form goes through `roots run`. What
counts is the text of each document kept and the reason of each drop. JSONL and Parquet also go in parts. Prints a
table; exit code 1 means that a form differs from WET.
"""

import argparse
import gzip
import itertools
import json
import logging
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.pipelines.sources.test_same_texts import documents
from tests.support.doors import WAYS, Outcome, run_job
from tests.support.tables import Rows, rows_of

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
FRENCH = 0.6  # of the documents
OTHERS = ("en", "es", "ar", "zh")
IN_PARTS = {"jsonl": 7, "parquet": 7}  # form -> how many parts it is read in, besides as a whole


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--data", type=Path, default=DATA)
    chosen = parser.parse_args()
    logging.disable(logging.WARNING)
    rows = rows_of(changed(texts_of(chosen.data, chosen.documents), chosen.documents))
    print("| form | shards | kept | dropped | other texts | other drops | seconds |\n|---|---|---|---|---|---|---|")
    wanted: Outcome | None = None
    equal = True
    with TemporaryDirectory(prefix="roots-doors-") as scratch:
        for form, parts in [(form, 1) for form in WAYS] + list(IN_PARTS.items()):
            folder = Path(scratch) / f"{form}-{parts}"
            folder.mkdir()
            start = time.monotonic()
            place = WAYS[form](rows, folder)
            settings = [f"index.part_bytes={-(-Path(place).stat().st_size // parts)}"] if parts > 1 else []
            found = run_job(place, folder / "work", *settings)
            wanted = wanted or found
            other = [
                sum(one.get(key) != of.get(key) for key in one.keys() | of)
                for one, of in zip(found, wanted, strict=True)
            ]
            shards = len(list((folder / "work" / "index").glob("*.parquet")))
            counts = f"{len(found[0])} | {len(found[1])} | {other[0]} | {other[1]} | {time.monotonic() - start:.1f}"
            print(f"| {form}{', in parts' if parts > 1 else ''} | {shards} | {counts} |", flush=True)
            equal &= not any(other) and (parts == 1 or shards > 1)
    return 0 if equal else 1


def texts_of(data: Path, count: int) -> list[str]:
    """As many texts as asked, those of French first."""
    if not (data / "text_open").is_dir():
        print(f"no texts in {data}: they are made of the example crawl", file=sys.stderr)
        return made(documents(), count)
    french = list(itertools.islice(shared(data, "fr"), int(count * FRENCH)))
    each = -(-(count - len(french)) // len(OTHERS))
    return [*french, *(text for code in OTHERS for text in itertools.islice(shared(data, code), each))][:count]


def shared(data: Path, code: str) -> Iterator[str]:
    """The shared texts of a language."""
    with gzip.open(data / "text_open" / f"{code}.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from (json.loads(line)["text"] for line in lines)


def made(rows: Rows, count: int) -> list[str]:
    """Texts of the lines of others, in a random order."""
    chance = random.Random(1)
    texts = [str(row["text"]).split("\n") for row in rows]
    return ["\n".join(chance.sample(lines, len(lines))) for lines in itertools.islice(itertools.cycle(texts), count)]


def changed(texts: list[str], count: int) -> list[str]:
    """The texts with copies, near-copies, cut ones and personal data among them."""
    texts = [*texts, *([""] * (count - len(texts)))]
    for number in range(20, count, 20):
        texts[number] = texts[number - 7]
        texts[number - 1] = texts[number - 9].replace("e", "é", 1)
        texts[number - 2] = texts[number - 2][:80]
        texts[number - 3] += " Écrivez à marie.dupont@exemple.fr ou au 01 42 68 53 00."
        texts[number - 4] = " \n" if number % 100 == 0 else texts[number - 4] + "\r\nFin\u00a0!\x85"
    return texts


if __name__ == "__main__":
    sys.exit(main())
