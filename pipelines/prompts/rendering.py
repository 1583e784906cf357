"""Rendering records by templates, inside the guarded process.

Jinja's sandbox refuses attributes that lead out of it, but no long loop and no large text. So this code runs in our
guard, which limits time and memory, and the text of an example has an upper bound.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import jinja2
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from roots.errors import SettingsError, unknown_name

_T = TypeVar("_T")
_SEPARATOR = "|||"  # between input and target, and between choices
_STAND_IN = "3ed2dface8203c4c9dfb1a5dc58e41e0"  # for a separator inside a field; templates of promptsource name it
_MOST_CHARS = 256 << 10  # of an example
_MOST_STEPS = 1_000  # of `range`
_CUT = 2_048  # characters of a value, with `truncate`
_UNDEFINED = re.compile(r"^'(\w+)' is undefined$")
_KEY = "_roots_key"  # decides the draws of a rendering; no field can have the name
# What a template raises on a record that it does not fit.
_ERRORS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, jinja2.TemplateError)

PromptExample = tuple[str, str, list[str] | None, str | None, str | None]  # input, target, choices, drop, why


class _TooLong(Exception):  # noqa: N818 - a state
    """An example has more than _MOST_CHARS characters."""


def _steps(*bounds: int) -> range:
    """Make a range of at most _MOST_STEPS numbers."""
    steps = range(*bounds)
    if len(steps) > _MOST_STEPS:
        raise OverflowError(f"range of more than {_MOST_STEPS:,} numbers")
    return steps


@jinja2.pass_context  # otherwise Jinja would draw once, when it compiles the template
def _choice(context: Context, items: Sequence[_T]) -> _T:
    """Draw one item: the same for a record and template, whatever else is rendered."""
    draws: list[Any] = context[_KEY]
    draws[1] += 1
    digest = hashlib.blake2b(f"{draws[0]}/{draws[1]}".encode(), digest_size=8).digest()
    return items[int.from_bytes(digest) % len(items)]


def _most_frequent(items: Sequence[_T]) -> list[_T] | None:
    """Return the items that are there most often."""
    counts = Counter(items)
    return [item for item, count in counts.items() if count == max(counts.values())] if items else None


def _environment(lenient: bool) -> ImmutableSandboxedEnvironment:
    kind = jinja2.Undefined if lenient else jinja2.StrictUndefined
    environment = ImmutableSandboxedEnvironment(undefined=kind)
    environment.globals.clear()
    environment.globals.update(zip=zip, range=_steps)
    environment.filters |= {"choice": _choice, "random": _choice, "most_frequent": _most_frequent}
    return environment


def check_syntax(name: str, *texts: str) -> None:
    """Raise SettingsError for a template that Jinja cannot read. It parses, and runs nothing."""
    for text in texts:
        try:
            _environment(lenient=True).parse(text)
        except (jinja2.TemplateError, RecursionError) as error:
            raise SettingsError(f"the template {name!r} is not valid Jinja: {error}") from None


def prepare_rendering(
    templates: Sequence[Mapping[str, str]], seed: int, lenient: bool, truncate: bool
) -> Callable[[Sequence[object]], Iterator[dict[str, object]]]:
    """Return a function from items {id, fields, templates: numbers} to rows {examples}: see `PromptExample`.

    A template is a mapping of id, jinja and answer_choices. It is compiled when it is first used, within the limits of
    an item, for Jinja calculates constants as it compiles.
    """
    environment = _environment(lenient)
    compiled: dict[str, jinja2.Template] = {}

    def render(text: str, fields: Mapping[str, object]) -> str:
        if text not in compiled:
            compiled[text] = environment.from_string(text)
        parts, size = [], 0
        for part in compiled[text].generate(fields):
            size += len(part)
            if size > _MOST_CHARS:
                raise _TooLong
            parts.append(part)
        return "".join(parts)

    def example(template: Mapping[str, str], id_: str, fields: Mapping[str, object]) -> PromptExample:
        try:
            jinja, expression = template["jinja"], template["answer_choices"]
            if truncate:
                jinja = jinja.replace("}}", f" | string | truncate({_CUT}) }}}}")
            values = {**fields, _KEY: [f"{seed}/{id_}/{template['id']}", 0]}
            if "answer_choices" in fields:
                return "", "", None, "prompts.error", "the record has a field with the name answer_choices"
            choices = _split(render(expression, values)) if expression else None
            parts = _split(render(jinja, {**values, "answer_choices": choices}))
        except _TooLong:
            return "", "", None, "prompts.too_long", f"more than {_MOST_CHARS:,} characters"
        except _ERRORS as error:
            return "", "", None, "prompts.error", _reason(error, fields)
        return _example([*map(_restored, parts)], choices and [*map(_restored, choices)])

    def rows(items: Sequence[Any]) -> Iterator[dict[str, Any]]:
        for item in items:
            fields = _protected(item["fields"])
            yield {"examples": [example(templates[at], item["id"], fields) for at in item["templates"]]}

    return rows


def _example(parts: Sequence[str], choices: list[str] | None) -> PromptExample:
    """Make the example of the parts of a rendered template; a part that is empty says "not for this record"."""
    if not any(parts):
        return "", "", choices, "prompts.empty", None
    if len(parts) == 1:
        return parts[0], "", choices, "prompts.no_separator", None
    if len(parts) > 2:
        return parts[0], parts[1], choices, "prompts.two_targets", None
    return parts[0], parts[1], choices, None if all(parts) else "prompts.empty", None


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(_SEPARATOR)]


def _restored(text: str) -> str:
    return text.replace(_STAND_IN, _SEPARATOR)


def _protected(value: Any) -> Any:
    """Return a value whose texts have a stand-in for each separator in them."""
    if isinstance(value, str):
        return value.replace(_SEPARATOR, _STAND_IN)
    if isinstance(value, dict):
        return {key: _protected(item) for key, item in value.items()}
    return [_protected(item) for item in value] if isinstance(value, list) else value


def _reason(error: Exception, fields: Mapping[str, object]) -> str:
    """Say why a record cannot be rendered; an unknown field with the nearest known one."""
    unknown = _UNDEFINED.match(str(error))
    text = unknown_name("field", unknown[1], fields) if unknown else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:300]
