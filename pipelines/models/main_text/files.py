"""The file of a model that finds main text: arrays in .npz, never pickled; the card beside it has its digest."""

import hashlib
import json
import zipfile
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from filters.main_text.answers import ANSWERS
from filters.main_text.choose import Model
from filters.main_text.features import FEATURES
from filters.main_text.forest import Forest
from roots.errors import InputError, SettingsError

_OWN = Path(str(resources.files("filters"))) / "models" / "main_text.npz"
_FORMAT = 1  # of the file; another set of features makes another one
_STEPS = 16  # of a class word's weight, which fits a byte
_FOREST = ("features", "bounds", "values")


def write_main_text(model: Model, path: Path) -> str:
    """Write a model; returns the sha256 of the file. The same model gives the same bytes."""
    arrays = {
        "format": np.array(_FORMAT, np.int32),
        "names": np.frombuffer(_names(), np.uint8),
        "words": np.round(model.word_weights * _STEPS).astype(np.int8),
    }
    for name, forest in (("first", model.first), ("second", model.second)):
        arrays[f"{name}_features"] = forest.features.astype(np.uint8)
        arrays[f"{name}_bounds"] = forest.bounds
        arrays[f"{name}_values"] = forest.values
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return _sha256(path)


def _path_of(name: str = "") -> Path:
    """The file of a model by path, or the one that the package carries."""
    return Path(name) if name else _OWN


@cache
def load_main_text(name: str = "") -> Model:
    """Load a model by path, or the one of the package; it is kept for the life of the process.

    Raises InputError for a file that is missing or no such model, SettingsError if the package's own is not the one
    that its card describes.
    """
    path = _path_of(name)
    if not name and json.loads(path.with_suffix(".json").read_text("utf-8"))["sha256"] != _sha256(path):
        raise SettingsError(f"{path} does not match the card beside it: install roots-corpus again")
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            if int(file["format"]) != _FORMAT or file["names"].tobytes() != _names():
                raise InputError(f"{path} is of another version: train it again with `roots extractor train`")
            forests = [Forest(*(file[f"{part}_{what}"] for what in _FOREST)) for part in ("first", "second")]
            words = file["words"].astype(np.float32) / _STEPS
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no model of main text: {error}") from None
    sizes = (len(FEATURES), len(FEATURES) + len(ANSWERS))
    if words.shape != (1 << 16,) or not all(map(_is_whole, forests, sizes)):
        raise InputError(f"{path} is no model of main text: its arrays do not fit each other")
    first, second = (Forest(forest.features.astype(np.int32), forest.bounds, forest.values) for forest in forests)
    return Model(first, second, words)


def _is_whole(forest: Forest, size: int) -> bool:
    """Whether a forest's arrays have the right forms, and it asks only features that there are."""
    trees = len(forest.features)
    forms = (forest.features.shape, forest.bounds.shape, forest.values.shape)
    kinds = (forest.features.dtype.name, forest.bounds.dtype.name, forest.values.dtype.name)
    return (
        forms == ((trees, 6), (trees, 6), (trees, 64))
        and kinds == ("uint8", "float32", "float32")
        and (not trees or int(forest.features.max()) < size)
    )


def _names() -> bytes:
    """Digest of the names of all features, so that a model is never read with others."""
    return hashlib.sha256(repr((FEATURES, ANSWERS)).encode()).digest()


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read the model of main text {path}: {error.strerror or error}") from None
