"""The stage that makes prompted examples: a row for each record and template, kept or dropped with a reason.

prompts.empty         the template has no input or no target for this record
prompts.no_separator  the rendered template has no `|||`
prompts.two_targets   it has more than one
prompts.error         it fails: an unknown field, a value of another kind
prompts.too_long      it has more characters than an example may have
prompts.timeout, prompts.memory, prompts.crash   the guard ended it
prompts.broken        the record cannot be read, or is no pair
prompts.contaminated  its text is in an evaluation file
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from pipelines.extraction.guard import Failure, Limits, guarded
from pipelines.prompts.contamination import EvaluationTexts
from pipelines.prompts.records import LabelledRecord, pair_form, pairs_of, read_labelled
from pipelines.prompts.rendering import PromptExample
from pipelines.prompts.settings import DataSetFacts, RecordForm
from pipelines.prompts.templates import Template
from roots.schema import DROP, ID
from roots.stage import Stage

_RENDERING = "pipelines.prompts.rendering"
_RECORDS = 256  # rendered together
_MEMORY = 128 << 20  # of the guarded process, for one record
_FAILURES = 3  # of a template in a file; then its other records are not tried

_SCHEMA = pa.schema(
    [
        ID,  # of the record and the template, which the record's content and the template's id decide
        pa.field("record", pa.string(), nullable=False),
        pa.field("data_set", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("template", pa.string(), nullable=False),  # its name, or the form of a pair
        pa.field("language", pa.string()),
        pa.field("prompt_language", pa.string()),  # of the template's wording
        pa.field("source", pa.string(), nullable=False),  # name of the file
        pa.field("license", pa.string()),
        pa.field("inputs", pa.string()),
        pa.field("targets", pa.string()),
        pa.field("choices", pa.list_(pa.string())),
        pa.field("why", pa.string()),  # more about the drop: the error, or the evaluation record
        DROP,
    ]
)


@dataclass(frozen=True)
class Render(Stage):
    """Renders the records of a data set by templates, or takes ready pairs where there are none."""

    name: ClassVar[str] = "render"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = _SCHEMA

    templates: tuple[Template, ...]
    form: RecordForm
    facts: DataSetFacts
    against: Mapping[str, str]  # evaluation file -> its sha256
    gram: int
    seed: int
    lenient: bool
    truncate: bool
    cpu_seconds: float

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Make the examples of one file."""
        (path,) = sources
        evaluation = EvaluationTexts([Path(name) for name in sorted(self.against)], self.form, self.gram)
        records = read_labelled(path, self.form)
        failures: Counter[int] = Counter()
        while chunk := list(islice(records, _RECORDS)):
            whole = [record for record in chunk if record.fields is not None]
            made = iter(self._rendered(whole, failures) if self.templates else map(_pairs, whole))
            rows = [
                row
                for record in chunk
                for row in self._rows(record, next(made) if record.fields is not None else [], path.name, evaluation)
            ]
            yield pa.RecordBatch.from_pylist(rows, _SCHEMA)

    def _rendered(self, records: Sequence[LabelledRecord], failures: Counter[int]) -> list[list[PromptExample]]:
        """Render each record by all templates; one that the guard ends is rendered again by one at a time."""
        found: list[list[PromptExample]] = []
        while len(found) < len(records):
            tried = [at for at in range(len(self.templates)) if failures[at] < _FAILURES]
            for examples in self._guarded([(record, tried) for record in records[len(found) :]]):
                if isinstance(examples, Failure):
                    found.append(self._one_by_one(records[len(found)], tried, failures))
                    break
                found.append(self._with_untried(dict(zip(tried, examples, strict=True))))
        return found

    def _one_by_one(self, record: LabelledRecord, tried: Sequence[int], failures: Counter[int]) -> list[PromptExample]:
        """Render a record by each template alone, and count those that the guard ends."""
        found: dict[int, PromptExample] = {}
        for at, examples in zip(tried, self._guarded([(record, [at]) for at in tried]), strict=True):
            if isinstance(examples, Failure):
                failures[at] += 1
                found[at] = ("", "", None, f"prompts.{examples.reason}", examples.error or None)
            else:
                found[at] = examples[0]
        return self._with_untried(found)

    def _with_untried(self, found: Mapping[int, PromptExample]) -> list[PromptExample]:
        untried: PromptExample = (
            "",
            "",
            None,
            "prompts.timeout",
            f"not tried: the guard ended it on {_FAILURES} records",
        )
        return [found.get(at, untried) for at in range(len(self.templates))]

    def _guarded(self, work: Sequence[tuple[LabelledRecord, Sequence[int]]]) -> Iterator[list[PromptExample] | Failure]:
        """Render records by the templates of these numbers in the guarded process."""
        templates = [vars(template) for template in self.templates]
        arguments = {
            "templates": templates, "seed": self.seed, "lenient": self.lenient, "truncate": self.truncate
        }  # fmt: skip
        items = [{"id": record.id, "fields": record.fields, "templates": list(numbers)} for record, numbers in work]
        limits = Limits(cpu_seconds=self.cpu_seconds, memory_bytes=_MEMORY)
        for answer in guarded(f"{_RENDERING}:prepare_rendering", arguments, items, limits, (_RENDERING,)):
            if isinstance(answer, Failure):
                yield answer
            else:
                yield [tuple(example) for example in answer["examples"]]

    def _rows(
        self, record: LabelledRecord, examples: Sequence[PromptExample], source: str, evaluation: EvaluationTexts
    ) -> Iterator[dict[str, object]]:
        """Make the rows of a record; a record without an example is one row."""
        fields = record.fields or {}
        found = evaluation.find_record(fields)
        stated = [value for value in map(fields.get, ("language", "lang")) if isinstance(value, str) and value]
        common = {
            "record": record.id,
            "data_set": self.facts.name,
            "task": self.facts.task,
            "language": stated[0] if stated else self.facts.language or None,
            "source": source,
            "license": self.facts.license or None,
        }
        for at, example in enumerate(examples or [("", "", None, "prompts.broken", None)]):
            inputs, targets, choices, drop, why = example
            place = None if drop else found or evaluation.find_run(targets)
            yield {
                **common,
                **self._template_of(record, at),
                "inputs": inputs,
                "targets": targets,
                "choices": choices,
                "why": place or why,
                "drop": "prompts.contaminated" if place else drop,
            }

    def _template_of(self, record: LabelledRecord, at: int) -> Mapping[str, str | None]:
        """Return the columns that say how an example was made: by the template, or as the pair, of this number."""
        if self.templates and record.fields is not None:
            template = self.templates[at]
            language = template.language or None
            return {"id": f"{record.id}/{template.id}", "template": template.name, "prompt_language": language}
        form = pair_form(list(record.fields or ())) or "none"
        return {"id": f"{record.id}/{at}", "template": form, "prompt_language": None}


def _pairs(record: LabelledRecord) -> list[PromptExample]:
    """Return the examples of a ready pair, as they are."""
    pairs = pairs_of(record.fields or {}) or []
    return [(one, two, None, None if one.strip() and two.strip() else "prompts.empty", None) for one, two in pairs]
