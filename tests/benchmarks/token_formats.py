"""Write the shared texts as token files of every format, and read them back with the projects' own readers.

    pip install --no-deps --target readers -r tests/benchmarks/peers/token_readers.txt
    PYTHONPATH=readers python -m tests.benchmarks.token_formats [--languages fr,hi,zh] [--documents 300]

The readers need torch, which `roots-corpus[train]` has; `--no-deps` keeps pip from a second one. What a reader finds is
compared with the tokens of each text, cut by the tokenizer alone. There are two tokenizers: one of 8,192 byte-level
pairs, and one of more than 65,536 whole words, whose tokens have 32 bits. Prints a table; exit code 1 means that some
tokens differ. A reader that is not installed is named.
"""

import argparse
import gzip
import importlib
import itertools
import json
import sys
import tempfile
import warnings
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pyarrow as pa
from tokenizers import Tokenizer, models, pre_tokenizers

from roots.executors import Serial
from roots.schema import DOCUMENT
from tests.support.token_readers import FOREIGN, Documents
from trainer import corpus
from trainer.data.token_files import write_token_files
from trainer.settings import TokenFilesRequest, TokenizerSettings
from trainer.tokenizer.files import save_tokenizer
from trainer.tokenizer.training import train_tokenizer

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SHARDS = 3
ROWS = 8_192
END = "</s>"


def write_work(work: Path, data: Path, languages: Sequence[str], documents: int) -> None:
    """Write the first documents of each language as shards; the validation split has one more."""
    for language in languages:
        with gzip.open(data / "text_open" / f"{language}.jsonl.gz", "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in itertools.islice(lines, documents + 1)]
        rows = [dict.fromkeys(DOCUMENT.names) | {"id": row["id"], "text": row["text"]} for row in rows]
        parts = {f"train/data-{at:05d}-of-{SHARDS:05d}": rows[1 + at :: SHARDS] for at in range(SHARDS)}
        for name, some in {**parts, "validation/data-00000-of-00001": rows[:1]}.items():
            path = work / language / "shards" / f"{name}.arrow"
            path.parent.mkdir(parents=True, exist_ok=True)
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, DOCUMENT) as stream:
                stream.write_table(pa.Table.from_pylist(some, DOCUMENT), max_chunksize=1024)


def make_tokenizers(work: Path, languages: Sequence[str]) -> list[Path]:
    """Make a small tokenizer of byte pairs and a large one of words."""
    sources = {language: corpus.shard_paths(work, language, "train") for language in languages}
    trained = train_tokenizer(sources, TokenizerSettings(vocabulary=ROWS, budget_mb=8))
    save_tokenizer(trained, work / "pairs")
    found = {word for paths in sources.values() for _, text in corpus.documents(paths) for word in text.split()}
    known = [*(f"unused{at}" for at in range(66_000)), "<unk>", *sorted(found)]
    words = Tokenizer(models.WordLevel({word: at for at, word in enumerate(known)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.add_special_tokens([END])
    (work / "words").mkdir()
    words.save(str(work / "words" / "tokenizer.json"))
    return [work / "pairs", work / "words"]


def wanted(tokenizer: Path, paths: Sequence[Path]) -> Documents:
    """The tokens of each text with the end, without our encoder."""
    loaded = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    loaded.encode_special_tokens = True
    end = loaded.token_to_id(END)
    found = [loaded.encode(text, add_special_tokens=False).ids for _, text in corpus.documents(paths)]
    return [[*ids, end] for ids in found if ids]


def proof(work: Path, languages: Sequence[str], tokenizer: Path, form: str) -> tuple[str, bool]:
    """The row of one format and tokenizer, and whether all tokens are equal."""
    foreign = FOREIGN[form]
    target = work / "out" / tokenizer.name / form
    manifest = write_token_files(TokenFilesRequest(work, languages, form, target), tokenizer, Serial())
    head = f"| {form} | {foreign.package} {{}} | {tokenizer.name}, {manifest['tokenizer']['vocabulary']:,} | "
    head += f"{manifest['dtype']} |"
    try:
        importlib.import_module(foreign.module)
    except ImportError:
        return head.format("") + " | | not installed |", True
    documents = tokens = 0
    equal = True
    for language, split in itertools.product(languages, corpus.SPLITS):
        found = foreign.read(target / language / split, manifest["dtype"], manifest["tokenizer"]["eos_id"])
        equal &= found == wanted(tokenizer, corpus.shard_paths(work, language, split))
        documents += len(found)
        tokens += sum(map(len, found))
    said = "yes" if equal else "NO"
    return head.format(metadata.version(foreign.package)) + f" {documents:,} | {tokens:,} | {said} |", equal


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--languages", default="ar,fr,hi,yo,zh")
    parser.add_argument("--documents", type=int, default=300, help="of each language")
    parser.add_argument("--data", type=Path, default=DATA)
    chosen = parser.parse_args()
    if not (chosen.data / "text_open").is_dir():
        print(f"no texts in {chosen.data}: nothing is measured")
        return 0
    languages = chosen.languages.split(",")
    warnings.simplefilter("ignore")
    print("| format | read by | tokenizer, ids | dtype | documents | tokens | equal |\n|---|---|---|---|---|---|---|")
    everything = True
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_work(work, chosen.data, languages, chosen.documents)
        for tokenizer, form in itertools.product(make_tokenizers(work, languages), FOREIGN):
            row, equal = proof(work, languages, tokenizer, form)
            print(row, flush=True)
            everything &= equal
    return 0 if everything else 1


if __name__ == "__main__":
    sys.exit(main())
