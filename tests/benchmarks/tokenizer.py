"""Train a tokenizer on the shared multilingual text and measure it on held-out parallel text.

    python tests/benchmarks/tokenizer.py [vocabulary=65536 rounds=3 ...]

Reads ../shared/data/text_open and text_restricted (training) and FLORES dev (feedback on its even lines, judgement on
its odd lines), prints tables and writes a picture beside the tokenizer it made, to the folder named by OUT.
"""

import gzip
import json
import os
import sys
import tempfile
from pathlib import Path

import pyarrow as pa

from roots.schema import DOCUMENT
from roots.settings import build
from trainer import corpus, fertility, tokenizer

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
OTHERS = {"fr", "en", "es", "zh", "hi", "ar"}  # the languages the BLOOM paper compares with monolingual tokenizers


def shards(work: Path) -> dict[str, list[Path]]:
    """The shared texts as Arrow shards, one folder a language."""
    made: dict[str, list[Path]] = {}
    for source in sorted([*(DATA / "text_open").glob("*.jsonl.gz"), *(DATA / "text_restricted").glob("*.jsonl.gz")]):
        language = source.name.split(".")[0]
        target = work / language / "shards" / "train" / f"data-{source.parent.name}.arrow"
        target.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(source, "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        blank = dict.fromkeys(DOCUMENT.names)
        table = pa.Table.from_pylist([blank | {"id": row["id"], "text": row["text"]} for row in rows], DOCUMENT)
        with pa.OSFile(str(target), "wb") as file, pa.ipc.new_stream(file, DOCUMENT) as stream:
            stream.write_table(table, max_chunksize=1024)
        made[language] = corpus.shards(work, language, "train")
    return made


def main(pairs: list[str]) -> None:
    """Train, measure, print."""
    if not DATA.is_dir():
        sys.exit(f"not run: {DATA} is absent")
    values = {"vocabulary": 65_536, "rounds": 3, "budget_mb": 80, "shares": ("en=0.25",)}
    values |= {key: json.loads(value) if value[0].isdigit() else value for key, value in (p.split("=") for p in pairs)}
    settings = build(tokenizer.TokenizerSettings, values, "tokenizer")
    parallel = DATA / "lid_eval" / "flores200_dev"
    out = Path(os.environ.get("OUT") or tempfile.mkdtemp())
    with tempfile.TemporaryDirectory() as folder:
        sources = shards(Path(folder))
        feedback = fertility.read_parallel(parallel, "even")
        trained = tokenizer.train(sources, settings, feedback)
        tokenizer.save(trained, out)
        own = tokenizer.monolingual({language: sources[language] for language in sorted(OTHERS)}, settings)
    judged = {k: v for k, v in fertility.read_parallel(parallel, "odd").items() if k in sources}
    banks = sorted((DATA / "ud_fertility").glob("*pud-ud-test.conllu.gz"))
    found = fertility.evaluate({"roots": trained.tokenizer}, judged, banks, own)
    markdown, svg = fertility.render(found)
    (out / "fertility.md").write_text(markdown, encoding="utf-8")
    (out / "fertility.svg").write_text(svg, encoding="utf-8")
    print(markdown)
    report = dict(trained.report)
    report["text_bytes"] = sum(report["text_bytes"].values())
    report["rounds"] = [round(entry["gini"], 4) for entry in report["rounds"]]
    print(json.dumps({k: v for k, v in report.items() if k != "sampled_bytes"}, indent=1))
    print(f"{out}: tokenizer.json, fertility.md, fertility.svg")


if __name__ == "__main__":
    main(sys.argv[1:])
