"""Settings: frozen dataclasses, filled from TOML and from `key=value` pairs.

A default is written in one place, the field. An unknown key, a wrong type or a value out of bounds is a SettingsError
before any work, so no setting is silently ignored.
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
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
ASIDE = {"decides_rows": False}  # metadata of a field that decides no row, such as a path whose digest is a field


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises InputError that names the place of a mistake."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no file {path}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from None


def parse_pairs(pairs: Iterable[str]) -> dict[str, dict[str, object]]:
    """Turn `stage.key=value` pairs into {stage: {key: value}}.

    A value is TOML (`20`, `[[2, 2], [5, 3.5]]`, `{en = 0.25}`); what is not TOML is text. Raises SettingsError for a
    pair without its three parts, and for a list or table that is not valid TOML.
    """
    found: dict[str, dict[str, object]] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        stage, dot, key = name.strip().partition(".")
        if not (equals and dot and stage and key):
            raise SettingsError(f"--set {pair!r}: write it as stage.key=value, for example extract.cpu_seconds=20")
        found.setdefault(stage, {})[key] = _read_value(text.strip(), f"{stage}.{key}")
    return found


def _read_value(text: str, where: str) -> object:
    """Read a TOML value; text that is not TOML stays as it is, unless it begins a list or a table."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        if text[:1] in ("[", "{"):
            raise SettingsError(
                f"{where} = {text!r} is not valid TOML ({error}); write strings in quotes, as in ['a', 'b']"
            ) from None
        return text


def build(cls: type[T], values: _Values, where: str) -> T:
    """Make the frozen dataclass `cls` from plain values.

    A field may be a number, text, a Path, a tuple, a mapping with text keys, another dataclass, or a union of those; a
    table fills a dataclass or a mapping, a list fills a tuple. `where` names the group in messages ("extract"). Raises
    SettingsError for an unknown key, a value of another type, or a value that the class itself refuses (a ValueError
    in its `__post_init__`).
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


def _fit(value: object, hint: object, where: str) -> object:
    """Return `value` as the type `hint` says. Raises SettingsError, which names the setting."""
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return _fit_union(value, typing.get_args(hint), where)
    if origin is tuple:
        return _fit_tuple(value, typing.get_args(hint), where)
    if origin in (dict, Mapping):
        inner = typing.get_args(hint)[1]
        return {str(key): _fit(item, inner, f"{where}.{key}") for key, item in _as_table(value, where).items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else build(hint, _as_table(value, where), where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is str and isinstance(value, int | float | date | time) and not isinstance(value, bool):
        return str(value)  # TOML reads 2024-05-14 as a date
    if hint is object or not isinstance(hint, type):
        return value
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise SettingsError(f"{where} = {value!r} is not {_KINDS.get(hint, hint.__name__)}")
    return value


def _fit_union(value: object, hints: tuple[object, ...], where: str) -> object:
    """Fit one type of a union: a table takes the dataclass or mapping, a list the tuple, else the first plain type."""
    if type(None) in hints and (value is None or value == "none"):
        return None
    choices = [hint for hint in hints if hint is not type(None)]
    fitting = [hint for hint in choices if _shape(value) is _hint_shape(hint)]
    return _fit(value, (fitting or choices)[0], where)


def _shape(value: object) -> type:
    """Return dict for a table, list for a list, str for any other value."""
    if isinstance(value, Mapping) or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        return dict
    return list if isinstance(value, list | tuple) else str


def _hint_shape(hint: object) -> type:
    """Return what `_shape` gives for values of the type `hint`."""
    origin = typing.get_origin(hint)
    if origin in (dict, Mapping) or dataclasses.is_dataclass(hint):
        return dict
    return list if origin is tuple else str


def _fit_tuple(value: object, inner: tuple[object, ...], where: str) -> tuple[object, ...]:
    """Fit the items of a list; text is split at commas, and any other single value is a list of one."""
    many = inner[-1] is Ellipsis
    if isinstance(value, str):
        if _hint_shape(inner[0]) is list:
            raise SettingsError(f"{where} = {value!r} is not a list of lists: write it as [[...], [...]]")
        value = [_read_value(item.strip(), where) for item in value.split(",") if item.strip()]
    items = value if isinstance(value, list | tuple) else [value]
    hints = inner[:1] * len(items) if many else inner
    if len(items) != len(hints):
        raise SettingsError(f"{where} = {value!r} is not a list of {len(hints)} values")
    return tuple(_fit(item, hint, f"{where}[{at}]") for at, (item, hint) in enumerate(zip(items, hints, strict=True)))


def _as_table(value: object, where: str) -> _Values:
    """Return `value`, a table. Raises SettingsError for anything else."""
    if not isinstance(value, Mapping):
        raise SettingsError(f"{where} = {value!r} is not a table: write it as {{key = value}}")
    return value


def as_values(settings: object) -> Any:
    """Settings as plain, sorted values, as fingerprints and manifests hold them."""
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
