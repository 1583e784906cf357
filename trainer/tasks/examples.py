"""Examples of tasks as a model is asked them: files become examples, examples become contexts and continuations.

An example that a template cannot be filled with is left out with a reason, and counted.
"""

import ast
import csv
import io
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from roots.errors import InputError
from trainer.tasks.definitions import Form, Prompt, Task
from trainer.tasks.templates import render

_FILE_BYTES = 1 << 30  # of a data file, unpacked
_CHOICES = 1_000  # of one example

_Example = Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """One example as a model is asked it."""

    number: int  # of the example in its file
    pairs: tuple[tuple[str, str], ...]  # context and continuation; for generated text one pair without continuation
    choices: tuple[str, ...] = ()
    right: tuple[int, ...] = ()  # of the choices
    references: tuple[str, ...] = ()


@dataclass(frozen=True)
class Questions:
    """The questions of a task, and how many examples were left out for which reason."""

    asked: tuple[Question, ...]
    left_out: Mapping[str, int]


def _read_examples(task: Task, split: str) -> list[_Example]:
    """Read the examples of one split. Raises InputError for a file that cannot be read."""
    found: list[_Example] = []
    for path in task.data.splits[split]:
        try:
            found += _read(task, path)
        except (OSError, ValueError, csv.Error, pa.ArrowException, RecursionError) as error:
            raise InputError(f"{task.name}: {path} cannot be read: {error}") from None
    return found


def _read(task: Task, path: Path) -> list[_Example]:
    if task.data.form == "prompts":
        wanted = {**task.data.only, "drop": None}
        rows = pq.read_table(path).to_pylist()
        return [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    if task.data.form == "parquet":
        return list(pq.read_table(path).to_pylist())
    with pa.input_stream(str(path), compression="detect") as stream:
        raw = stream.read(_FILE_BYTES + 1)
    if len(raw) > _FILE_BYTES:
        raise ValueError(f"more than {_FILE_BYTES:,} bytes")
    text = raw.decode("utf-8-sig")
    if task.data.form == "csv":
        return _read_table(task, text)
    listed = json.loads(text) if text.lstrip().startswith("[") else map(json.loads, filter(str.strip, text.split("\n")))
    found = list(listed)
    if not all(isinstance(each, dict) for each in found):
        raise ValueError("each line must be an object with named values")
    return found


def _read_table(task: Task, text: str) -> list[_Example]:
    """Read a table of separated values; a column of whole numbers is read as numbers."""
    file = io.StringIO(text, newline="")
    if task.data.quoted:
        lines = list(csv.reader(file, delimiter=task.data.separator))
    else:
        lines = list(csv.reader(file, delimiter=task.data.separator, quoting=csv.QUOTE_NONE))
    lines = [line for line in lines if line]
    names = list(task.data.columns) or lines.pop(0)
    if any(len(line) != len(names) for line in lines):
        raise ValueError("a line has more or fewer values than there are columns")
    columns: list[list[Any]] = [list(column) for column in zip(*lines, strict=True)]
    for at, column in enumerate(columns):
        if all(value.isascii() and value.lstrip("-").isdecimal() for value in column):
            columns[at] = list(map(int, column))
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def make_questions(task: Task, shots: int, limit: int, seed: int) -> Questions:
    """Return the questions of a task with `shots` solved examples before each; `limit` examples at most, 0 is all.

    Solved examples are drawn by seed and number of the question, and never hold the question itself.
    """
    examples = _read_examples(task, task.data.test)
    pool = [] if not shots else examples
    if shots and task.data.shots != task.data.test:
        pool = _read_examples(task, task.data.shots)
    asked, left_out = [], Counter[str]()
    for number, example in enumerate(examples[: limit or None]):
        try:
            solved = _drawn(task, pool, shots, (seed, number), example)
            asked.append(_question(task, number, example, solved))
        except InputError as error:
            left_out[str(error)] += 1
    if not asked:
        why = next(iter(left_out), "its file is empty")
        raise InputError(f"{task.name} has no example that can be used: {why}")
    return Questions(tuple(asked), dict(left_out.most_common(20)))


def _drawn(
    task: Task, pool: Sequence[_Example], shots: int, seeds: tuple[int, int], question: _Example
) -> list[_Example]:
    """Return solved examples for a question."""
    if not shots:
        return []
    if task.first_shots:
        order: Sequence[int] = range(min(len(pool), shots + 1))
    else:
        order = random.Random(f"{seeds[0]} {seeds[1]}").sample(range(len(pool)), min(len(pool), shots + 1))
    found = [pool[at] for at in order if pool[at] != question][:shots]
    if len(found) < shots:
        raise InputError(f"there are fewer than {shots} other examples to show")
    return found


def _fill(form: Form, example: _Example) -> Any:
    """Fill a template; one that is the name of a field is the field itself. Digits become a number."""
    if not isinstance(form, str):
        return list(form) if isinstance(form, tuple) else form
    if form in example:
        return example[form]
    filled = render(form, example)
    if filled.isdecimal() and filled.isascii():
        return int(filled) if len(filled) < 10 else filled
    if filled.startswith("[") and filled.endswith("]"):
        try:
            return ast.literal_eval(filled)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return filled
    return filled


def _plain(form: Form, example: _Example) -> str:
    """Fill a template whose result is text."""
    if isinstance(form, str) and form not in example:
        return render(form, example)
    return str(_fill(form, example))


def _choices(prompt: Prompt, example: _Example) -> list[str]:
    """Return the texts of the choices, none where the prompt has none."""
    found = [] if prompt.choices is None else _fill(prompt.choices, example)
    if not isinstance(found, list | tuple) or not all(isinstance(choice, str) for choice in found):
        raise InputError("the choices are not a list of texts")
    if len(found) > _CHOICES or (prompt.choices is not None and len(found) < 2) or "" in found:
        raise InputError("there must be at least two choices, none of them empty")
    return list(found)


def _right(target: object, choices: Sequence[str]) -> tuple[int, ...]:
    """Return the numbers of the right choices."""
    wanted = target if isinstance(target, list) else [target]
    found = [choices.index(each) if isinstance(each, str) and each in choices else each for each in wanted]
    numbers = [each for each in found if isinstance(each, int) and 0 <= each < len(choices)]
    if len(numbers) < len(found) or not found:
        raise InputError(f"the target is none of the {len(choices)} choices")
    return tuple(map(int, numbers))


def _solved(prompt: Prompt, example: _Example) -> str:
    """Return an example with its answer."""
    choices = _choices(prompt, example)
    target = _fill(prompt.target, example) if choices else _targets(prompt, example)
    number = _fill(prompt.text, example) if choices else None
    if isinstance(number, int):  # the choices are contexts, and the text says which is right
        text, answer = choices[_right(number, choices)[0]], _plain(prompt.target, example)
    else:
        text = _plain(prompt.text, example)
        answer = choices[_right(target, choices)[0]] if choices else target[0]
    return text + _delimited(prompt, text, answer) + prompt.shots_delimiter


def _delimited(prompt: Prompt, text: str, answer: str) -> str:
    """Return an answer with the delimiter that stands between it and the text."""
    if prompt.once and (text[-1:].isspace() or answer[:1].isspace()):
        return answer
    return prompt.delimiter + answer


def _targets(prompt: Prompt, example: _Example) -> list[str]:
    """Return the texts that are right answers."""
    if isinstance(prompt.target, str) and prompt.target not in example:
        filled = render(prompt.target, example)
        found = _fill(prompt.target, example) if filled.startswith("[") else filled
    else:
        found = _fill(prompt.target, example)
    texts = [str(each) for each in found] if isinstance(found, list | tuple) else [str(found)]
    if not texts:
        raise InputError("there is no right answer")
    return texts


def _question(task: Task, number: int, example: _Example, solved: Sequence[_Example]) -> Question:
    """Return an example as a model is asked it. Raises InputError if that cannot be."""
    prompt = task.prompt
    before = render(prompt.description, example) + "".join(_solved(prompt, each) for each in solved)
    if task.kind != "choice":
        targets = _targets(prompt, example)
        if task.kind == "perplexity":
            if not targets[0]:
                raise InputError("the text is empty")
            return Question(number, (("", targets[0]),))
        context = before + _plain(prompt.text, example)
        if task.kind == "continuation":
            return Question(number, ((context, targets[0]),), references=(targets[0],))
        if choices := _choices(prompt, example):
            targets = [choices[at] for at in _right(_fill(prompt.target, example), choices)]
        return Question(number, ((context, ""),), references=tuple(targets))
    choices = _choices(prompt, example)
    text = _fill(prompt.text, example)
    if isinstance(text, int):  # as Winogrande: the choices are contexts before one continuation
        end = prompt.delimiter + _plain(prompt.target, example)
        pairs = tuple((before + choice, end) for choice in choices)
        return Question(number, pairs, tuple(choices), _right(text, choices))
    context = before + _plain(prompt.text, example)
    pairs = tuple((context, _delimited(prompt, context, choice)) for choice in choices)
    return Question(number, pairs, tuple(choices), _right(_fill(prompt.target, example), choices))
