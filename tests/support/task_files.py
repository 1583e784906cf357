"""A tiny exported model and task files in the harness' YAML, for the tests of tasks and for the comparison with it."""

import json
from dataclasses import asdict
from pathlib import Path

from trainer.export import export_model
from trainer.model.checkpoint import Checkpoint, save_checkpoint
from trainer.model.decoder import AlibiLM
from trainer.model.shapes import Shape
from trainer.settings import ExportSettings, TokenizerSettings
from trainer.tokenizer.files import TrainedTokenizer, save_tokenizer, tokenizer_digest
from trainer.tokenizer.training import train_on_texts

WINDOW = 64  # tokens; some contexts are longer
FACTS = [
    ("The sun is a star that gives light.", "The sun is dark.", "no", "sun"),
    ("Water boils at one hundred degrees.", "Water can boil.", "yes", "water"),
    ("A cat sleeps below the table in the yard.", "A dog eats.", "perhaps", "cat"),
    ("Le chat dort sous la table de la cour.", "Le chat dort.", "yes", "chat"),
    ("Mbwa anakula uani kwa jirani yetu.", "Mbwa analala.", "no", "mbwa"),
    ("हिन्दी एक भाषा है जो भारत में बोली जाती है।", "हिन्दी एक नदी है।", "no", "हिन्दी"),
    ("猫在桌子下面睡觉，狗在院子里吃东西。", "狗在吃东西。", "yes", "狗"),
    ("اللغة العربية لغة جميلة يتكلم بها كثيرون.", "اللغة جميلة.", "yes", "اللغة"),
    ("Nobody knows where the old man went.", "The man went to the sea.", "perhaps", "man"),
    ("Three and four are seven, and seven is odd.", "Seven is even.", "no", "odd"),
]
_CHOICE = "output_type: multiple_choice\nmetric_list: [{metric: acc}, {metric: acc_norm}, {metric: acc_bytes}]\n"
TASKS = {
    "entailment": _CHOICE + 'doc_to_text: "{{premise}} Question: {{claim}} True?\\nAnswer:"\n'
    'doc_to_choice: ["yes, it is", "no", "it is not possible to tell from this"]\ndoc_to_target: number\n',
    "sentences": _CHOICE + 'doc_to_text: ""\ndoc_to_target: 0\ndoc_to_choice: "{{[premise, premise[::-1], claim]}}"\n',
    "ends_in_space": _CHOICE + 'doc_to_text: "{{claim}} and then   "\ntarget_delimiter: ""\n'
    'doc_to_choice: "{{[word, premise.split()[0], claim | upper]}}"\ndoc_to_target: 0\n',
    "beyond_the_window": _CHOICE + 'doc_to_text: "{{premise}} {{claim}} {{premise}} {{claim}} {{premise}}"\n'
    'doc_to_choice: "{{[claim, premise, word]}}"\ndoc_to_target: 2\n',
    "two_contexts": _CHOICE + 'doc_to_text: "{{number % 2}}"\ndoc_to_choice: "{{[claim, premise]}}"\n'
    'doc_to_target: "{{word}} it is"\n',
    "two_shots": _CHOICE + 'doc_to_text: "{{claim}}"\ndoc_to_choice: "{{[premise, word]}}"\ndoc_to_target: 1\n'
    "num_fewshot: 2\nfewshot_split: shots\nfewshot_config: {sampler: first_n}\n",
    "last_word": 'output_type: loglikelihood\ndoc_to_text: "{{premise}} {{claim}}"\ndoc_to_target: " {{word}}"\n'
    "metric_list: [{metric: acc}, {metric: perplexity}]\n",
    "whole_text": 'output_type: loglikelihood_rolling\ndoc_to_text: ""\ndoc_to_target: "{{premise}} {{claim}}"\n'
    "metric_list: [{metric: bits_per_byte}, {metric: word_perplexity}]\n",
    "written": 'output_type: generate_until\ndoc_to_text: "{{premise}} So:"\ndoc_to_target: word\n'
    'generation_kwargs: {until: ["\\n", "."], max_gen_toks: 12, do_sample: false}\n'
    "metric_list: [{metric: exact_match}]\n",
}
ANSWERS = [  # what was written, and right answers
    ("The cat sat on the mat, didn't it?", ["The cat is sitting on the mat.", "A cat sat on a mat."]),
    ("It costs 3.5 or 1,000 units - at most.", ["It costs 3.5, or 1,000 units -- at most!"]),
    ("Le chat dort sous la table.", ["Le chien dort sous la table de la cour."]),
    ("हिन्दी एक भाषा है", ["हिन्दी भारत की एक भाषा है।"]),
    ("اللغة العربية لغة جميلة", ["اللغة العربية لغة جميلة"]),
    ("猫在桌子下面睡觉。", ["猫在桌子下面吃东西。"]),
    ("a", ["Some longer text."]),
    ("", ["Nothing was written."]),
    ('The same words, the same order &amp; "quotes".', ['The same words, the same order & "quotes".']),
]


def write_tasks(folder: Path) -> Path:
    """Write the task files and their data; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("yes", "no", "perhaps")
    rows = [
        {"premise": premise, "claim": claim, "number": names.index(answer), "word": word}
        for premise, claim, answer, word in FACTS
    ]
    shots = [row | {"premise": row["claim"], "claim": row["premise"]} for row in rows[:3]]
    for name, some in (("facts.jsonl", rows), ("shots.jsonl", shots)):
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in some]
        (folder / name).write_text("".join(lines), encoding="utf-8")
    head = "dataset_path: json\ntest_split: test\ndataset_kwargs: {data_files: {test: FACTS, shots: SHOTS}}\n"
    head = head.replace("FACTS", str(folder / "facts.jsonl")).replace("SHOTS", str(folder / "shots.jsonl"))
    for name, text in TASKS.items():
        (folder / f"{name}.yaml").write_text(f"task: {name}\n{head}{text}", encoding="utf-8")
    return folder


def write_model(folder: Path) -> Path:
    """Write a run of a tiny model with large random weights (`run`) and its export (`export`); return `folder`."""
    settings = TokenizerSettings(vocabulary=512, reserved=0, min_frequency=1, budget_mb=1)
    tokenizer = train_on_texts([f"{premise} {claim}" for premise, claim, *_ in FACTS], settings)
    save_tokenizer(TrainedTokenizer(tokenizer), folder / "run" / "tokenizer")
    shape = Shape(2, 48, 4, 512, init_std=0.3)
    model = AlibiLM(shape)
    model.init_weights(0)
    state = {
        "shape": asdict(shape), "tokenizer": tokenizer_digest(tokenizer), "attention": "key_bias", "length": WINDOW,
        "recipe": {"tokens": 1, "length": WINDOW, "seed": 0}, "tokens": 1, "step": 1, "data": "0" * 64, "lengths": [],
    }  # fmt: skip
    save_checkpoint(folder / "run" / "checkpoints", 1, Checkpoint(model.state_dict(), {}, state), keep=1)
    export_model(folder / "run", folder / "run" / "tokenizer", folder / "export", ExportSettings())
    return folder
