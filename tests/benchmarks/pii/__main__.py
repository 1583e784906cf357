"""Personal data: MB of text per CPU second, ours against datatrove's PIIFormatter and Presidio's pattern recognisers.

    python -m tests.benchmarks.pii --make-peer      makes the peers' virtual environment, once
    python -m tests.benchmarks.pii                  speed: contenders take turns, medians of rounds
    python -m tests.benchmarks.pii --quality        precision, recall and F1 of all of them on labelled and made text

Text: documents of `../shared/data/text_open` in about 35 languages; one in twenty has a generated sentence with
personal data. Every contender runs in its own process on one core; loading is not timed.
"""

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.benchmarks.environments import make_peer, peer_folder

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "data"
SHARED_KINDS = ("email", "ip_address")  # what datatrove's formatter knows

# contender, kinds -> how many times as fast ours must be
TARGETS = {"datatrove, shared kinds": 6.0, "datatrove, all kinds": 2.0, "presidio, all kinds": 20.0}


def texts(megabytes: float) -> Iterator[tuple[str, str]]:
    """(language, text): about this much, in equal parts for every language."""
    from tests.benchmarks.pii.generate import generate

    planted = [document.text for document in generate(5, 3)]
    paths = sorted(SHARED.glob("text_open/*.jsonl.gz"))
    count = 0
    for path in paths:
        size = 0
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                text = json.loads(line)["text"][:20_000]
                size += len(text.encode())
                if count % 20 == 0:
                    text += "\n" + planted[count // 20 % len(planted)]
                count += 1
                yield path.name.partition(".")[0], text
                if size > megabytes * 1e6 / len(paths):
                    break


def worker(contender: str, path: Path) -> None:
    """Run one contender twice over the texts of a file; print the CPU seconds and the hits of the second pass."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    run = CONTENDERS[contender]()
    for language, text in rows:  # loads the telephone tables of 60 countries
        run(text, language)
    start = time.process_time()
    hits = sum(run(text, language) for language, text in rows)
    print(json.dumps({"seconds": time.process_time() - start, "hits": hits}))


def ours(kinds: Sequence[str]) -> Callable[[str, str], int]:
    """Find and replace, as the stage `redact` does it."""
    from filters.personal_data import find_spans, redact, regions_of

    names = tuple(kinds)

    def run(text: str, language: str) -> int:
        spans = find_spans(text, names, regions_of(language))
        redact(text, spans, "roots")
        return len(spans)

    return run


def ours_all() -> Callable[[str, str], int]:
    """All kinds that are on by default."""
    from filters.personal_data import DEFAULT_KINDS

    return ours(DEFAULT_KINDS)


def datatrove() -> Callable[[str, str], int]:
    """datatrove's formatter with its default settings: it finds and replaces."""
    from datatrove.pipeline.formatters.pii import PIIFormatter

    formatter = PIIFormatter()
    return lambda text, language: int(formatter.format(text) != text)


def presidio() -> Callable[[str, str], int]:
    """Presidio's pattern recognisers for the kinds that are ours too."""
    from tests.benchmarks.pii.peers import presidio as presidio_detector

    find_spans = presidio_detector().find
    return lambda text, language: len(find_spans(text, language))


CONTENDERS: dict[str, Callable[[], Callable[[str, str], int]]] = {
    "ours, shared kinds": lambda: ours(SHARED_KINDS),
    "ours, all kinds": ours_all,
    "datatrove": datatrove,
    "presidio": presidio,
}


def measure(contender: str, path: Path, peer: Path) -> dict[str, float]:
    """One run in its own process, on one core."""
    python = sys.executable if contender.startswith("ours") else str(peer / "bin" / "python")
    command = [python, "-m", "tests.benchmarks.pii", "--worker", contender, "--file", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{contender} failed:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def speed(megabytes: float, rounds: int, peer: Path) -> bool:
    """Print the table; returns whether every target was met."""
    with tempfile.TemporaryDirectory() as folder:
        path, short = Path(folder) / "texts.jsonl", Path(folder) / "short.jsonl"
        rows = list(texts(megabytes))
        path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        tenth = rows[::10]  # Presidio takes a second for a megabyte
        short.write_text("\n".join(json.dumps(row) for row in tenth), encoding="utf-8")
        size = {
            name: sum(len(text.encode()) for _, text in some) / 1e6 for name, some in (("all", rows), ("tenth", tenth))
        }
        seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
        hits: dict[str, float] = {}
        for _ in range(rounds):
            for name in CONTENDERS:
                result = measure(name, short if name == "presidio" else path, peer)
                part = size["tenth" if name == "presidio" else "all"]
                seconds[name].append(part / result["seconds"])
                hits[name] = result["hits"]
    print(f"{len(rows)} documents, {size['all']:.1f} MB, {rounds} rounds, one core; MB a CPU second: median (range)")
    median = {name: statistics.median(values) for name, values in seconds.items()}
    for name, values in seconds.items():
        print(f"  {name:<20}{median[name]:>8.1f} ({min(values):.1f}, {max(values):.1f})  hits {hits[name]:.0f}")
    met = True
    for target, wanted in TARGETS.items():
        other, _, kinds = target.partition(", ")
        times = median[f"ours, {kinds}"] / median[other]
        met &= times >= wanted
        print(f"  ours, {kinds}: {times:.1f} times {other} (wanted: {wanted:g}){'' if times >= wanted else '  MISSED'}")
    return met


def quality(peer: Path) -> bool:
    """Print precision, recall and F1 of ours, the presets and the peers; returns whether every goal was met."""
    with tempfile.TemporaryDirectory() as folder:
        gold = [SHARED / "pii_gold" / "pii_multilingual.jsonl.gz", presidio_research(Path(folder))]
        command = [str(peer / "bin" / "python"), "-m", "tests.benchmarks.pii.quality"]
        command += [str(path) for path in gold if path.is_file()]
        return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def presidio_research(folder: Path) -> Path:
    """The labelled English sentences that Presidio's makers publish, in our form."""
    target = folder / "presidio_synth_v2_part1.jsonl"
    source = SHARED / "pii_gold" / "presidio_synth_v2_part1.json.gz"
    if source.is_file():
        with gzip.open(source, "rt", encoding="utf-8") as file, target.open("w", encoding="utf-8") as out:
            for number, row in enumerate(json.load(file)):
                spans = [
                    {"type": each["entity_type"], "start": each["start_position"], "end": each["end_position"]}
                    for each in row["spans"]
                ]
                out.write(json.dumps({"id": number, "lang": "en", "text": row["full_text"], "spans": spans}) + "\n")
    return target


def main() -> int:
    """Read the command line; returns 1 when a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--make-peer", action="store_true")
    parser.add_argument("--quality", action="store_true")
    parser.add_argument("--peer", type=Path, default=peer_folder("pii"), help="the peers' virtual environment")
    parser.add_argument("--megabytes", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker, options.file)
        return 0
    if options.make_peer:
        make_peer("pii", options.peer)
        return 0
    if not (options.peer / "bin" / "python").exists():
        raise SystemExit(f"no peers at {options.peer}: python -m tests.benchmarks.pii --make-peer")
    if not SHARED.is_dir():
        raise SystemExit(f"no text at {SHARED}: nothing is measured")
    if options.quality:
        return 0 if quality(options.peer) else 1
    return 0 if speed(options.megabytes, options.rounds, options.peer) else 1


if __name__ == "__main__":
    raise SystemExit(main())
