"""datatrove's equivalent of `roots run`, built as its own examples build it. Run by the peer's own Python.

Read WARC, extract with Trafilatura (favour_precision and the 1 s limit are its defaults), keep one language, Gopher
repetition and quality, MinHash in four stages (14 bands of 8), personal data, Parquet. Of JSONL, the texts are taken as
they are. Prints one JSON line.
"""

import argparse
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter, LanguageFilter
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.pipeline.readers import JsonlReader, ParquetReader, WarcReader
from datatrove.pipeline.writers import ParquetWriter
from datatrove.utils.hashing import HashConfig
from datatrove.utils.lid import FT176LID

SPLITTERS = {"en": "eng_Latn", "es": "spa_Latn", "fr": "fra_Latn", "pt": "por_Latn", "zh": "zho_Hans"}
PACKAGES = ("datatrove", "trafilatura", "lxml", "warcio", "spacy", "fasttext-numpy2-wheel", "numpy", "pyarrow")


class LocalModel(FT176LID):
    """The language model as a file on disk: the one that ours uses, and no download."""

    path = ""

    @property
    def model(self):
        """The model, loaded once by each process."""
        if self._model is None:
            from fasttext.FastText import _FastText

            self._model = _FastText(self.path)
        return self._model


def executors(options: argparse.Namespace) -> list[LocalPipelineExecutor]:
    """The stages, in order: extract and filter, then the four of MinHash."""
    work, splitter = Path(options.work), SPLITTERS[options.lang]
    tasks = len(list(Path(options.input).glob(options.files)))
    reading = [WarcReader(options.input, glob_pattern=options.files), Trafilatura()]
    if ".jsonl" in options.files:
        reading = [JsonlReader(options.input, glob_pattern=options.files)]
    languages = LanguageFilter([options.lang])
    languages.model = LocalModel([options.lang])
    languages.model.path = options.model
    quality = {"language": splitter} if options.lang == "en" else {"language": splitter, "min_stop_words": None}
    config = MinhashConfig(hash_config=HashConfig(precision=64), num_buckets=14, hashes_per_bucket=8, n_grams=5)
    pipelines = {
        "extract": [
            *reading,
            languages,
            GopherRepetitionFilter(language=splitter),
            GopherQualityFilter(**quality),
            ParquetWriter(str(work / "filtered")),
        ],
        "signatures": [
            ParquetReader(str(work / "filtered")),
            MinhashDedupSignature(output_folder=str(work / "signatures"), config=config, language=splitter),
        ],
        "buckets": [
            MinhashDedupBuckets(
                input_folder=str(work / "signatures"), output_folder=str(work / "buckets"), config=config
            )
        ],
        "cluster": [
            MinhashDedupCluster(input_folder=str(work / "buckets"), output_folder=str(work / "remove"), config=config)
        ],
        "output": [
            ParquetReader(str(work / "filtered")),
            MinhashDedupFilter(input_folder=str(work / "remove")),
            PIIFormatter(),
            ParquetWriter(str(work / "output")),
        ],
    }
    counts = {"buckets": config.num_buckets, "cluster": 1}
    return [
        LocalPipelineExecutor(
            steps, tasks=counts.get(name, tasks), workers=options.workers, logging_dir=str(work / "logs" / name)
        )
        for name, steps in pipelines.items()
    ]


def main() -> None:
    """Run the job and say what it kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--input", "--work", "--lang", "--model"):
        parser.add_argument(name, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--files", default="*.warc.gz")
    options = parser.parse_args()
    steps: list[dict[str, object]] = []
    seconds: dict[str, float] = {}
    kept = 0
    for executor in executors(options):
        start = time.monotonic()
        stats = executor.run()
        seconds[Path(str(executor.logging_dir.path)).name] = round(time.monotonic() - start, 2)
        for step in stats.stats:
            counts = {key: int(value.total) for key, value in step.stats.items() if key not in ("doc_len",)}
            steps.append({"step": step.name, "counts": counts})
            if "PII" in step.name:
                kept = counts.get("total", 0)
    result = {"kept": kept, "seconds": seconds, "steps": steps, "versions": {name: version(name) for name in PACKAGES}}
    sys.stdout.write("\nRESULT " + json.dumps(result, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
