from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from roots.schema import DOCUMENT


@pytest.fixture(scope="session")
def write_shards() -> Callable[..., list[Path]]:
    """Writes one Arrow IPC stream file as the pipeline writes it: (language's folder, texts, split) -> [path]."""

    def write(folder: Path, texts: list[str], split: str = "train") -> list[Path]:
        path = folder / "shards" / split / "data-00000-of-00001.arrow"
        path.parent.mkdir(parents=True, exist_ok=True)
        blank = dict.fromkeys(DOCUMENT.names)
        rows = [blank | {"id": f"{folder.name}-{split}-{i}", "text": text} for i, text in enumerate(texts)]
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, DOCUMENT) as stream:
            stream.write_table(pa.Table.from_pylist(rows, DOCUMENT))
        return [path]

    return write
