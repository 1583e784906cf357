"""What `roots evaluate --tasks` does with its options."""

from collections.abc import Sequence
from pathlib import Path

import click

from pipelines.cli.options import RunOptions
from roots.errors import SettingsError
from trainer.settings import TaskSettings


def evaluate_tasks(
    places: tuple[Path | None, Path],
    codes: Sequence[str],
    named: tuple[Path, str, Path | None, Path | None],
    options: RunOptions,
) -> None:
    """Ask a model the questions of tasks, and print the table.

    `places` are the run, if one is named, and the work folder or model. `named` are the tasks, the numbers of shots,
    the tokenizer, and the folder of the page. Raises SettingsError for a mistake in a setting.
    """
    (run, work), (tasks, shots, tokenizer, target) = places, named
    try:
        numbers = [int(each) for each in shots.replace(",", " ").split()]
    except ValueError:
        raise SettingsError(f"--shots {shots!r}: write whole numbers, such as 0,1") from None
    settings = options.build(TaskSettings, "tasks", shots=numbers)
    click.echo("loading torch", err=True)
    from filters.language_id.identify import identify
    from pipelines.job.languages import find_any_code
    from pipelines.models.files import load_model
    from trainer.corpus import possible_folders
    from trainer.tasks.evaluate import Listener
    from trainer.tasks.run import TaskRequest, evaluate_by_tasks

    folders = possible_folders(work, codes) if codes else []
    known = tuple(each for each in (tokenizer, *(folder.tokenizer for folder in folders)) if each is not None)
    request = TaskRequest(run or (folders[0].model if folders else work), tasks, target, known, settings)
    model = load_model()

    def language_of(text: str) -> str:
        labels = identify(text, model, 1)
        label = labels[0][0].partition("_")[0] if labels else ""
        try:
            return find_any_code(label) if label else ""
        except SettingsError:
            return label

    click.echo(evaluate_by_tasks(request, Listener(lambda line: click.echo(line, err=True), language_of)))
