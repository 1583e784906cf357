"""Token files read back: by small readers of ours, from the written forms, and by the projects that they are for."""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Documents = list[list[int]]


def read_part(folder: Path, form: str, head: Mapping[str, Any]) -> Documents:
    """All documents of one language and split, in order; `head` is the manifest of the files."""
    return [ids.tolist() for ids in _READERS[form](folder, head["dtype"])]


def _megatron(folder: Path, dtype: str) -> Iterator[np.ndarray]:
    for path in sorted(folder.glob("*.idx")):
        index = path.read_bytes()
        assert index[:9] == b"MMIDIDX\0\0"
        version, code = np.frombuffer(index, "<u8", 1, 9)[0], index[17]
        sequences, bounds = (int(value) for value in np.frombuffer(index, "<u8", 2, 18))
        assert (version, {8: "uint16", 4: "int32"}[code], bounds) == (1, dtype, sequences + 1)
        assert len(index) == 34 + 20 * sequences + 8
        sizes = np.frombuffer(index, "<i4", sequences, 34)
        starts = np.frombuffer(index, "<i8", sequences, 34 + 4 * sequences)
        assert np.frombuffer(index, "<i8", bounds, 34 + 12 * sequences).tolist() == list(range(bounds))
        tokens = path.with_suffix(".bin").read_bytes()
        assert len(tokens) == sizes.sum() * np.dtype(dtype).itemsize
        for size, start in zip(sizes, starts, strict=True):
            yield np.frombuffer(tokens, dtype, size, start)


def _nanotron(folder: Path, dtype: str) -> Iterator[np.ndarray]:
    for path in sorted(folder.glob("*.ds")):
        tokens, ends = np.fromfile(path, dtype), np.fromfile(f"{path}.index", "<u8")
        name, count, _ = Path(f"{path}.metadata").read_text().split("\n")
        assert (int(name.rpartition("|")[2]), int(count)) == (tokens.itemsize, len(tokens))
        assert ends[-1] == len(tokens)
        yield from np.split(tokens, ends[:-1].astype(np.int64))


def _olmo(folder: Path, dtype: str) -> Iterator[np.ndarray]:
    for path in sorted(folder.glob("*.npy")):
        tokens, end = np.fromfile(path, dtype), 0
        for line in gzip.decompress(path.with_suffix(".csv.gz").read_bytes()).decode().splitlines():
            start, end_, name = line.split(",", 2)
            assert int(start) == end
            assert json.loads(name)
            end = int(end_)
            yield tokens[int(start) : end]
        assert end == len(tokens)


def _litgpt(folder: Path, dtype: str) -> Iterator[np.ndarray]:
    index = json.loads((folder / "index.json").read_text())
    assert index["config"]["data_format"] == ["no_header_tensor:16"]
    assert sorted(chunk["filename"] for chunk in index["chunks"]) == sorted(path.name for path in folder.glob("*.bin"))
    for chunk in index["chunks"]:
        data = (folder / chunk["filename"]).read_bytes()
        items = int(np.frombuffer(data, "<u4", 1)[0])
        offsets = np.frombuffer(data, "<u4", items + 1, 4)
        assert (items, len(data)) == (chunk["chunk_size"], chunk["chunk_bytes"])
        assert (offsets[0], offsets[-1]) == (4 * (items + 2), len(data))
        assert chunk["dim"] == (len(data) - offsets[0]) // 4
        for low, high in pairwise(offsets):
            yield np.frombuffer(data[low:high], dtype)


_READERS: dict[str, Callable[[Path, str], Iterator[np.ndarray]]] = {
    "megatron": _megatron,
    "nanotron": _nanotron,
    "olmo": _olmo,
    "litgpt": _litgpt,
}


class Foreign(NamedTuple):
    """A project's own reader of one format."""

    package: str
    module: str
    read: Callable[[Path, str, int], Documents]  # folder of one language and split, dtype, end of documents


def _by_megatron_core(folder: Path, dtype: str, end: int) -> Documents:
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    found: Documents = []
    for path in sorted(folder.glob("*.idx")):
        dataset = IndexedDataset(str(path.with_suffix("")))
        assert dataset[0].dtype == dtype
        found += [dataset[at].tolist() for at in range(len(dataset))]
    return found


def _by_datatrove(folder: Path, dtype: str, end: int) -> Documents:
    from datatrove.utils.dataset import DatatroveFolderDataset

    found: Documents = []
    width = np.dtype(dtype).itemsize
    for path in sorted(folder.glob("*.ds")):  # a window as long as the file, because the reader loses the last one
        window = path.stat().st_size // width - 1
        row = DatatroveFolderDataset(
            str(folder), window, filename_pattern=path.name, token_size=width, return_positions=True
        )[0]
        starts = np.flatnonzero(row["positions"].numpy() == 0)
        found += [ids.tolist() for ids in np.split(row["input_ids"].numpy(), starts[1:])]
    return found


def _by_olmo_core(folder: Path, dtype: str, end: int) -> Documents:
    from olmo_core.data.utils import iter_document_indices, load_array_slice

    found: Documents = []
    kind = np.dtype(dtype).type
    for path in sorted(folder.glob("*.npy")):
        stated = list(iter_document_indices(path, use_array_if_local=False, dtype=kind))
        assert stated == list(iter_document_indices(path, eos_token_id=end, dtype=kind))
        found += [load_array_slice(path, low, high, kind).tolist() for low, high in stated]
    return found


def _by_litdata(folder: Path, dtype: str, end: int) -> Documents:
    from litdata import StreamingDataset, TokensLoader

    found: Documents = []
    sizes = [chunk["dim"] for chunk in json.loads((folder / "index.json").read_text())["chunks"]]
    for at, size in enumerate(sizes):  # a block as long as the chunk, because the reader loses the last one
        dataset = StreamingDataset(str(folder), item_loader=TokensLoader(block_size=size), shuffle=False)
        block = dataset[sum(before // size for before in sizes[:at])]
        assert str(block.dtype) == f"torch.{dtype}"
        ids = block.numpy()
        found += [part.tolist() for part in np.split(ids, np.flatnonzero(ids == end)[:-1] + 1)]
    return found


FOREIGN = {
    "megatron": Foreign("megatron-core", "megatron.core.datasets.indexed_dataset", _by_megatron_core),
    "nanotron": Foreign("datatrove", "datatrove.utils.dataset", _by_datatrove),
    "olmo": Foreign("ai2-olmo-core", "olmo_core.data.utils", _by_olmo_core),
    "litgpt": Foreign("litdata", "litdata", _by_litdata),
}
