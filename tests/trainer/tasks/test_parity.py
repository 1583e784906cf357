"""Answers and metrics beside lm-evaluation-harness, sacrebleu and rouge-score: `tests.benchmarks.task_parity`."""

import json

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'roots-corpus[train]'")

import torch

from tests.benchmarks.task_parity import EXPECTED, LARGEST, distance, our_answers, our_metrics
from tests.support.task_files import ANSWERS, TASKS, write_model, write_tasks
from trainer.tasks import metrics
from trainer.tasks.score import CausalModel

PEERS = json.loads(EXPECTED.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parity")
    model = write_model(folder / "model")
    tasks = write_tasks(folder / "tasks")
    return {place: our_answers(model / place, tasks, folder / place) for place in ("run", "export")}


def test_a_run_and_its_export_give_the_same_answers(answers):
    assert answers["run"] == answers["export"]


@pytest.mark.parametrize("task", TASKS)
def test_likelihoods_and_scores_are_those_of_the_harness(answers, task):
    ours, theirs = answers["export"][task], PEERS["tasks"][task]
    assert distance(ours, theirs) <= LARGEST
    assert {name: pytest.approx(ours["scores"][name], rel=1e-4) for name in theirs["scores"]} == theirs["scores"]


def test_the_measures_of_choices_differ_somewhere():
    scores = PEERS["tasks"]["entailment"]["scores"]
    assert scores["acc"] != scores["acc_norm"]


@pytest.mark.parametrize("name", ["bleu 13a", "bleu char", "bleu best of all", "chrf", "chrf each"])
def test_bleu_and_chrf_are_those_of_sacrebleu(name):
    assert our_metrics()[name] == pytest.approx(PEERS["metrics"][name])


def test_the_signature_of_chrf_is_that_of_sacrebleu():
    assert metrics.CHRF_SIGNATURE in PEERS["metrics"]["chrf signature"]


def test_rouge_is_that_of_rouge_score_in_english_and_right_in_other_scripts():
    ours, theirs = our_metrics()["rouge"], PEERS["metrics"]["rouge"]
    for mine, other, (answer, references) in zip(ours, theirs, ANSWERS, strict=True):
        if "".join([answer, *references]).isascii():
            assert mine == pytest.approx(other)
    arabic = next(at for at, (answer, _) in enumerate(ANSWERS) if answer.startswith("اللغة"))
    assert (ours[arabic], theirs[arabic]) == ([1.0, 1.0, 1.0], [0.0, 0.0, 0.0])
    assert metrics.text_words("猫在桌子下面") != ["猫在桌子下面"]
    assert metrics.text_words("हिन्दी भाषा") == ["हिन्दी", "भाषा"]


def test_the_share_of_a_prefix_changes_no_likelihood(tmp_path):
    from trainer.tasks.pretrained import open_model

    model: CausalModel = open_model(write_model(tmp_path) / "export", 64)
    pairs = [
        ("The sun is a star that gives light and water boils", f" {end}") for end in ("in a cat", "no", "odd yard")
    ]
    together = model.score([model.requests(pairs)])[0]
    alone = [model.score([[request]])[0][0] for request in model.requests(pairs)]
    assert torch.allclose(torch.tensor([a.nats for a in together]), torch.tensor([b.nats for b in alone]), atol=1e-4)
    assert len(model.windows("word " * 200)) > 2


def test_another_architecture_is_read_by_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    from trainer.tasks.pretrained import open_model

    place = write_model(tmp_path) / "export"
    torch.manual_seed(0)
    shape = {
        "vocab_size": 512,
        "n_positions": 48,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 2,
        "bos_token_id": 2,
        "eos_token_id": 2,
    }
    other = transformers.GPT2LMHeadModel(transformers.GPT2Config(**shape, initializer_range=0.3)).eval()
    (place / "model.safetensors").unlink()
    other.save_pretrained(place)
    model = open_model(place, 2_048)
    assert model.longest == 48
    pairs = [("", "The cat sleeps."), ("The sun is a star", " that gives light."), ("cat " * 100, "dog eats.")]
    requests = model.requests(pairs)
    for request, found in zip(requests, model.score([requests])[0], strict=True):
        with torch.no_grad():
            logs = other(torch.tensor([request.tokens[:-1]])).logits[0].log_softmax(-1)
        wanted = torch.tensor(request.tokens[1:])
        nats = logs.gather(1, wanted[:, None])[-request.counted :].sum()
        assert found.nats == pytest.approx(float(nats), abs=1e-3)
    assert len(model.generate(["The cat", "The sun is a"], 5, ["\n"])) == 2
