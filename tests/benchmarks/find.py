"""How fast `roots find` indexes and answers, how large its index is, and whether it finds every passage it promises.

    python -m tests.benchmarks.find                       # the shared texts of all languages
    python -m tests.benchmarks.find --data FOLDER --passages 40

Passages of exactly the promised length are cut from documents at random and looked for as they are, in upper case
without punctuation, with other white space, and in NFD. The same words in another order must not be found.
"""

import argparse
import gzip
import json
import random
import sys
import time
import unicodedata
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from filters.fingerprints.letters import letters_of
from filters.fingerprints.lookup import leasts_of
from pipelines.fingerprints.find import find_texts
from pipelines.fingerprints.index import index_corpus
from roots import shards
from roots.executors import Serial
from roots.schema import DOCUMENT

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SHARD_ROWS, ROWS = 50_000, 1024
FORMS = {
    "as it is": lambda text: text,
    "upper case, no punctuation": lambda text: "".join(
        c for c in text if c.isalnum() or c.isspace() or _is_mark(c)
    ).upper(),
    "other white space": lambda text: text.replace(" ", " \u200b\n "),
    "NFD": lambda text: unicodedata.normalize("NFD", text),
}


def _is_mark(sign: str) -> bool:
    return unicodedata.category(sign).startswith("M") or sign in "\u200c\u200d"


def lay(work: Path, data: Path) -> dict[str, list[str]]:
    """Write the texts as datasets of a work folder; return those of each language."""
    found = {}
    for path in sorted((data / "text_open").glob("*.jsonl.gz")):
        code = path.name.partition(".")[0]
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts = [json.loads(line)["text"] for line in lines]
        entries = {}
        for number, start in enumerate(range(0, len(texts), SHARD_ROWS)):
            name = f"train/data-{number:05d}.arrow"
            target = work / code / "shards" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            blank = dict.fromkeys(DOCUMENT.names)
            rows = [
                blank | {"id": f"{code}-{at}", "text": text}
                for at, text in enumerate(texts[start : start + SHARD_ROWS])
            ]
            batches = [pa.RecordBatch.from_pylist(rows[at : at + ROWS], DOCUMENT) for at in range(0, len(rows), ROWS)]
            receipt = shards.write(target, DOCUMENT, batches, "shard", 1, str(number))
            entries[name] = {"rows": receipt.rows, "text_bytes": receipt.text_bytes, "sha256": ""}
        values = {"language": {"code": code, "tag": code, "name": code}, "shards": entries}
        (work / code / "manifest.json").write_text(json.dumps(values))
        found[code] = texts
    return found


def passages(texts: list[str], count: int, rng: random.Random) -> list[str]:
    """Passages of exactly the promised number of letters."""
    found: list[str] = []
    for _ in range(20 * count):
        text = rng.choice(texts)
        letters = letters_of(pa.array([text]))
        least = int(leasts_of(letters)[0])
        if len(letters.units) <= least:
            continue
        at = rng.randrange(len(letters.units) - least)
        found.append(text[letters.places[at] : letters.places[at + least]])
        if len(found) == count:
            break
    return found


def main() -> int:
    """Print the tables; exit code 1 if a passage was missed or a text was found that is not there."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--passages", type=int, default=10)
    chosen = parser.parse_args()
    if not (chosen.data / "text_open").is_dir():
        print(f"nothing measured: no texts in {chosen.data}")
        return 0
    rng = random.Random(0)
    with TemporaryDirectory(prefix="roots-find-") as scratch:
        work = Path(scratch)
        texts = lay(work, chosen.data)
        size = sum(len(text.encode()) for kept in texts.values() for text in kept)
        began = time.process_time()
        files = index_corpus(work, "", Serial())
        seconds = time.process_time() - began
        index = sum(file.shard.stat().st_size for file in files)
        print(
            f"{size / 1e6:,.1f} MB of text, {len(texts)} languages: {size / 1e6 / seconds:,.0f} MB a CPU second, ",
            end="",
        )
        print(f"index {index / 1e6:,.1f} MB ({index / size:.1%} of the text)")
        wanted = [(code, each) for code, kept in texts.items() for each in passages(kept, chosen.passages, rng)]
        found, missed, answers = Counter[str](), [], []
        for form, change in FORMS.items():
            for code, passage in wanted:
                began = time.process_time()
                (finding,) = find_texts(work, [change(passage)], Serial())
                answers.append(time.process_time() - began)
                found[form] += bool(finding.documents)
                missed += [] if finding.documents else [f"{form}, {code}: {passage[:60]!r}"]
            print(f"{form}: {found[form]} of {len(wanted)} passages found")
        shuffled = [
            " ".join(rng.sample(words := each.split(), len(words))) for _, each in wanted if len(each.split()) > 9
        ]
        false = sum(bool(finding.documents) for finding in find_texts(work, shuffled, Serial()))
        print(f"{false} of {len(shuffled)} texts found that are not there")
        print(f"an answer takes {1000 * sorted(answers)[len(answers) // 2]:.0f} ms of CPU (median of {len(answers)})")
        print("\n".join(missed[:20]))
    return 1 if missed or false else 0


if __name__ == "__main__":
    sys.exit(main())
