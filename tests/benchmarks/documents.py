"""How well the text of PDFs is read: texts of many languages are printed by several programs, and read again.

    python -m tests.benchmarks.documents --make-generators     # once: WeasyPrint, Typst, fpdf2, ReportLab
    python -m tests.benchmarks.documents --data ../shared/data
    python -m tests.benchmarks.documents --languages fr vi zh  # the same documents, of 40 pages, as input of a run

Chromium and pdflatex are those of the machine, as are the fonts (DejaVu, Noto); what is absent is left out and named.
F1 is that of the bag of words (of characters where no space parts words); `order` is the F1 of pairs of words.
"""

import argparse
import gzip
import hashlib
import json
import re
import resource
import shutil
import subprocess
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines.documents.forms import PDF, read_document
from pipelines.job.settings import IndexSettings
from roots import shards
from tests.benchmarks.environments import PEERS, make_peer, python_of
from tests.benchmarks.extraction_quality import WORD

NOTO = Path("/usr/share/fonts/truetype/noto")
DEJAVU = Path("/usr/share/fonts/truetype/dejavu")
FONTS: dict[str, tuple[str, Path]] = {
    "zh": ("Noto Sans CJK SC", Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")),
    "ar": ("Noto Naskh Arabic", NOTO / "NotoNaskhArabic-Regular.ttf"),
    "ur": ("Noto Naskh Arabic", NOTO / "NotoNaskhArabic-Regular.ttf"),
    "hi": ("Noto Sans Devanagari", NOTO / "NotoSansDevanagari-Regular.ttf"),
    "bn": ("Noto Sans Bengali", NOTO / "NotoSansBengali-Regular.ttf"),
    "ta": ("Noto Sans Tamil", NOTO / "NotoSansTamil-Regular.ttf"),
}
LATIN = ("DejaVu Serif", DEJAVU / "DejaVuSerif.ttf")
DRAWN = {"ar": ("DejaVu Sans", DEJAVU / "DejaVuSans.ttf")}  # by programs that take one font only
# program -> languages it can print, and the programs that need to be on the machine
GENERATORS: dict[str, str] = {
    "chromium": "en fr vi yo zh ar ur hi bn ta",
    "weasyprint": "en fr vi yo zh ar ur hi bn ta",
    "typst": "en fr vi yo zh ar hi",
    "fpdf2": "en fr vi ar hi",
    "reportlab": "en fr ar",
    "pdflatex": "en fr",
}
AIMS = {"hi": 0.95, "bn": 0.95, "ta": 0.95, "ar": 0.9, "ur": 0.9}
PAGES_A_SECOND = 60
ROUTED_PAGES = 40  # of a document, at least, in a run for several languages


def text_of(folder: Path, code: str, most: int) -> str:
    """The first texts of a language, of about `most` characters."""
    parts: list[str] = []
    with gzip.open(folder / "text_open" / f"{code}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            parts.append(re.sub(r"[ \t]+", " ", json.loads(line)["text"].strip()))
            if sum(map(len, parts)) > most:
                break
    return "\n".join(parts)[:most].rpartition("\n")[0]


def print_pdf(generator: str, code: str, text: str, target: Path) -> bool:
    """Print a text with one of the programs; False where the program is absent or fails."""
    python = python_of("documents")
    if python is None or (generator in ("chromium", "pdflatex") and shutil.which(generator) is None):
        return False
    drawn = generator in ("fpdf2", "reportlab") and code in DRAWN
    family, font = DRAWN[code] if drawn else FONTS.get(code, LATIN)
    job = {"text": text, "language": code, "family": family, "font": str(font), "title": "A book of texts"}
    done = subprocess.run(
        [python, str(PEERS / "documents_peer.py"), generator],
        input=json.dumps({**job, "target": str(target)}),
        text=True,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0 and target.exists()


def words(text: str) -> list[str]:
    """The words of a text, in order."""
    return WORD.findall(unicodedata.normalize("NFC", text).lower())


def f1(found: Sequence[Hashable], wanted: Sequence[Hashable]) -> float:
    """F1 of two bags."""
    return 2 * (Counter(found) & Counter(wanted)).total() / max(1, len(found) + len(wanted))


def measure(folder: Path, data: Path, most: int) -> Iterator[tuple[str, str, str, float, float, int, float]]:
    """For each program and language: engine or reason, F1, order, pages, CPU seconds."""
    for generator, codes in GENERATORS.items():
        for code in codes.split():
            text, target = text_of(data, code, most), folder / f"{generator}-{code}.pdf"
            if not print_pdf(generator, code, text, target):
                print(f"{generator} prints no {code} here", file=sys.stderr)
                continue
            body = target.read_bytes()
            start = time.process_time()
            found = read_document(body, PDF, 2000, lambda chapter: "")
            seconds = time.process_time() - start
            read, printed = words(found.text or ""), words(text)
            order = f1(list(pairwise(read)), list(pairwise(printed)))
            yield generator, code, found.drop or found.engine, f1(read, printed), order, found.pages or 0, seconds


def route(folder: Path, data: Path, most: int, languages: Sequence[str]) -> Iterator[tuple[int, float, float, str]]:
    """Without and with a glance in index: its pages, CPU seconds of index and of extract, a digest of what is kept."""
    import pypdfium2

    for generator, codes in GENERATORS.items():
        for code in codes.split():
            target = folder / "books" / f"{generator}-{code}.pdf"
            if print_pdf(generator, code, text_of(data, code, most), folder / "short.pdf"):
                short, long = pypdfium2.PdfDocument(folder / "short.pdf"), pypdfium2.PdfDocument.new()
                while len(long) < ROUTED_PAGES:
                    long.import_pages(short)
                target.parent.mkdir(exist_ok=True)
                long.save(target)
    for pages in (0, IndexSettings.document_pages):
        work = folder / f"work-{pages}"
        index = ["index", str(work), "--input", str(target.parent), "--set", f"index.document_pages={pages}"]
        took = [cpu_of(each) for each in (index, ["extract", str(work), "--lang", " ".join(languages)])]
        kept = hashlib.sha256()
        for code in languages:
            shard = work / code / "extract" / "books.parquet"
            kept.update(repr([batch.to_pylist() for batch in shards.read_kept([shard], ["id", "text"])]).encode())
        yield pages, *took, kept.hexdigest()[:12]


def cpu_of(arguments: Sequence[str]) -> float:
    """CPU seconds of a command and all its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "pipelines.cli", *arguments, "--executor", "serial", "-q"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def print_routes(data: Path, chars: int, languages: Sequence[str]) -> int:
    """Print what a run for several languages costs; 1 if a glance makes it no cheaper, or changes what is kept."""
    with TemporaryDirectory() as folder:
        found = list(route(Path(folder), data, chars, languages))
    print("| pages looked at by index | CPU s of index | of extract | kept |\n|---|---|---|---|")
    for pages, index, extract, kept in found:
        print(f"| {pages} | {index:.1f} | {extract:.1f} | {kept} |")
    (_, *before, kept), (_, *after, same) = found
    return int(kept != same or sum(after) > sum(before))


def main() -> int:
    """Print the table; 1 if an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--chars", type=int, default=12_000, help="of each text")
    parser.add_argument("--languages", nargs="*", default=(), help="measure a run for these instead")
    parser.add_argument("--make-generators", action="store_true")
    options = parser.parse_args()
    if options.make_generators:
        make_peer("documents")
        return 0
    if not options.data.is_dir() or python_of("documents") is None:
        print(f"needs {options.data} and --make-generators: nothing is measured")
        return 0
    if options.languages:
        return print_routes(options.data, options.chars, options.languages)
    pages, seconds, missed = 0, 0.0, 0
    print("| program | language | engine, or why dropped | F1 | order | |\n|---|---|---|---|---|---|")
    with TemporaryDirectory() as folder:
        for generator, code, engine, score, order, count, took in measure(Path(folder), options.data, options.chars):
            kept = not engine.startswith("extract.")
            late = kept and score < AIMS.get(code, 0.99)
            missed += late
            pages, seconds = pages + count, seconds + took
            scores = f"{score:.3f} | {order:.3f}" if kept else "- | -"
            print(f"| {generator} | {code} | {engine} | {scores} | {'MISSED' if late else ''} |", flush=True)
    speed = pages / seconds if seconds else 0.0
    print(f"\n{pages} pages, {speed:.0f} a CPU second")
    return 1 if missed or speed < PAGES_A_SECOND else 0


if __name__ == "__main__":
    sys.exit(main())
