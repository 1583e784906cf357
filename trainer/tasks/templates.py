"""Fill the templates of tasks: Jinja in a sandbox, with limits on what a template may make.

A template is refused if it reaches for Python's attributes, calls a function outside the lists below, or makes a text
of more than `_MOST` characters.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from roots.errors import InputError

_MOST = 1 << 18  # characters of a text
_STEPS = 10_000  # numbers of all ranges of one rendering
_NESTED = 2  # loops inside each other
_TEXT_METHODS = frozenset([
    "capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha", "isdigit",
    "islower", "isnumeric", "isspace", "isupper", "lower", "lstrip", "partition", "removeprefix",
    "removesuffix", "replace", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "split", "splitlines",
    "startswith", "strip", "swapcase", "title", "upper",
])  # fmt: skip
_FILTERS = frozenset([
    "abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int", "items", "join",
    "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse",
    "round", "select", "selectattr", "sort", "string", "sum", "title", "tojson", "trim", "truncate", "unique",
    "upper", "wordcount",
])  # fmt: skip


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja without loaders, and with bounds on texts that grow by multiplication or replacement."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
        """Calculate, unless it repeats or formats a text. Raises SecurityError."""
        plain = all(isinstance(value, int | float) for value in (left, right))
        if not plain or operator == "**":
            raise SecurityError(f"a template may not use {operator} here")
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        """Return whether a template may see an attribute: of texts, only the listed methods."""
        if isinstance(obj, str | bytes) and attr not in _TEXT_METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: object) -> None:
        """Leave `format` to `is_safe_attribute`, which refuses it: a width in it makes a text of any length."""

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a function, and replace in a text only within bounds."""
        text = getattr(obj, "__self__", None)
        if isinstance(text, str) and obj.__name__ == "replace":
            return _replace(text, *args)
        return super().call(context, obj, *args, **kwargs)


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    """Replace as str does. Raises SecurityError if the result would be too long."""
    text = str(text)
    if len(text) + text.count(old) * len(new) > _MOST:
        raise SecurityError(f"a template may not make a text of more than {_MOST:,} characters")
    return text.replace(old, new, -1 if count is None else count)


def _regex_replace(text: str, pattern: str, repl: str = "", count: int = 0) -> str:
    """Replace what a pattern matches, in linear time."""
    import re2

    if len(text) * (1 + len(repl)) > _MOST:
        raise SecurityError(f"a template may not make a text of more than {_MOST:,} characters")
    replaced: str = re2.sub(pattern, repl, text, count)
    return replaced


def _sandbox() -> _Sandbox:
    made = _Sandbox(undefined=StrictUndefined, keep_trailing_newline=True)
    made.filters = {name: made.filters[name] for name in _FILTERS}
    made.filters |= {"replace": _replace, "regex_replace": _regex_replace}
    made.globals = {"zip": zip}
    return made


@lru_cache(maxsize=256)
def _compiled(template: str) -> Template:
    sandbox = _sandbox()
    if _loops(sandbox.parse(template)) > _NESTED:
        raise InputError(f"the template {template[:60]!r} has more than {_NESTED} loops inside each other")
    return sandbox.from_string(template)


def _loops(node: nodes.Node) -> int:
    """Return how many loops stand inside each other."""
    return isinstance(node, nodes.For) + max(map(_loops, node.iter_child_nodes()), default=0)


def _steps() -> Callable[..., range]:
    """Return a `range` that makes at most `_STEPS` numbers in all its calls."""
    left = _STEPS

    def steps(*bounds: int) -> range:
        nonlocal left
        numbers = range(*bounds)
        left -= len(numbers)
        if left < 0:
            raise SecurityError(f"a template may not count further than {_STEPS:,}")
        return numbers

    return steps


def render(template: str, example: Mapping[str, object]) -> str:
    """Fill a template with the fields of an example. Raises InputError for a template that is wrong or goes too far."""
    try:
        parts, size = [], 0
        for part in _compiled(template).generate({"range": _steps(), **example}):
            parts.append(part)
            size += len(part)
            if size > _MOST:
                raise InputError(f"the template makes more than {_MOST:,} characters")
        return "".join(parts)
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        told = re.sub(r"\s+", " ", str(error))[:200]
        raise InputError(f"the template {template[:60]!r}: {told}") from None
    except RecursionError:
        raise InputError(f"the template {template[:60]!r} is nested too deeply") from None
