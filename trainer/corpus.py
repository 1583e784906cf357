"""What the trainer reads and writes in a work folder: the shards of one or many languages, and its own results.

work/<lang>/shards/{train,validation}/data-*.arrow      read, columns of `roots.schema.DOCUMENT`
work/<lang>/{tokenizer,tokens,model}                    written, for one language
work/{tokenizer,tokens,model}                           written, for several languages together
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from roots.errors import InputError, ShardError

SPLITS = ("train", "validation")


@dataclass(frozen=True)
class _RunFolders:
    """The folders of one run."""

    tokenizer: Path
    tokens: Path  # with a folder for each language
    model: Path


def run_folders(work: Path, languages: Sequence[str]) -> _RunFolders:
    """Return the folders of a run: below the language for one language, below `work` for several."""
    if not languages:
        raise InputError("no language named")
    return _folders_in(work / languages[0] if len(set(languages)) == 1 else work)


def possible_folders(work: Path, languages: Sequence[str]) -> list[_RunFolders]:
    """Return the folders of every run that may hold these languages: of just these first, of each alone, of several."""
    return [run_folders(work, languages), *(_folders_in(work / language) for language in languages), _folders_in(work)]


def _folders_in(home: Path) -> _RunFolders:
    return _RunFolders(home / "tokenizer", home / "tokens", home / "model")


def shard_paths(work: Path, language: str, split: str) -> list[Path]:
    """Return the final shards of one language and split, in order. Raises InputError if there are none, or not all."""
    folder = work / language / "shards" / split
    found = sorted(folder.glob("data-*.arrow"))
    if not found:
        raise InputError(
            f"no shards in {folder}: run the pipeline for {language!r} first (roots run ... --lang {language})"
        )
    wanted = found[-1].stem.rpartition("-of-")[2]  # of data-00003-of-00012
    if wanted.isdecimal() and len(found) != int(wanted):
        raise InputError(
            f"{folder} has {len(found)} files of {int(wanted)} shards: `roots run` has not come to its end there"
        )
    return found


def has_shards(work: Path, language: str) -> bool:
    """Whether the work folder has final shards of a language."""
    return any((work / language / "shards" / "train").glob("data-*.arrow"))


def _batches(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of one Arrow IPC stream file, memory-mapped. Raises ShardError for a damaged or other file."""
    try:
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
            missing = [column for column in columns if column not in stream.schema.names]
            if missing:
                raise ShardError(f"{path} has no column {missing[0]!r}: it is not a shard of documents")
            for batch in stream:
                yield batch.select(list(columns))
    except FileNotFoundError:
        raise InputError(f"no file {path}") from None
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{path} is damaged: {error}. Delete it and run `roots shard` again") from error


def text_bytes(paths: Sequence[Path]) -> int:
    """Return the UTF-8 bytes of all texts in these shards."""
    return sum(
        pc.sum(pc.binary_length(batch["text"])).as_py() or 0 for path in paths for batch in _batches(path, ["text"])
    )


def documents(paths: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Yield (id, text) of every document, in the order of the shards."""
    for path in paths:
        for batch in _batches(path, ["id", "text"]):
            yield from zip(batch["id"].to_pylist(), batch["text"].to_pylist(), strict=True)
