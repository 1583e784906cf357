"""Token files as other projects' trainers read them. All integers are little-endian, whatever the machine.

Every document ends with the token that ends documents. Files appear whole or not at all; none is without documents.
The forms were read in the projects' own readers: megatron-core 0.16.1, datatrove 0.10.1 (for nanotron), ai2-olmo-core
3.0.0, litdata 0.2.76 (for litgpt). `python -m tests.benchmarks.token_formats` reads the files back with them.
"""

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from roots.atomic import making, write_text
from roots.errors import ShardError

_BUFFER = 1 << 20  # bytes held back before a write
_BLOCK = 1 << 16  # documents of an index handled at once
_CHUNK_BYTES = 64 << 20  # of a chunk of litgpt; its own data modules use 50 to 200 MB, its offsets end at 4 GiB
_INT32 = 16  # litdata's number of a 32-bit tensor without header

Tokens = npt.NDArray[np.uint16] | npt.NDArray[np.uint32] | npt.NDArray[np.int32]
Documents = Iterator[tuple[str, Tokens]]  # id, and tokens with the end
_Write = Callable[[Path, Documents, str], list[Path]]


@dataclass(frozen=True)
class TokenFormat:
    """How one project's files are written and named."""

    write: _Write  # path without suffix, documents, name of the tokenizer -> the files
    stem: str  # of the files of a part
    small: int  # largest vocabulary that has 16 bits a token
    wide: str  # dtype of larger ones
    whole: bool = False  # one part holds a whole split of a language; otherwise one of its shards

    def dtype(self, vocabulary: int) -> str:
        """The dtype of a token, as NumPy's name with the byte order."""
        return "<u2" if vocabulary <= self.small else self.wide


def _beside(place: Path, suffix: str) -> Path:
    return place.with_name(place.name + suffix)


def _open(stack: ExitStack, path: Path, mode: str = "wb") -> IO[bytes]:
    return stack.enter_context(stack.enter_context(making(path)).open(mode, buffering=_BUFFER))


def _write_megatron(place: Path, documents: Documents, tokenizer: str) -> list[Path]:
    """Megatron-LM's IndexedDataset: bare tokens, and an index of lengths, byte offsets and bounds of documents.

    The lengths come first in the index, so they are written as documents pass; the rest is computed from them.
    """
    paths = [_beside(place, ".bin"), _beside(place, ".idx")]
    head = 34
    count = width = 0
    with ExitStack() as stack:
        tokens, index = _open(stack, paths[0]), _open(stack, paths[1], "w+b")
        index.write(bytes(head))
        for _, ids in documents:
            tokens.write(ids.tobytes())
            index.write(np.array([len(ids)], "<i4").tobytes())
            count += 1
            width = ids.itemsize
        start = 0
        for low in range(0, count, _BLOCK):
            index.seek(head + 4 * low)
            lengths = np.frombuffer(index.read(4 * min(_BLOCK, count - low)), "<i4")
            sizes = width * lengths.astype("<i8")
            ends = start + np.cumsum(sizes)
            index.seek(head + 4 * count + 8 * low)
            index.write((ends - sizes).astype("<i8").tobytes())
            start = int(ends[-1])
        for low in range(0, count + 1, _BLOCK):
            index.write(np.arange(low, min(low + _BLOCK, count + 1), dtype="<i8").tobytes())
        index.seek(0)
        index.write(b"MMIDIDX\0\0" + np.array([1], "<u8").tobytes() + bytes([8 if width == 2 else 4]))
        index.write(np.array([count, count + 1], "<u8").tobytes())
    return paths


def _write_nanotron(place: Path, documents: Documents, tokenizer: str) -> list[Path]:
    """datatrove's files for nanotron: bare tokens, the end of each document in tokens, and three lines of text."""
    paths = [_beside(place, ".ds"), _beside(place, ".ds.index"), _beside(place, ".ds.metadata")]
    end, width = 0, 0
    with ExitStack() as stack:
        tokens, index, about = (_open(stack, path) for path in paths)
        for _, ids in documents:
            tokens.write(ids.tobytes())
            end += len(ids)
            width = ids.itemsize
            index.write(np.array([end], "<u8").tobytes())
        about.write(f"{tokenizer}|{width}\n{end}\n{_short(end)}".encode())
    return paths


def _short(tokens: int) -> str:
    """A number of tokens for humans, such as "1.23 GT"."""
    power = min(4, (len(str(tokens)) - 1) // 3)
    return f"{tokens / 1000**power:.2f} {['', 'K', 'M', 'G', 'T'][power]}T"


def _write_olmo(place: Path, documents: Documents, tokenizer: str) -> list[Path]:
    """OLMo's files: bare tokens, in spite of the name `.npy`, and a line "start,end,id" for each document."""
    paths = [_beside(place, ".npy"), _beside(place, ".csv.gz")]
    start = 0
    with ExitStack() as stack:
        tokens, packed = _open(stack, paths[0]), _open(stack, paths[1])
        lines = stack.enter_context(gzip.GzipFile("", "wb", 6, packed, mtime=0))  # no name, no time: equal bytes
        for name, ids in documents:
            tokens.write(ids.tobytes())
            lines.write(f"{start},{start + len(ids)},{json.dumps(name, ensure_ascii=False)}\n".encode())
            start += len(ids)
    return paths


def _write_litgpt(place: Path, documents: Documents, tokenizer: str) -> list[Path]:
    """litdata's chunks for litgpt: a count, byte offsets, and the tokens of whole documents; they need an index."""
    paths: list[Path] = []
    held: list[bytes] = []
    size = 0
    for _, ids in documents:
        if held and size + 4 * len(ids) > _CHUNK_BYTES:
            paths.append(_write_chunk(_beside(place, f"-{len(paths)}.bin"), held))
            held, size = [], 0
        held.append(ids.tobytes())
        size += 4 * len(ids)
    return [*paths, _write_chunk(_beside(place, f"-{len(paths)}.bin"), held)]


def _write_chunk(path: Path, items: Sequence[bytes]) -> Path:
    offsets = 4 * (len(items) + 2) + np.concatenate([[0], np.cumsum([len(item) for item in items])])
    if offsets[-1] >= 1 << 32:
        raise ShardError(f"{path}: a document has {offsets[-1] // 4:,} tokens, more than litgpt's format can hold")
    with making(path) as temporary, temporary.open("wb", buffering=_BUFFER) as file:
        file.write(np.array([len(items), *offsets], "<u4").tobytes())
        file.writelines(items)
    return path


def write_litgpt_index(folder: Path, chunks: Sequence[Path]) -> Path:
    """Write index.json beside the chunks of one language and split, in their order; return its path."""
    entries = []
    for path in chunks:
        size = path.stat().st_size
        with path.open("rb") as file:
            items = int(np.frombuffer(file.read(4), "<u4")[0])
        dim = (size - 4 * (items + 2)) // 4
        entries.append({"chunk_bytes": size, "chunk_size": items, "dim": dim, "filename": path.name})
    config = {
        **dict.fromkeys(("chunk_bytes", "chunk_size", "compression", "encryption")),
        "data_format": [f"no_header_tensor:{_INT32}"],
        "data_spec": '[1, {"type": null, "context": null, "children_spec": []}]',
        "item_loader": "TokensLoader",
    }
    path = folder / "index.json"
    write_text(path, json.dumps({"chunks": entries, "config": config}, sort_keys=True))
    return path


# The borders are those by which each project's own reader picks a dtype. litgpt's own data has 32 bits a token.
TOKEN_FORMATS = {
    "megatron": TokenFormat(_write_megatron, "{language}_{split}_text_document", 65_499, "<i4", whole=True),
    "nanotron": TokenFormat(_write_nanotron, "{number:05d}_unshuffled", 65_536, "<u4"),
    "olmo": TokenFormat(_write_olmo, "part-0-{number:05d}", 65_536, "<u4"),
    "litgpt": TokenFormat(_write_litgpt, "chunk-{number}", 0, "<i4"),
}
