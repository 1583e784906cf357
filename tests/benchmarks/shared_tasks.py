"""Evaluate a model on the shared tasks, and time it beside lm-evaluation-harness.

    python -m tests.benchmarks.shared_tasks MODEL --to page [--limit 100]
    python -m tests.benchmarks.shared_tasks EXPORT --to page --peer peer/bin/python

MODEL is a run or an export. The tasks are XNLI (9 languages), PAWS-X (4), XCOPA (8), XWinograd (6), LAMBADA and BLiMP
(34 kinds of pairs) of `../shared/data`; `--only xnli` names some. With `--peer` both sides answer XNLI in French, with
one thread, once with few questions and once with many; the rate is of the difference in CPU time, without the start.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.settings import TaskSettings
from trainer.tasks.evaluate import Listener
from trainer.tasks.run import TaskRequest, evaluate_by_tasks

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "lm_eval"
FEW, MANY = 20, 620
TRUE = {  # "true? yes, also, no" as XNLI's usual prompt has it
    "ar": ("صحيح؟", "نعم", "لذا", "رقم"),
    "en": ("right?", "Yes", "Also", "No"),
    "es": ("¿correcto?", "Sí", "Asi que", "No"),
    "fr": ("correct?", "Oui", "Aussi", "Non"),
    "hi": ("सही?", "हाँ", "इसलिए", "नहीं"),
    "sw": ("sahihi?", "Ndiyo", "Hivyo", "Hapana"),
    "ur": ("صحیح؟", "جی ہاں", "اس لئے", "نہیں"),
    "vi": ("đúng?", "Vâng", "Vì vậy", "Không"),
    "zh": ("正确？", "是的", "所以", "不是的"),
}
BECAUSE = {
    "en": ("because", "so"), "ht": ("poukisa", "donk sa"), "id": ("karena", "maka"), "it": ("perché", "quindi"),
    "sw": ("kwa sababu", "kwa hiyo"), "ta": ("காரணமாக", "எனவே"), "vi": ("bởi vì", "vì vậy"), "zh": ("因为", "所以"),
}  # fmt: skip


def write_tasks(folder: Path, only: str = "") -> Path:
    """Write task files of the harness for the shared data whose name begins with `only`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, language, file, form, lines in shared_tasks(folder):
        if name.startswith(only):
            head = [f"task: {name}", f"tag: {name.partition('_')[0]}", f"dataset_path: {form}", "test_split: test"]
            options: dict[str, Any] = {"data_files": {"test": str(file)}}
            if form == "csv":
                columns = ["first", "second", "label"]
                options |= {"delimiter": "\t", "quoting": 3, "column_names": columns}
            head += [f"dataset_kwargs: {json.dumps(options)}", f"metadata: {{language: {language}}}"]
            measures = ["acc", "perplexity"] if name == "lambada" else ["acc", "acc_norm", "acc_bytes"]
            head.append(f"metric_list: [{', '.join(f'{{metric: {each}}}' for each in measures)}]")
            (folder / f"{name}.yaml").write_text("\n".join([*head, *lines, ""]), encoding="utf-8")
    return folder


def shared_tasks(folder: Path) -> Iterator[tuple[str, str, Path, str, list[str]]]:
    """Name, language, data, form and further lines of each task."""
    choice = "output_type: multiple_choice"
    for language, (right, *words) in TRUE.items():
        file = DATA / "xnli" / f"dev-{language}.tsv"
        forms = [f'first ~ ", {right} {word}, " ~ second' for word in words]
        target = "doc_to_target: \"{{['entailment', 'neutral', 'contradiction'].index(label)}}\""
        yield f"xnli_{language}", language, file, "csv", [
            choice, 'doc_to_text: ""', f"doc_to_choice: '{{{{[{', '.join(forms)}]}}}}'", target,
        ]  # fmt: skip
    for language in ("en", "es", "fr", "zh"):
        right, yes, _, no = TRUE[language]
        forms = [f'first ~ ", {right} {word}, " ~ second' for word in (no, yes)]
        yield f"pawsx_{language}", language, DATA / "pawsx" / f"dev-{language}.tsv", "csv", [
            choice, 'doc_to_text: ""', f"doc_to_choice: '{{{{[{', '.join(forms)}]}}}}'", "doc_to_target: label",
        ]  # fmt: skip
    for language, (cause, effect) in BECAUSE.items():
        text = f"{{{{premise.strip()[:-1]}}}} {{{{'{cause}' if question == 'cause' else '{effect}'}}}}"
        yield f"xcopa_{language}", language, DATA / "xcopa" / f"val-{language}.jsonl", "json", [
            choice, f'doc_to_text: "{text}"', 'doc_to_choice: "{{[choice1, choice2]}}"', "doc_to_target: label",
        ]  # fmt: skip
    for language, file in winograd(folder):
        yield f"xwinograd_{language}", language, file, "json", [
            choice, "doc_to_text: right", "doc_to_choice: contexts", "doc_to_target: rest", 'target_delimiter: ""',
        ]  # fmt: skip
    yield "lambada", "en", DATA / "lambada" / "lambada_test.part.jsonl", "json", [
        "output_type: loglikelihood", "doc_to_text: \"{{text.split(' ')[:-1] | join(' ')}}\"",
        "doc_to_target: \"{{' ' ~ text.split(' ')[-1]}}\"",
    ]  # fmt: skip
    for file in sorted((DATA / "blimp").glob("*.jsonl")):
        yield f"blimp_{file.stem}", "en", file, "json", [
            choice, 'doc_to_text: ""', 'doc_to_choice: "{{[sentence_good, sentence_bad]}}"', "doc_to_target: 0",
        ]  # fmt: skip


def winograd(folder: Path) -> Iterator[tuple[str, Path]]:
    """XWinograd by language: each candidate in the place of the pronoun, and the rest of the sentence."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in (DATA / "xwinograd" / "dataset.part.tsv").read_text(encoding="utf-8").splitlines():
        language, _, _, sentence, tokens, pronoun, options = line.split("\t")
        at, (start, stop) = 0, json.loads(pronoun)[1]
        places = []
        for token in json.loads(tokens):
            at = sentence.find(token, at)
            if at < 0:
                break
            places.append((at, at + len(token)))
            at += len(token)
        rights = [each[3] for each in json.loads(options)]
        if at < 0 or sum(rights) != 1:
            continue
        before, rest = sentence[: places[start][0]], sentence[places[stop - 1][1] :]
        contexts = [before + each[0] for each in json.loads(options)]
        found.setdefault(language, []).append({"contexts": contexts, "rest": rest, "right": rights.index(True)})
    for language, rows in sorted(found.items()):
        file = folder / f"xwinograd_{language}.jsonl"
        file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        yield language.replace("jp", "ja"), file


def cpu_seconds(command: list[str], out: Path) -> float:
    """CPU seconds of a command on one thread, offline."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(out / "cache"), "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env={**os.environ, **offline}, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def our_seconds(model: Path, tasks: Path, out: Path, limit: int) -> float:
    command = [sys.executable, "-m", "pipelines.cli", "evaluate", str(model), "--tasks", str(tasks), "--to", str(out)]
    return cpu_seconds([*command, "--set", f"tasks.limit={limit}"], out)


def peer_seconds(peer: Path, model: Path, tasks: Path, out: Path, limit: int) -> float:
    arguments = f"pretrained={model},dtype=float32,prefix_token_id=2,max_length=2048"
    command = [str(peer), "-m", "lm_eval", "--model", "hf", "--model_args", arguments, "--device", "cpu"]
    command += ["--include_path", str(tasks), "--tasks", "xnli_fr", "--batch_size", "32", "--limit", str(limit)]
    return cpu_seconds([*command, "--output_path", str(out)], out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--peer", type=Path)
    options = parser.parse_args()
    if not DATA.is_dir():
        print("not measured: there is no ../shared/data")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.peer is None:
            request = TaskRequest(
                options.model, write_tasks(folder, options.only), options.to, (), TaskSettings(limit=options.limit)
            )
            print(evaluate_by_tasks(request, Listener(print)))
            return
        tasks = write_tasks(folder / "tasks", "xnli_fr")
        ours = [our_seconds(options.model, tasks, options.to, limit) for limit in (FEW, MANY)]
        theirs = [peer_seconds(options.peer, options.model, tasks, folder, limit) for limit in (FEW, MANY)]
    for side, (few, many) in (("ours", ours), ("lm-evaluation-harness", theirs)):
        print(f"{side:24} {(MANY - FEW) / (many - few):8.1f} questions a CPU second ({few:.1f} and {many:.1f} s)")


if __name__ == "__main__":
    main()
