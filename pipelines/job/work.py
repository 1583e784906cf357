"""The layout of a work folder, and the archives that it is about.

work/inputs.json                         shard name -> path of its archive, or name -> path of those it is about
work/skipped.json                        the inputs that a run left out: path -> why; only where there are any
work/index/<archive>.parquet             all languages, once
work/fr/<stage>/<archive>.parquet        one language; the same name through all stages
work/fr/shards/{train,validation}/       the dataset
work/fr/manifest.json                    what the dataset was made from, with which settings
work/all/dedup/                          scratch files and report of a dedup over several languages
"""

import glob
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipelines.job.stages import STAGES, chain_stages, load
from pipelines.sources.hub import files_of_data_set
from pipelines.sources.layouts import is_table_name, table_files
from roots import storage
from roots.atomic import read_manifest, write_text
from roots.errors import InputError

_ENDINGS = (".gz", ".zst", ".lz4", ".warc", ".wet", ".arc", ".wacz", ".open", ".zip", ".tar", ".tgz", ".bz2", ".xz")
_PAGE_ARCHIVE = re.compile(
    r"\.(warc|wet|wat|arc|wacz)(\.open)?(\.(gz|zst|lz4))?$", re.IGNORECASE
)  # file names of archives of pages
_DOCUMENT = re.compile(r"\.(pdf|epub|docx|pptx|odt|x?html?)$", re.IGNORECASE)
_PART = re.compile(r"@(\d+)-(\d+)\.parquet$", re.ASCII)

_GROUP_BYTES = 512 << 10  # most that the archives of a shard may have if several share it: a few seconds of work
_SMALL_BYTES = _GROUP_BYTES // 8  # of an archive that can share a shard
_LEAST_BYTES = _GROUP_BYTES // 64  # what the smallest archive counts, since opening one takes time too
_FEW = 32  # up to this number, small archives have a shard each, so that several workers have work

_SKIPPED = "skipped.json"
ALL = "all"  # the folder that several languages share; no language has this code


def folder(work: Path, language: str, stage: str) -> Path:
    """The folder of a stage's shards."""
    row = STAGES[stage]
    return work / row.folder if row.shared else work / language / row.folder


def chain(work: Path, language: str, name: str, before: str) -> list[Path]:
    """The shards of one archive by all stages before `before`, first to last."""
    return [folder(work, language, stage) / name for stage in chain_stages(before)]


def all_chains(work: Path, language: str, before: str) -> list[list[Path]]:
    """The chains of all archives of a work folder. Raises InputError where no index was made."""
    return [chain(work, language, name, before) for name in known_shards(work)]


def find_archives(patterns: Sequence[str]) -> dict[str, Path]:
    """Find the archives that paths and glob patterns name, as `name_archives` names them.

    Raises InputError for a pattern that matches nothing, and for what `fault_of_place` finds.
    """
    found = match_inputs(patterns)
    for fault in filter(None, map(fault_of_place, found)):
        raise InputError(fault)
    return name_archives(found)


def match_inputs(patterns: Sequence[str], config: str = "") -> list[Path]:
    """What paths and glob patterns name, sorted, each once. Raises InputError for a pattern that matches nothing.

    `config` is the configuration of a data set of the Hub that has several.
    """
    found: set[Path] = set()
    for pattern in patterns:
        if storage.is_url(pattern) and not pattern.startswith("file://"):
            matches = storage.find_files(pattern) or files_of_data_set(pattern, config)
            example = "s3://bucket/crawl/*.warc.gz"
        else:
            local = _with_own_brackets(str(storage.path_of(pattern)) if pattern else "")
            paths = map(_resolved, glob.glob(local, recursive=True))  # noqa: PTH207 - a pattern may be absolute
            matches = [each for path in paths for each in _files_of(path)]
            example = "crawl/*.warc.gz"
        if not matches:
            hint = "; a bracket that is part of a name is written [[]" if "[" in pattern else ""
            raise InputError(f"no file matches {pattern!r}: name archives such as {example!r}{hint}")
        found.update(matches)
    if not found:
        raise InputError("no input: name archives with --input 'crawl/*.warc.gz'")
    return sorted(found, key=str)


def _resolved(name: str) -> Path:
    """The file that a name leads to; the name itself if it leads nowhere."""
    try:
        return Path(name).resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: links in a circle
        return Path(name)


def _files_of(path: Path) -> list[Path]:
    """The tables in the folder of a data set; anything else is one input."""
    try:
        return (table_files(path) if path.is_dir() else []) or [path]
    except OSError:  # `fault_of_place` says why
        return [path]


def fault_of_place(path: Path) -> str:
    """Why an input cannot be one, by what kind of file or folder it is; empty if it can."""
    if storage.is_remote(path):
        return ""
    try:
        if path.is_symlink() and not path.exists():
            return f"{path} is a link to {path.readlink()}, which is not there: mend it, or leave it out"
        if not path.exists():
            return f"no file {path}"
        if path.is_dir():
            return (
                "" if holds_source(path) else f"{path} is a folder: write '{path}/*.warc.gz' to mean the archives in it"
            )
    except OSError as error:
        return f"cannot read {path}: {error.strerror}"
    return "" if path.is_file() else f"{path} is neither a file nor a folder"


def name_archives(found: Sequence[Path], known: Mapping[str, Path] | None = None) -> dict[str, Path]:
    """Names for archives: {name: path}, sorted. A shard has the name of its archive.

    Archives with the same name also get the names of their folders. Those of `known` keep their names, so that what was
    made of them counts.
    """
    names = {path: _names(path) for path in found}
    kept = {str(path): name for name, path in (known or {}).items() if part_of_shard(name) is None}
    archives = {kept[str(path)]: path for path in found if str(path) in kept}
    waiting, place = [path for path in found if str(path) not in kept], 0
    while waiting:
        taken = Counter(each[place] for each in names.values() if place < len(each))
        taken.update(name.removesuffix(".parquet") for name in kept.values() if name in archives)
        fits = {path for path in waiting if taken[names[path][place]] == 1}
        archives |= {names[path][place] + ".parquet": path for path in waiting if path in fits}
        waiting = [path for path in waiting if path not in fits]
        place += 1
    return dict(sorted(archives.items()))


def _with_own_brackets(pattern: str) -> str:
    """The pattern with [ escaped in every part that names a file or folder as it stands: a folder `br[1]` is meant."""
    parts = Path(pattern).parts
    for number, part in enumerate(parts):
        if not glob.has_magic(part):
            continue
        if "*" in part or "?" in part or not Path(*parts[: number + 1]).exists():
            break  # what lies below is not known
        pattern = str(Path(*map(glob.escape, parts[: number + 1]), *parts[number + 1 :]))
    return pattern


def holds_source(folder: Path) -> bool:
    """Whether a folder is a source tree: not empty, and without archives of pages."""
    names = [path.name for path in folder.iterdir()]
    return bool(names) and not any(_PAGE_ARCHIVE.search(name) for name in names)


def _names(path: Path) -> list[str]:
    """Names for the shard of an archive, the shortest first; each next one has one more ending or folder."""
    names: list[str] = []
    parts = [part for part in str(path).rpartition("://")[2].split("/") if part]
    for count in range(1, len(parts) + 1):
        *above, last = parts[-count:]
        names += ["__".join([*above, _stem(last)]), "__".join([*above, last])]
    last = f"{names[-1]}-{_digest(str(path)):08x}"  # one path may be in two stores
    return [*(name for name in names if part_of_shard(f"{name}.parquet") is None), last]


def _stem(name: str) -> str:
    """A file name without the endings that archives have."""
    while name.lower().endswith(_ENDINGS):
        name = name.rpartition(".")[0]
    return name or "archive"


def part_of_shard(name: str) -> range | None:
    """The offsets of a large archive that a shard is about, by its name; None if it is about all of them."""
    found = _PART.search(name)
    return range(int(found[1]), int(found[2])) if found else None


def shards_of(archives: Mapping[str, Path], part_bytes: int) -> dict[str, list[str]]:
    """Decide which shards there are: {shard name: names of its archives}, as `group_archives` does.

    A large table or folder of documents has several, each with the offsets that it is about in its name:
    a.jsonl.parquet@000-128.parquet.
    """
    found: dict[str, list[str]] = {}
    for shard, names in group_archives(archives).items():
        path = archives[names[0]]
        parts: list[range] = []
        if len(names) == 1 and _may_be_cut(path, part_bytes):
            parts = load("pipelines.sources.doors:parts_of")(path, part_bytes)
        width = len(str(parts[-1].stop)) if parts else 0
        cut = {f"{shard}@{part.start:0{width}}-{part.stop:0{width}}.parquet": names for part in parts}
        found |= cut if len(cut) > 1 else {shard: names}
    return found


def group_archives(archives: Mapping[str, Path]) -> dict[str, list[str]]:
    """Decide which archives share a shard: {shard name: names of its archives}, in the order of names.

    A shard costs as much as some pages do. So small archives share one with their neighbours by name. A digest of its
    name decides whether an archive begins a group, the larger the likelier. So an archive that comes in or goes out
    changes its own group and rarely the next ones. A group has the name of its first archive, then how many more, and a
    digest of the names that its rows hold.
    """
    sizes = {name: max(path.stat().st_size, _LEAST_BYTES) for name, path in archives.items() if _can_share(path)}
    if len(sizes) <= _FEW:
        return {name: [name] for name in archives}
    groups: list[list[str]] = []
    files: set[str] = set()  # names of a group's archives: a row names its archive by it
    room = 0
    for name in sorted(archives):
        size, file = sizes.get(name, _GROUP_BYTES + 1), archives[name].name
        if size > room or file in files or _digest(name) % (_GROUP_BYTES // 2) < size:
            groups.append([])
            files, room = set(), _GROUP_BYTES
        groups[-1].append(name)
        files.add(file)
        room -= size
    return {_name_group([archives[name].name for name in names], names[0]): names for names in groups}


def _can_share(path: Path) -> bool:
    """Whether an archive may share a shard: a small file of pages, texts or a document, on this machine."""
    shareable = _PAGE_ARCHIVE.search(path.name) or is_table_name(path.name) or _DOCUMENT.search(path.name)
    if storage.is_remote(path) or not shareable:
        return False
    return path.is_file() and path.stat().st_size <= _SMALL_BYTES


def _may_be_cut(path: Path, part_bytes: int) -> bool:
    """Whether an archive may have several shards: a folder or a large file, of anything but pages, on this machine."""
    if storage.is_remote(path) or _PAGE_ARCHIVE.search(path.name):
        return False
    return path.is_dir() or path.stat().st_size > part_bytes


def _name_group(files: Sequence[str], first: str) -> str:
    return first if len(files) == 1 else f"{first}+{len(files) - 1}-{_digest('/'.join(files)):08x}.parquet"


def _digest(text: str) -> int:
    """A number of 32 bits from a text."""
    return int.from_bytes(hashlib.sha256(os.fsencode(text)).digest()[:4], "big")


def remember_inputs(
    work: Path, archives: Mapping[str, Path], shards: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Write down the archives of a work folder, for later stages; `shards` says which each shard is about."""
    storage.make_folder(work)
    values: dict[str, object] = {name: str(path) for name, path in archives.items()} if shards is None else {}
    for shard, names in (shards or {}).items():
        paths = {name: str(archives[name]) for name in names}
        values[shard] = paths.get(shard) or paths
    write_text(work / "inputs.json", json.dumps(dict(sorted(values.items())), indent=1))


def remember_skipped(work: Path, skipped: Mapping[str, str]) -> None:
    """Write down the inputs that were left out: {path: why}."""
    if skipped:
        write_text(work / _SKIPPED, json.dumps(dict(skipped), indent=1, ensure_ascii=False))
    else:
        storage.remove(work / _SKIPPED)


def known_skipped(work: Path) -> dict[str, str]:
    """The inputs that were left out of a work folder: {path: why}."""
    try:
        return {str(path): str(why) for path, why in json.loads(storage.read_text(work / _SKIPPED)).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError) as error:
        raise InputError(f"{work / _SKIPPED} is damaged ({error}): run `roots index` again") from None


def known_inputs(work: Path) -> dict[str, Path]:
    """The archives of a work folder: {name: path}. Raises InputError where no index was made."""
    return {name: path for archives in _read_inputs(work).values() for name, path in archives.items()}


def known_shards(work: Path) -> dict[str, list[str]]:
    """The shards that a stage makes of a work folder's archives: {shard name: names of its archives}.

    Raises InputError where no index was made.
    """
    return {shard: list(archives) for shard, archives in _read_inputs(work).items()}


def _read_inputs(work: Path) -> dict[str, dict[str, Path]]:
    path = work / "inputs.json"
    try:
        found: dict[str, dict[str, Path]] = {}
        for shard, held in json.loads(storage.read_text(path)).items():
            archives = held if isinstance(held, dict) else {shard: held}
            found[shard] = {name: storage.path_of(archive) for name, archive in archives.items()}
        return found
    except FileNotFoundError:
        raise InputError(
            f"{work} is no work folder yet: run `roots index {work} --input 'crawl/*.warc.gz'` first"
        ) from None
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}): run `roots index` again") from None


def languages(work: Path) -> list[str]:
    """Codes of the languages with results in a work folder, sorted: those with a dataset or any stage's folder."""
    stages = {row.folder for row in STAGES.values() if not row.shared}
    return sorted(
        folder.name
        for folder in _folders_in(work)
        if not (below := set(storage.names_in(folder))).isdisjoint(stages)
        or ("manifest.json" in below and "README.md" not in below)  # a release has a card, too
    )


def _folders_in(work: Path) -> Iterator[Path]:
    """The folders in a work folder that may belong to a language."""
    shared = {ALL, "pseudocrawl", *(row.folder for row in STAGES.values() if row.shared)}
    for name in storage.names_in(work):
        if name not in shared and storage.is_folder(work / name):
            yield work / name


def deduplicated_with(work: Path, language: str) -> list[str]:
    """The languages that dedup compared with this one: itself, and others if it ran with the scope "global"."""
    found = [code for code in languages(work) if _scope(folder(work, code, "dedup")) == "global"]
    return [language, *(code for code in found if code != language)] if language in found else [language]


def shards_of_dedup(work: Path, language: str) -> Iterator[Path]:
    """Yield the shards of dedup that may hold copies of a language's documents. Raises InputError if it has not run."""
    for code in deduplicated_with(work, language):
        target = folder(work, code, "dedup")
        yield from (target / name for name in sorted(read_manifest(target)["shards"]))


def dedup_report(work: Path, language: str) -> Path:
    """The report of a language's dedup: beside its shards, or in the folder of all languages it compared."""
    own = folder(work, language, "dedup") / "report.json"
    return own if storage.is_file(own) else folder(work, ALL, "dedup") / "report.json"


def _scope(dedup: Path) -> str:
    """The scope of a dedup that has finished."""
    try:
        return str(read_manifest(dedup)["settings"]["settings"]["scope"])
    except (InputError, OSError, LookupError, TypeError):
        return "language"  # it has not finished, or is damaged: `verify` reports that
