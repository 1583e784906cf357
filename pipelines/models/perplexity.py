"""Train a KenLM model for the signal `perplexity`, with KenLM's own tool: `roots perplexity train`.

The tool (`lmplz`) is a C++ program without a Python package; it must be on the PATH.
Source: Heafield 2011, KenLM; Wenzek et al. 2020, CCNet, whose models ROOTS used.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from filters.signals.perplexity import normalise, perplexities
from pipelines.models.bounds import BETWEEN_DOCUMENTS, read_reference
from pipelines.models.files import perplexity_model, piece_cutter
from pipelines.models.settings import PerplexityTraining
from roots.errors import InputError, SettingsError
from roots.identity import sha256_of

_TRAINER, _PACKER = "lmplz", "build_binary"
_INSTALL_HINT = (
    f"training needs KenLM's {_TRAINER} on the PATH: build it from https://github.com/kpu/kenlm (cmake, Boost) "
    "or install it with conda (package kenlm)"
)


def train_perplexity(
    references: Sequence[Path], target: Path, how: PerplexityTraining | None = None, pieces: str = ""
) -> dict[str, str | float]:
    """Train on text files (see `models.bounds.read_reference`) and write the model to `target`.

    `pieces` is a SentencePiece model whose pieces are counted; empty for words between spaces. The model is in KenLM's
    binary form if its tool `build_binary` is installed too, otherwise ARPA text; both load. Returns the digest and the
    median perplexity of the held-out documents. Raises SettingsError if the tool is missing, InputError if it fails.
    """
    how = how or PerplexityTraining()
    if shutil.which(_TRAINER) is None:
        raise SettingsError(_INSTALL_HINT)
    kept: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        lines, arpa = Path(folder) / "lines.txt", Path(folder) / "model.arpa"
        with lines.open("w", encoding="utf-8") as file:
            _write_lines(_documents(references), file, kept, how, pieces)
        prune = ["--prune", *map(str, how.prune)] if any(how.prune) else []
        _run(
            [_TRAINER, "-o", str(how.order), "-S", how.memory, "-T", folder, "--discount_fallback", "--skip_symbols",
             *prune, "--text", str(lines), "--arpa", str(arpa)]
        )  # fmt: skip
        if shutil.which(_PACKER):
            _run([_PACKER, "-T", folder, "trie", str(arpa), str(target)])
        else:
            shutil.copyfile(arpa, target)
    values = sorted(perplexities(kept, perplexity_model(str(target), pieces)).tolist())
    return {"sha256": sha256_of(target), "median perplexity": values[len(values) // 2]}


def _documents(references: Sequence[Path]) -> Iterator[str]:
    for path in references:
        yield from (text for text in read_reference(path) if text.strip())


def _write_lines(texts: Iterator[str], file: IO[str], kept: list[str], how: PerplexityTraining, pieces: str) -> None:
    """Write documents in the form the model is asked about, one a line; put every `held_out`-th into `kept`."""
    cut = piece_cutter(pieces) if pieces else None
    count = 0
    for number, text in enumerate(texts):
        if number % how.held_out == 0:
            kept.append(text)
            continue
        line = normalise(text)
        file.write((cut(line) if cut else line) + "\n")
        count += 1
    if not count:
        raise InputError(f"no text to train a language model on: name more than one document. {BETWEEN_DOCUMENTS}")


def _run(command: Sequence[str]) -> None:
    """Run a tool of KenLM. Raises InputError with its last output lines if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        last = " ".join(done.stderr.strip().splitlines()[-3:])
        raise InputError(f"{command[0]} failed with code {done.returncode}: {last}")
