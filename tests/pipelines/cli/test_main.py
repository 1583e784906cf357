"""The command line: its groups, how short its commands are, and how quickly it answers."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pipelines.cli import options as cli_options
from pipelines.cli.main import main
from pipelines.job.stages import STAGES, stage_commands
from roots.errors import InputError, SettingsError
from roots.executors import EXECUTORS
from tests.support.paths import ROOT

CLI = ROOT / "pipelines" / "cli"
LONGEST_BODY = 12  # lines of a command: more is a decision that belongs into the library
HEAVY = ("numba", "pyarrow", "numpy", "torch", "trafilatura", "resiliparse")

# Prints which heavy modules a command imported: they are what makes an answer slow.
PROGRAM = f"""
import sys
from click.testing import CliRunner
from pipelines.cli.main import main
result = CliRunner().invoke(main, sys.argv[1:])
print(result.exit_code, *[name for name in {HEAVY!r} if name in sys.modules])
print(result.output)
"""


def commands(group: click.Group = main, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that call it, those of groups too."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def run(*arguments: str) -> tuple[int, list[str], str]:
    """Run a command in a new process: its exit code, the heavy modules it imported, its output."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    first, _, output = done.stdout.partition("\n")
    code, *heavy = first.split()
    return int(code), heavy, output


def test_help_lists_every_command_in_a_group_with_its_own_first_sentence() -> None:
    """The list is a table, so that help imports no command: here it is compared with the commands."""
    lines = CliRunner().invoke(main, ["--help"], terminal_width=200).output.splitlines()
    listed = {}
    for line in lines[lines.index("The whole job:") :]:
        name, _, text = line.strip().partition("  ")
        if line.startswith("  "):
            listed[name] = text.strip()
    context = click.Context(main)
    own = {name: main.get_command(context, name) for name in main.list_commands(context)}
    assert listed == {name: command.help.splitlines()[0] for name, command in own.items() if command and command.help}
    assert set(stage_commands()) <= set(listed)


@pytest.mark.parametrize(
    ("words", "said"),
    [("rum", "'run'"), ("stats", "'status'"), ("tokenizer evl", "'eval'"), ("lid tran", "'train'")],
)
def test_an_unknown_command_is_answered_with_the_nearest(words: str, said: str) -> None:
    result = CliRunner().invoke(main, words.split())
    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize("words", [pytest.param(words, id=" ".join(words)) for words, _ in commands()])
def test_every_command_has_an_example_that_it_accepts(words: tuple[str, ...]) -> None:
    text = dict(commands())[words].help or ""
    assert "Example:\n" in text
    assert f"roots {' '.join(words)}" in text.partition("Example:\n")[2]


def test_no_command_has_a_long_body() -> None:
    bodies = {}
    for path in sorted(CLI.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and _is_command(node):
                bodies[f"{path.name}:{node.name}"] = _lines(node)
    assert len(bodies) > 25
    assert {name: lines for name, lines in bodies.items() if lines > LONGEST_BODY} == {}


def _is_command(function: ast.FunctionDef) -> bool:
    return any(isinstance(each, ast.Name) and each.id == "show_errors" for each in function.decorator_list)


def _lines(function: ast.FunctionDef) -> int:
    """Lines of a body without its docstring and imports."""
    body = [node for node in function.body if not isinstance(node, ast.ImportFrom | ast.Import)]
    body = body[1:] if ast.get_docstring(function) else body
    return sum((node.end_lineno or node.lineno) - node.lineno + 1 for node in body)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["run", "--help"], ["publish", "--help"], ["train", "--help"], ["lid", "train", "--help"]],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code, heavy, _ = run(*arguments)
    assert (code, heavy) == (0, [])


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("run work --lang fr --set extract.cpu_second=3", "Did you mean 'cpu_seconds'"),
        ("run work --lang fr --set dedup.jaccard=7", "not in (0, 1]"),
        ("run work --lang fr --set dedup.keep=longst", "Did you mean 'longest'"),
        ("run work --lang fr --set dedup.presett=roots", "Did you mean 'preset'"),
        ("run work --lang fr --set dedup.preset=[1]", "unknown preset"),
        ("run work --lang fr --set extrct.depth=3", "Did you mean 'extract'"),
        ("run work --lang fr --set filter.digits.max=0.1", "--set filter.bounds=FILE.toml"),
        ("run work --lang fr --set filter.script=0.5", "--set filter.bounds=FILE.toml"),
        ("run work --lang fr --set bounds.words.min=10", "--set filter.bounds=FILE.toml"),
        ("run work --lang frensh", "Did you mean 'French' (fr)"),
        ("plan --input x --lang fr --set plan.pieces=1", "at least"),
        ("publish work --to release --set publish.licens=x", "Did you mean 'license'"),
        ("takedown release --list x --set takedown.polcy=x", "Did you mean 'policy'"),
        ("report work --lang fr --set report.document=3", "Did you mean 'documents'"),
        ("lid train --text x --to y --set lid.dims=3", "Did you mean 'dim'"),
        ("tokenizer train work --lang fr --set tokenizer.round=1", "Did you mean 'rounds'"),
        ("train work --lang fr --set train.prest=1b", "Did you mean 'preset'"),
        ("evaluate work --lang fr --set evaluate.curv=1", "Did you mean 'curve'"),
    ],
)
def test_a_mistake_is_answered_before_anything_heavy_is_imported(command: str, said: str) -> None:
    code, heavy, output = run(*command.split())
    assert code == SettingsError.exit_code
    assert said in output
    assert heavy == []


def test_status_imports_no_more_than_it_reads_receipts_with(tmp_path: Path) -> None:
    code, heavy, output = run("status", str(tmp_path))
    assert code == InputError.exit_code
    assert "no work folder" in output
    assert set(heavy) <= {"pyarrow", "numpy"}


def test_the_executors_of_the_help_are_all_executors() -> None:
    text = CliRunner().invoke(main, ["run", "--help"], terminal_width=200).output
    assert f"Where to run: {', '.join(EXECUTORS)}." in text


def test_torchrun_starts_the_command_that_has_the_settings_of_train(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipelines.cli", "train", str(tmp_path), "--lang", "fr", "--set", "train.prest=1b"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == SettingsError.exit_code
    assert "Did you mean 'preset'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_extra_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    for name in [name for name in sys.modules if name.startswith("trainer.tokenizer") or name == "trainer.steps"]:
        monkeypatch.delitem(sys.modules, name)
    result = CliRunner().invoke(main, ["tokenizer", "train", "work", "--lang", "fr"])
    assert result.exit_code == SettingsError.exit_code
    assert "pip install 'roots-corpus[train]'" in result.output


def test_a_bug_keeps_its_traceback() -> None:
    @click.command()
    @cli_options.show_errors
    def broken() -> None:
        import a_module_that_is_not_there  # noqa: F401

    result = CliRunner().invoke(broken, [])
    assert isinstance(result.exception, ModuleNotFoundError)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--set", "oven.heat=3"], {"oven": {"heat": 3, "fan": True}}),
        (["--set", "cake.layers=2"], {"oven": {"heat": 1, "fan": True}, "cake": {"layers": 2}}),
        ([], {"oven": {"heat": 1, "fan": True}}),
    ],
)
def test_set_stands_above_config(options: list[str], wanted: dict[str, dict[str, object]], tmp_path: Path) -> None:
    found = []

    @click.command()
    @cli_options.settings_options
    def bake(options: cli_options.RunOptions) -> None:
        found.append(options.settings({"oven": {"fan": True, "door": ""}}))

    (tmp_path / "x.toml").write_text("[oven]\nheat = 1\n")
    result = CliRunner().invoke(bake, ["--config", str(tmp_path / "x.toml"), *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert found == [wanted]


def test_a_group_of_a_config_that_is_no_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("dedup = 3\n")
    result = CliRunner().invoke(main, ["run", "work", "--lang", "fr", "--config", str(tmp_path / "x.toml")])
    assert result.exit_code == SettingsError.exit_code
    assert "dedup is not a table" in result.output


def test_a_stage_has_only_options_that_it_has_a_use_for() -> None:
    known = dict(commands())
    for name, info in stage_commands().items():
        options = {option for parameter in known[(name,)].params for option in parameter.opts}
        assert ("--input" in options) == any(STAGES[stage].shared for stage in info.stages)
        assert ("--replace" in options) == any(STAGES[stage].shared or STAGES[stage].final for stage in info.stages)
        assert ("--lang" in options) == (name != "index")
        assert ("--against" in options) == ("dedup" in info.stages)
        assert ("--extractor" in options) == ("extract" in info.stages)


def test_a_stopped_training_ends_with_a_code_that_a_script_sees(monkeypatch, tmp_path):
    pytest.importorskip("torch", reason="torch is not installed: pip install 'roots-corpus[train]'")
    from trainer.training.train import TrainingResult

    ends = {step == 20: TrainingResult(step, step * 256, step == 20, {}, 5120, 1.0, 1.0) for step in (19, 20)}
    for finished, code in ((True, 0), (False, 75)):
        monkeypatch.setattr("trainer.steps.make_model", lambda *given, end=ends[finished]: (tmp_path, end))
        result = CliRunner().invoke(main, ["train", str(tmp_path), "--lang", "fr"])
        assert result.exit_code == code
    assert "stopped at step 19, 4,864 of 5,120 tokens" in result.output
    assert "same command goes on" in result.output


def test_the_trainer_takes_a_language_file_and_any_name_of_a_language(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("tokenizers", reason="tokenizers is not installed: pip install 'roots-corpus[train]'")
    (tmp_path / "uk.toml").write_text("", encoding="utf-8")
    (tmp_path / "work" / "mine" / "shards").mkdir(parents=True)
    seen: list[tuple[str, ...]] = []
    monkeypatch.setattr("trainer.steps.make_tokens", lambda work, codes, *more: seen.append(codes) or iter(()))
    for name in (str(tmp_path / "uk.toml"), "Swahili", "mine"):
        result = CliRunner().invoke(main, ["tokens", str(tmp_path / "work"), "--lang", name])
        assert result.exit_code == 0
    assert seen == [("uk",), ("sw",), ("mine",)]
