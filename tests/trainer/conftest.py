import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from roots.schema import DOCUMENT

# oneDNN keeps up to 1,024 compiled products; the tests use more shapes than any training, and these took 100 MB.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")


@pytest.fixture(scope="package", autouse=True)
def _memory_goes_back() -> Iterator[None]:
    """Training keeps all memory that it frees; here one process trains a hundred models, so it must not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("roots.process._mallopt", lambda parameter, value: None)
        yield


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


SENTENCES = {
    "fr": "le chat dort sous la table et le chien mange dans la cour du voisin. ",
    "sw": "paka analala chini ya meza na mbwa anakula uani kwa jirani yetu. ",
}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, write_shards: Callable[..., list[Path]]) -> Path:
    """A tiny work folder with shards, a tokenizer and tokens of two languages; texts are shuffled words."""
    pytest.importorskip("tokenizers", reason="tokenizers is not installed: pip install 'roots-corpus[train]'")
    import random

    from trainer import corpus
    from trainer.data.token_shards import write_token_shards
    from trainer.settings import TokenizerSettings, TokensSettings
    from trainer.tokenizer.files import load_tokenizer, save_tokenizer
    from trainer.tokenizer.training import train_tokenizer

    work = tmp_path_factory.mktemp("trained")
    rng = random.Random(0)
    for language, sentence in SENTENCES.items():
        words = sentence.split()
        for split, count in (("train", 300), ("validation", 12)):
            starts = [[rng.randrange(len(words)) for _ in range(rng.randrange(2, 9))] for _ in range(count)]
            texts = [". ".join(" ".join(words[s:] + words[:s]) for s in starts_) for starts_ in starts]
            write_shards(work / language, texts, split)
    sources = {language: corpus.shard_paths(work, language, "train") for language in SENTENCES}
    save_tokenizer(
        train_tokenizer(sources, TokenizerSettings(vocabulary=384, reserved=8, budget_mb=1)), work / "tokenizer"
    )
    for language in SENTENCES:
        splits = {split: corpus.shard_paths(work, language, split) for split in corpus.SPLITS}
        tokenizer = load_tokenizer(work / "tokenizer")
        write_token_shards(splits, tokenizer, language, work / "tokens" / language, TokensSettings())
    return work
