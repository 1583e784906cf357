"""The files of an index, from what the user named: a file, a folder, a pattern, a URL, or a crawl's list of paths."""

import glob
import json
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipelines.pseudocrawl.ranges import CONNECTIONS, LIST_BYTES, Manners, is_http, open_url, read_all
from roots import storage
from roots.atomic import write_text
from roots.errors import InputError

_LISTS = (".paths.gz", ".paths")
_SUBSET = "subset=warc"  # of a crawl's three subsets, the captures that were answered with a page


def find_index(places: Sequence[str], data: str, manners: Manners, notes: Path) -> dict[str, Path]:
    """All files of an index, as {shard name: file}, sorted.

    Paths in a list are below `data`. For a file at a URL a note is written to the folder `notes`: its URL, length and
    ETag, which stand for its contents. Raises InputError for a place without Parquet files.
    """
    found: list[str] = []
    for place in map(_plain, places):
        listed = _listed(place, data, manners) if place.endswith(_LISTS) else _files(place)
        if not listed:
            raise InputError(f"--cc-index {place}: no Parquet file is there")
        found += listed
    names = _names(sorted(set(found)))
    remote = [place for place in names.values() if storage.is_url(place)]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        sizes = dict(zip(remote, pool.map(lambda url: open_url(url, manners).size(url), remote), strict=True))
    files: dict[str, Path] = {}
    for name, place in names.items():
        files[name] = Path(place)
        if place in sizes:
            length, mark = sizes[place]
            files[name] = notes / f"{name.removesuffix('.parquet')}.url"
            storage.make_folder(notes)
            write_text(files[name], json.dumps({"url": place, "bytes": length, "mark": mark}) + "\n")
    return files


def _plain(place: str) -> str:
    """A place without the file:// of this machine."""
    return str(storage.path_of(place)) if place.startswith("file://") else place


def _files(place: str) -> list[str]:
    """The Parquet files that a place names."""
    if is_http(place):
        return [place] if place.endswith(".parquet") else []
    if storage.is_url(place):
        if storage.is_folder(storage.path_of(place)):
            inside = storage.find_files(f"{place.rstrip('/')}/**/*.parquet")
            return _of_pages(sorted(str(path) for path in inside))
        return sorted(str(path) for path in storage.find_files(place))
    if Path(place).is_dir():
        inside = sorted(Path(place).rglob("*.parquet"))
        return _of_pages(str(path) for path in inside)
    return sorted(path for path in glob.glob(place, recursive=True) if Path(path).is_file())  # noqa: PTH207 - may be absolute


def _of_pages(paths: Iterable[str]) -> list[str]:
    """Only the subset with pages, if the index is cut into subsets."""
    found = list(paths)
    return [path for path in found if _SUBSET in path] or found


def _listed(place: str, data: str, manners: Manners) -> list[str]:
    """The files that a list names, one path in each line."""
    raw = read_all(open_url(place, manners), place) if storage.is_url(place) else Path(place).read_bytes()
    if raw.startswith(b"\x1f\x8b"):
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            raw = unpacker.decompress(raw, LIST_BYTES)
        except zlib.error as error:
            raise InputError(f"--cc-index {place} is damaged: {error}") from None
        if not unpacker.eof:
            raise InputError(f"--cc-index {place} is cut short, or larger than {LIST_BYTES >> 20} MiB unpacked")
    lines = [line.strip() for line in raw.decode("utf-8", "replace").splitlines()]
    paths = _of_pages(line for line in lines if line.endswith(".parquet"))
    data = _plain(data)
    root = data.rstrip("/") + "/" if storage.is_url(data) else ""
    return [root + path if root else str(Path(data) / path) for path in paths]


def _names(places: Sequence[str]) -> dict[str, str]:
    """Shard names of places: the file's own name, after as many of its folders as make the names differ."""
    for count in range(1, 12):
        names = {"__".join(place.split("/")[-count:]).removesuffix(".parquet") + ".parquet": place for place in places}
        if len(names) == len(places):
            return dict(sorted(names.items()))
    raise InputError("two files of the index have the same name and folders")
