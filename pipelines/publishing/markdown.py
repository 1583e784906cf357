"""Markdown of a card: text from outside that stays text, and tables."""

import re
from collections.abc import Iterable, Iterator


def escape(value: object) -> str:
    """Text as Markdown shows it literally, on one line, in a table cell too."""
    text = " ".join(str(value).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+!|~$])", r"\\\1", text)


def code(value: object) -> str:
    """A name in a code span, without what could end the span or the cell of a table."""
    return f"`{re.sub(r'[`|]', '', ' '.join(str(value).split()))}`"


class Code(str):
    """A cell that is shown in a code span."""


def table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]], none: str = "None.") -> Iterator[str]:
    """A table; columns of numbers are aligned to the right. Without a row it is the sentence `none`."""
    cells = list(rows)
    if not cells:
        yield none
        return
    numeric = [all(isinstance(row[place], int) for row in cells) for place in range(len(head))]
    yield "| " + " | ".join(head) + " |"
    yield "|" + "|".join(" ---: " if right else " --- " for right in numeric) + "|"
    for row in cells:
        yield "| " + " | ".join(map(_cell, row)) + " |"


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return code(value) if isinstance(value, Code) else escape(value)
