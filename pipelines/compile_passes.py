"""Compile every pass for this machine before the first run: `python -m pipelines.compile_passes`.

Numba compiles a pass when it is first called, and caches it on disk. All passes take about a minute, and every worker
of a first run would wait for them. Here two processes compile half of them each.
"""

import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa

from filters.language_id.identify import identify_page
from filters.signals import measures
from filters.text.quick_text import quick_text
from pipelines.dedup.run import run_dedup
from pipelines.dedup.settings import DedupSettings
from pipelines.extraction import learned
from pipelines.models.files import load_model
from roots import shards
from roots.executors import Serial
from roots.schema import EXTRACT, INDEX, VERDICT

_TEXTS = tuple(f"one two three four five six {word}\nmenu\nmenu" for word in ("seven", "seven", "eight"))
_TEXTS += ("This passage stands here twice. " * 2,)


def _prepare_measures() -> None:
    """Compile the passes of index and measure."""
    quick_text(b"<p>text</p>")
    identify_page("text", load_model())
    learned.prepare()
    measures.prepare()


def _prepare_dedup() -> None:
    """Compile the passes of dedup, by running all its sub-steps on a few documents."""
    ids = [f"document-{number}" for number in range(len(_TEXTS))]
    rows = {
        "index": (INDEX, [{"id": id_, "file_path": "", "offset": 0} for id_ in ids]),
        "extract": (EXTRACT, [{"id": id_, "text": text} for id_, text in zip(ids, _TEXTS, strict=True)]),
        "filter": (VERDICT, [{"id": id_} for id_ in ids]),
    }
    with tempfile.TemporaryDirectory(prefix="roots-") as folder:
        chain: list[Path] = []
        for stage, (schema, found) in rows.items():
            chain.append(Path(folder) / stage / "x.parquet")
            chain[-1].parent.mkdir()
            shards.write(chain[-1], schema, [pa.RecordBatch.from_pylist(found, schema)], stage, 1, "")
        settings = DedupSettings(jaccard=0.5, lines=("newspaper",), passages=20)
        run_dedup({"x.parquet": chain}, Path(folder) / "dedup", settings, Serial())


def _compile_passes() -> None:
    """Compile all passes, in two processes."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for half in [pool.submit(_prepare_measures), pool.submit(_prepare_dedup)]:
            half.result()


if __name__ == "__main__":
    _compile_passes()
