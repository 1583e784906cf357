"""Fine-tune a model on six made tasks, and measure seen wordings, unseen wordings, and what it forgets.

    python -m tests.benchmarks.finetune RUN --to DIR [--set finetune.lr=...]

RUN is a run of `roots train`, such as that of `make train LANG=fr`. The tasks are made of sentences of the shared text:
language (4 labels), end mark (3), letter case, a digit, length, repeated first word (2 each). Each has eight wordings;
one is held out. Records of the measurement are not those of training. "Exact" is the share of targets that greedy
decoding gives whole.
"""

import argparse
import gzip
import json
import random
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from click.testing import CliRunner

from pipelines.cli.main import main as roots
from pipelines.prompts.mixture import prompt_shards
from trainer.finetune import finetune
from trainer.finetune.examples import TokenExample, encode_pair
from trainer.model.checkpoint import load_decoder
from trainer.tokenizer.files import load_tokenizer

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "text_open"
LANGUAGES = {"fr": "français", "en": "anglais", "zh": "chinois", "ar": "arabe"}
WORDINGS = (
    "{q} {{{{text}}}}\n",
    "{{{{text}}}}\n{q}",
    "Texte : {{{{text}}}} {q}",
    "{q}\n« {{{{text}}}} »",
    "{{{{text}}}} {q}\n",
    "{q} « {{{{text}}}} » ?",
    "Phrase : {{{{text}}}}\n{q}\n",
    "{q}\n{{{{text}}}}",
)
QUESTIONS = {
    "language": "Quelle langue ?",
    "end": "Quel signe à la fin ?",
    "case": "Majuscules ou minuscules ?",
    "digit": "Y a-t-il un chiffre ?",
    "length": "Court ou long ?",
    "repeated": "Le premier mot est-il répété ?",
}


def sentences(language: str, count: int) -> list[str]:
    """The first pieces of 10 to 60 characters in the shared text of a language."""
    found: list[str] = []
    with gzip.open(DATA / f"{language}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            found += [
                each.strip()
                for each in re.split(r"[.!?。؟\n:;,]", json.loads(line)["text"])
                if 10 <= len(each.strip()) <= 60
            ]
            if len(found) >= count:
                break
    return found[:count]


def records(count: int, seed: int) -> Iterator[tuple[str, str, str]]:
    """Task, text and label of each record."""
    rng = random.Random(seed)
    texts = {language: sentences(language, 6_000) for language in LANGUAGES}
    for language in texts:
        rng.shuffle(texts[language])
    french = iter(texts["fr"])
    others = {language: iter(some) for language, some in texts.items() if language != "fr"}
    for _ in range(count):
        language = rng.choice(list(LANGUAGES))
        yield "language", next(french if language == "fr" else others[language]), LANGUAGES[language]
        mark = rng.choice([".", "!", "?"])
        yield "end", next(french) + mark, {".": "point", "!": "exclamation", "?": "question"}[mark]
        upper, text = rng.random() < 0.5, next(french)
        yield "case", text.upper() if upper else text.lower(), "majuscules" if upper else "minuscules"
        digit, text = rng.random() < 0.5, re.sub(r"\d", "", next(french))
        yield "digit", f"{text} {rng.randrange(1000)}" if digit else text, "oui" if digit else "non"
        long, words = rng.random() < 0.5, next(french).split()
        yield "length", " ".join(words if long else words[:1]), "long" if long else "court"
        repeated, words = rng.random() < 0.5, next(french).split()
        yield "repeated", " ".join([words[0] if repeated else words[-1], *words]), "oui" if repeated else "non"


def write_tasks(folder: Path, count: int) -> None:
    """Write the records of each task, for training and for the measurement, and its templates."""
    made: dict[tuple[str, str], list[str]] = {}
    for number, (task, text, label) in enumerate(records(count, 0)):
        split = "train" if number < 6 * (count - 100) else "test"
        made.setdefault((task, split), []).append(json.dumps({"text": text, "label": label}, ensure_ascii=False))
    for (task, split), lines in made.items():
        (folder / f"{task}.{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for task, question in QUESTIONS.items():
        parts = [f'dataset = "{task}"']
        for number, wording in enumerate(WORDINGS):
            jinja = json.dumps(wording.format(q=question) + " ||| {{label}}", ensure_ascii=False)
            parts.append(f'[[templates]]\nname = "{number}"\njinja = {jinja}')
        (folder / f"{task}.toml").write_text("\n".join(parts) + "\n", encoding="utf-8")


def call(*arguments: str) -> str:
    """Run a command of ours, and return what it prints."""
    done = CliRunner().invoke(roots, list(arguments), catch_exceptions=False)
    if done.exit_code:
        raise SystemExit(done.output)
    return done.output


def measured(run: Path, prompts: Path, held: Mapping[str, set[str]]) -> list[str]:
    """Lines on each task: the share of exact targets of seen and of unseen wordings, of records that are new."""
    from trainer.finetune.examples import _rows

    model, state = load_decoder(run)
    tokenizer = load_tokenizer(run / "tokenizer")
    found: dict[tuple[str, bool], list[TokenExample]] = {}
    for row in _rows([shard.chain for shard in prompt_shards(prompts)]):
        tokens, target = encode_pair(tokenizer, row["inputs"], row["targets"], " ")
        unseen = row["template"] in held[row["data_set"]]
        found.setdefault((row["data_set"], unseen), []).append(TokenExample(tokens, target, row["data_set"]))
    lines, sums = [], {False: 0.0, True: 0.0}
    for task in QUESTIONS:
        shares = {kind: finetune._measure(model, found[task, kind], state["length"], 16)[1] for kind in (False, True)}
        sums = {kind: sums[kind] + share / len(QUESTIONS) for kind, share in shares.items()}
        lines.append(f"{task}: seen wordings {100 * shares[False]:.0f} %, unseen {100 * shares[True]:.0f} %")
    return [*lines, f"mean: seen wordings {100 * sums[False]:.1f} %, unseen {100 * sums[True]:.1f} %"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Fine-tune a model on six made tasks.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--records", type=int, default=800, help="of each task")
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as held:
        folder = Path(held)
        write_tasks(folder, options.records)
        for task in QUESTIONS:
            for split in ("train", "test"):
                wanted = [f"{folder}/{task}.{split}.jsonl", "--templates", f"{folder}/{task}.toml"]
                call("prompts", *wanted, "--language", "fr", "--to", f"{folder}/{split}", "-q", "--executor", "serial")
        changes = [word for pair in options.set for word in ("--set", pair)]
        print(call("finetune", str(options.model), "--on", f"{folder}/train", "--to", str(options.to), *changes))
        from trainer.finetune.examples import _held_out_templates
        from trainer.finetune.settings import FinetuneSettings

        chains = [shard.chain for shard in prompt_shards(folder / "train")]
        print("\n".join(measured(options.to, folder / "test", _held_out_templates(chains, FinetuneSettings()))))


if __name__ == "__main__":
    main()
