"""generate: text from a model, the same for a seed, however many prompts are asked at once."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'roots-corpus[train]'")

import torch
from click.testing import CliRunner

from pipelines.cli.generate import _shower
from pipelines.cli.main import main
from tests.support.task_files import FACTS, write_model
from trainer.generate import GenerateRequest, generate_texts
from trainer.model.decoder import Sampling, draw
from trainer.settings import GenerateSettings

PROMPTS = (*(fact[0][:8] for fact in FACTS), "The cat", "")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model")) / "export"


def texts(model: Path, prompts: tuple[str, ...], **values: object) -> list[str]:
    settings = replace(GenerateSettings(tokens=12, length=64), **values)
    return [each.text for each in generate_texts(GenerateRequest(model, prompts, (), settings))]


def test_the_likeliest_text_is_what_transformers_generates(model: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    ids = tokenizer("The cat", return_tensors="pt", add_special_tokens=False).input_ids
    made = theirs.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :]
    assert texts(model, ("The cat",)) == [tokenizer.decode(made, skip_special_tokens=True)]


def test_a_run_and_its_export_give_the_same_text(model: Path) -> None:
    assert texts(model.parent / "run", PROMPTS) == texts(model, PROMPTS)


def test_a_text_depends_on_its_own_draws_alone(model: Path) -> None:
    several = texts(model, PROMPTS, temperature=1.5, samples=2, seed=3)
    assert several == texts(model, PROMPTS, temperature=1.5, samples=2, seed=3)
    assert several[:2] == texts(model, PROMPTS[:1], temperature=1.5, samples=2, seed=3)
    assert several != texts(model, PROMPTS, temperature=1.5, samples=2, seed=4)
    assert len({*several[::2]} & {*several[1::2]}) < len(PROMPTS)


def test_a_stop_text_ends_a_continuation_and_is_no_part_of_it(model: Path) -> None:
    (whole,) = texts(model, ("The sun",))
    stop = whole[3:5]
    (cut,) = texts(model, ("The sun",), stop=(stop,))
    assert cut == whole.partition(stop)[0]


def test_draws_come_from_the_likeliest_tokens_only() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log().repeat(400, 1)
    own = [torch.Generator().manual_seed(number) for number in range(400)]

    def drawn(sampling: Sampling) -> set[int]:
        return set(draw(logits, sampling, own).flatten().tolist())

    assert drawn(Sampling(1.0, 0)) == {0, 1, 2, 3}
    assert drawn(Sampling(1.0, 2)) == {0, 1}
    assert drawn(Sampling(1.0, 0, (), 0.79)) == {0, 1}
    assert drawn(Sampling(1.0, 0, (), 0.81)) == {0, 1, 2}
    assert drawn(Sampling(1.0, 0, (), 1e-9)) == {0}
    counts = torch.bincount(draw(logits, Sampling(1.0, 0), own).flatten(), minlength=4) / 400
    assert torch.allclose(counts, torch.tensor([0.5, 0.3, 0.15, 0.05]), atol=0.08)


def test_the_command_prints_texts_or_writes_json_lines(model: Path, tmp_path: Path) -> None:
    def ask(*options: str, given: str | None = None) -> str:
        result = CliRunner().invoke(main, ["generate", str(model), *options], input=given)
        assert result.exit_code == 0, result.output
        return result.stdout

    (text,) = texts(model, ("The cat",), length=2048, tokens=6)
    assert ask("The cat", "--tokens", "6") == f"The cat{text}\n"
    assert ask("--prompts", "-", "--tokens", "6", given="The cat\n\n") == f"The cat{text}\n"
    (tmp_path / "p.jsonl").write_text('{"prompt": "The cat"}\n{"prompt": "猫在"}\n', encoding="utf-8")
    target = tmp_path / "out.jsonl"
    assert "2 texts" in ask("--prompts", str(tmp_path / "p.jsonl"), "--tokens", "6", "--json", str(target))
    lines = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert lines[0] == {"prompt": "The cat", "sample": 0, "text": text}
    assert lines[1]["prompt"] == "猫在"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "no prompt"),
        (("a", "--samples", "2"), "need a temperature"),
        (("a", "--set", "generate.top_p=0"), "top_p"),
        (("--prompts", "nothing.txt"), "cannot be read"),
    ],
)
def test_a_mistake_is_said(model: Path, options: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(main, ["generate", str(model), *options])
    assert result.exit_code == 2
    assert said in result.output


def test_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["generate", str(tmp_path), "a"])
    assert result.exit_code == 2


def test_text_appears_by_whole_letters(capsys: pytest.CaptureFixture[str]) -> None:
    show = _shower()
    seen = []
    for text in ("क", "क्", "क्ष", "क्षि त", "क्षि त\ufffd", "क्षि तो", "क्षि तो!\n\n"):
        show(text)
        seen.append(capsys.readouterr().out)
    assert "".join(seen) == "क्षि तो!\n"
    assert seen[:3] == ["", "", ""]
