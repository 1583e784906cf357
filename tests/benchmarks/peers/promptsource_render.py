"""Renders records by promptsource's own code. Run by the Python of its environment; reads and writes JSON.

Standard input: {"files": {path: [records with an `_id`]}}. Output: {path: {template id: [[parts or null, choices]]}}.
`choice` and `random` draw as ours do, since promptsource's draw by chance.
"""

import hashlib
import json
import sys
from pathlib import Path

import jinja2
import yaml
from promptsource import templates

state = {"key": "", "draws": 0}


@jinja2.pass_context  # otherwise Jinja draws as it compiles, several times
def choice(context, items):
    state["draws"] += 1
    digest = hashlib.blake2b(f"{state['key']}/{state['draws']}".encode(), digest_size=8).digest()
    return items[int.from_bytes(digest, "big") % len(items)]


templates.env.filters.update(choice=choice, random=choice)


def render(template, record):
    fields = {key: value for key, value in record.items() if key != "_id"}
    state.update(key=f"0/{record['_id']}/{template.id}", draws=0)
    try:
        return [template.apply(dict(fields), truncate=True), template.get_answer_choices_list(dict(fields))]
    except Exception as error:  # noqa: BLE001 - whatever a template raises
        return [None, type(error).__name__]


found = {}
for path, records in json.load(sys.stdin)["files"].items():
    held = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=yaml.FullLoader)["templates"]
    found[path] = {each.id: [render(each, record) for record in records] for each in held.values()}
json.dump(found, sys.stdout)
