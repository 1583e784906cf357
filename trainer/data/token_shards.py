"""Token shards: the corpus as token ids, memory-mapped, with the bytes and the language of each document.

A shard is an Arrow IPC file with the columns of `token_schema`; the list offsets are the index of documents. Every
document begins with `</s>`, as in BLOOM: it ends the document before, and the first real token can be predicted from
it. `tokens.json` beside the shards holds the digest of the tokenizer, the totals, and the sha256 of each file. It is
written last. A run with another tokenizer refuses the shards.
"""

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import Tokenizer

from roots.atomic import put_in_place, temporary_name, write_text
from roots.errors import InputError, ShardError
from roots.identity import sha256_of
from roots.storage import make_folder
from trainer import corpus
from trainer.settings import TokensSettings
from trainer.tokenizer.dropout import DropoutEncoder
from trainer.tokenizer.files import END_ID, check_end, load_tokenizer, padded_rows, tokenizer_digest

SIDECAR = "tokens.json"
_CHUNK_BYTES = 4 << 20  # of text, encoded at once: bounds memory

Ints = npt.NDArray[np.int64]
TokenIds = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
_Cut = Callable[[list[str], list[str]], list[list[int]]]  # ids and texts of documents -> their tokens


def token_schema(width: int) -> pa.Schema:
    """Return the columns of a token shard; `width` is 16 or 32 bits per token."""
    return pa.schema(
        [
            pa.field("ids", pa.large_list(pa.uint16() if width == 16 else pa.uint32()), nullable=False),
            pa.field("doc_id", pa.string(), nullable=False),
            pa.field("lang", pa.string(), nullable=False),
            pa.field("n_bytes", pa.uint32(), nullable=False),  # UTF-8 bytes of the text, for bits per byte
        ]
    )


def write_token_shards(
    sources: Mapping[str, Sequence[Path]],
    tokenizer: Tokenizer,
    language: str,
    target: Path,
    settings: TokensSettings,
    place: Path | None = None,
) -> dict[str, Any]:
    """Write the shards of one language (`sources`: split -> shards) as token shards to `target`; return tokens.json.

    A file made from the same bytes with the same tokenizer is kept. Equal input gives equal files. `place` is where the
    tokenizer lies if it is not that of the work folder. Raises InputError for a tokenizer without a token that ends
    documents.
    """
    check_end(tokenizer)
    rows = padded_rows(tokenizer.get_vocab_size(), settings.multiple)
    width = 16 if rows <= 1 << 16 else 32
    known = _old_files(target, tokenizer_digest(tokenizer))
    files: dict[str, dict[str, Any]] = {}
    for split, paths in sorted(sources.items()):
        cuts = cuts_of(tokenizer, settings, split)
        cut = [settings.copies, settings.dropout, settings.seed] if settings.dropout and split == "train" else []
        for source in paths:
            name = f"{split}/{source.name}"
            digest = sha256_of(source)
            old = known.get(name)
            if (
                old
                and old["source"] == digest
                and old.get("cut", []) == cut
                and (target / name).is_file()
                and old["sha256"] == sha256_of(target / name)
            ):
                files[name] = old
            else:
                made = _write_shard(source, cuts, language, target / name, width)
                files[name] = {"source": digest, "cut": cut, **made}
    sidecar = {
        "language": language,
        "tokenizer": tokenizer_digest(tokenizer),
        "rows": rows,
        "width": width,
        "totals": {split: _totals(files, split) for split in sorted(sources)},
        "files": files,
        **({"tokenizer_path": str(place.resolve())} if place else {}),
    }
    write_text(target / SIDECAR, json.dumps(sidecar, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    return sidecar


def _totals(files: Mapping[str, Mapping[str, int]], split: str) -> dict[str, int]:
    mine = [made for name, made in files.items() if name.startswith(f"{split}/")]
    return {key: sum(made[key] for made in mine) for key in ("documents", "tokens", "bytes")}


def _old_files(target: Path, tokenizer: str) -> dict[str, Any]:
    try:
        old = read_sidecar(target)
    except InputError:
        return {}
    return dict(old["files"]) if old["tokenizer"] == tokenizer else {}


def cuts_of(tokenizer: Tokenizer, settings: TokensSettings, split: str) -> list[_Cut]:
    """Return the ways to cut documents, (ids, texts) -> token ids, in a split: one, or one a copy with dropout."""

    def plain(identities: list[str], texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    if not settings.dropout or split != "train":
        return [plain]
    merges = DropoutEncoder(tokenizer)

    def varied(copy: int, identities: list[str], texts: list[str]) -> list[list[int]]:
        key = f"{settings.seed} {copy} ".encode()
        seeds = (hashlib.blake2b(key + name.encode(), digest_size=8).digest() for name in identities)
        chances = (random.Random(int.from_bytes(seed, "little")) for seed in seeds)
        return [merges.encode(text, settings.dropout, rng) for text, rng in zip(texts, chances, strict=True)]

    return [partial(varied, copy) for copy in range(settings.copies)]


def _write_shard(source: Path, cuts: Sequence[_Cut], language: str, path: Path, width: int) -> dict[str, object]:
    """Write one shard of texts as one shard of tokens, whole or not at all; with several cuts, once for each."""
    make_folder(path.parent)
    temporary = temporary_name(path)
    made = {"documents": 0, "tokens": 0, "bytes": 0}
    columns = token_schema(width)
    try:
        with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, columns) as writer:
            for cut, (identities, texts) in ((cut, chunk) for cut in cuts for chunk in _chunks(source)):
                batch = _encode(identities, texts, cut, language, columns)
                writer.write_batch(batch)
                made["documents"] += batch.num_rows
                made["tokens"] += len(batch["ids"].values)
                made["bytes"] += int(batch["n_bytes"].to_numpy().astype(np.int64).sum())
        put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return {**made, "sha256": sha256_of(path)}


def _chunks(source: Path) -> Iterator[tuple[list[str], list[str]]]:
    identities: list[str] = []
    texts: list[str] = []
    size = 0
    for name, text in corpus.documents([source]):
        identities.append(name)
        texts.append(text)
        size += len(text)
        if size >= _CHUNK_BYTES:
            yield identities, texts
            identities, texts, size = [], [], 0
    if texts:
        yield identities, texts


def _encode(identities: list[str], texts: list[str], cut: _Cut, language: str, columns: pa.Schema) -> pa.RecordBatch:
    dtype = columns.field("ids").type.value_type.to_pandas_dtype()
    parts = [np.fromiter((END_ID, *ids), dtype=dtype) for ids in cut(identities, texts)]
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    sizes = np.array([len(text.encode()) for text in texts], dtype=np.uint32)
    ids = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(parts)))
    return pa.RecordBatch.from_arrays(
        [ids, pa.array(identities), pa.array([language] * len(texts)), pa.array(sizes)], schema=columns
    )


def read_sidecar(folder: Path) -> dict[str, Any]:
    """Read tokens.json. Raises InputError if there are no token shards."""
    path = folder / SIDECAR
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no token shards in {folder}: run `roots tokens` first") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    return found


def named_tokenizer(folder: Path) -> Path | None:
    """Return where the tokenizer of token shards lies, or None if it is that of the work folder.

    Raises InputError if it is gone.
    """
    name = read_sidecar(folder).get("tokenizer_path")
    if name and not Path(name).exists():
        raise InputError(f"{folder} was made with the tokenizer {name}, which is gone: run `roots tokens` again")
    return Path(name) if name else None


def tokens_of(work: Path, languages: Sequence[str], digest: str) -> dict[str, Path]:
    """Return the token folder of each language that the tokenizer with this digest made, in whichever run of `work`.

    Without one, it is the folder of a run of these languages.
    """

    def made(place: Path) -> bool:
        return (place / SIDECAR).is_file() and read_sidecar(place)["tokenizer"] == digest

    found = {}
    for language in languages:
        places = [run.tokens / language for run in corpus.possible_folders(work, languages)]
        found[language] = next(filter(made, places), places[0])
    return found


def tokenizer_of(work: Path, languages: Sequence[str], digest: str) -> Path:
    """Return the tokenizer with this digest: the one that token shards name, or of whichever run of `work`.

    Raises InputError if there is none.
    """
    shards = [folder for folder in tokens_of(work, languages, digest).values() if (folder / SIDECAR).is_file()]
    named = [path for path in map(named_tokenizer, shards) if path]
    places = dict.fromkeys([*named, *(run.tokenizer for run in corpus.possible_folders(work, languages))])
    for place in places:
        if place.exists() and tokenizer_digest(load_tokenizer(place)) == digest:
            return place
    raise InputError(f"the tokenizer of this run is not in {', nor in '.join(map(str, places))}")


class TokenShards:
    """All token shards of one language and split as one stream, memory-mapped and never copied as a whole.

    tokens: length of the stream. starts: int64 (documents + 1,), the start of each document, and the end.
    n_bytes: int64 (documents,), UTF-8 bytes of each text.
    """

    def __init__(self, folder: Path, split: str, tokenizer: str | None = None) -> None:
        sidecar = read_sidecar(folder)
        if tokenizer is not None and sidecar["tokenizer"] != tokenizer:
            raise InputError(
                f"{folder} was made with another tokenizer: run `roots tokens` again, or name that tokenizer"
            )
        self.language: str = sidecar["language"]
        self.tokenizer: str = sidecar["tokenizer"]
        self.rows: int = sidecar["rows"]
        self._pieces: list[TokenIds] = []
        starts: list[Ints] = [np.zeros(1, dtype=np.int64)]
        sizes: list[Ints] = []
        end = 0
        names = sorted(name for name in sidecar["files"] if name.startswith(f"{split}/"))
        if not names:
            raise InputError(f"{folder} holds no {split} tokens")
        for name in names:
            for batch in _open(folder / name):
                offsets = batch["ids"].offsets.to_numpy()
                self._pieces.append(batch["ids"].values.to_numpy()[offsets[0] : offsets[-1]])
                starts.append(offsets[1:] - offsets[0] + end)
                end = int(starts[-1][-1])
                sizes.append(batch["n_bytes"].to_numpy().astype(np.int64))
        self.tokens = end
        self.starts: Ints = np.concatenate(starts)
        self.n_bytes: Ints = np.concatenate(sizes) if sizes else np.zeros(0, dtype=np.int64)
        self._ends: Ints = np.cumsum([len(piece) for piece in self._pieces]).astype(np.int64)
        self.fingerprint = [f"{name}:{sidecar['files'][name]['sha256']}" for name in names]

    def read(self, start: int, length: int) -> TokenIds:
        """Return `length` tokens of the stream from `start`; a view if they lie in one batch."""
        if not length:  # a language without held-out text has no batch
            return np.zeros(0, dtype=np.uint16)
        at = int(np.searchsorted(self._ends, start, side="right"))
        first = start - (int(self._ends[at - 1]) if at else 0)
        piece = self._pieces[at]
        if first + length <= len(piece):
            return piece[first : first + length]
        parts = [piece[first:]]
        left = length - len(parts[0])
        while left > 0:
            at += 1
            parts.append(self._pieces[at][:left])
            left -= len(parts[-1])
        return cast(TokenIds, np.concatenate(parts))

    def document(self, index: int) -> TokenIds:
        """Return the tokens of one document with its leading `</s>`."""
        return self.read(int(self.starts[index]), int(self.starts[index + 1] - self.starts[index]))


def _open(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        yield from (reader.get_batch(index) for index in range(reader.num_record_batches))
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{path} is damaged: {error}. Delete it and run `roots tokens` again") from error
