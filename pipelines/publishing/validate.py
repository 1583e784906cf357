"""Validate a release: would the Hub accept it, and does `datasets` load it, whole and as a stream?

The Hub's own check of a card needs its server. Without it we check: huggingface_hub reads the card, `datasets` reads
its configs, features and splits as its loader does, and each value for which the Hub has a closed list or form fits it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module, resources
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from pipelines import release
from pipelines.publishing.files import ACCOUNTS
from pipelines.publishing.settings import LICENSE
from roots.errors import SettingsError

_COMPARED_ROWS = 100  # of each split, from the stream and from the whole
_LICENSE_LINK = re.compile(r"LICENSE(?:\.md)?|https?://\S+")


def validate(target: Path) -> Iterator[str]:
    """Yield one sentence for each thing that is wrong with a release folder for the Hub or for `datasets`.

    Needs the `datasets` extra; raises SettingsError without it.
    """
    try:
        datasets, hub = import_module("datasets"), import_module("huggingface_hub")
    except ImportError:
        raise SettingsError(
            "validating a release needs the library datasets: pip install 'roots-corpus[datasets]'"
        ) from None
    manifest = release.read_release_manifest(target)
    yield from release.check_files(target)
    yield from _check_card(hub, (target / "README.md").read_text(encoding="utf-8"), manifest)
    with _quiet(datasets):
        for tag, language in sorted(manifest["languages"].items()):
            yield from _check_loading(datasets, target, tag, language["splits"])


def _check_card(hub: ModuleType, text: str, manifest: release.ReleaseManifest) -> Iterator[str]:
    """Yield what is wrong with the metadata of a card: the two libraries read it, then the Hub's lists are checked."""
    module = import_module("datasets.utils.metadata")
    try:
        data = hub.DatasetCard(text).data
        configs = module.MetadataConfigs.from_dataset_card_data(data)
        infos = import_module("datasets.info").DatasetInfosDict.from_dataset_card_data(data)
    except (ValueError, TypeError, KeyError, import_module("yaml").YAMLError) as error:
        yield f"README.md: its metadata cannot be read: {error}"
        return
    values = data.to_dict()
    yield from _check_license(values)
    for key, list_ in (("size_categories", "size_categories"), ("multilinguality", "multilingualities")):
        known = json.loads(resources.files("datasets.utils.resources").joinpath(f"{list_}.json").read_text("utf-8"))
        yield from (f"README.md: {key} {value!r} is unknown to the Hub" for value in set(values[key]) - set(known))
    for code in values.get("language", []):
        if not re.fullmatch(r"[a-z]{2,3}", code):
            yield f"README.md: language {code!r} is not a code of ISO 639"
    languages = manifest["languages"]
    if set(configs) != set(languages) or set(infos) != set(languages):
        yield f"README.md: configs {sorted(configs)}, the manifest has {sorted(languages)}"
    for tag in sorted(set(infos) & set(languages)):
        found = {split: info.num_examples for split, info in infos[tag].splits.items()}
        if found != {split: counts["rows"] for split, counts in languages[tag]["splits"].items()}:
            yield f"README.md: splits of {tag} are not those of the manifest"


def _check_license(values: Mapping[str, object]) -> Iterator[str]:
    if not LICENSE.fullmatch(str(values.get("license"))):
        yield f"README.md: license {values.get('license')!r} is not spelled as the Hub does, such as cc-by-4.0"
    if values.get("license") == "other" and not values.get("license_name"):
        yield "README.md: a license that is `other` needs a license_name"
    if "license_link" in values and not _LICENSE_LINK.fullmatch(str(values["license_link"])):
        yield f"README.md: license_link {values['license_link']!r} is not LICENSE, LICENSE.md or a URL"


def _check_loading(
    datasets: ModuleType, target: Path, tag: str, splits: Mapping[str, Mapping[str, int]]
) -> Iterator[str]:
    """Load one language whole and as a stream; both must begin with the same documents."""
    (target / ACCOUNTS).mkdir(exist_ok=True)
    with TemporaryDirectory(dir=target / ACCOUNTS) as cache:
        whole = datasets.load_dataset(str(target), tag, cache_dir=cache)
        stream = datasets.load_dataset(str(target), tag, streaming=True, cache_dir=cache)
        for split, counts in splits.items():
            if split not in whole or whole[split].num_rows != counts["rows"]:
                found = whole[split].num_rows if split in whole else 0
                yield f"{tag}, {split}: datasets loads {found} rows, the manifest has {counts['rows']}"
            elif list(islice(stream[split], _COMPARED_ROWS)) != list(islice(whole[split], _COMPARED_ROWS)):
                yield f"{tag}, {split}: the stream begins with other rows than the whole"


@contextmanager
def _quiet(datasets: ModuleType) -> Iterator[None]:
    """Hide the progress bars of `datasets`."""
    shown = datasets.are_progress_bars_disabled() is False
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
