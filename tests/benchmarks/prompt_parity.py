"""Render hand-made records by promptsource's templates, with its own code and with ours, and compare.

    pip install --ignore-requires-python promptsource==0.2.3 jinja2 pyyaml pandas    (in an environment of its own)
    python -m tests.benchmarks.prompt_parity --peer PYTHON [--templates FOLDER]

Each file of templates has its records in `prompt_records.json`, by the name of its data set: each as written, with the
separator in its texts, and with texts of 5,000 characters. Ours runs lenient and with truncation, as promptsource does.
With `--write`, digests of the examples are kept for the tests if
none differs. Exit code 1 means that an example differs.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.prompts.rendering import prepare_rendering
from pipelines.prompts.templates import read_templates

HERE = Path(__file__).resolve().parent
TEMPLATES = HERE.parents[2] / "shared" / "data" / "prompts" / "promptsource"
DIGESTS = HERE / "prompt_digests.json"  # of examples that equal promptsource's
Fields = dict[str, Any]


def with_texts(value: Any, change: Any) -> Any:
    """The same value with each text of more than 20 characters changed."""
    if isinstance(value, str):
        return change(value) if len(value) > 20 else value
    if isinstance(value, dict):
        return {key: with_texts(item, change) for key, item in value.items()}
    return [with_texts(item, change) for item in value] if isinstance(value, list) else value


def records_of(data_set: str) -> list[Fields]:
    """The records of a data set, each in three forms."""
    known = json.loads((HERE / "prompt_records.json").read_text(encoding="utf-8"))
    forms = (
        lambda text: text,
        lambda text: text[:9] + " ||| " + text[9:],
        lambda text: (text + " ") * (5_000 // len(text)),
    )
    made: list[Fields] = []
    for record in known[data_set]:
        for form in forms:
            # promptsource protects the separator in plain fields alone
            changed = {
                k: with_texts(v, form) if isinstance(v, str) or form is not forms[1] else v for k, v in record.items()
            }
            made.append({**changed, "_id": str(len(made))})
    return made


def ours(path: Path, records: Sequence[Fields]) -> dict[str, list[Any]]:
    """What our code makes: as the peer says it."""
    templates = [vars(template) for template in read_templates(path).templates]
    render = prepare_rendering(templates, 0, lenient=True, truncate=True)
    items = [
        {
            "id": record["_id"],
            "fields": {k: v for k, v in record.items() if k != "_id"},
            "templates": [*range(len(templates))],
        }
        for record in records
    ]
    rows = [row["examples"] for row in render(items)]
    return {template["id"]: [row[at] for row in rows] for at, template in enumerate(templates)}


def same(example: Sequence[Any], peer: Sequence[Any]) -> bool:
    """Whether our example says what the peer's parts say."""
    inputs, targets, choices, drop, _ = example
    parts, wanted = peer
    if parts is None:
        return drop == "prompts.error"
    if drop == "prompts.no_separator" or not any(parts):
        return [inputs] == parts or drop == "prompts.empty"
    if len(parts) > 2 and any("|||" in choice for choice in choices or ()):
        return drop is None  # promptsource cuts a target at the separator in a choice
    return drop != "prompts.error" and [inputs, targets] == parts[:2] and choices == wanted


def digest_of(made: Mapping[str, Sequence[Any]]) -> str:
    """A digest of the inputs, targets and choices of all templates of a file."""
    plain = {template: [list(example[:3]) for example in examples] for template, examples in made.items()}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def compare(files: Mapping[Path, Sequence[Fields]], peer: str) -> tuple[list[str], int]:
    """Lines on what differs, and how many examples were compared."""
    script = HERE / "peers" / "promptsource_render.py"
    job = json.dumps({"files": {str(path): records for path, records in files.items()}})
    done = subprocess.run([peer, "-W", "ignore", str(script)], input=job, capture_output=True, text=True, check=True)
    found, lines, count = json.loads(done.stdout), [], 0
    for path, records in files.items():
        for template, examples in ours(path, records).items():
            for record, example, wanted in zip(records, examples, found[str(path)][template], strict=True):
                count += 1
                if not same(example, wanted):
                    lines.append(f"{path.parent} {template} record {record['_id']}: {example} is not {wanted}")
    return lines, count


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare rendering with promptsource.")
    parser.add_argument("--peer", default=sys.executable, help="Python with promptsource")
    parser.add_argument("--templates", type=Path, default=TEMPLATES)
    parser.add_argument("--write", action="store_true", help="keep digests of equal examples for the tests")
    options = parser.parse_args()
    paths = sorted(options.templates.rglob("templates.yaml"))
    files = {path: records_of(read_templates(path).data_set) for path in paths}
    lines, count = compare(files, options.peer)
    print("\n".join(line[:400] for line in lines[:40]))
    if options.write and not lines:
        held = {read_templates(path).data_set: digest_of(ours(path, records)) for path, records in files.items()}
        DIGESTS.write_text(json.dumps(held, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{len(files)} files, {count:,} examples, {len(lines)} differ")
    return 1 if lines or not files else 0


if __name__ == "__main__":
    sys.exit(main())
