"""`roots evaluate --tasks`: from a model folder and task files to a page."""

from dataclasses import dataclass, field
from pathlib import Path

from roots.errors import InputError
from roots.settings import as_values
from trainer.settings import TaskSettings
from trainer.tasks.definitions import read_tasks
from trainer.tasks.evaluate import Listener, TaskResult, evaluate_task
from trainer.tasks.page import write_results_page
from trainer.tasks.pretrained import open_model


@dataclass(frozen=True)
class TaskRequest:
    """Which model is asked which tasks, and where the page is written."""

    model: Path  # run folder, checkpoint, export, or a folder of a causal model of transformers
    tasks: Path  # a folder, or one file
    target: Path | None = None  # None: `tasks` in the folder of the model
    tokenizers: tuple[Path, ...] = ()  # where the tokenizer of a run may be
    settings: TaskSettings = field(default_factory=TaskSettings)


def evaluate_by_tasks(request: TaskRequest, listener: Listener | None = None) -> str:
    """Ask a model the questions of all tasks, write the page, and return its table.

    A task that cannot be asked is named in the page, and the others are asked. Raises InputError if none can.
    """
    listener = listener or Listener()
    tasks = read_tasks(request.tasks)
    listener.say(f"{len(tasks)} tasks; opening {request.model}")
    model = open_model(request.model, request.settings.length, request.tokenizers)
    results: list[TaskResult] = []
    failed: dict[str, str] = {}
    for task in tasks:
        for shots in request.settings.shots or (task.shots,):
            try:
                result = evaluate_task(model, task, shots, request.settings, listener)
            except InputError as error:
                failed[f"{task.name}, {shots} shots"] = str(error)
                listener.say(f"{task.name}, {shots} shots: {error}")
                continue
            results.append(result)
            score = result.scores[result.main]
            listener.say(f"{task.name}, {shots} shots: {result.main} {score.value:.4g} {result.verdict}".rstrip())
    if not results:
        raise InputError("no task can be asked: " + next(iter(failed.values())))
    about = {"settings": as_values(request.settings), "model": request.model.resolve().name}
    title = f"{request.model.resolve().name}: {len(results)} results by tasks"
    return write_results_page(request.target or request.model / "tasks", title, results, failed, about)
