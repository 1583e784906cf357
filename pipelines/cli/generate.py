"""What `roots generate` reads and prints."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import click
import regex

from roots.atomic import write_text
from roots.errors import InputError
from trainer.generate import Generated, GenerateRequest, generate_texts

_LETTERS = regex.compile(r"\X")
_LOST = "\ufffd"  # stands for a letter whose bytes are not all there yet


def read_prompts(texts: Sequence[str], file: Path | None) -> tuple[str, ...]:
    """The prompts that are given as arguments, and those of a file. Raises InputError if there are none."""
    found = list(texts)
    if file is not None:
        try:
            data = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file} cannot be read: {error}") from None
        lines = [line for line in data.splitlines() if line.strip()]
        found += [_prompt_of(line, file, number) for number, line in enumerate(lines, 1)]
    if not found:
        raise InputError('no prompt: write one behind the model, as in `roots generate MODEL "Once"`, or use --prompts')
    return tuple(found)


def _prompt_of(line: str, file: Path, number: int) -> str:
    """A line, or the `prompt` of a line of a JSON lines file."""
    if file.suffix not in (".jsonl", ".json"):
        return line
    try:
        values = json.loads(line)
    except ValueError:
        values = None
    prompt = values.get("prompt") if isinstance(values, dict) else None
    if not isinstance(prompt, str):
        raise InputError(f"{file}, line {number}: no JSON object with a text `prompt`")
    return prompt


def print_texts(request: GenerateRequest, target: Path | None) -> None:
    """Continue the prompts of a request, and print the texts or write them to a file of JSON lines."""
    count = len(request.prompts) * request.settings.samples
    if target is None and count == 1 and sys.stdout.isatty():
        click.echo(request.prompts[0], nl=False)
        shown = _shower()
        (only,) = generate_texts(request, watch=shown)
        shown(only.text + "\n\n")
        return
    found = generate_texts(request, say=_say(count))
    if target is not None:
        write_text(target, "".join(json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in found))
        click.echo(f"{len(found)} texts are in {target}")
        return
    for number, each in enumerate(found, 1):
        if count > 1:
            click.echo(f"--- {number} of {count}" + _sample_of(each, request))
        click.echo(each.prompt + each.text)


def _sample_of(each: Generated, request: GenerateRequest) -> str:
    return f", sample {each.sample + 1}" if request.settings.samples > 1 else ""


def _shower() -> Callable[[str], None]:
    """A function that is given the text so far, and prints what is new of it, by whole letters."""
    done = 0

    def show(text: str) -> None:
        nonlocal done
        letters = list(_LETTERS.finditer(text.rstrip(_LOST)))
        stop = letters[-1].start() if letters else 0  # marks may follow the last letter
        if stop > done:
            click.echo(text[done:stop], nl=False)
            sys.stdout.flush()
            done = stop

    return show


def _say(count: int) -> Callable[[int], None]:
    def say(done: int) -> None:
        if count > 1:
            click.echo(f"{done} of {count} texts", err=True)

    return say
