"""Data sets of the Hugging Face Hub as inputs: `hf://datasets/OWNER/NAME`, with a revision or a folder behind it.

The revision is replaced by the commit that it stands for, so that all stages read the same files. The head of the card
says which files a configuration has.

Source: huggingface.co/docs/hub, "Data files configuration".
"""

import re
from collections.abc import Mapping
from pathlib import Path

from pipelines.sources.layouts import CARD, is_table_name, read_card
from roots import storage
from roots.errors import InputError, unknown_name

_DATA_SET = re.compile(r"(?P<set>hf://datasets/[^/@*?\[]+/[^/@*?\[]+)(?:@(?P<revision>[^/]+))?(?:/(?P<inside>.*))?")
_NAMED = 30  # configurations that an error names


def files_of_data_set(url: str, config: str) -> list[Path]:
    """The tables of a data set, or of a folder in one; none if the URL names neither.

    Of a whole data set with several configurations, `config` names one. Raises InputError if it has to and does not.
    """
    found = _DATA_SET.fullmatch(url.rstrip("/"))
    inside = found["inside"] or "" if found else ""
    if found is None or any(mark in inside for mark in "*?["):
        return []
    root = storage.with_commit(f"{found['set']}@{found['revision']}" if found["revision"] else found["set"])
    if root is None:
        return []
    patterns = [f"{inside}/**"] if inside else _patterns_of(url, root, config)
    files = {path for pattern in patterns for path in storage.find_files(f"{root}/{pattern}")}
    tables = sorted((path for path in files if is_table_name(path.name)), key=str)
    if files and not tables:
        raise InputError(f"{url} holds no table of texts: name other files by a pattern, such as {url}/*.warc.gz")
    return tables


def data_sets_of(archives: Mapping[str, Path]) -> dict[str, str]:
    """The data sets of the Hub that some archives are in, each with its revision."""
    found = (_DATA_SET.fullmatch(str(path)) for path in archives.values() if storage.is_remote(path))
    return {each["set"]: each["revision"] for each in found if each and each["revision"]}


def _patterns_of(url: str, root: str, config: str) -> list[str]:
    """Which files of a whole data set are read, by its card and the configuration that is wanted."""
    card = read_card(storage.path_of(f"{root}/{CARD}")) or {}
    configs = _configs_of(card)
    if not configs:
        if config:
            raise InputError(f"{url} has no configuration {config!r}: its card names none")
        return ["**"]
    chosen = config or next((name for name, (_, default) in configs.items() if default or len(configs) == 1), "")
    if not chosen:
        names = ", ".join(list(configs)[:_NAMED]) + (", ..." if len(configs) > _NAMED else "")
        raise InputError(f"{url} has {len(configs)} configurations: name one with --set source.config=NAME ({names})")
    if chosen not in configs:
        raise InputError(f"{url}: {unknown_name('configuration', chosen, configs)}")
    return [pattern.strip("/") for pattern in configs[chosen][0] if ".." not in pattern.split("/")]


def _configs_of(card: Mapping[str, object]) -> dict[str, tuple[list[str], bool]]:
    """The configurations on a card: {name: (patterns of its files, whether it is the usual one)}."""
    stated = card.get("configs")
    found: dict[str, tuple[list[str], bool]] = {}
    for each in stated if isinstance(stated, list) else ():
        if isinstance(each, dict) and isinstance(name := each.get("config_name"), str):
            folder = f"{each['data_dir']}/" if isinstance(each.get("data_dir"), str) else ""
            patterns = [folder + pattern for pattern in _texts(each.get("data_files"))] or [f"{folder}**"]
            found[name] = (patterns, name == "default" or each.get("default") is True)
    return found


def _texts(value: object) -> list[str]:
    """The patterns in `data_files`: one, a list, a mapping of splits, or a list of splits with a path each."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    if isinstance(value, dict):
        return _texts(value["path"]) if "path" in value else [text for each in value.values() for text in _texts(each)]
    return []
