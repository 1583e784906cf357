"""Write what tasks found: values, a table in Markdown, one page with pictures, and every answer."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from statistics import median

from roots.atomic import write_text
from roots.storage import make_folder
from trainer.picture import draw_intervals, markdown_table
from trainer.tasks.evaluate import Score, TaskResult

_SHARES = ("acc", "exact_match")
_HEAD = ["task", "prompt", "language", "shots", "questions", "measure", "value", "95 % interval", "chance", "majority",
         "verdict"]  # fmt: skip
_STYLE = "body{font-family:sans-serif;max-width:70em;margin:2em auto}table{border-collapse:collapse;font-size:90%}" \
         "td,th{border:1px solid #ccc;padding:2px 6px;text-align:left}svg{max-width:100%}"  # fmt: skip


def write_results_page(
    target: Path, title: str, results: Sequence[TaskResult], failed: Mapping[str, str], about: Mapping[str, object]
) -> str:
    """Write tasks.json, tasks.md, tasks.html and answers/*.jsonl to `target`; return the table."""
    make_folder(target / "answers")
    for result in results:
        lines = (json.dumps(entry, ensure_ascii=False) + "\n" for entry in result.log)
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in result.task.name)
        write_text(target / "answers" / f"{name}.{result.shots}-shot.jsonl", "".join(lines))
    values = {**about, "results": [_values(result) for result in results], "failed": dict(failed)}
    write_text(target / "tasks.json", json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    rows = [row for result in results for row in _rows(result)]
    notes = _notes(results, failed)
    spread = _spread(results)
    tables = [
        (_HEAD, rows),
        (
            ["prompts of a task, or tasks with one tag", "language", "shots", "number", "least", "median", "most"],
            spread,
        ),
    ]
    shown = [markdown_table(head, body) for head, body in tables if body]
    text = "\n".join([f"# {title}\n", *shown, *(f"- {note}" for note in notes), ""])
    write_text(target / "tasks.md", text)
    write_text(target / "tasks.html", _html(title, tables, notes, _pictures(results)))
    return text


def _values(result: TaskResult) -> dict[str, object]:
    task = result.task
    scores = {
        name: {k: None if math.isnan(v) else v for k, v in asdict(score).items()}
        for name, score in result.scores.items()
    }
    return {
        "task": task.name, "family": task.family, "prompt": task.prompt.name, "language": task.language,
        "kind": task.kind, "shots": result.shots, "questions": result.asked, "left_out": dict(result.left_out),
        "scores": scores, "chance": result.chance, "majority": result.majority, "verdict": result.verdict,
        "signatures": dict(result.notes),
    }  # fmt: skip


def _interval(score: Score) -> str:
    return "-" if math.isnan(score.low) else f"{score.low:.4g} to {score.high:.4g}"


def _rows(result: TaskResult) -> list[list[object]]:
    """Return the rows of one result: its main measure with chance and verdict, then the others."""
    task = result.task
    first = [task.name, task.prompt.name or "-", task.language or "-", result.shots, result.asked]
    order = sorted(result.scores, key=lambda name: name != result.main)
    rows: list[list[object]] = []
    for name in order:
        score, is_choice = result.scores[name], name.startswith("acc")
        beside = [result.chance, result.majority] if is_choice else [None, None]
        verdict = result.verdict if name == "acc" else ""
        rows.append([*first, name, score.value, _interval(score), *beside, verdict])
    return rows


def _spread(results: Sequence[TaskResult]) -> list[list[object]]:
    """Return least, median and most of the main measure over the prompts of a task, or the tasks with one tag."""
    groups: dict[tuple[str, str, int, str], list[float]] = defaultdict(list)
    for result in results:
        key = (result.task.family, result.task.language or "-", result.shots, result.main)
        groups[key].append(result.scores[result.main].value)
    return [
        [f"{family}, {main}", language, shots, len(values), min(values), median(values), max(values)]
        for (family, language, shots, main), values in sorted(groups.items())
        if len(values) > 1
    ]


def _notes(results: Sequence[TaskResult], failed: Mapping[str, str]) -> list[str]:
    """Say what was left out, what failed, and how scores were made."""
    notes = [f"{name} failed: {why}" for name, why in sorted(failed.items())]
    for result in results:
        notes += [f"{result.task.name}: {count} left out: {why}" for why, count in result.left_out.items()]
    made = {f"{name}: {text}" for result in results for name, text in result.notes.items()}
    chances = [result for result in results if result.chance is not None]
    if chances:
        unclear = sum("not distinguishable" in result.verdict for result in chances)
        notes.insert(0, f"{unclear} of {len(chances)} accuracies are not distinguishable from chance")
    return [*notes, *sorted(made)]


def _pictures(results: Sequence[TaskResult]) -> list[str]:
    """Return one picture a measure: values, intervals, and chance."""
    groups: dict[str, dict[str, tuple[float, float, float, float | None]]] = defaultdict(dict)
    for result in results:
        score = result.scores[result.main]
        label = f"{result.task.name}, {result.shots} shots"
        groups[result.main][label] = (score.value, score.low, score.high, result.chance)
    names = {"acc": "accuracy (the red mark is chance)", "bits_per_byte": "bits per byte"}
    return [draw_intervals(names.get(name, name), rows) for name, rows in sorted(groups.items())]


def _html(
    title: str, tables: Sequence[tuple[list[str], list[list[object]]]], notes: Sequence[str], pictures: Sequence[str]
) -> str:
    """Return one page that needs no other file; all texts are escaped."""
    parts = [f"<!doctype html><meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>"]
    parts += [f"<h1>{escape(title)}</h1>", *pictures, "<ul>", *(f"<li>{escape(note)}</li>" for note in notes), "</ul>"]
    for head, rows in tables:
        if rows:
            parts += ["<table><tr>", *(f"<th>{escape(name)}</th>" for name in head), "</tr>"]
            parts += [f"<tr>{''.join(f'<td>{_cell(value)}</td>' for value in row)}</tr>" for row in rows]
            parts.append("</table><p>")
    return "\n".join([*parts, ""])


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return escape(f"{value:.4g}" if isinstance(value, float) else str(value))
