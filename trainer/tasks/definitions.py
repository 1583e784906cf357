"""Read task files: lm-evaluation-harness' YAML over local files, and a TOML of ours with several prompts.

A folder of `roots prompts`, which are rendered by promptsource's templates, is read too: a task for each template and
language. The YAML is a subset: no Python (`!function`), no data from the net. `include` is followed. Paths of data are
relative to the task file, or else to the current folder, as the harness has them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from roots.errors import InputError, SettingsError, unknown_name
from roots.settings import build, read_toml

_KINDS = {
    "multiple_choice": "choice",
    "loglikelihood": "continuation",
    "loglikelihood_rolling": "perplexity",
    "generate_until": "generate",
}
_FORMS = ("json", "csv", "parquet")
_YAML_BYTES = 1 << 20
_INCLUDES = 8  # files that include each other
_IGNORED = {
    "dataset_name", "doc_to_decontamination_query", "group", "metadata", "repeats",
    "should_decontaminate", "tag", "task_alias", "unsafe_code",
}  # fmt: skip
_READ = {
    "task", "include", "dataset_path", "dataset_kwargs", "training_split", "validation_split", "test_split",
    "fewshot_split", "fewshot_config", "output_type", "description", "doc_to_text", "doc_to_target", "doc_to_choice",
    "target_delimiter", "fewshot_delimiter", "num_fewshot", "generation_kwargs", "filter_list", "metric_list",
}  # fmt: skip

Form = str | int | tuple[str, ...] | None  # a template, a number, or fixed texts


@dataclass(frozen=True)
class Data:
    """Where the examples of a task are."""

    splits: Mapping[str, tuple[Path, ...]]
    test: str
    shots: str  # the split that examples in the prompt are from
    form: str = "json"  # one of _FORMS, or "prompts"
    columns: tuple[str, ...] = ()  # of a table without a header
    separator: str = ","
    quoted: bool = True  # whether quotation marks of a table mean anything
    only: Mapping[str, str | None] = field(default_factory=dict)  # values that an example of prompts has


@dataclass(frozen=True)
class Prompt:
    """How an example becomes text."""

    name: str = ""
    text: Form = ""
    target: Form = ""
    choices: Form = None
    description: str = ""  # before all
    delimiter: str = " "  # between text and target
    shots_delimiter: str = "\n\n"  # after each example in the prompt
    once: bool = False  # no delimiter where text or answer have white space there, as in fine-tuning


@dataclass(frozen=True)
class Task:
    """One task with one prompt."""

    name: str
    kind: str  # choice, continuation, perplexity, generate
    data: Data
    prompt: Prompt
    family: str = ""  # tasks that differ in prompt or language only
    language: str = ""
    shots: int = 0  # examples in the prompt, if the user asks for no other number
    first_shots: bool = False  # the first examples, not drawn ones
    ends: tuple[str, ...] = ()  # texts that end what is generated
    tokens: int = 256  # generated at most
    pattern: str = ""  # of the answer in what is generated
    options: Mapping[str, bool] = field(default_factory=dict)  # ignore_case and ignore_punctuation of exact_match


def read_tasks(place: Path) -> list[Task]:
    """Read the tasks of a folder, or of one file, by name. Raises InputError for a file that cannot be used."""
    if (place / "rendered").is_dir():
        return _of_prompts(place / "rendered")
    files = sorted(path for path in place.rglob("*") if path.suffix in (".yaml", ".yml", ".toml"))
    if place.is_file():
        files = [place]
    found = [task for file in files for task in (_of_toml(file) if file.suffix == ".toml" else _of_yaml(file))]
    if not found:
        raise InputError(f"no task in {place}: it needs a .yaml file of lm-evaluation-harness or a .toml file")
    names = [task.name for task in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{place} has two tasks with the name {twice[0]!r}")
    return sorted(found, key=lambda task: task.name)


class _Loader(yaml.SafeLoader):
    """YAML without Python: any unknown tag is refused."""


def _load_yaml(file: Path, depth: int = 0) -> dict[str, Any]:
    """Read a YAML file and those that it includes, whose values it may replace."""
    try:
        raw = file.read_bytes()
        if len(raw) > _YAML_BYTES or depth > _INCLUDES:
            raise InputError(f"{file} is too large, or includes itself")
        found = yaml.load(raw, Loader=_Loader)
    except yaml.constructor.ConstructorError as error:
        tag = "Python (!function)" if "!function" in str(error) else str(error.problem)
        raise InputError(f"{file} asks for {tag}, which is refused: write it as a template") from None
    except (OSError, yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{file} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{file} is not a task: it holds no table of values")
    below: dict[str, Any] = {}
    for name in _texts(found.get("include")):
        below |= _load_yaml(file.parent / name, depth + 1)
    return below | found


def _texts(value: object) -> tuple[str, ...]:
    """Return a text or a list of texts as a tuple."""
    if value is None:
        return ()
    return tuple(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else (str(value),)


def _form(value: object) -> Form:
    """Return a template, number or list of a task file in one form."""
    if isinstance(value, dict):
        return tuple(map(str, value.values()))
    if isinstance(value, list):
        return tuple(map(str, value))
    return value if isinstance(value, int) or value is None else str(value)


def _of_yaml(file: Path) -> Iterator[Task]:
    """Yield the task of a YAML file; none if the file is for others to include, or names a group."""
    found = _load_yaml(file)
    if not isinstance(found.get("task"), str):
        return
    kind = found.get("output_type", "generate_until")
    if kind not in _KINDS:
        raise InputError(f"{file}: " + unknown_name("output_type", str(kind), _KINDS))
    if unknown := sorted(set(found) - _READ - _IGNORED):
        raise InputError(f"{file}: {unknown[0]!r} is not supported here")
    about = found.get("metadata") or {}
    generation = found.get("generation_kwargs") or {}
    if generation.get("do_sample") or float(generation.get("temperature") or 0):
        raise InputError(f"{file}: only the likeliest text is generated (do_sample: false)")
    shots_delimiter = str(found.get("fewshot_delimiter", "\n\n"))
    metrics = [each for each in found.get("metric_list") or [] if isinstance(each, dict)]
    exact = next((each for each in metrics if each.get("metric") == "exact_match"), {})
    yield Task(
        found["task"],
        _KINDS[kind],
        _data_of(found, file),
        Prompt(
            str(about.get("prompt", "")), _form(found.get("doc_to_text")), _form(found.get("doc_to_target")),
            _form(found.get("doc_to_choice")), str(found.get("description", "")),
            str(found.get("target_delimiter", " ")), shots_delimiter,
        ),
        str(about.get("family") or next(iter(_texts(found.get("tag"))), found["task"])),
        str(about.get("language", "")),
        int(found.get("num_fewshot") or 0),
        (found.get("fewshot_config") or {}).get("sampler") == "first_n",
        _texts(generation.get("until", [shots_delimiter])),
        int(generation.get("max_gen_toks") or 256),
        _pattern_of(found, file),
        {name: bool(exact.get(name)) for name in ("ignore_case", "ignore_punctuation")},
    )  # fmt: skip


def _pattern_of(found: Mapping[str, Any], file: Path) -> str:
    """Return the pattern of the answer, or an empty text. Raises InputError for other filters."""
    pattern = ""
    for pipeline in (found.get("filter_list") or [])[:1]:
        for each in pipeline.get("filter") or []:
            if each.get("function") == "regex":
                pattern = str(each.get("regex_pattern", ""))
            elif each.get("function") not in ("take_first", "remove_whitespace"):
                raise InputError(f"{file}: the filter {each.get('function')!r} is not supported here")
    return pattern


def _data_of(found: Mapping[str, Any], file: Path) -> Data:
    """Return the data of a YAML task. Raises InputError for data that is not local."""
    form = found.get("dataset_path")
    if form not in _FORMS:
        raise InputError(f"{file}: dataset_path {form!r} is not local: use one of {', '.join(_FORMS)} with data_files")
    options = found.get("dataset_kwargs") or {}
    named = options.get("data_files") or {}
    if not isinstance(named, dict):
        named = {"train": named}
    splits = {split: tuple(_beside(file, name) for name in _texts(names)) for split, names in named.items()}
    test = found.get("test_split") or found.get("validation_split") or next(iter(splits), "")
    order = (found.get(name) for name in ("fewshot_split", "training_split", "validation_split"))
    shots = next((split for split in order if split), test)
    for split in (test, shots):
        if split not in splits:
            raise InputError(f"{file}: " + unknown_name("split", split, splits))
    return Data(
        splits, test, shots, form, _texts(options.get("column_names")), str(options.get("delimiter", ",")),
        options.get("quoting", 0) != 3,
    )  # fmt: skip


def _beside(file: Path, name: str) -> Path:
    """Return the path of data that a task file names. Raises InputError if there is none."""
    if "://" in name:
        raise InputError(f"{file}: data must lie on this machine, not at {name}")
    known = [path for path in (file.parent / name, Path(name)) if path.is_file()]
    if not known:
        raise InputError(f"{file}: no file {name}")
    return known[0]


@dataclass(frozen=True)
class _Plain:
    """A task file of ours; `prompts` are tables with the fields of Prompt."""

    data: str
    kind: str = "choice"
    name: str = ""
    family: str = ""
    language: str = ""
    shots_data: str = ""
    columns: tuple[str, ...] = ()
    ends: tuple[str, ...] = ("\n",)
    tokens: int = 256
    prompts: tuple[Prompt, ...] = (Prompt(),)

    def __post_init__(self) -> None:
        if self.kind not in _KINDS.values():
            raise ValueError(unknown_name("kind", self.kind, _KINDS.values()))


def _of_toml(file: Path) -> Iterator[Task]:
    """Yield one task for each prompt of a TOML file. Raises InputError."""
    try:
        raw = read_toml(file)
        listed = tuple(build(Prompt, each, f"{file}: prompts") for each in raw.pop("prompts", []))
        plain = build(_Plain, raw, str(file))
    except SettingsError as error:
        raise InputError(str(error)) from None
    names = [plain.data, *([plain.shots_data] if plain.shots_data else [])]
    paths = {split: (_beside(file, name),) for split, name in zip(("test", "shots"), names, strict=False)}
    suffixes = Path(plain.data).name.split(".")[1:]
    table = next((suffix for suffix in suffixes if suffix in ("csv", "tsv")), "")
    form = "csv" if table else "parquet" if "parquet" in suffixes else "json"
    separator = "\t" if table == "tsv" else ","
    data = Data(paths, "test", "shots" if plain.shots_data else "test", form, plain.columns, separator, table != "tsv")
    name = plain.name or file.stem
    for number, prompt in enumerate(listed or (Prompt(),)):
        label = prompt.name or str(number)
        yield Task(
            f"{name}.{label}" if len(listed) > 1 else name, plain.kind, data, prompt, plain.family or name,
            plain.language, ends=plain.ends, tokens=plain.tokens,
        )  # fmt: skip


def _of_prompts(place: Path) -> list[Task]:
    """Return a task for each template and language of the data sets of a folder of prompts. Raises InputError."""
    names = ("data_set", "task", "template", "language")
    found: dict[tuple[str | None, ...], set[Path]] = {}
    choices: set[tuple[str | None, ...]] = set()
    for file in sorted(place.rglob("*.parquet")):
        try:
            rows = pq.read_table(file, columns=[*names, "choices"])
        except (OSError, ValueError, pa.ArrowException) as error:
            raise InputError(f"{file} cannot be read: {error}") from None
        for row in rows.to_pylist():
            key = tuple(row[name] for name in names)
            found.setdefault(key, set()).add(file)
            if row["choices"]:
                choices.add(key)
    tasks = []
    for key, files in sorted(found.items(), key=str):
        data_set, _, template, language = key
        only = dict(zip(names, key, strict=True))
        data = Data({"test": tuple(sorted(files))}, "test", "test", "prompts", only=only)
        prompt = Prompt(template or "", "inputs", "targets", "choices" if key in choices else None, once=True)
        name = ".".join(filter(None, [data_set, template, language]))
        kind = "choice" if key in choices else "generate"
        tasks.append(Task(name, kind, data, prompt, data_set or "", language or "", ends=("\n",)))
    if not tasks:
        raise InputError(f"{place.parent} holds no prompts")
    return tasks
