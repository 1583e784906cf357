"""Ask a model the questions of tasks, and count its answers.

Each number has an interval of 95 %: Wilson's for shares, else by drawing examples with replacement.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from roots.errors import InputError
from roots.intervals import wilson
from trainer.settings import TaskSettings
from trainer.tasks import metrics
from trainer.tasks.definitions import Task
from trainer.tasks.examples import Question, make_questions
from trainer.tasks.score import CausalModel, Likelihood

_EVERY = 5.0  # seconds between lines of progress


@dataclass(frozen=True)
class Score:
    """One number and its interval of 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class TaskResult:
    """What a model scores at one task, with one prompt and one number of shots."""

    task: Task
    shots: int
    asked: int
    left_out: Mapping[str, int]
    scores: Mapping[str, Score]
    log: Sequence[Mapping[str, Any]]  # one entry a question
    chance: float | None = None  # accuracy of a choice by lot
    majority: float | None = None  # share of the most frequent right choice
    notes: Mapping[str, str] = field(default_factory=dict)  # signatures of metrics

    @property
    def main(self) -> str:
        """The number that stands for the result."""
        order = ("acc", "bits_per_byte", "chrf", "exact_match")
        return next(name for name in order if name in self.scores)

    @property
    def verdict(self) -> str:
        """Say whether the accuracy differs from chance."""
        if self.chance is None:
            return ""
        acc = self.scores["acc"]
        if acc.low <= self.chance <= acc.high:
            return "not distinguishable from chance"
        if acc.value < self.chance:
            return "below chance"
        if self.majority is not None and acc.low <= self.majority:
            return "above chance, not above the majority"
        return "above chance"


@dataclass(frozen=True)
class Listener:
    """Receives lines of progress, and names the language of a text (None: it is not asked for)."""

    say: Callable[[str], None] = lambda line: None
    identify: Callable[[str], str] | None = None


def evaluate_task(model: CausalModel, task: Task, shots: int, settings: TaskSettings, listener: Listener) -> TaskResult:
    """Return what a model scores at a task. Raises InputError if the task has no usable example."""
    questions = make_questions(task, shots, settings.limit, settings.seed)
    watch = _Watch(f"{task.name}, {shots} shots", len(questions.asked), listener.say)
    if task.kind == "generate":
        scores, log, notes = _generate(model, task, questions.asked, settings, (listener, watch))
        chance = majority = None
    else:
        scores, log, chance, majority = _ask(model, task, questions.asked, settings, watch)
        notes = {}
    return TaskResult(task, shots, len(log), questions.left_out, scores, log, chance, majority, notes)


class _Watch:
    """Tells how many questions are done, every few seconds."""

    def __init__(self, name: str, total: int, say: Callable[[str], None]) -> None:
        self.name, self.total, self.say = name, total, say
        self.began = self.told = time.monotonic()

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now - self.told > _EVERY:
            self.told = now
            left = (now - self.began) * (self.total - done) / max(1, done)
            self.say(f"{self.name}: {done:,} of {self.total:,} questions, {left:.0f} s left")


_Asked = tuple[dict[str, Score], list[dict[str, Any]], float | None, float | None]


def _ask(
    model: CausalModel, task: Task, questions: Sequence[Question], settings: TaskSettings, watch: _Watch
) -> _Asked:
    """Return scores, log, chance and majority of a task that asks for likelihoods."""
    if task.kind == "perplexity":
        requests = [model.windows(question.pairs[0][1]) for question in questions]
    else:
        flat = model.requests([pair for question in questions for pair in question.pairs])
        requests = [[flat.pop() for _ in question.pairs][::-1] for question in reversed(questions)][::-1]
    answers = model.score(requests, watch)
    log = [
        {"number": q.number, "nats": [round(each.nats, 6) for each in found], "greedy": [e.greedy for e in found]}
        for q, found in zip(questions, answers, strict=True)
    ]
    if task.kind == "choice":
        return _choices(questions, answers, log)
    nats = [sum(each.nats for each in found) for found in answers]
    texts = [question.pairs[0][1] for question in questions]
    if task.kind == "perplexity":
        sizes = [len(text.encode()) for text in texts]
        rows = np.array([nats, sizes, [len(text.split()) for text in texts]]).T
        scores = {
            "bits_per_byte": _of_sums(rows, lambda sums: -sums[0] / sums[1] / math.log(2), settings),
            "word_perplexity": _of_sums(rows, lambda sums: _exp(-sums[0] / max(1.0, sums[2])), settings),
        }
        return scores, log, None, None
    rows = np.array([nats, np.ones(len(nats))]).T
    right = sum(found[0].greedy for found in answers)
    scores = {
        "acc": _share(right, len(answers)),
        "perplexity": _of_sums(rows, lambda sums: _exp(-sums[0] / sums[1]), settings),
    }
    return scores, log, None, None


def _exp(nats: float) -> float:
    return math.exp(min(nats, 700.0))


def _share(right: int, asked: int) -> Score:
    return Score(right / asked, *wilson(right, asked))


def _of_sums(rows: metrics.CountRows, statistic: Callable[[metrics.CountRows], float], settings: TaskSettings) -> Score:
    interval = metrics.bootstrap(rows, statistic, settings.resamples, settings.seed)
    return Score(float(statistic(rows.sum(0))), *interval)


def _choices(
    questions: Sequence[Question], answers: Sequence[Sequence[Likelihood]], log: list[dict[str, object]]
) -> _Asked:
    """Count right choices: by the sum of log-likelihoods, by character, and by byte. Ties take the first."""
    sizes: Mapping[str, Callable[[str], int]] = {
        "acc": lambda text: 1,
        "acc_norm": len,
        "acc_bytes": lambda text: len(text.encode()),
    }
    chosen: dict[str, list[int]] = {name: [] for name in sizes}
    for question, found, entry in zip(questions, answers, log, strict=True):
        for name, size in sizes.items():
            values = [each.nats / size(text) for each, text in zip(found, question.choices, strict=True)]
            chosen[name].append(max(range(len(values)), key=values.__getitem__))
        entry |= {"chosen": chosen["acc"][-1], "right": list(question.right)}
    scores = {
        name: _share(sum(at in q.right for at, q in zip(picked, questions, strict=True)), len(questions))
        for name, picked in chosen.items()
    }
    firsts = [question.right[0] for question in questions]
    if len({question.choices for question in questions}) == 1:  # the choices are classes
        value = metrics.macro_f1(firsts, chosen["acc"])
        scores["macro_f1"] = Score(value, math.nan, math.nan)
    chance = float(np.mean([len(set(q.right)) / len(q.choices) for q in questions]))
    majority = max(firsts.count(label) for label in set(firsts)) / len(firsts)
    return scores, log, chance, majority if len(set(firsts)) > 1 else None


def _generate(
    model: CausalModel, task: Task, questions: Sequence[Question], settings: TaskSettings,
    told: tuple[Listener, _Watch],
) -> tuple[dict[str, Score], list[dict[str, object]], dict[str, str]]:  # fmt: skip
    """Return scores, log and signatures of a task that asks for text."""
    listener, watch = told
    prompts = [question.pairs[0][0] for question in questions]
    made = model.generate(prompts, min(task.tokens, settings.tokens), task.ends, watch)
    answers = [_answer(task, text) for text in made]
    cut = metrics.bleu_tokens(task.language)
    pairs = [(answer, question.references) for answer, question in zip(answers, questions, strict=True)]
    means = {
        "exact_match": [metrics.exact_match(*pair, task.options) for pair in pairs],
        "f1": [metrics.word_f1(*pair) for pair in pairs],
        **{
            name: list(column)
            for name, column in zip(
                ("rouge1", "rouge2", "rougeL"), zip(*(metrics.rouge(*pair) for pair in pairs), strict=True), strict=True
            )
        },
    }
    scores = {
        "chrf": _of_sums(np.array([metrics.chrf_counts(*pair) for pair in pairs]), metrics.chrf, settings),
        "bleu": _of_sums(np.array([metrics.bleu_counts(*pair, cut) for pair in pairs]), metrics.bleu, settings),
    }
    for name, shorter in _cut_answers(prompts, answers).items():
        rows = np.array([metrics.chrf_counts(text, q.references) for text, q in zip(shorter, questions, strict=True)])
        scores[name] = _of_sums(rows, metrics.chrf, settings)
    ones = np.ones(len(pairs))
    for name, values in means.items():
        scores[name] = _of_sums(np.array([values, ones]).T, lambda sums: float(sums[0] / sums[1]), settings)
    log = [
        {"number": question.number, "answer": answer, "references": list(question.references)}
        for question, answer in zip(questions, answers, strict=True)
    ]
    if listener.identify is not None:
        for entry in log:
            entry["language"] = listener.identify(str(entry["answer"]))
        if task.language:
            right = sum(entry["language"] == task.language for entry in log)
            scores["in_language"] = _share(right, len(log))
    counts = {len(question.references) for question in questions}
    same = counts.pop() if len(counts) == 1 else 0
    notes = {
        "bleu": metrics.bleu_signature(cut, same),
        "chrf": f"nrefs:{same or 'var'}|{metrics.CHRF_SIGNATURE}",
        "rouge": "words of all scripts, no stemmer, best reference",
    }
    return scores, log, notes


def _cut_answers(prompts: Sequence[str], answers: Sequence[str]) -> dict[str, list[str]]:
    """Return answers up to a line break, and up to a repeat of the last line of the prompt, where that changes any.

    A model that does not stop translates well and goes on; chrF2 of the whole says nothing about the translation.
    """
    lasts = [next((line for line in reversed(prompt.splitlines()) if line.strip()), "") for prompt in prompts]
    cuts = {
        "chrf_first_line": [answer.strip().partition("\n")[0] for answer in answers],
        "chrf_before_repeat": [a.partition(last)[0] if last else a for a, last in zip(answers, lasts, strict=True)],
    }
    return {name: texts for name, texts in cuts.items() if [t.strip() for t in texts] != [a.strip() for a in answers]}


def _answer(task: Task, text: str) -> str:
    """Return the part of a generated text that is the answer: the first match of the task's pattern."""
    if not task.pattern:
        return text
    import re2

    try:
        match = re2.search(task.pattern, text)
    except re2.error as error:
        raise InputError(f"{task.name}: the pattern {task.pattern!r} cannot be used: {error}") from None
    if not match:
        return "[invalid]"
    return str(next((group for group in match.groups() if group), match[0]))
