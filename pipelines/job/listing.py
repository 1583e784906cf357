"""All settings of all commands, as a TOML file: each group, each key with its default, and what it means.

A setting's meaning is the comment beside its field, or above it; it is written in no second place.
"""

import ast
import dataclasses
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence

from pipelines.job.stages import load, settings_groups
from roots.errors import SettingsError, unknown_name
from roots.settings import as_values

_MODELS, _RELEASES, _TRAINER = "pipelines.models.settings", "pipelines.publishing.settings", "trainer.settings"
_SHARED = {
    "language_id": "pipelines.job.settings:LanguageIdSettings",
    "source": "pipelines.sources.layouts:TableSettings",
}  # groups whose fields several stages inherit
_OTHERS = {
    "pseudocrawl": "pipelines.pseudocrawl.fetch:Pseudocrawl",
    "plan": "pipelines.forecast.settings:PlanSettings",
    "report": "pipelines.workbench.settings:ReportSettings",
    "derive": f"{_MODELS}:DeriveSettings",
    "lid": f"{_MODELS}:LanguageIdTraining",
    "main_text": f"{_MODELS}:MainTextTraining",
    "perplexity": f"{_MODELS}:PerplexityTraining",
    "quality": f"{_MODELS}:QualityTraining",
    "publish": f"{_RELEASES}:PublishSettings",
    "rights": "pipelines.catalogue:Rights",
    "push": f"{_RELEASES}:PushSettings",
    "takedown": f"{_RELEASES}:TakedownSettings",
    "rebuild": f"{_RELEASES}:RebuildSettings",
    "tokenizer": f"{_TRAINER}:TokenizerSettings",
    "tokens": f"{_TRAINER}:TokensSettings",
    "train": "trainer.training.recipe:Recipe",
    "prompts": "pipelines.prompts.settings:PromptsSettings",
    "finetune": "trainer.finetune.settings:FinetuneSettings",
    "evaluate": f"{_TRAINER}:EvaluateSettings",
    "tasks": f"{_TRAINER}:TaskSettings",
    "generate": f"{_TRAINER}:GenerateSettings",
    "export": f"{_TRAINER}:ExportSettings",
    "ablate": f"{_TRAINER}:AblateSettings",
    "memorization": f"{_TRAINER}:MemorizationSettings",
}  # group -> class of its settings; those of the stages are in the table of stages


def list_settings(groups: Sequence[str] = ()) -> Iterator[str]:
    """Lines of TOML: the settings of some groups, or of all. Raises SettingsError for an unknown group."""
    known = {
        **_SHARED,
        **{group: row.settings for group, row in settings_groups().items()},
        **_OTHERS,
    }
    for group in groups:
        if group not in known:
            raise SettingsError(unknown_name("group of settings", group, known))
    inherited = {field.name for name in _SHARED.values() for field in dataclasses.fields(load(name))}
    for group in groups or known:
        kind = load(known[group])
        hidden = inherited if group in ("index", "extract") else set()
        meanings = _meanings(kind)
        yield f"[{group}]"
        for field in dataclasses.fields(kind):
            if field.init and field.name not in hidden:
                default = field.default_factory() if callable(field.default_factory) else field.default
                yield f"{field.name} = {_toml(as_values(default))}  # {meanings.get(field.name, '')}".rstrip(" #")
        yield ""


def _meanings(kind: type) -> dict[str, str]:
    """What each field of a dataclass means: the comment above it, then that beside it."""
    found: dict[str, str] = {}
    for base in (base for base in reversed(kind.__mro__) if dataclasses.is_dataclass(base)):
        lines = inspect.getsource(base).splitlines()
        (body,) = ast.parse("\n".join(lines)).body
        assert isinstance(body, ast.ClassDef)
        for node in body.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                first = node.lineno - 1
                while lines[first - 1].strip().startswith("#"):
                    first -= 1
                parts = [line.partition("# ")[2].strip() for line in lines[first : node.end_lineno]]
                found[node.target.id] = " ".join(part for part in parts if part)
    return found


def _toml(value: object) -> str:
    """A value as TOML has it; what is not set is the text "none", as `--set` takes it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps("none" if value is None else value, ensure_ascii=False)
