"""Read the manifest of a stage; no Arrow is imported for it."""

import json
from pathlib import Path
from typing import Any

from roots import storage
from roots.errors import InputError


def read_manifest(target: Path) -> dict[str, Any]:
    """The manifest of a stage's folder. Raises InputError if the stage has not finished."""
    try:
        manifest: dict[str, Any] = json.loads(storage.read_text(target / "manifest.json"))
    except FileNotFoundError:
        raise InputError(f"{target} has no manifest: the stage that makes it has not finished") from None
    except ValueError as error:
        raise InputError(f"{target / 'manifest.json'} is damaged ({error}): run its stage again") from None
    return manifest
