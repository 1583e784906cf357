"""Ask lm-evaluation-harness the questions of the tests' tasks on the tests' model, and keep its answers.

The same for sacrebleu and rouge-score, which the harness brings along, on the tests' answers.

    python -m venv peer && peer/bin/pip install 'lm-eval[hf]==0.4.13'
    python -m tests.benchmarks.task_parity --peer peer/bin/python [--write]

Prints the largest difference of a log-likelihood by task, and both sides' scores. `--write` replaces the file that
`tests/trainer/tasks/test_parity.py` reads. Exit code 1 means a difference above 1e-4.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.task_files import ANSWERS, WINDOW, write_model, write_tasks
from trainer.settings import TaskSettings
from trainer.tasks import metrics
from trainer.tasks.run import TaskRequest, evaluate_by_tasks

EXPECTED = Path(__file__).parents[1] / "trainer" / "tasks" / "expected.json"
LARGEST = 1e-4  # nats


METRICS = """
import json, sys
from importlib.metadata import version
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer
pairs = json.load(sys.stdin)
found = {"versions": {name: version(name) for name in ("lm_eval", "sacrebleu", "rouge-score")}}
firsts = [[refs[0] for _, refs in pairs]]
answers = [answer for answer, _ in pairs]
for cut in ("13a", "char"):
    found["bleu " + cut] = sacrebleu.corpus_bleu(answers, firsts, tokenize=cut).score
chrf = sacrebleu.CHRF()
found["chrf"] = chrf.corpus_score(answers, firsts).score
found["chrf signature"] = str(chrf.get_signature())
found["chrf each"] = [chrf.sentence_score(answer, refs).score for answer, refs in pairs]
found["bleu best of all"] = sacrebleu.BLEU().corpus_score(answers[:1], [[ref] for ref in pairs[0][1]]).score
scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
found["rouge"] = [
    [max(scorer.score(ref, answer)[name].fmeasure for ref in refs) for name in ("rouge1", "rouge2", "rougeL")]
    for answer, refs in pairs
]
print(json.dumps(found))
"""


def peer_metrics(peer: Path) -> dict[str, Any]:
    """BLEU, chrF2 and ROUGE of the tests' answers by sacrebleu and rouge-score."""
    done = subprocess.run(
        [str(peer), "-c", METRICS], input=json.dumps(ANSWERS), capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def our_metrics() -> dict[str, Any]:
    """The same by `trainer.tasks.metrics`; ROUGE may differ where an answer is not in English."""
    firsts = [(answer, references[:1]) for answer, references in ANSWERS]
    found: dict[str, Any] = {
        f"bleu {cut}": metrics.bleu(sum(metrics.bleu_counts(*pair, cut) for pair in firsts)) for cut in ("13a", "char")
    }
    found["chrf"] = metrics.chrf(sum(metrics.chrf_counts(*pair) for pair in firsts))
    found["chrf each"] = [metrics.chrf(metrics.chrf_counts(*pair)) for pair in ANSWERS]
    found["bleu best of all"] = metrics.bleu(metrics.bleu_counts(*ANSWERS[0]))
    found["rouge"] = [list(metrics.rouge(*pair)) for pair in ANSWERS]
    return found


def ask_peer(peer: Path, model: Path, tasks: Path, names: list[str], out: Path) -> dict[str, Any]:
    """Run the harness; return the answers and scores of each task."""
    arguments = f"pretrained={model},dtype=float32,prefix_token_id=2,max_length={WINDOW}"
    command = [str(peer), "-m", "lm_eval", "--model", "hf", "--model_args", arguments, "--device", "cpu"]
    command += ["--include_path", str(tasks), "--tasks", ",".join(names), "--batch_size", "4", "--log_samples"]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(out / "cache")}
    done = subprocess.run([*command, "--output_path", str(out)], env={**os.environ, **offline}, check=False)
    if done.returncode:
        sys.exit("lm-evaluation-harness failed")
    results = json.loads(next(out.rglob("results_*.json")).read_text())["results"]
    found = {}
    for name in names:
        lines = next(out.rglob(f"samples_{name}_*.jsonl")).read_text().splitlines()
        answers = [[each[0] for each in entry["resps"]] for entry in sorted(map(json.loads, lines), key=by_number)]
        scores = {key.partition(",")[0]: value for key, value in results[name].items() if key.endswith(",none")}
        found[name] = {
            "answers": [[plain(each) for each in answer] for answer in answers],
            "scores": {key: value for key, value in scores.items() if not key.endswith("_stderr")},
        }
    return found


def by_number(entry: Mapping[str, Any]) -> int:
    return int(entry["doc_id"])


def plain(answer: Any) -> Any:
    """A log-likelihood as a number, a text as it is."""
    if isinstance(answer, list):
        answer = answer[0]
    try:
        return round(float(answer), 6)
    except ValueError:
        return answer


def our_answers(model: Path, tasks: Path, out: Path) -> dict[str, Any]:
    """Answers and scores of each task by `roots evaluate --tasks`."""
    evaluate_by_tasks(TaskRequest(model, tasks, out, (), TaskSettings(length=WINDOW, resamples=10)))
    found = {}
    for result in json.loads((out / "tasks.json").read_text())["results"]:
        file = out / "answers" / f"{result['task']}.{result['shots']}-shot.jsonl"
        entries = [json.loads(line) for line in file.read_text().splitlines()]
        answers = [entry["nats"] if "nats" in entry else [entry["answer"]] for entry in entries]
        if result["kind"] == "perplexity":  # a long text has several windows
            answers = [[sum(answer)] for answer in answers]
        scores = {key: score["value"] for key, score in result["scores"].items()}
        found[result["task"]] = {"answers": answers, "scores": scores}
    return found


def distance(left: Mapping[str, Any], right: Mapping[str, Any]) -> float:
    """The largest difference of two answers to a task; other texts are infinitely far apart."""
    pairs = [
        pair
        for mine, theirs in zip(left["answers"], right["answers"], strict=True)
        for pair in zip(mine, theirs, strict=True)
    ]
    gaps = (abs(a - b) if isinstance(a, float | int) else (0.0 if a == b else float("inf")) for a, b in pairs)
    return max(gaps)


def _flat(value: Any) -> list[float]:
    return [leaf for each in value for leaf in _flat(each)] if isinstance(value, list) else [value]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, help="Python of an environment with lm-eval.")
    parser.add_argument("--write", action="store_true", help="Replace the expected answers of the tests.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, tasks = write_model(folder / "model") / "export", write_tasks(folder / "tasks")
        ours = our_answers(model, tasks, folder / "ours")
        theirs = ask_peer(options.peer, model, tasks, sorted(ours), folder / "theirs")
    gaps = {task: distance(ours[task], theirs[task]) for task in ours}
    for task, gap in gaps.items():
        both = {key: (ours[task]["scores"].get(key), value) for key, value in theirs[task]["scores"].items()}
        print(f"{task:20} {gap:.2e}  {both}")
    peers, own = peer_metrics(options.peer), our_metrics()
    for name, value in own.items():
        equal = [math.isclose(a, b) for a, b in zip(_flat(value), _flat(peers[name]), strict=True)]
        print(f"{name:20} {sum(equal)} of {len(equal)} equal  {peers[name]}")
    if options.write:
        kept = {"tasks": theirs, "metrics": peers}
        EXPECTED.write_text(json.dumps(kept, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.exit(max(gaps.values()) > LARGEST)


if __name__ == "__main__":
    main()
