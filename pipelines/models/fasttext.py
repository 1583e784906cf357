"""Train a fastText model: the trainer behind `roots lid train` and `roots quality train`."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from roots.errors import SettingsError

_FLORET_EXTRA = slice(52, 60)  # bytes of two settings that floret writes and fastText does not know


def train_fasttext(lines: Path, options: Mapping[str, str | int | float], target: Path, small: bool) -> None:
    """Train on a file of labelled lines and write a file that fastText reads; `small` quantises it.

    `options` are those of `floret.train_supervised`. Raises SettingsError if floret is not installed.
    """
    try:
        import floret  # an extra: only training needs it
    except ImportError:
        raise SettingsError("training a fastText model needs floret: pip install 'roots-corpus[lid]'") from None

    model = floret.train_supervised(str(lines), verbose=0, **options)
    if small:
        model.quantize(str(lines), retrain=False, qnorm=True, dsub=2, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.ftz"
        model.save_model(str(path))
        content = path.read_bytes()
    target.write_bytes(content[: _FLORET_EXTRA.start] + content[_FLORET_EXTRA.stop :])
