"""`roots tokens --format`: token files for other projects' trainers, and the manifest that names their tokenizer.

A part is one shard of the dataset, or all shards of a split where a format wants few files. Each is a task of one core.
No file carries its tokenizer, so files.json does: name, sha256, size of the vocabulary, and the token that ends
documents. Documents without a token are left out and counted. That end never stands inside a document: where a text
spells it and the tokenizer reads the spelling as the token, the token is left out and counted.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from roots.accounts import ACCOUNT, Part, PartsFolder, account_of, make_parts, write_parts_manifest
from roots.executors import Executor
from roots.identity import sha256_of
from roots.settings import ASIDE
from roots.stage import Progress, Stage
from roots.storage import make_folder
from trainer import corpus
from trainer.data.token_formats import TOKEN_FORMATS, Documents, write_litgpt_index
from trainer.data.token_shards import cuts_of
from trainer.settings import TokenFilesRequest, TokensSettings
from trainer.tokenizer.files import find_end_token, load_tokenizer, tokenizer_file


@dataclass(frozen=True)
class _TokenFiles(Stage):
    """Makes the files of one part."""

    name: ClassVar[str] = "tokens"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = ACCOUNT

    form: str  # a key of TOKEN_FORMATS
    dtype: str
    tokenizer: str  # sha256 of its file
    label: str  # its name
    end: int  # id of the token that ends documents
    settings: TokensSettings
    place: Path = field(metadata=ASIDE)  # the file of the tokenizer
    target: Path = field(metadata=ASIDE)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Write the files of the part "fr/train/00000.parquet", then give its account."""
        form = TOKEN_FORMATS[self.form]
        language, split, number = name.removesuffix(".parquet").split("/")
        folder = self.target / language / split
        stem = form.stem.format(language=language, split=split, number=int(number))
        make_folder(folder)
        for old in (*folder.glob(f"{stem}.*"), *folder.glob(f"{stem}-*")):
            old.unlink()  # of a run that was stopped before it could account for them
        counts = Counter[str](documents=0, tokens=0, bytes=0, empty_documents=0, ends_left_out=0)
        documents = self._documents(split, sources, counts)
        first = next(documents, None)  # no reader takes a file without a document
        files = form.write(folder / stem, chain([first], documents), self.label) if first else []
        yield account_of(name, self.target, files, counts)

    def _documents(self, split: str, sources: Sequence[Path], counts: Counter[str]) -> Documents:
        dtype: np.dtype[Any] = np.dtype(self.dtype)
        for cut in cuts_of(_load(self.place, self.tokenizer), self.settings, split):
            for name, text in corpus.documents(sources):
                (found,) = cut([name], [text])  # one at a time: bounds memory, and costs no more
                ids = np.array([*found, self.end], dtype=dtype)
                inside = ids[:-1] == self.end
                if inside.any():
                    counts["ends_left_out"] += int(inside.sum())
                    ids = ids[[*~inside, True]]
                if len(ids) == 1:
                    counts["empty_documents"] += 1
                    continue
                counts.update(documents=1, tokens=len(ids), bytes=len(text.encode()))
                yield name, ids


@lru_cache(maxsize=1)
def _load(place: Path, digest: str) -> Tokenizer:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # a task is one core's work
    return load_tokenizer(place)


def write_token_files(
    request: TokenFilesRequest, tokenizer: Path, executor: Executor, progress: Progress | None = None
) -> dict[str, Any]:
    """Write the datasets of some languages as token files; return the manifest of their folder.

    Equal input gives equal files, with any executor. Raises InputError for a tokenizer that names no token which ends
    documents, and for a folder that holds something else.
    """
    loaded, place = load_tokenizer(tokenizer), tokenizer_file(tokenizer)
    settings, target, form = request.settings, request.target, TOKEN_FORMATS[request.form]
    label, end, end_id = find_end_token(loaded, place, settings.end)
    vocabulary = 1 + max(loaded.get_vocab(with_added_tokens=True).values())
    digest = sha256_of(place)
    dtype = form.dtype(vocabulary)
    cut = {"copies": settings.copies, "dropout": settings.dropout, "seed": settings.seed}
    head = {
        "format": request.form,
        "tokenizer": {"name": label, "sha256": digest, "vocabulary": vocabulary, "eos_token": end, "eos_id": end_id},
        "dtype": np.dtype(dtype).name,
        "cut": cut if settings.dropout else {},
    }
    folder = PartsFolder(target, head)
    stage = _TokenFiles(request.form, dtype, digest, label, end_id, settings, place, target)
    parts = make_parts(stage, _plan_parts(request, form.whole), folder, executor, progress)
    indices = _index_chunks(target, parts) if request.form == "litgpt" else []
    return write_parts_manifest(folder, parts, "tokens", indices)


def _plan_parts(request: TokenFilesRequest, whole: bool) -> dict[str, list[Path]]:
    """The shards of each part: one, or all of a split where `whole`."""
    plan: dict[str, list[Path]] = {}
    for language in request.languages:
        for split in corpus.SPLITS:
            paths = corpus.shard_paths(request.work, language, split)
            for number, sources in enumerate([paths] if whole else [[path] for path in paths]):
                plan[f"{language}/{split}/{number:05d}.parquet"] = sources
    return plan


def _index_chunks(target: Path, parts: Mapping[str, Part]) -> list[Path]:
    """Write the index of the chunks of each language and split."""
    folders: dict[Path, list[Path]] = {}
    for _, part in sorted(parts.items()):
        for name in part.files:  # in the order in which they were made
            folders.setdefault((target / name).parent, []).append(target / name)
    return [write_litgpt_index(folder, chunks) for folder, chunks in folders.items()]
