"""Derive a language's bounds from text that a person trusts, or from a speaker's labels: `roots derive`.

Reference text is JSON lines with `text`, plain text with a blank line between documents (both also gzip), or Parquet
with a column `text`. The TOML file that is written names the files, the sample, the seed and the method.
"""

import gzip
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from filters.language import Language
from filters.signals.derive import (
    LEAST_DOCUMENTS,
    Derived,
    choose_texts,
    derive_bounds,
    derive_from_labels,
    measure_texts,
    to_toml,
)
from filters.signals.measures import MEASURES
from pipelines.models.settings import DeriveSettings
from roots.atomic import write_text
from roots.errors import InputError
from roots.shards import read_kept

BETWEEN_DOCUMENTS = "In a .txt file, blank lines separate documents"
_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")  # a line of spaces alone is blank
_LABELS = {"fine": True, "good": True, "junk": False, "bad": False}


def read_reference(path: Path) -> Iterator[str]:
    """The documents of a reference file. Raises InputError for a file that is not what its name says."""
    name = path.name.lower().removesuffix(".gz")
    try:
        if name.endswith(".parquet"):
            for batch in pq.ParquetFile(path).iter_batches(1024, columns=["text"]):
                yield from (text for text in batch["text"].to_pylist() if text)
            return
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            if name.endswith((".jsonl", ".json", ".ndjson")):
                yield from (json.loads(line)["text"] for line in file if line.strip())
            else:
                yield from (part.strip() for part in _BLANK_LINES.split(file.read()) if part.strip())
    except FileNotFoundError:
        raise InputError(f"no file {path}") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder: name files, such as {path}/*.jsonl.gz") from None
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read as reference text ({type(error).__name__}: {error})") from None


def derive_from_text(
    language: Language, references: Sequence[Path], target: Path, how: DeriveSettings | None = None
) -> Derived:
    """Derive bounds from trusted text and write them to `target`, a TOML file for `--bounds`."""
    how = how or DeriveSettings()
    names = ", ".join(path.name for path in sorted(references))
    every = [text for path in sorted(references) for text in read_reference(path)]
    texts = [text for text in every if len(text) >= how.least_characters]
    short = f"{len(every) - len(texts)} of {len(every)} documents have fewer than {how.least_characters} characters"
    if len(texts) < LEAST_DOCUMENTS:
        raise InputError(
            f"{names}: {len(texts)} documents are too few to derive bounds from: at least {LEAST_DOCUMENTS}. {short}. "
            + BETWEEN_DOCUMENTS
        )
    chosen = choose_texts(texts, how.sample, how.seed)
    derived = derive_bounds(
        measure_texts(chosen, language.reading), f"derived from {names}, seed {how.seed}", how.quantile
    )
    write_text(target, to_toml(f"{language.code}, from {names}", derived))
    left_out = (f"{short} and were left out",) if len(texts) < len(every) else ()
    return replace(derived, warnings=(*derived.warnings, *left_out))


def _read_labels(path: Path) -> dict[str, bool]:
    """A speaker's labels: document id -> whether it is fine.

    The file is JSON as the workbench saves it, {"labels": {id: "fine" or "junk"}}, or only the inner object. Raises
    InputError for another form.
    """
    try:
        held: Any = json.loads(path.read_text(encoding="utf-8"))
        labels = held.get("labels", held)
        return {str(key): _LABELS[str(value).lower()] for key, value in labels.items()}
    except FileNotFoundError:
        raise InputError(f"no file {path}") from None
    except (ValueError, AttributeError) as error:
        raise InputError(f"{path} is not a file of labels: {error}") from None
    except KeyError as error:
        raise InputError(f"{path}: unknown label {error}; known are {', '.join(_LABELS)}") from None


def derive_labelled(language: Language, labels: Path, chains: Sequence[Sequence[Path]], target: Path) -> Derived:
    """Derive bounds from labels of documents that were measured, and write them to `target`.

    `chains` are the shards [index, extract, measure] of each archive.
    """
    wanted = _read_labels(labels)
    good: list[bool] = []
    columns: dict[str, list[Any]] = {name: [] for name in MEASURES}
    for chain in chains:
        for batch in read_kept(chain, ["id", *MEASURES]):
            rows = [row for row, name in enumerate(batch["id"].to_pylist()) if name in wanted]
            good += [wanted[batch["id"][row].as_py()] for row in rows]
            part = batch.take(pa.array(rows, pa.int64()))
            for name in MEASURES:
                columns[name] += part[name].to_pylist()
    signals = {name: pa.array(values, MEASURES[name].type) for name, values in columns.items()}
    derived = derive_from_labels(signals, np.array(good, np.bool_), f"labels of {labels.name}")
    write_text(target, to_toml(f"{language.code}, from the labels of {labels.name}", derived))
    unseen = len(wanted) - len(good)
    strange = (f"{unseen} of {len(wanted)} labels name no measured document, and were left out",) if unseen else ()
    return replace(derived, warnings=(*derived.warnings, *strange))
