"""Files of templates: promptsource's YAML, and the same as TOML.

promptsource's files carry the tags `!Template` and `!TemplateMetadata`, which its own loader turns into objects. Here
they are plain mappings, and any other tag is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from roots.errors import InputError
from roots.settings import read_toml

_MOST_BYTES = 8 << 20  # of a file
_MOST_CHARS = 64 << 10  # of a template


@dataclass(frozen=True)
class Template:
    """One way to ask for something: Jinja with `|||` between input and target."""

    id: str  # promptsource's UUID
    name: str
    jinja: str
    answer_choices: str = ""  # Jinja, with `|||` between the choices
    language: str = ""  # of the wording


@dataclass(frozen=True)
class TemplateFile:
    """The templates of one data set."""

    data_set: str  # "super_glue/rte"; "" if the file does not say it
    templates: tuple[Template, ...]


class _Loader(yaml.SafeLoader):
    """Reads plain values, and promptsource's two tags as mappings."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[object, object]:
    return loader.construct_mapping(node, deep=True)


for _tag in ("!Template", "!TemplateMetadata"):
    _Loader.add_constructor(_tag, _mapping)


def read_templates(path: Path) -> TemplateFile:
    """Read a file of templates, in the order of their names. Raises InputError for one that cannot be used."""
    values = read_toml(path) if path.suffix == ".toml" else _read_yaml(path)
    found = values.get("templates")
    each = list(found.values()) if isinstance(found, dict) else found
    if not isinstance(each, list) or not each:
        raise InputError(f"{path} has no templates: it needs a table `templates` with at least one")
    templates = [_template(item, path) for item in each]
    if len({template.id for template in templates}) < len(templates):
        raise InputError(f"{path}: two templates have one id")
    names = [str(values[key]) for key in ("dataset", "subset") if values.get(key)]
    return TemplateFile("/".join(names), tuple(sorted(templates, key=lambda each: (each.name, each.id))))


def _read_yaml(path: Path) -> Mapping[str, object]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path} is larger than {_MOST_BYTES >> 20} MB: it is no file of templates")
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        raise InputError(f"no file {path}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError, OSError) as error:
        raise InputError(f"{path} is not a file of templates: {' '.join(str(error).split())[:300]}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} is not a file of templates: it holds no mapping")
    return values


def _template(item: object, path: Path) -> Template:
    """Make a template of its plain values. Raises InputError if it has no text or too long a one."""
    if not isinstance(item, dict) or not isinstance(item.get("jinja"), str):
        raise InputError(f"{path}: a template has no text `jinja`")
    name = str(item.get("name") or item.get("id") or "")
    jinja, choices = item["jinja"], item.get("answer_choices") or ""
    if not name or not isinstance(choices, str):
        raise InputError(f"{path}: a template has no name, or answer_choices that are no text")
    if len(jinja) + len(choices) > _MOST_CHARS:
        raise InputError(f"{path}: the template {name!r} is longer than {_MOST_CHARS:,} characters")
    metadata = item.get("metadata")
    languages = metadata.get("languages") if isinstance(metadata, dict) else item.get("languages")
    language = languages[0] if isinstance(languages, list) and languages else item.get("language") or ""
    return Template(str(item.get("id") or name), name, jinja, choices, str(language))
