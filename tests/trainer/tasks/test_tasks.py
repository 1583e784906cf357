"""Tasks: what task files say, templates in their sandbox, questions, counting, and the page."""

import gzip
import json
import re
import shutil
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'roots-corpus[train]'")

from click.testing import CliRunner

from pipelines.cli.main import main
from roots.errors import InputError
from roots.intervals import wilson
from tests.support.task_files import write_model, write_tasks
from trainer.settings import TaskSettings
from trainer.tasks import metrics
from trainer.tasks.definitions import read_tasks
from trainer.tasks.evaluate import Score, TaskResult
from trainer.tasks.examples import make_questions
from trainer.tasks.run import TaskRequest, evaluate_by_tasks
from trainer.tasks.score import CausalModel
from trainer.tasks.templates import render

YAML = """task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: rows.jsonl}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: [yes it is, no]
doc_to_target: right
"""
ROWS = [{"question": f"Is {number} even?", "right": number % 2} for number in range(6)]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "even.yaml").write_text(YAML.format(name="even"))
    return tmp_path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


def test_a_file_includes_another_and_may_replace_its_values(folder):
    (folder / "odd.yaml").write_text("include: even.yaml\ntask: odd\nnum_fewshot: 2\n")
    even, odd = read_tasks(folder)
    assert (even.name, odd.name, even.shots, odd.shots) == ("even", "odd", 0, 2)
    assert odd.prompt == even.prompt


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("process_docs: !function x.f", "Python"),
        ("process_docs: !!python/object/apply:os.system [ls]", "refused"),
        ("process_docs: 1", "not supported"),
        ("output_type: choices", "output_type"),
        ("dataset_path: super_glue", "not local"),
        ("test_split: other", "split"),
        ("include: even.yaml", "includes itself"),
        ("dataset_kwargs: {data_files: {test: 'https://example.org/x.jsonl'}}", "on this machine"),
        ("dataset_kwargs: {data_files: {test: nowhere.jsonl}}", "no file nowhere.jsonl"),
        ("generation_kwargs: {do_sample: true}", "likeliest"),
        ("filter_list: [{filter: [{function: custom}]}]", "filter"),
    ],
)
def test_what_a_task_may_not_ask_is_said(folder, line, message):
    key = line.partition(":")[0]
    kept = [each for each in YAML.format(name="even").splitlines() if not each.startswith(f"{key}:")]
    (folder / "even.yaml").write_text("\n".join([*kept, line]))
    with pytest.raises(InputError, match=re.escape(message)):
        read_tasks(folder)


def test_a_toml_file_has_a_task_for_each_prompt(folder):
    (folder / "fr.tsv").write_text('Il pleut.\tIl fait "sec.\tnon\n')
    (folder / "nli.toml").write_text(
        'data = "fr.tsv"\nlanguage = "fr"\ncolumns = ["premise", "claim", "label"]\n'
        '[[prompts]]\nname = "short"\ntext = "{{premise}} Donc {{claim}}"\nchoices = ["oui", "non"]\ntarget = "label"\n'
        '[[prompts]]\nname = "long"\ntext = "{{premise}}"\nchoices = ["oui", "non"]\ntarget = "{{label}}"\n'
    )
    long, short = (task for task in read_tasks(folder) if task.family == "nli")
    assert (short.name, long.name, short.language) == ("nli.short", "nli.long", "fr")
    (question,) = make_questions(short, 0, 0, 0).asked
    assert question.pairs == (('Il pleut. Donc Il fait "sec.', " oui"), ('Il pleut. Donc Il fait "sec.', " non"))
    assert question.right == make_questions(long, 0, 0, 0).asked[0].right == (1,)


def test_a_folder_of_prompts_has_a_task_for_each_template_and_language(tmp_path):
    row = {"id": "1", "data_set": "facts", "task": "nli", "template": "short", "language": "fr", "inputs": "Il pleut.",
           "targets": "non", "choices": ["oui", "non"], "drop": None}  # fmt: skip
    rows = [row, row | {"drop": "prompts.copy"}, row | {"template": "free", "choices": None}]
    (tmp_path / "rendered" / "facts").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rendered" / "facts" / "a.parquet")
    free, short = read_tasks(tmp_path)
    assert (short.name, short.kind, short.language) == ("facts.short.fr", "choice", "fr")
    assert (free.name, free.kind, free.family) == ("facts.free.fr", "generate", "facts")
    (question,) = make_questions(short, 0, 0, 0).asked
    assert (question.pairs, question.right) == ((("Il pleut.", " oui"), ("Il pleut.", " non")), (1,))
    assert make_questions(free, 0, 0, 0).asked[0].references == ("non",)


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{% for i in range(10**9) %}x{% endfor %}",
        "{% for i in range(1000000) %}x{% endfor %}",
        "{{ 'a' * 10**9 }}",
        "{{ 'x' | center(10**9) }}",
        "{{ 'x'.center(10**9) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ (word * 1) }}",
        "{{ ('a,' ~ word).replace('a', big).replace('b', big) }}",
        "{% for i in range(900) %}{% for j in range(900) %}{{ word }}{% endfor %}{% endfor %}",
        "{% for i in range(5000) %}{% for j in range(5000) %}{% endfor %}{% endfor %}",
        "{% for i in big %}{% for j in big %}{% for k in big %}{% endfor %}{% endfor %}{% endfor %}",
        "{{ nothing }}",
        "{% if %}",
        "{{ word | map('attr', '__class__') | list }}",
        "{% include '/etc/passwd' %}",
    ],
)
def test_a_template_that_goes_too_far_is_refused(template):
    tracemalloc.start()
    with pytest.raises(InputError, match="template"):
        render(template, {"word": "word", "big": "b" * 100_000})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 20, "the text was made before it was refused"


def test_a_template_fills_texts_as_the_harness_does():
    example = {"a": "Two\n", "b": ["x", "y"]}
    assert render("{{a}}{{b | join(', ')}} {{a.strip().lower().replace('t', 'w')}}\n", example) == "Two\nx, y wwo\n"
    assert render("{{a | regex_replace('[aeiou]', '_')}}", example) == "Tw_\n"


def test_solved_examples_never_hold_the_question_and_depend_on_the_seed_alone(folder):
    (task,) = read_tasks(folder)
    first = make_questions(task, 3, 0, seed=1)
    assert first == make_questions(task, 3, 0, seed=1)
    assert first != make_questions(task, 3, 0, seed=2)
    for question, row in zip(first.asked, ROWS, strict=True):
        context = question.pairs[0][0]
        assert context.count("\n\n") == 3
        assert context.count(row["question"]) == 1
        assert "Is 2 even? yes it is\n\n" in context or "Is 2 even? yes" not in context
    with pytest.raises(InputError, match="fewer than 6"):
        make_questions(task, 6, 0, seed=1)


def test_examples_that_cannot_be_asked_are_counted(folder):
    rows = [*ROWS, {"question": "Is it?", "right": 7}, {"right": 1}]
    with gzip.open(folder / "rows.jsonl.gz", "wt") as file:
        file.write("\n".join(map(json.dumps, rows)))
    (folder / "even.yaml").write_text(YAML.format(name="even").replace("rows.jsonl", "rows.jsonl.gz"))
    (task,) = read_tasks(folder)
    questions = make_questions(task, 0, 0, 0)
    assert len(questions.asked) == 6
    assert sorted(questions.left_out.values()) == [1, 1]
    assert any("none of the 2 choices" in why for why in questions.left_out)


@pytest.mark.parametrize("text", ['{"a": 1}\n[2]\n', "{", '"text"', '{"a": "\xff"}'])
def test_a_file_that_cannot_be_read_is_named(folder, text):
    (folder / "rows.jsonl").write_bytes(text.encode("latin-1"))
    (task,) = read_tasks(folder)
    with pytest.raises(InputError, match=r"rows\.jsonl cannot be read"):
        make_questions(task, 0, 0, 0)


def test_answers_that_go_on_are_also_judged_without_the_rest(model, folder, monkeypatch):
    monkeypatch.setattr(CausalModel, "generate", lambda *_: ["a cat\nTwo: dog"] * 2)
    (folder / "rows.jsonl").write_text('{"one": "chat", "two": "a cat"}\n' * 2)
    (folder / "mt.toml").write_text(
        'data = "rows.jsonl"\nkind = "generate"\nends = []\n[[prompts]]\ntext = "{{one}}\\nTwo:"\ntarget = "two"\n'
    )
    evaluate_by_tasks(TaskRequest(model / "export", folder / "mt.toml", folder / "out"))
    ((found,),) = (json.loads((folder / "out" / "tasks.json").read_text())["results"],)
    values = {name: found["scores"][name]["value"] for name in ("chrf", "chrf_first_line", "chrf_before_repeat")}
    assert values["chrf"] < values["chrf_first_line"] == values["chrf_before_repeat"] == pytest.approx(100)


def result(right, asked, chance, majority=None):
    score = Score(right / asked, *wilson(right, asked))
    return TaskResult(None, 0, asked, {}, {"acc": score}, [], chance, majority)


def test_a_verdict_compares_with_chance_and_majority():
    assert result(36, 100, 1 / 3).verdict == "not distinguishable from chance"
    assert result(60, 100, 1 / 3).verdict == "above chance"
    assert result(60, 100, 1 / 3, 0.58).verdict == "above chance, not above the majority"
    assert result(10, 100, 1 / 3).verdict == "below chance"


def test_the_page_has_every_task_and_names_those_that_failed(model, tmp_path):
    tasks = write_tasks(tmp_path / "tasks")
    broken = (tasks / "sentences.yaml").read_text().replace("task: sentences", "task: <b>broken")
    (tasks / "broken.yaml").write_text(broken.replace("premise[::-1]", "nothing"))
    settings = TaskSettings(limit=4, resamples=20, length=64)
    table = evaluate_by_tasks(TaskRequest(model / "run", tasks, tmp_path / "out", (), settings))
    again = evaluate_by_tasks(TaskRequest(model / "run", tasks, tmp_path / "out2", (), settings))
    assert table == again
    html = (tmp_path / "out" / "tasks.html").read_text()
    for text in ("entailment", "not distinguishable from chance", "<svg", "&lt;b&gt;broken", "nc:6|nw:0|space:no"):
        assert text in html
    assert "<b>broken" not in html
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")
    values = json.loads((tmp_path / "out" / "tasks.json").read_text())
    assert list(values["failed"]) == ["<b>broken, 0 shots"]
    found = {each["task"]: each for each in values["results"]}
    assert found["entailment"]["chance"] == pytest.approx(1 / 3)
    score = found["entailment"]["scores"]["acc"]
    assert score["low"] < score["value"] < score["high"]
    answers = (tmp_path / "out" / "answers" / "entailment.0-shot.jsonl").read_text().splitlines()
    assert len(answers) == 4
    assert len(json.loads(answers[0])["nats"]) == 3


def test_the_command_asks_an_export_with_several_numbers_of_shots(model, folder):
    (folder / "written.yaml").write_text(
        YAML.format(name="written")
        .replace("multiple_choice", "generate_until")
        .replace("doc_to_choice: [yes it is, no]\n", "")
        + "metadata: {language: fr}\n"
    )
    command = [
        "evaluate",
        str(model / "export"),
        "--tasks",
        str(folder),
        "--shots",
        "0,2",
        "--to",
        str(folder / "page"),
    ]
    done = CliRunner().invoke(main, [*command, "--set", "tasks.resamples=5", "--set", "tasks.tokens=4"])
    assert done.exit_code == 0, done.output
    values = json.loads((folder / "page" / "tasks.json").read_text())
    assert [(each["task"], each["shots"]) for each in values["results"]] == [
        ("even", 0), ("even", 2), ("written", 0), ("written", 2),
    ]  # fmt: skip
    assert "in_language" in values["results"][2]["scores"]
    for wrong in (["--shots", "one"], ["--set", "tasks.limit=-1"]):
        done = CliRunner().invoke(main, [*command, *wrong])
        assert done.exit_code != 0
        assert "Traceback" not in done.output


def test_the_command_asks_the_model_of_a_work_folder(model, folder):
    shutil.copytree(model / "run" / "checkpoints", folder / "work" / "sw" / "model" / "checkpoints")
    shutil.copytree(model / "run" / "tokenizer", folder / "work" / "sw" / "tokenizer")
    command = ["evaluate", str(folder / "work"), "--lang", "Swahili", "--tasks", str(folder / "even.yaml")]
    done = CliRunner().invoke(main, [*command, "--set", "tasks.limit=2"])
    assert done.exit_code == 0, done.output
    assert "even, 0 shots: acc" in done.output
    assert (folder / "work" / "sw" / "model" / "tasks" / "tasks.html").is_file()
    shutil.rmtree(folder / "work" / "sw" / "tokenizer")
    done = CliRunner().invoke(main, command)
    assert "--tokenizer" in done.output
    for words in (["evaluate", str(folder)], ["evaluate", str(folder), "--lang", "fr", "--shots", "1"]):
        assert CliRunner().invoke(main, words).exit_code == 2


def test_a_number_that_repeats_gives_the_interval_of_a_single_value():
    rows = metrics.np.array([[1.0, 2.0]] * 50)
    assert metrics.bootstrap(rows, lambda sums: float(sums[0] / sums[1]), 100, 0) == (0.5, 0.5)
