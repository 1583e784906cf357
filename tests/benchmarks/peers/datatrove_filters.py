"""datatrove's Gopher, C4 and FineWeb filters on JSON lines of documents: their verdicts, words and time.

Run by the peer's own Python: `python datatrove_filters.py documents.jsonl answers.jsonl`. A document has `text` and
`language` (a code that datatrove's splitters know). An answer has the words of its splitter and, by filter, the reason
for which the document was dropped or null. The last line has the CPU seconds of each filter.
"""

import json
import sys
import time
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.utils.text import split_into_words

FILTERS = {
    "gopher_repetition": GopherRepetitionFilter,
    "gopher_quality": GopherQualityFilter,
    "c4": C4QualityFilter,
    "fineweb": FineWebQualityFilter,
}


def main(source: Path, target: Path, with_words: bool) -> None:
    made: dict[str, dict[str, object]] = {}
    seconds = dict.fromkeys(FILTERS, 0.0)
    with source.open(encoding="utf-8") as documents, target.open("w", encoding="utf-8") as answers:
        for number, line in enumerate(documents):
            held = json.loads(line)
            language = held["language"]
            filters = made.setdefault(language, {name: kind(language=language) for name, kind in FILTERS.items()})
            if number == 0:  # splitters load on first use
                for one in filters.values():
                    one.filter(Document(text=held["text"], id="warm"))
            verdicts = {}
            for name, one in filters.items():
                start = time.process_time()
                result = one.filter(Document(text=held["text"], id=str(number)))  # C4 edits its document
                seconds[name] += time.process_time() - start
                verdicts[name] = None if result is True else result[1]
            words = split_into_words(held["text"], language) if with_words else None
            answers.write(json.dumps({"verdicts": verdicts, "words": words}) + "\n")
        answers.write(json.dumps({"seconds": seconds}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), "--no-words" not in sys.argv)
