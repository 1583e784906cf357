"""`roots prompts` end to end, and its parts: rendering, limits, pairs, the mixture, evaluation files."""

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.prompts.make import describe_prompts, make_prompts
from pipelines.prompts.mixture import Sizes, mixture_weights, prompt_shards
from pipelines.prompts.records import pairs_of, read_labelled
from pipelines.prompts.rendering import prepare_rendering
from pipelines.prompts.settings import DataSetFacts, PromptsRequest, PromptsSettings, RecordForm
from pipelines.prompts.templates import read_templates
from roots import shards
from roots.errors import InputError, SettingsError
from roots.executors import make_executor
from tests.benchmarks import prompt_parity

Row = dict[str, Any]
NLI = """dataset: xnli
subset: fr
templates:
  b1: !Template
    answer_choices: Yes ||| Maybe ||| No
    id: b1
    jinja: "{{premise}} Question: {{hypothesis}} ||| {{ answer_choices[label] }}"
    metadata: !TemplateMetadata
      languages: [en]
    name: question
  a2: !Template
    answer_choices: null
    id: a2
    jinja: "{% if label == 0 %}{{premise}} {{['then', 'so'] | choice}} ||| {{hypothesis}}{% endif %}"
    name: entailed
"""


def write_rows(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def nli(count: int) -> list[Row]:
    return [{"premise": f"premise {n}", "hypothesis": f"hypothesis {n}", "label": n % 3} for n in range(count)]


def request(folder: Path, rows: list[Row], templates: str = NLI, **changed: Any) -> PromptsRequest:
    (folder / "t.yaml").write_text(templates, encoding="utf-8")
    data = write_rows(folder / "data.jsonl", rows)
    facts = DataSetFacts(language="fr", task="nli")
    return replace(PromptsRequest((data,), folder / "out", folder / "t.yaml", facts=facts), **changed)


def make(wanted: PromptsRequest, workers: int = 1) -> dict[str, Any]:
    return make_prompts(wanted, make_executor("serial" if workers == 1 else "local", workers))


def rows_of(folder: Path, kept: bool = True) -> list[Row]:
    chains = prompt_shards(folder)
    found = (
        shards.read_kept(c.chain, ["id", "inputs", "targets", "language"]) if kept else shards.read(c.rendered)
        for c in chains
    )
    return [row for batches in found for batch in batches for row in batch.to_pylist()]


def render(jinja: str, fields: Row, choices: str = "", lenient: bool = False, truncate: bool = False) -> Any:
    template = {"id": "t", "jinja": jinja, "answer_choices": choices}
    rows = prepare_rendering([template], 0, lenient, truncate)([{"id": "r", "fields": fields, "templates": [0]}])
    return next(rows)["examples"][0]


def test_no_row_is_lost_and_every_drop_has_a_reason(tmp_path: Path) -> None:
    rows = [*nli(6), nli(1)[0]]
    wanted = request(tmp_path, rows)
    with wanted.data[0].open("a") as file:
        file.write("no record\n")
    manifest = make(wanted)
    held = manifest["data_sets"]["xnli__fr"]
    assert manifest["rows"] == 7 * 2 + 1 == held["kept"] + sum(held["drops"].values())
    assert held["drops"] == {"prompts.empty": 4, "prompts.copy": 2, "prompts.broken": 1}
    assert rows_of(wanted.target)[1]["targets"] == "Yes"
    assert {row["prompt_language"] for row in rows_of(wanted.target, kept=False)} == {"en", None}
    assert "8 of 15 examples stay" in describe_prompts(manifest)


def test_the_nearest_field_is_named_for_an_unknown_one() -> None:
    *_, drop, why = render("{{premis}} ||| x", {"premise": "p"})
    assert (drop, why) == ("prompts.error", "unknown field 'premis'. Did you mean 'premise'? Known: premise.")
    assert render("{{premis}} a ||| x", {"premise": "p"}, lenient=True)[:2] == ("a", "x")


@pytest.mark.parametrize(
    ("jinja", "drop"),
    [
        ("a ||| b", None),
        ("a", "prompts.no_separator"),
        ("a ||| b ||| c", "prompts.two_targets"),
        ("{% if x == 2 %}a ||| b{% endif %}", "prompts.empty"),
        ("a ||| {{ '' }}", "prompts.empty"),
        ("{{ ''.__class__.__mro__ }} ||| b", "prompts.error"),
        ("{% for i in range(10**9) %}{% endfor %}a ||| b", "prompts.error"),
        ("{% for i in range(1000) %}{{ 'a' * 1000 }}{% endfor %} ||| b", "prompts.too_long"),
        ("{{ items.append(1) }} ||| b", "prompts.error"),
    ],
)
def test_a_template_gives_an_example_or_a_reason(jinja: str, drop: str | None) -> None:
    assert render(jinja, {"x": 1, "items": []})[3] == drop


def test_a_separator_in_a_field_survives() -> None:
    assert render("{{a}} {{b[0]}} ||| {{answer_choices[0]}}", {"a": "1 ||| 2", "b": ["|||"]}, "{{a}} ||| z")[:3] == (
        "1 ||| 2 |||", "1 ||| 2", ["1 ||| 2", "z"]
    )  # fmt: skip


def test_truncate_cuts_values_as_promptsource_does() -> None:
    text = "word " * 1000
    assert len(render("{{a}} ||| b", {"a": text}, truncate=True)[0]) <= 2048
    assert render("{{a}} ||| b", {"a": text})[0] == text.strip()


def test_a_draw_depends_on_record_and_template_alone() -> None:
    template = {
        "id": "t",
        "jinja": "{{ range(900) | list | choice }} ||| {{ range(900) | list | random }}",
        "answer_choices": "",
    }
    items = [{"id": str(n), "fields": {}, "templates": [0]} for n in range(5)]
    first = [row["examples"][0][:2] for row in prepare_rendering([template], 0, False, False)(items)]
    again = [row["examples"][0][:2] for row in prepare_rendering([template], 0, False, False)(items[::-1])]
    assert first == again[::-1]
    assert len({one for one, _ in first}) == 5
    assert all(one != two for one, two in first)


def test_the_guard_ends_long_loops_and_large_texts_and_goes_on(tmp_path: Path) -> None:
    loops = "{% for i in range(1000) %}" * 3 + "{% endfor %}" * 3
    templates = NLI + f'  c3: !Template\n    id: c3\n    jinja: "{loops} a ||| b"\n    name: slow\n'
    templates += "  d4: !Template\n    id: d4\n    jinja: \"{{ 'a' * 10**9 }} ||| b\"\n    name: large\n"
    make(request(tmp_path, nli(2), templates, settings=PromptsSettings(cpu_seconds=0.3)))
    found = Counter((row["template"], row["drop"]) for row in rows_of(tmp_path / "out", kept=False))
    assert found[("slow", "prompts.timeout")] == found[("large", "prompts.memory")] == found[("question", None)] == 2


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.getcwd []", "!Other {}"])
def test_a_file_of_templates_runs_no_code(tmp_path: Path, tag: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(f"templates:\n  a: {tag}\n")
    with pytest.raises(InputError, match="not a file of templates"):
        read_templates(path)


def test_toml_says_the_same_as_yaml(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(NLI)
    (tmp_path / "t.toml").write_text(
        'dataset = "xnli"\nsubset = "fr"\n[[templates]]\nid = "b1"\nname = "question"\nlanguage = "en"\n'
        'answer_choices = "Yes ||| Maybe ||| No"\n'
        'jinja = "{{premise}} Question: {{hypothesis}} ||| {{ answer_choices[label] }}"\n'
    )
    yaml, toml = read_templates(tmp_path / "t.yaml"), read_templates(tmp_path / "t.toml")
    assert toml.data_set == yaml.data_set == "xnli/fr"
    assert toml.templates[0] in yaml.templates


def test_a_template_that_is_no_jinja_is_said_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="template 'question' is not valid Jinja"):
        make(request(tmp_path, nli(1), NLI.replace("{{premise}} Q", "{{premise} Q")))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("fields", "pairs"),
    [
        ({"inputs": "a", "targets": "b"}, [("a", "b")]),
        ({"prompt": "a", "completion": "b", "x": 1}, [("a", "b")]),
        ({"instruction": "a", "input": "", "output": "b"}, [("a", "b")]),
        ({"instruction": "a", "input": "i", "output": "b"}, [("a\n\ni", "b")]),
        ({"inputs": "a", "targets": 3}, None),
        ({"text": "a"}, None),
        (
            {
                "messages": [
                    {"role": role, "content": role[0] + str(n)} for n in (1, 2) for role in ("user", "assistant")
                ]
            },
            [("u1", "a1"), ("user: u1\nassistant: a1\nuser: u2\nassistant:", "a2")],
        ),
        ({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]}, []),
    ],
)
def test_pairs_are_known_by_their_columns(fields: Row, pairs: list[tuple[str, str]] | None) -> None:
    assert pairs_of(fields) == pairs


def test_ready_pairs_need_no_templates_and_other_tables_do(tmp_path: Path) -> None:
    wanted = request(tmp_path, [{"inputs": "a\n", "targets": "b", "language": "sw"}, {"inputs": "", "targets": "b"}])
    assert make(replace(wanted, templates=None))["kept"] == 1
    assert rows_of(wanted.target) == [
        {"id": rows_of(wanted.target)[0]["id"], "inputs": "a\n", "targets": "b", "language": "sw"}
    ]
    write_rows(wanted.data[0], nli(1))
    with pytest.raises(InputError, match=r"columns: hypothesis, label, premise\): give --templates|give --templates"):
        make(replace(wanted, templates=None))


def test_one_record_in_any_form_has_one_id(tmp_path: Path) -> None:
    rows = nli(3)
    table = pa.Table.from_pylist(rows)
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    (tmp_path / "a.json").write_text(json.dumps(rows))
    names = ("entailment", "neutral", "contradiction")
    lines = [f"{row['premise']}\t{row['hypothesis']}\t{names[row['label']]}" for row in rows]
    (tmp_path / "a.tsv").write_text("\r\n".join(lines) + "\r\n")
    (tmp_path / "b.csv").write_text(
        "label,premise,hypothesis\n" + "".join(f'{r["label"]},"{r["premise"]}",{r["hypothesis"]}\n' for r in rows)
    )
    found = {
        "jsonl": [*read_labelled(write_rows(tmp_path / "a.jsonl", rows), RecordForm())],
        **{name: [*read_labelled(tmp_path / f"a.{name}", RecordForm())] for name in ("parquet", "arrow", "json")},
        "tsv": [*read_labelled(tmp_path / "a.tsv", RecordForm(("premise", "hypothesis", "label"), {"label": names}))],
        "csv": [*read_labelled(tmp_path / "b.csv", RecordForm((), {"label": ("0", "1", "2")}))],
    }
    assert len({tuple(record.id for record in records) for records in found.values()}) == 1


def test_the_examples_under_a_cap_are_the_same_in_any_order_and_for_any_workers(tmp_path: Path) -> None:
    rows = [{"inputs": f"{chr(97 + n % 26)} question {n}", "targets": f"answer {n}"} for n in range(520)]
    shuffled = rows[:]
    random.Random(1).shuffle(shuffled)
    kept = []
    for number, (part, workers) in enumerate(((rows, 1), (shuffled, 2))):
        (folder := tmp_path / str(number)).mkdir()
        wanted = request(folder, part[:300], settings=PromptsSettings(cap=104), templates=NLI)
        data = (*wanted.data, write_rows(folder / "more.jsonl", part[300:]))
        assert make(replace(wanted, templates=None, data=data), workers)["kept"] == 104
        kept.append(sorted(row["inputs"] for row in rows_of(wanted.target)))
    assert kept[0] == kept[1]
    letters = np.array([Counter(text[0] for text in kept[0])[chr(97 + n)] for n in range(26)])
    assert ((letters - 4) ** 2 / 4).sum() < 52.6  # chi-square, 25 degrees of freedom, p = .001


def test_a_set_over_the_cap_has_one_template_a_record_and_t0_shares_its_limit(tmp_path: Path) -> None:
    templates = NLI.replace("{% if label == 0 %}", "").replace("{% endif %}", "")
    wanted = request(tmp_path, nli(30), templates, settings=PromptsSettings(cap=20))
    make(wanted)
    assert len({row["id"].partition("/")[0] for row in rows_of(wanted.target)}) == len(rows_of(wanted.target))
    make(replace(wanted, settings=PromptsSettings(rule="t0", large=10)))
    assert Counter(row["id"].partition("/")[2] for row in rows_of(wanted.target)) == {"a2": 5, "b1": 5}
    assert make(replace(wanted, settings=PromptsSettings(rule="t0")))["kept"] == 60


def test_languages_are_weighed_by_size_to_a_power_or_fixed() -> None:
    sizes = {"en": Sizes(900, 1), "sw": Sizes(100, 1), "code": Sizes(50, 1)}
    found = mixture_weights(sizes, PromptsSettings(alpha=0.5, shares={"code": 0.2}))
    assert found == {"code": 0.2, "en": 0.6, "sw": 0.2}
    with pytest.raises(SettingsError, match="Did you mean 'code'"):
        mixture_weights(sizes, PromptsSettings(shares={"coed": 0.2}))


def test_an_evaluation_record_in_the_data_drops_just_its_examples(tmp_path: Path) -> None:
    rows, run = nli(6), " ".join(f"w{n}" for n in range(13))
    rows[2]["premise"] = f"Before it, {run.upper()}. And after."
    test = [{"question": f"so {run} it is"}, rows[4] | {"premise": "PREMISE 4!", "hypothesis": "hypothesis, 4"}]
    wanted = request(tmp_path, rows, against=(write_rows(tmp_path / "test.jsonl", test),))
    manifest = make(wanted)
    dropped = [row for row in rows_of(wanted.target, kept=False) if row["drop"] == "prompts.contaminated"]
    assert {row["inputs"][-12:] for row in dropped} == {"hypothesis 2", "hypothesis 4"}
    assert [row["why"] for row in dropped] == ["test.jsonl row 1: 13 words in a row", "test.jsonl row 2: the same text"]
    assert manifest["contamination"]["examples"] == len(manifest["contamination"]["shown"]) == 2
    assert "in evaluation files: 2" in describe_prompts(manifest)


def test_a_second_data_set_joins_the_folder(tmp_path: Path) -> None:
    wanted = request(tmp_path, nli(3))
    make(wanted)
    pairs = write_rows(tmp_path / "pairs.jsonl", [{"prompt": "a", "completion": "b"}])
    manifest = make(replace(wanted, templates=None, data=(pairs,), facts=DataSetFacts("chat", "sw")))
    assert set(manifest["data_sets"]) == {"xnli__fr", "chat"}
    assert set(manifest["weights"]) == {"fr", "sw"}
    assert manifest["tasks"]["nli"]["examples"] == 4


def test_examples_equal_promptsources(tmp_path: Path) -> None:
    """Needs promptsource's files of templates, which we may not ship, and its answers, which the benchmark keeps."""
    if not prompt_parity.TEMPLATES.is_dir():
        pytest.skip("promptsource's templates are not here")
    digests = json.loads(prompt_parity.DIGESTS.read_text(encoding="utf-8"))
    for path in sorted(prompt_parity.TEMPLATES.rglob("templates.yaml")):
        name = read_templates(path).data_set
        made = prompt_parity.ours(path, prompt_parity.records_of(name))
        assert prompt_parity.digest_of(made) == digests[name], name
