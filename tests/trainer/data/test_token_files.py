"""Token files for other trainers: every document once with its end, equal bytes, whole files, and what is refused."""

import json
import shutil
import socket
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("tokenizers", reason="tokenizers is not installed: pip install 'roots-corpus[train]'")

from click.testing import CliRunner
from tokenizers import Tokenizer, models, pre_tokenizers

from pipelines.cli.main import main
from roots.errors import InputError, ShardError, StageFailed
from roots.executors import Local, Serial
from roots.schema import DOCUMENT
from tests.support.token_readers import FOREIGN, read_part
from trainer import corpus
from trainer.data import token_formats
from trainer.data.token_files import write_token_files
from trainer.data.token_formats import TOKEN_FORMATS
from trainer.settings import TOKEN_FORMAT_NAMES, TokenFilesRequest, TokensSettings

WORDS = ["chat", "chien", "पानी", "ìyá", "水", "<eos>", "a"]
LANGUAGES = ("fr", "hi")


def save(folder: Path, tokenizer: Tokenizer, **config: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    if config:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def words_tokenizer(rows: int = 20) -> Tokenizer:
    """A tokenizer of whole words that reads a typed `<eos>` as the token, and whose file cuts and pads texts."""
    known = [*WORDS, "<unk>", *(f"x{n}" for n in range(rows))][:rows]
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(known)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["<eos>"])
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=9)
    return tokenizer


def write_split(folder: Path, *shards: list[str]) -> None:
    """Write the texts of a split as shards, in the place of those that are there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, texts in enumerate(shards):
        rows = [dict.fromkeys(DOCUMENT.names) | {"id": f'"{number},{at}\n', "text": text}
                for at, text in enumerate(texts)]  # fmt: skip
        path = folder / f"data-{number:05d}-of-{len(shards):05d}.arrow"
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, DOCUMENT) as stream:
            stream.write_table(pa.Table.from_pylist(rows, DOCUMENT))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two languages, two shards a split: empty documents, one token, long ones, and a typed end. One shard is empty."""
    folder = tmp_path_factory.mktemp("work")
    for language, more in zip(LANGUAGES, (1, 40), strict=True):
        first = ["chat chien", "", "a <eos> a", "पानी ìyá 水 " * 50, "   ", "a"]
        write_split(folder / language / "shards/train", first, ["chien a " * (1 + n % 5) for n in range(more)])
        write_split(folder / language / "shards/validation", [], ["水 unknown a"])
    save(folder / "tokenizer", words_tokenizer(), eos_token={"content": "<eos>"}, name_or_path="words")
    return folder


def request(work: Path, target: Path, form: str, *languages: str, **settings: object) -> TokenFilesRequest:
    return TokenFilesRequest(work, languages or LANGUAGES, form, target, None, TokensSettings(**settings))  # type: ignore[arg-type]


def expected(work: Path, language: str, split: str, end: int = 5) -> list[list[int]]:
    """The tokens of every document, by the tokenizer's vocabulary alone."""
    vocabulary = words_tokenizer().get_vocab()
    made = [
        [vocabulary.get(word, vocabulary["<unk>"]) for word in text.split() if word != "<eos>"] + [end]
        for _, text in corpus.documents(corpus.shard_paths(work, language, split))
    ]
    return [ids for ids in made if len(ids) > 1]


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".inputs" not in path.name
    }


@pytest.mark.parametrize("form", TOKEN_FORMATS)
def test_every_document_comes_back_with_its_end_last(work: Path, tmp_path: Path, form: str) -> None:
    manifest = write_token_files(request(work, tmp_path / "out", form), work / "tokenizer", Serial())
    for language in LANGUAGES:
        for split in corpus.SPLITS:
            wanted = expected(work, language, split)
            assert read_part(tmp_path / "out" / language / split, form, manifest) == wanted
            counts = manifest["languages"][language][split]
            assert (counts["documents"], counts["tokens"]) == (len(wanted), sum(map(len, wanted)))
    assert manifest == json.loads((tmp_path / "out" / "files.json").read_text())
    assert manifest["tokenizer"] | {"sha256": ""} == {
        "name": "words", "sha256": "", "vocabulary": 20, "eos_token": "<eos>", "eos_id": 5,
    }  # fmt: skip
    assert (manifest["finished"], manifest["dtype"]) == (True, "int32" if form == "litgpt" else "uint16")
    train = manifest["splits"]["train"]
    assert (train["empty_documents"], train["ends_left_out"]) == (4, 2)
    shares = [manifest["languages"][language]["train"]["share"] for language in LANGUAGES]
    assert sum(shares) == pytest.approx(1)
    made = {name: data for name, data in files_of(tmp_path / "out").items() if name[0] != "."}
    assert set(manifest["files"]) == set(made) - {"files.json"}
    assert all(manifest["files"][name]["bytes"] == len(made[name]) for name in manifest["files"])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", FOREIGN)
def test_the_projects_own_reader_finds_the_same_documents(work: Path, tmp_path: Path, form: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(FOREIGN[form].module, reason=f"{FOREIGN[form].package} is not installed")
    manifest = write_token_files(request(work, tmp_path, form), work / "tokenizer", Serial())
    for language in LANGUAGES:
        found = FOREIGN[form].read(tmp_path / language / "train", manifest["dtype"], 5)
        assert found == expected(work, language, "train")


@pytest.mark.parametrize("form", TOKEN_FORMATS)
def test_the_bytes_are_the_same_for_any_workers(work: Path, tmp_path: Path, form: str) -> None:
    write_token_files(request(work, tmp_path / "one", form), work / "tokenizer", Serial())
    write_token_files(request(work, tmp_path / "two", form, "hi", "fr"), work / "tokenizer", Local(2))
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


@pytest.mark.parametrize("form", TOKEN_FORMATS)
def test_a_stopped_run_goes_on_and_ends_in_the_same_files(
    work: Path, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_token_files(request(work, tmp_path / "whole", form), work / "tokenizer", Serial())
    target = tmp_path / "stopped"
    original = token_formats.TOKEN_FORMATS[form]
    left = [2]

    def breaking(place: Path, documents: token_formats.Documents, label: str) -> list[Path]:
        left[0] -= 1
        if left[0] < 0:
            next(documents)
            raise ShardError("no space left")
        return original.write(place, documents, label)

    with monkeypatch.context() as patch:
        patch.setitem(token_formats.TOKEN_FORMATS, form, token_formats.TokenFormat(
            breaking, original.stem, original.small, original.wide, original.whole))  # fmt: skip
        with pytest.raises(StageFailed, match="no space left"):
            write_token_files(request(work, target, form), work / "tokenizer", Serial())
    assert json.loads((target / "files.json").read_text())["finished"] is False
    stale = target / "fr" / "train" / f".x.{socket.gethostname()}-999999999.tmp"
    stale.write_bytes(b"of a process that was killed")
    done = next(path for path in sorted(target.rglob("*")) if path.suffix in (".bin", ".ds", ".npy"))
    before = done.stat().st_mtime_ns
    write_token_files(request(work, target, form), work / "tokenizer", Serial())
    assert done.stat().st_mtime_ns == before
    assert files_of(target) == files_of(tmp_path / "whole")


def test_changed_shards_and_damaged_files_are_made_again_and_other_languages_stay(work: Path, tmp_path: Path) -> None:
    own, out = tmp_path / "work", tmp_path / "out"
    save(own / "tokenizer", words_tokenizer(), eos_token="<eos>")
    for split in corpus.SPLITS:
        write_split(own / "fr/shards" / split, ["a a"], ["chat"])
        write_split(own / "hi/shards" / split, ["chien"])
    write_token_files(request(own, out, "olmo"), own / "tokenizer", Serial())
    first = files_of(out)
    (out / "fr/train/part-0-00000.npy").write_bytes(b"\0\0")
    write_split(own / "fr/shards/train", ["a a"])
    write_split(own / "fr/shards/validation", ["chien"], ["chat"])
    manifest = write_token_files(request(own, out, "olmo", "fr"), own / "tokenizer", Serial())
    last = files_of(out)
    assert read_part(out / "fr" / "train", "olmo", manifest) == [[6, 6, 5]]
    assert read_part(out / "fr" / "validation", "olmo", manifest) == [[1, 5], [0, 5]]
    assert last["hi/train/part-0-00000.npy"] == first["hi/train/part-0-00000.npy"]
    assert "hi/train/part-0-00000.npy" in manifest["files"]
    assert not [name for name in last if name.startswith("fr/train/part-0-00001")]


@pytest.mark.parametrize(
    ("rows", "dtypes"),
    [
        (65_499, ["uint16", "uint16", "uint16", "int32"]),
        (65_500, ["int32", "uint16", "uint16", "int32"]),
        (65_536, ["int32", "uint16", "uint16", "int32"]),
        (65_537, ["int32", "uint32", "uint32", "int32"]),
    ],
)
def test_the_dtype_is_the_one_that_each_reader_expects_of_the_vocabulary(rows: int, dtypes: list[str]) -> None:
    assert [np.dtype(TOKEN_FORMATS[form].dtype(rows)).name for form in TOKEN_FORMAT_NAMES] == dtypes


@pytest.mark.parametrize("form", TOKEN_FORMATS)
def test_the_last_id_of_a_large_vocabulary_comes_back(work: Path, tmp_path: Path, form: str) -> None:
    own = tmp_path / "work"
    rows = 70_000
    save(own / "tokenizer", words_tokenizer(rows), eos_token="<eos>")
    for split in corpus.SPLITS:
        write_split(own / "fr/shards" / split, [f"a x{rows - 9}"])
    manifest = write_token_files(request(own, tmp_path / "out", form, "fr"), own / "tokenizer", Serial())
    assert read_part(tmp_path / "out" / "fr" / "train", form, manifest) == [[6, rows - 1, 5]]


def test_chunks_of_litgpt_stay_small_and_whole(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_formats, "_CHUNK_BYTES", 64)
    manifest = write_token_files(request(work, tmp_path, "litgpt"), work / "tokenizer", Serial())
    assert read_part(tmp_path / "hi" / "train", "litgpt", manifest) == expected(work, "hi", "train")
    index = json.loads((tmp_path / "hi" / "train" / "index.json").read_text())
    names = [chunk["filename"] for chunk in index["chunks"]]
    assert len(names) > 12
    assert names == sorted(names, key=lambda name: [int(part) for part in name[6:-4].split("-")])


def test_an_index_of_many_documents_is_the_same_in_blocks(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_token_files(request(work, tmp_path / "one", "megatron"), work / "tokenizer", Serial())
    monkeypatch.setattr(token_formats, "_BLOCK", 7)
    write_token_files(request(work, tmp_path / "two", "megatron"), work / "tokenizer", Serial())
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_a_folder_with_other_things_is_refused(work: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.ds").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        write_token_files(request(work, tmp_path / "mine", "nanotron"), work / "tokenizer", Serial())
    write_token_files(request(work, tmp_path / "out", "olmo"), work / "tokenizer", Serial())
    with pytest.raises(InputError, match="another format"):
        write_token_files(request(work, tmp_path / "out", "litgpt"), work / "tokenizer", Serial())
    other = save(tmp_path / "other", words_tokenizer(30), eos_token="<eos>")
    with pytest.raises(InputError, match="another tokenizer"):
        write_token_files(request(work, tmp_path / "out", "olmo"), other, Serial())
    (tmp_path / "out" / "files.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        write_token_files(request(work, tmp_path / "out", "olmo"), work / "tokenizer", Serial())


def test_a_tokenizer_that_names_no_end_is_refused_until_one_is_named(work: Path, tmp_path: Path) -> None:
    bare = save(tmp_path / "bare", words_tokenizer())
    with pytest.raises(InputError, match=r"--set tokens\.end=TOKEN. It has: <eos>"):
        write_token_files(request(work, tmp_path / "out", "olmo"), bare, Serial())
    assert not (tmp_path / "out").exists()
    manifest = write_token_files(request(work, tmp_path / "out", "olmo", end="<eos>"), bare, Serial())
    assert manifest["tokenizer"]["name"] == "bare"
    assert manifest["tokenizer"]["eos_id"] == 5


def test_the_command_writes_and_says_what_it_wrote(work: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = ["tokens", str(work), "--lang", "fr hi", "--format", "megatron", "--to", str(out), "--executor", "serial"]
    result = CliRunner().invoke(main, given)
    assert result.exit_code == 0, result.output
    assert "fr train: 5 documents, " in result.output
    assert "2 times a text spells <eos>: left out there" in result.output
    assert f"{out}: 8 files, uint16, and files.json" in result.output
    for half in (given[:4] + given[4:6], given[:4] + given[6:8]):
        assert "belong together" in CliRunner().invoke(main, half).output
    assert "nanotron" in CliRunner().invoke(main, [*given[:4], "--format", "pile", "--to", str(out)]).output


def test_the_names_of_the_command_are_those_of_the_table() -> None:
    assert tuple(TOKEN_FORMATS) == TOKEN_FORMAT_NAMES == tuple(FOREIGN)
