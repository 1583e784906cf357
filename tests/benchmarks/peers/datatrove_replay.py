"""FineWeb-2's filters and MinHash, by datatrove, on JSON lines. Run by the peer's own Python.

    python datatrove_replay.py --part filters --input FOLDER --config hin_Deva.yml --splitter hin_Deva --work WORK
    python datatrove_replay.py --part minhash ...

The folder holds documents with `text`, `id` and `language_score`. The arguments of each filter that are not in a
configuration are those of FINEWEB2. Duplicates are removed after the filters, as ours are. Each part has a process of
its own, because datatrove cannot copy a pipeline once jieba is loaded. It writes WORK/filters.json, WORK/minhash.json:
`seconds` of CPU, `reasons` (document -> the reason it was filtered for), `removed` (documents that MinHash removed),
`versions`.
"""

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path

import yaml
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.pipeline.filters import (
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LambdaFilter,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.hashing import HashConfig

FINEWEB2 = {
    "repetition": {"dup_para_frac": 0, "dup_line_char_frac": 0, "dup_para_char_frac": 0},
    "fineweb": {"short_line_thr": 999, "char_duplicates_ratio": 0.1},
}


def filters(config: dict, splitter: str, dropped: Path) -> list:
    """The filters in FineWeb-2's order, each writing what it drops into a folder of its own."""
    writers = (JsonlWriter(str(dropped / name), compression=None) for name in "0123")
    least = config["language_score"]
    return [
        LambdaFilter(lambda document: document.metadata["language_score"] >= least, exclusion_writer=next(writers)),
        GopherRepetitionFilter(
            dup_line_frac=config["dup_line_frac"],
            top_n_grams=config["top_n_grams"],
            dup_n_grams=config["dup_n_grams"],
            language=splitter,
            exclusion_writer=next(writers),
            **FINEWEB2["repetition"],
        ),
        FineWebQualityFilter(
            line_punct_thr=config["line_punct_thr"],
            new_line_ratio=config["new_line_ratio"],
            language=splitter,
            exclusion_writer=next(writers),
            **FINEWEB2["fineweb"],
        ),
        GopherQualityFilter(
            min_avg_word_length=config["min_avg_word_length"],
            max_avg_word_length=config["max_avg_word_length"],
            max_non_alpha_words_ratio=config["max_non_alpha_words_ratio"],
            stop_words=config["stopwords"],
            min_stop_words=2,
            language=splitter,
            exclusion_writer=next(writers),
        ),
    ]


def parts(options: argparse.Namespace) -> dict[str, list[list]]:
    """The pipelines of each part, in order."""
    work = Path(options.work)
    config = yaml.safe_load(Path(options.config).read_text(encoding="utf-8"))
    minhash = MinhashConfig(hash_config=HashConfig(precision=64), num_buckets=14, hashes_per_bucket=8, n_grams=5)
    kept, signed, paired, remove = (str(work / name) for name in ("kept", "signatures", "buckets", "remove"))
    removed = JsonlWriter(str(work / "removed"), compression=None)
    return {
        "filters": [
            [
                JsonlReader(options.input),
                *filters(config, options.splitter, work / "dropped"),
                JsonlWriter(kept, compression=None),
            ]
        ],
        "minhash": [
            [JsonlReader(kept), MinhashDedupSignature(output_folder=signed, config=minhash, language=options.splitter)],
            [MinhashDedupBuckets(input_folder=signed, output_folder=paired, config=minhash)],
            [MinhashDedupCluster(input_folder=paired, output_folder=remove, config=minhash)],
            [
                JsonlReader(kept),
                MinhashDedupFilter(input_folder=remove, exclusion_writer=removed),
                JsonlWriter(str(work / "output"), compression=None),
            ],
        ],
    }


def rows(folder: Path) -> list[dict]:
    """All documents that were written into a folder."""
    lines = (line for file in sorted(folder.rglob("*.jsonl")) for line in file.read_text("utf-8").split("\n"))
    return [json.loads(line) for line in lines if line]


def main() -> None:
    """Run one part and write what became of each document so far."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--part", "--input", "--config", "--splitter", "--work"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()
    work = Path(options.work)
    start = time.process_time()
    for number, steps in enumerate(parts(options)[options.part]):
        tasks = 14 if isinstance(steps[0], MinhashDedupBuckets) else 1
        logs = str(work / f"{options.part}{number}")
        LocalPipelineExecutor(steps, tasks=tasks, workers=1, logging_dir=logs).run()
    seconds = time.process_time() - start
    dropped = {row["id"]: row["metadata"].get("filter_reason") or "language_score" for row in rows(work / "dropped")}
    answers = {
        "seconds": seconds,
        "reasons": dropped,
        "removed": sorted(row["id"] for row in rows(work / "removed")),
        "versions": {name: version(name) for name in ("datatrove", "spacy", "indic-nlp-library", "jieba")},
    }
    (work / f"{options.part}.json").write_text(json.dumps(answers, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
