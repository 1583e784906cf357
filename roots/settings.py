"""Settings are frozen dataclasses; this file fills them from TOML and from `key=value` pairs.

A field is the only place where a default is written. An unknown key, a wrong type or a value out of bounds is a
SettingsError before any work, so a changed setting is never silently ignored.
"""

import dataclasses
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from datetime import date, time
from pathlib import Path
from typing import Any, TypeVar

from roots.errors import InputError, SettingsError, unknown_name

T = TypeVar("T")
_Values = Mapping[str, Any]


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises InputError with the place of a mistake."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no file {path}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from None


def parse_pairs(pairs: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Turn `stage.key=value` pairs into {stage: {key: value}}; a value is read as TOML, or as text if it is not."""
    found: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        stage, dot, key = name.strip().partition(".")
        if not (equals and dot and stage and key):
            raise SettingsError(f"--set {pair!r}: write it as stage.key=value, for example extract.cpu_seconds=20")
        found.setdefault(stage, {})[key] = _read_value(text.strip())
    return found


def _read_value(text: str) -> Any:
    """A TOML value, or the text itself where it is none."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def build(cls: type[T], values: _Values, where: str) -> T:
    """Make the frozen dataclass `cls` from plain values.

    `where` names the group in messages ("extract"). Raises SettingsError for an unknown key, a value of another
    type, or a value that the class itself refuses (a ValueError in its `__post_init__`).
    """
    fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, cls)) if field.init}
    hints = typing.get_type_hints(cls)
    clean: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            raise SettingsError(f"{where}: " + unknown_name("setting", key, fields))
        clean[key] = _fit(value, hints[key], f"{where}.{key}")
    try:
        return cls(**clean)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{where}: {error}") from None


def _fit(value: Any, hint: Any, where: str) -> Any:
    """Give back `value` as the type `hint` says, or raise SettingsError."""
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None or value == "none":
            return None
        hint = next(choice for choice in typing.get_args(hint) if choice is not type(None))
        return _fit(value, hint, where)
    if origin is tuple:
        inner = typing.get_args(hint)[0]
        if isinstance(value, str):
            value = [_read_value(item.strip()) for item in value.split(",") if item.strip()]
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(_fit(item, inner, where) for item in items)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is str and isinstance(value, int | float | date | time) and not isinstance(value, bool):
        return str(value)  # TOML reads 2024-05-14 as a date
    if origin is not None or not isinstance(hint, type):
        return value
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise SettingsError(f"{where} = {value!r} is not {hint.__name__}")
    return value


def as_values(settings: Any) -> Any:
    """Settings as plain sorted values: what a fingerprint and a manifest are made of."""
    if dataclasses.is_dataclass(settings) and not isinstance(settings, type):
        return {field.name: as_values(getattr(settings, field.name)) for field in dataclasses.fields(settings)}
    if isinstance(settings, Mapping):
        return {str(key): as_values(settings[key]) for key in sorted(settings, key=str)}
    if isinstance(settings, set | frozenset):
        return sorted((as_values(item) for item in settings), key=repr)
    if isinstance(settings, list | tuple):
        return [as_values(item) for item in settings]
    if isinstance(settings, Path):
        return str(settings)
    return settings
