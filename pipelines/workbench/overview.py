"""The overview of a work folder: counts of its stages and languages, and how signals go together."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict, cast

import numpy as np
import numpy.typing as npt

from filters.language import known_codes, load_language
from pipelines.dataset import StageEntry
from pipelines.job import work as folders
from pipelines.job.stages import STAGES
from roots import shards, storage
from roots.atomic import read_manifest
from roots.errors import InputError


class PlainWords(TypedDict):
    """The content of words.toml."""

    groups: dict[str, str]  # name -> title
    signals: dict[str, dict[str, str]]  # name -> title, what, high, low, bad, axis, group
    reasons: dict[str, str]  # reason of a drop -> sentence


def stages_of(work: Path, language: str, words: PlainWords) -> list[dict[str, object]]:
    """For each stage that has run: the rows it read and kept, and its drops by reason in plain words."""
    found: list[dict[str, object]] = []
    for stage, row in STAGES.items():
        manifest = _manifest(work, language, stage)
        if manifest is None:
            break
        drops = sorted(manifest["drops"].items(), key=lambda item: (-item[1], item[0]))
        found.append(
            {
                "stage": stage,
                "what": row.summary,
                "rows": manifest["rows"],
                "kept": manifest["kept"],
                "drops": [{"reason": name, "rows": rows, "what": _reason(name, words)} for name, rows in drops],
            }
        )
    return found


def _reason(name: str, words: PlainWords) -> str:
    """A reason in plain words; for drops of the filter, the title of the signal."""
    stage, _, signal = name.partition(".")
    if stage == "filter" and signal in words["signals"]:
        return f"{words['signals'][signal]['title']}: out of bounds"
    return str(words["reasons"].get(name, name))


def _manifest(work: Path, language: str, stage: str) -> StageEntry | None:
    """The manifest of a stage; None if it has not run."""
    try:
        return cast(StageEntry, read_manifest(folders.folder(work, language, stage)))
    except InputError:
        return None


def languages_of(work: Path) -> list[dict[str, object]]:
    """For each language of the work folder: pages read, documents kept so far, and bytes of the dataset."""
    found: list[dict[str, object]] = []
    for code in folders.languages(work):
        manifests = {stage: _manifest(work, code, stage) for stage, row in STAGES.items() if not row.shared}
        done = [stage for stage, manifest in manifests.items() if manifest]
        receipts = [
            shards.read_receipt(path) for path in storage.files_in(folders.folder(work, code, "shard"), "*/*.arrow")
        ]
        extract = manifests["extract"] or {"rows": 0, "kept": 0}
        last = manifests[done[-1]] if done else None
        found.append(
            {
                "code": code,
                "name": load_language(code).name if code in known_codes() else code,
                "pages": extract["rows"],
                "extracted": extract["kept"],
                "documents": last["kept"] if last else 0,
                "stage": done[-1] if done else "",
                "bytes": sum(receipt.text_bytes for receipt in receipts if receipt),
            }
        )
    return found


def correlation(signals: Mapping[str, npt.NDArray[np.float64]]) -> dict[str, object]:
    """Rank correlation (Spearman) of all pairs of signals that vary: `names`, and `rows` of numbers from -1 to 1.

    `signals` holds float64 (documents,) without NaN.
    """
    names = [name for name, values in signals.items() if len(values) > 2 and values.min() < values.max()]
    if len(names) < 2:
        return {"names": [], "rows": []}
    ranks = np.stack([_ranks(signals[name]) for name in names])
    return {"names": names, "rows": np.corrcoef(ranks).round(2).tolist()}


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Ranks; equal values share their middle rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middle: npt.NDArray[np.float64] = ends - (counts - 1) / 2
    return middle[inverse]
