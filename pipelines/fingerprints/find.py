"""find: the documents of a corpus that hold a text, or parts of it, with the places."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import regex

from filters.fingerprints.letters import letters_of
from filters.fingerprints.lookup import LEAST, LEAST_DENSE, Query, SharedRun, leasts_of, shared_runs, whole_query
from pipelines.fingerprints.index import CorpusFile, batches_of_file, batches_with, index_corpus
from roots import storage
from roots.errors import InputError
from roots.executors import Executor
from roots.stage import Progress

_MOST_SCANNED = 2 << 30  # bytes of files that are read for a text too short for the index
_MOST_LETTERS = 1_000_000  # of a text that is looked for
_AROUND = 60  # characters shown before and behind a passage
_MARKS = regex.compile(r"\X")


class Passage(NamedTuple):
    """A part of a document that stands in the text, with what is around it; `letters` counts letters and numbers."""

    before: str
    text: str
    after: str
    letters: int
    start: int  # of the document, in characters
    query_start: int  # of the text that was looked for, in characters
    query_stop: int


@dataclass(frozen=True)
class FoundDocument:
    """A document that holds parts of the text, longest first."""

    file: str
    row: int
    id: str
    url: str | None
    passages: tuple[Passage, ...]


@dataclass(frozen=True)
class Finding:
    """What became of one text: the documents, those with the longest passage first."""

    text: str
    letters: int  # letters and numbers of the text
    documents: tuple[FoundDocument, ...]
    least: int  # letters of a passage that is surely found

    def covered(self) -> float:
        """The share of the text that stands in any of the documents, by characters."""
        held = [(p.query_start, p.query_stop) for document in self.documents for p in document.passages]
        total, end = 0, 0
        for start, stop in sorted(held):
            total += max(0, stop - max(start, end))
            end = max(end, stop)
        return total / max(1, len(self.text.strip()))


def find_texts(
    place: Path, texts: Sequence[str], executor: Executor, language: str = "", progress: Progress | None = None
) -> list[Finding]:
    """Look for each text in a work folder or a release; its index is made or renewed first.

    Case, punctuation, white space and normal form make no difference. A passage of 100 letters is found wherever it
    stands, of 40 in scripts without spaces between words. A shorter text is looked for as a whole, in all files. Raises
    InputError for a text without letters or with too many, and for a short one in a corpus too large to be read.
    """
    queries = [Query(text) for text in texts]
    for query in queries:
        if not 0 < len(query.units) <= _MOST_LETTERS:
            raise InputError(f"a text of {len(query.units):,} letters: 1 to {_MOST_LETTERS:,} can be looked for")
    files = index_corpus(place, language, executor, progress)
    return [_find(query, files) for query in queries]


def _find(query: Query, files: Sequence[CorpusFile]) -> Finding:
    least = int(leasts_of(query.letters)[0])
    whole = len(query.units) < least
    if whole and (size := sum(storage.size_of(file.path) for file in files)) > _MOST_SCANNED:
        raise InputError(
            f"the text has {len(query.units)} letters, and the index finds {least} or more: all {size >> 20:,} MB would"
            " have to be read. Give a longer text, or name one language"
        )
    keys = query.keys()
    found: list[FoundDocument] = []
    for file in files:
        for start, batch in batches_of_file(file, None if whole else batches_with(file, keys)):
            letters = letters_of(batch["text"])
            runs = whole_query(query, letters) if whole else shared_runs(query, letters)
            for row in sorted(runs):
                text = batch["text"][row].as_py()
                places = letters.places[letters.offsets[row] : letters.offsets[row + 1]]
                passages = tuple(_passage(text, places.tolist(), query, run) for run in runs[row])
                url = batch["url"][row].as_py() if "url" in batch.schema.names else None
                found.append(FoundDocument(file.name, start + row, batch["id"][row].as_py(), url, passages))
    found.sort(key=lambda each: (-each.passages[0].letters, each.file, each.row))
    return Finding(query.text, len(query.units), tuple(found), len(query.units) if whole else least)


def _passage(text: str, places: Sequence[int], query: Query, run: SharedRun) -> Passage:
    start, stop = places[run.start], _end_of(text, places[run.stop - 1])
    own = query.letters.places
    return Passage(
        _until(text, max(0, start - _AROUND), start),
        text[start:stop],
        text[stop : _end_of(text, min(len(text), stop + _AROUND) - 1)],
        run.stop - run.start,
        start,
        int(own[run.query_start]),
        _end_of(query.text, int(own[run.query_stop - 1])),
    )


def _end_of(text: str, at: int) -> int:
    """Where the letter at a place ends, with its marks."""
    found = _MARKS.match(text, max(0, at))
    return found.end() if found else len(text)


def _until(text: str, start: int, stop: int) -> str:
    """A part of a text that begins with a whole letter."""
    letters = _MARKS.findall(text[max(0, start - 8) : stop])
    while letters and len("".join(letters)) > stop - start:
        letters.pop(0)
    return "".join(letters)


def is_short(finding: Finding) -> bool:
    """Whether a text was too short for the index, so that only the whole of it was looked for."""
    return finding.letters < LEAST_DENSE or finding.least not in (LEAST, LEAST_DENSE)
