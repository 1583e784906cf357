"""Model files are found, checked by digest, and refused with a clear message."""

import struct
from pathlib import Path

import pytest

from pipelines.models import files
from pipelines.models.files import (
    OWN,
    WIDE,
    WIDE_SHA256,
    load_model,
    open_fasttext,
    perplexity_model,
    piece_cutter,
    quality_model,
    sha256_of_model,
    wide_path,
)
from roots.errors import InputError, SettingsError


def test_a_missing_wheel_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="is not installed: install roots-corpus again"):
        wide_path()


def test_a_model_is_checked_by_its_digest() -> None:
    assert load_model(WIDE).sha256 == sha256_of_model(WIDE) == WIDE_SHA256
    assert load_model(wide_path()).sha256 == WIDE_SHA256
    assert load_model().sha256 == sha256_of_model() != WIDE_SHA256
    assert load_model(WIDE).knows("yor")
    assert not load_model(WIDE).knows("wol")


@pytest.mark.parametrize("content", [b"", b"no model", b"\xba\x16\x4f\x2f" + bytes(100)])
def test_a_file_that_is_no_model_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(InputError, match="no fastText model"):
        load_model(str(tmp_path / "model.bin"))


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the language model"):
        load_model(str(tmp_path / "absent.bin"))
    with pytest.raises(InputError, match="cannot read the language model"):
        load_model(str(tmp_path))


def test_a_model_that_is_not_quantised_is_mapped_and_not_copied(tmp_path: Path) -> None:
    """Ten processes that use a model of 1.7 GB must not hold ten copies."""
    path = tmp_path / "model.bin"
    path.write_bytes(dense_model(rows=64, width=4))
    held = open_fasttext(path)._network.rows.dense
    assert held.shape == (64, 4)
    assert not held.flags.owndata
    assert not held.flags.writeable


def dense_model(rows: int, width: int) -> bytes:
    """A fastText file (.bin) of one label, no words and `rows` buckets of n-grams."""
    head = struct.pack("<ii12id", 793712314, 12, width, 1, 1, 1, 1, 1, 3, 3, rows, 2, 3, 1, 1e-4)
    dictionary = struct.pack("<iiiqq", 1, 0, 1, 1, -1) + b"__label__a\0" + struct.pack("<qb", 1, 1)
    matrices = [struct.pack("<bqq", 0, count, width) + bytes(4 * count * width) for count in (rows, 1)]
    return head + dictionary + b"".join(matrices)


def test_a_missing_or_broken_quality_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("no model")
    for name in ("absent", "broken"):
        with pytest.raises(SettingsError, match=name):
            quality_model(str(tmp_path / name))
    with pytest.raises(SettingsError, match="roots quality train"):
        quality_model(str(OWN / "roots46.ftz"))


def test_a_missing_or_broken_perplexity_model_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("kenlm", reason="KenLM is not installed: pip install 'roots-corpus[perplexity]'")
    (tmp_path / "broken").write_text("no model", encoding="utf-8")
    for name in ("absent", "broken"):
        with pytest.raises(SettingsError, match=name):
            perplexity_model(str(tmp_path / name))


def test_a_missing_sentencepiece_model_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    with pytest.raises(SettingsError, match="no SentencePiece model"):
        piece_cutter(str(tmp_path / "absent"))
