"""`roots prompts`: renders a data set into a folder of prompts, mixes all data sets in it, and writes its manifest.

DIR/rendered/<data set>/<file>.parquet   a row for each record and template: see render.py
DIR/mixed/<data set>/<file>.parquet      id, drop: which of them stay
DIR/manifest.json                        counts, drops, shares by language and task, what evaluation files hold
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.prompts.mixture import (
    RENDERED,
    Sizes,
    contaminated,
    mix_prompts,
    mixture_weights,
    prompt_shards,
)
from pipelines.prompts.records import files_of, pair_form, read_labelled
from pipelines.prompts.render import Render
from pipelines.prompts.rendering import check_syntax
from pipelines.prompts.settings import DataSetFacts, PromptsRequest, RecordForm
from pipelines.prompts.templates import TemplateFile, read_templates
from roots import shards
from roots.atomic import write_text
from roots.errors import InputError
from roots.executors import Executor
from roots.identity import sha256_of
from roots.settings import as_values
from roots.stage import Progress, run

_UNSAFE = re.compile(r"[^\w.-]+")
_NO_LANGUAGE = "unknown"


def make_prompts(request: PromptsRequest, executor: Executor, progress: Progress | None = None) -> dict[str, object]:
    """Make or continue a folder of prompts, and return its manifest.

    Raises SettingsError or InputError for a template or an input that cannot be used, before any work.
    """
    files = files_of(request.data)
    against = tuple(files_of(request.against)) if request.against else ()
    found = read_templates(request.templates) if request.templates else TemplateFile("", ())
    for template in found.templates:
        check_syntax(template.name, template.jinja, template.answer_choices)
    if not found.templates:
        _check_pairs(files, request.form)
    name = request.facts.name or found.data_set or files[0].name.partition(".")[0]
    facts = DataSetFacts(name, request.facts.language, request.facts.task or name, request.facts.license)
    settings = request.settings
    digests = {str(path): sha256_of(path) for path in against}
    stage = Render(
        found.templates, request.form, facts, digests, settings.gram, settings.seed, settings.lenient,
        settings.truncate, settings.cpu_seconds,
    )  # fmt: skip
    folder = request.target / RENDERED / _UNSAFE.sub("__", name)
    plan = {f"{path.name}.parquet": [path] for path in files}
    for old in sorted(folder.glob("*.parquet")):
        if old.name not in plan:
            old.unlink()
    run(stage, plan, folder, executor, progress)
    mix_prompts(request.target, settings)
    manifest = _manifest(request, against)
    write_text(
        request.target / "manifest.json", json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    )
    return manifest


def _check_pairs(files: Sequence[Path], form: RecordForm) -> None:
    """Raise InputError for a file whose first record is no pair: it needs templates."""
    for path in files:
        record = next((record for record in read_labelled(path, form) if record.fields is not None), None)
        if record is None or pair_form(list(record.fields or ())) is None:
            columns = ", ".join(record.fields or ()) if record else "none"
            raise InputError(f"{path} holds no pairs of input and target (columns: {columns}): give --templates")


def _manifest(request: PromptsRequest, against: Sequence[Path]) -> dict[str, object]:
    """Count the examples of a folder: all rows with their drops, and the shares of those that stay."""
    sets: dict[str, dict[str, Any]] = {}
    for chain in prompt_shards(request.target):
        held = sets.setdefault(chain.rendered.parent.name, {"rows": 0, "kept": 0, "drops": Counter(), "templates": {}})
        _count(held, chain.rendered, chain.mixed)
    languages, tasks, unit = _sizes(request)
    count, shown = contaminated(request.target)
    weights = mixture_weights(languages, request.settings)
    return {
        "format": "prompts",
        "settings": as_values(request.settings),
        "rows": sum(each["rows"] for each in sets.values()),
        "kept": sum(each["kept"] for each in sets.values()),
        "data_sets": sets,
        "unit": unit,
        "languages": _shares(languages, weights),
        "tasks": _shares(tasks, None),
        "weights": weights,
        "contamination": {"files": [path.name for path in against], "examples": count, "shown": shown},
    }


def _count(held: dict[str, Any], rendered: Path, mixed: Path) -> None:
    """Add the rows of one file to the counts of its data set."""
    verdicts = iter([drop for batch in shards.read(mixed, ["drop"]) for drop in batch["drop"].to_pylist()])
    for batch in shards.read(rendered, ["template", "why", "drop"]):
        for row in batch.to_pylist():
            template = held["templates"].setdefault(row["template"], {"kept": 0, "drops": Counter()})
            drop = row["drop"] or next(verdicts)
            held["rows"] += 1
            for each in (held, template):
                each["kept"] += drop is None
                if drop:
                    each["drops"][drop] += 1
            if row["drop"] and row["why"] and row["drop"] != "prompts.contaminated":
                template.setdefault("first_error", row["why"])


def _sizes(request: PromptsRequest) -> tuple[dict[str, Sizes], dict[str, Sizes], str]:
    """Count what stays by language and by task, in tokens if there is a tokenizer, else in bytes."""
    languages: dict[str, Sizes] = defaultdict(lambda: Sizes(0, 0))
    tasks: dict[str, Sizes] = defaultdict(lambda: Sizes(0, 0))
    for row, size in _measured(request):
        for sizes, name in ((languages, row["language"] or _NO_LANGUAGE), (tasks, row["task"])):
            sizes[name] = Sizes(sizes[name].examples + 1, sizes[name].size + size)
    return dict(languages), dict(tasks), "tokens" if request.tokenizer else "bytes"


def _measured(request: PromptsRequest) -> Iterator[tuple[Mapping[str, Any], int]]:
    tokenizer = None
    if request.tokenizer:
        from trainer.tokenizer.files import load_tokenizer

        tokenizer = load_tokenizer(request.tokenizer)
    for chain in prompt_shards(request.target):
        for batch in shards.read_kept(chain.chain, ["inputs", "targets", "language", "task"]):
            rows = batch.to_pylist()
            texts = [f"{row['inputs']} {row['targets']}" for row in rows]
            if tokenizer is None:
                yield from zip(rows, (len(text.encode()) for text in texts), strict=True)
            else:
                found = tokenizer.encode_batch(texts, add_special_tokens=False)
                yield from zip(rows, map(len, found), strict=True)


def _shares(sizes: Mapping[str, Sizes], weights: Mapping[str, float] | None) -> dict[str, dict[str, float]]:
    """Return examples, sizes and shares; with `weights`, the shares of size that a weighted mixture has."""
    total = sum(size.examples for size in sizes.values()) or 1
    weight = weights or {name: size.examples / total for name, size in sizes.items()}
    mean = {name: weight[name] * size.size / max(1, size.examples) for name, size in sizes.items()}
    whole = sum(mean.values()) or 1.0
    return {
        name: {"examples": size.examples, "size": size.size, "share_of_examples": round(weight[name], 6),
               "share_of_size": round(mean[name] / whole, 6)}
        for name, size in sorted(sizes.items())
    }  # fmt: skip


def describe_prompts(manifest: Mapping[str, Any]) -> str:
    """Say what was made, a line a fact: drops, shares of each language and task, and contamination."""
    lines = [f"{manifest['kept']:,} of {manifest['rows']:,} examples stay"]
    for name, held in manifest["data_sets"].items():
        drops = ", ".join(f"{reason} {count:,}" for reason, count in sorted(held["drops"].items())) or "no drops"
        lines.append(f"  {name}: {held['kept']:,} ({drops})")
        errors = {key: each["first_error"] for key, each in held["templates"].items() if "first_error" in each}
        lines += [f"    {template}: {error}" for template, error in errors.items()]
    for title in ("languages", "tasks"):
        shares = sorted(manifest[title].items(), key=lambda item: (-item[1]["share_of_size"], item[0]))
        text = ", ".join(f"{name} {100 * each['share_of_size']:.1f} %" for name, each in shares[:20])
        lines.append(f"{title}, share of {manifest['unit']}: {text or 'none'}")
    found = manifest["contamination"]
    lines.append(
        f"in evaluation files: {found['examples']:,}" if found["files"] else "not compared with evaluation files"
    )
    return "\n".join([*lines, *(f"  {each['source']} {each['id']}: {each['why']}" for each in found["shown"])])
