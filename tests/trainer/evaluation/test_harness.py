"""lm-evaluation-harness on an export, offline, with tasks on local files, as trainer/evaluation/README.md says."""

import json
import math
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'roots-corpus[train]'")
if find_spec("lm_eval") is None or find_spec("accelerate") is None:  # not imported here: that takes ten seconds
    pytest.skip("lm-evaluation-harness is not installed: pip install 'lm-eval[hf]==0.4.13'", allow_module_level=True)

import torch

from trainer import corpus, export
from trainer.data.token_shards import TokenShards
from trainer.evaluation import held_out
from trainer.model import checkpoint
from trainer.model.shapes import SHAPES, Shape
from trainer.training.recipe import Recipe
from trainer.training.train import train_decoder

ROLLING = """task: held_out_fr
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list: [{{metric: bits_per_byte}}]
"""
CHOICE = """task: word_order
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: ""
doc_to_target: 0
doc_to_choice: "{{{{[good, bad]}}}}"
metric_list: [{{metric: acc}}]
"""


@pytest.fixture(scope="module")
def model(world, tmp_path_factory):
    """An export of a small trained model."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("harness")
    recipe = Recipe(
        length=64, tokens=80 * 512, batch_tokens=512, evaluate_every=0, save_every=1000, attention="key_bias", lr=5e-3
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.model.shapes.SHAPES", {**SHAPES, "demo": Shape(2, 48, 4, 384)})
        train_decoder(recipe, {"fr": world / "tokens" / "fr"}, world / "tokenizer", folder / "run", lambda text: None)
    export.export_model(folder / "run", world / "tokenizer", folder / "model", export.ExportSettings())
    return folder


def test_the_harness_agrees_with_evaluate_and_prefers_real_sentences(world, model, tmp_path):
    texts = [text for _, text in corpus.documents(corpus.shard_paths(world, "fr", "validation"))]
    (tmp_path / "text.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    pairs = [{"good": text, "bad": " ".join(reversed(text.split()))} for text in texts]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "rolling.yaml").write_text(ROLLING.format(file=tmp_path / "text.jsonl"))
    (tmp_path / "tasks" / "choice.yaml").write_text(CHOICE.format(file=tmp_path / "pairs.jsonl"))
    arguments = f"pretrained={model / 'model'},dtype=float32,prefix_token_id=2,max_length=512"
    command = [sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args", arguments, "--device", "cpu"]
    command += ["--include_path", str(tmp_path / "tasks"), "--tasks", "held_out_fr,word_order"]
    command += ["--output_path", str(tmp_path / "out.json")]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    done = subprocess.run(command, env={**os.environ, **offline}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = tmp_path.glob("out*.json")
    results = json.loads(path.read_text())["results"]
    loaded, _ = checkpoint.load_decoder(model / "run")
    ours = held_out.bits_per_byte(loaded, TokenShards(world / "tokens" / "fr", "validation"), 512, 10**9)
    assert math.isclose(results["held_out_fr"]["bits_per_byte,none"], ours.bits_per_byte, rel_tol=1e-3)
    assert results["word_order"]["acc,none"] > 0.9
