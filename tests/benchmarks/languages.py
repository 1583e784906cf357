"""Every language of ROOTS in one table: its examples, its words, and what its bounds keep and drop.

    python -m tests.benchmarks.languages                     the table of the 46 languages, then of the 13 of programs
    python -m tests.benchmarks.languages --dropped 10 --languages "sw hi"    dropped documents, for people to read
    python -m tests.benchmarks.languages --derive            derives the default bounds and writes filters/languages/

Natural text is from `../shared/data`: known-good prose (news, Bible, declaration, health, encyclopaedia, stories,
Universal Dependencies), and junk made for the purpose (measures.junk). Our default bounds were derived from that text,
so the column `held out` judges each half of it by bounds from the other half. Programs are the files of the packages
installed here.
"""

import argparse
import gzip
import random
import re
import sys
import sysconfig
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from filters.language import DEFAULT_SET, Language, known_codes, load_language
from filters.programs.code import code_rules, generated, measure_code
from filters.programs.languages import code_bounds, code_examples, code_language, code_languages
from filters.signals.derive import LIMITS, choose_texts, derive_bounds, measure_texts
from filters.signals.measures import measure
from filters.signals.rules import LANGUAGE_SCORE, Rule, judge, rules_of
from filters.text.words import cut_texts
from tests.benchmarks.contenders import HERE
from tests.benchmarks.measures import DATA, KNOWN_GOOD, documents, junk, without_score

LANGUAGES = HERE.parents[1] / "filters" / "languages"
FIXTURE = HERE.parent / "fixtures" / "words.toml"
SETS = ("default", "roots", "fineweb2")
CODE_SETS = ("default", "roots")
MOST = 3000  # documents of a language that are judged, at most
QUANTILE = 0.005  # share of documents that each default bound drops
GOOD, BAD = 0.95, 0.90  # goals: share of good text kept, share of junk dropped
CUT = 0.8  # goal: share of the fixture's words that are cut right
CHARACTERS = 400  # of a document made of single sentences
FEW = 2  # documents of a small sample that may be lost: two say nothing
# Languages with almost no prose but FLORES-200 dev
FROM_FLORES = {"ak": "aka_Latn", "tum": "tum_Latn"}
LINK_TABLE = "Story ID | Title | License"  # the list of contents of a collection, not one of its stories

Item = dict[str, Any]


def treebank(code: str) -> Iterator[tuple[list[str], str]]:
    """Sentences of Universal Dependencies: words as written, without punctuation, and the text.

    Parts of a written word ("do" is "de" and "o" in Portuguese) count as one; syllables of Vietnamese are words.
    """
    words: list[str] = []
    text, last = "", 0
    for path in sorted((DATA / "ud_fertility").glob(f"{code}_*.conllu.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("# text = "):
                    text, words, last = line[9:].strip(), [], 0
                elif line[:1].isdigit():
                    number, form, _, kind = line.split("\t")[:4]
                    first, _, end = number.partition("-")
                    if "." not in number and int(first) > last and kind not in ("PUNCT", "SYM"):
                        words += form.split()
                        last = int(end or 0)
                elif not line.strip() and text:
                    yield words, text
                    text = ""


def good_text(code: str) -> list[Item]:
    """All running text of a language; `prose` marks text that is known to be good."""
    found = [
        {**item, "prose": item["source"] in KNOWN_GOOD} for item in documents(code) if LINK_TABLE not in item["text"]
    ]
    if code in FROM_FLORES:
        path = DATA / "lid_eval" / "flores200_dev" / f"{FROM_FLORES[code]}.dev"
        found += _joined(path.read_text(encoding="utf-8").splitlines(), "flores-200-dev")
    elif code not in ("zh", "zht"):
        found += _joined([text for _, text in treebank(code)], "universal-dependencies")
    return [found[place] for place in choose_texts(range(len(found)), MOST, 0)]  # type: ignore[arg-type, index]


def _joined(sentences: Sequence[str], source: str) -> Iterator[Item]:
    """Documents made of a source's single sentences."""
    held = ""
    for sentence in sentences:
        held += f" {sentence}" if held else sentence
        if len(held) >= CHARACTERS:
            yield {"text": held, "source": source, "prose": True}
            held = ""


@dataclass(frozen=True)
class Share:
    """A number of documents out of others."""

    number: int
    of: int

    @property
    def value(self) -> float:
        """The share; 1 without documents."""
        return self.number / self.of if self.of else 1.0

    def __str__(self) -> str:
        return f"{100 * self.value:.1f}" if self.of else "-"


def kept_by(texts: Sequence[str], language: Language, rules: tuple[Rule, ...]) -> list[str | None]:
    """For each text the reason why it is dropped, or None."""
    if not texts:
        return []
    drop, _ = judge(measure(pa.array(texts, pa.large_string()), language.reading), rules)
    return [None if reason is None else str(reason) for reason in drop.to_pylist()]


def survival(items: Sequence[Item], junk_texts: Sequence[str], code: str, name: str) -> tuple[Share, Share, Share]:
    """What a bound set keeps of prose and of all running text, and what it drops of junk."""
    language = load_language(code, name)
    rules = without_score(language)
    kept = [reason is None for reason in kept_by([item["text"] for item in items], language, rules)]
    prose = [yes for yes, item in zip(kept, items, strict=True) if item["prose"]]
    gone = [reason is not None for reason in kept_by(junk_texts, language, rules)]
    return Share(sum(prose), len(prose)), Share(sum(kept), len(kept)), Share(sum(gone), len(gone))


def held_out(items: Sequence[Item], code: str) -> Share:
    """What bounds from one half of the text keep of the prose in the other half."""
    language = load_language(code)
    fixed = {signal: bound for signal, bound in language.bounds.items() if signal not in LIMITS}
    kept = of = 0
    for half in (0, 1):
        learnt = [item["text"] for item in items[half::2]]
        if len(learnt) < 50:
            return Share(0, 0)
        derived = derive_bounds(measure_texts(learnt, language.reading), "half", QUANTILE).bounds
        bounds = {**fixed, **derived}
        rules = without_score(replace(language, bounds=bounds))
        good = [item["text"] for item in items[1 - half :: 2] if item["prose"]]
        reasons = kept_by(good, language, rules)
        kept, of = kept + sum(reason is None for reason in reasons), of + len(good)
    return Share(kept, of)


def examples(language: Language) -> Share:
    """Examples of a language's file that its bounds judge as the file states."""
    rules = rules_of({signal: bound for signal, bound in language.bounds.items() if signal != LANGUAGE_SCORE})
    shown = [*language.kept, *language.dropped]
    _, failed = judge(measure(pa.array([item.text for item in shown]), language.reading), rules)
    right = [
        (item.reason in found) if item.reason else not found
        for item, found in zip(shown, failed.to_pylist(), strict=True)
    ]
    return Share(sum(right), len(right))


def cut_words(text: str, segmenter: str) -> list[str]:
    """The words that a segmenter finds in a text."""
    found = cut_texts(pa.array([text], pa.large_string()), segmenter)
    spans = zip(found.words.starts.tolist(), found.words.ends.tolist(), strict=True)
    return ["".join(map(chr, found.codes[start:end])) for start, end in spans]


def cut_right(code: str) -> Share:
    """Words of a language's fixture that are cut as a person cut them."""
    wanted = tomllib.loads(FIXTURE.read_text(encoding="utf-8"))[code]
    found = cut_words(wanted["text"], load_language(code).reading.segmenter)
    return Share(sum((Counter(found) & Counter(wanted["words"])).values()), max(len(found), len(wanted["words"])))


def treebank_f1(code: str) -> float | None:
    """F1 of our words against a treebank's, as multisets per sentence; None without a treebank."""
    both = ours = gold = 0
    for words, text in treebank("zh" if code == "zht" else code):
        found = Counter(cut_words(text, load_language(code).reading.segmenter))
        wanted = Counter(words)
        both, ours, gold = both + sum((found & wanted).values()), ours + found.total(), gold + wanted.total()
        if gold > 20_000:
            break
    return 2 * both / (ours + gold) if gold else None


def table(codes: Sequence[str]) -> list[str]:
    """Print the table of natural languages; returns what misses a goal."""
    missed = []
    heads = [f"{name}: prose kept %, all %, junk dropped %" for name in SETS]
    print(
        "| | language | examples | words | UD F1 | bounds: own, of | prose | held out % | " + " | ".join(heads) + " |"
    )
    print("|---" * (8 + len(SETS)) + "|")
    for code in codes:
        language, items = load_language(code), good_text(code)
        bad = made_junk(code, items)
        shown, cut, gold = examples(language), cut_right(code), treebank_f1(code)
        own = tomllib.loads((LANGUAGES / f"{code}.toml").read_text(encoding="utf-8")).get("bounds", {})
        sizes = re.findall(r"of (\d+) documents", str(own.get(DEFAULT_SET, {})))
        cells = []
        for name in SETS:
            if name not in own:
                cells.append("-")
                continue
            prose, everything, gone = survival(items, bad, code, name)
            cells.append(f"{prose}, {everything}, {gone}")
            if name == DEFAULT_SET:
                good, lost = prose, prose.of - prose.number
                missed += [f"{code}: keeps {prose} % of prose"] if prose.value < GOOD and lost > FEW else []
                missed += [f"{code}: drops {gone} % of junk"] if gone.value < BAD else []
        apart = held_out(items, code)
        missed += [f"{code}: examples {shown}, words {cut}"] if shown.value < 1 or cut.value < CUT else []
        missed += [f"{code}: held out {apart} %"] if apart.value < GOOD else []
        sources = f"{len(own.get(DEFAULT_SET, {}))}, {max(map(int, sizes), default=0)} texts"
        f1 = "-" if gold is None else f"{gold:.3f}"
        row = (code, language.name, f"{shown.number}/{shown.of}", f"{cut.number}/{cut.of}", f1, sources, good.of, apart)
        print(f"| {' | '.join(map(str, row))} | " + " | ".join(cells) + " |", flush=True)
    return missed


def made_junk(code: str, items: Sequence[Item]) -> list[str]:
    """Junk of every kind in a language, and text in another language."""
    texts = [item["text"] for item in items][:300]
    foreign = [item["text"] for item in documents("id" if code == "en" else "en")[:50]]
    return [*(text for _, text in junk(texts, load_language(code), random.Random(0))), *foreign]


def dropped(codes: Sequence[str], count: int) -> list[str]:
    """Print running text that our default drops, known-good prose first, with the measures and the bounds."""
    for code in codes:
        items, language = good_text(code), load_language(code)
        signals = measure(pa.array([item["text"] for item in items], pa.large_string()), language.reading)
        drop, failed = judge(signals, without_score(language))
        rows = [row for row, reason in enumerate(drop.to_pylist()) if reason]
        print(f"\n## {code}: {len(rows)} of {len(items)} dropped")
        random.Random(0).shuffle(rows)
        for row in sorted(rows, key=lambda row: not items[row]["prose"])[:count]:
            said = ", ".join(
                f"{name} {signals[name][row].as_py():.3g} ({language.bounds[name].min}, {language.bounds[name].max})"
                for name in failed[row].as_py()
            )
            print(f"\n{items[row]['source']}, {signals['words'][row]} words: {said}\n  " + _excerpt(items[row]["text"]))
    return []


def _excerpt(text: str, characters: int = 400) -> str:
    return text[:characters].replace("\n", " / ")


def derive(codes: Sequence[str]) -> list[str]:
    """Derive the default bounds of languages and write them into their files; other bounds stay unchanged."""
    for code in codes:
        path = LANGUAGES / f"{code}.toml"
        text = path.read_text(encoding="utf-8")
        own = tomllib.loads(text)["bounds"][DEFAULT_SET]
        found = derive_bounds(
            measure_texts([item["text"] for item in good_text(code)], load_language(code).reading), "ours", QUANTILE
        )
        lines = [_line(name, bound) for name, bound in own.items() if name not in LIMITS]
        for name, bound in found.bounds.items():
            side = LIMITS[name].side
            lines.append(_line(name, {side: getattr(bound, side), "source": bound.source}))
        block = "[bounds.default]\n" + "\n".join(lines) + "\n"
        text = re.sub(r"\[bounds\.default\]\n(?:[^\[\n].*\n)*", lambda _: block, text, count=1)  # noqa: B023
        path.write_text(text, encoding="utf-8")
        print(
            f"{code}: {len(found.bounds)} bounds from {found.documents} documents, {found.dropped:.1%} of them dropped"
        )
    return []


def _line(name: str, bound: dict[str, Any]) -> str:
    values = [f"{side} = {bound[side]:g}" for side in ("min", "max") if side in bound]
    return f'{name} = {{ {", ".join(values)}, source = "{bound["source"]}" }}'


def programs() -> list[str]:
    """Print the table of programming languages: what each bound set keeps of the files of installed packages."""
    texts, missed = _installed(), []
    heads = (
        "",
        "language",
        "extensions",
        "examples",
        "files",
        *(f"{name}: kept %" for name in CODE_SETS),
        "dropped by",
    )
    print("\n| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    shown: dict[str, list[bool]] = defaultdict(list)
    for example in code_examples():
        failed = judge(
            measure_code(pa.array([example.text]), [example.path], [example.licence]), code_rules(code_bounds())
        )[1]
        right = failed[0].as_py() == ([example.reason] if example.reason else [])
        shown[str(code_language(example.path, example.text))].append(right)
    for known in code_languages():
        right = Share(sum(shown[known.code]), len(shown[known.code]))
        missed += [f"{known.code}: examples {right}"] if right.value < 1 or not right.of else []
        found, cells, most = texts[known.code], [], "-"
        array = pa.array([text for _, text in found], pa.large_string())
        signals = measure_code(array, [path for path, _ in found], [None] * len(found))
        for name in CODE_SETS:
            # Installed packages are all vendored, and their licence is not measured here.
            rules = tuple(
                rule
                for rule in code_rules(code_bounds(name))
                if rule.signal not in ("vendored", "generated", "licensed")
            )
            drop = judge(signals, rules)[0]
            cells.append(str(Share(drop.null_count, len(found))))
            if name == DEFAULT_SET and drop.null_count < len(drop):
                most = ", ".join(f"{why} {n}" for why, n in Counter(filter(None, drop.to_pylist())).most_common(2))
        row = (
            known.code,
            known.name,
            " ".join(known.extensions),
            f"{right.number}/{right.of}",
            len(found),
            *cells,
            most,
        )
        print(f"| {' | '.join(map(str, row))} |")
    return missed


def _installed() -> dict[str, list[tuple[str, str]]]:
    """Programs of the installed packages that people wrote: language -> (path, text)."""
    texts: dict[str, list[tuple[str, str]]] = defaultdict(list)
    places = [Path(sysconfig.get_paths()[name]) for name in ("purelib", "stdlib")]
    for place in [*places, Path("/usr/include"), Path("/usr/share")]:
        for path in sorted(place.rglob("*")):
            if path.suffix and path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 20:
                code = code_language(path.name, "<?php") or code_language(path.name, "")
                if code is None or len(texts[code]) >= MOST:
                    continue
                text = path.read_bytes().decode("utf-8", "replace")
                code = code_language(path.name, text)
                if code and text.strip() and not generated(path.name, text):
                    texts[code].append((path.name, text))
    return texts


def main() -> None:
    """Print the tables asked for; the exit code says whether the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--languages", default="", help="codes, separated by spaces; all if empty")
    parser.add_argument("--dropped", type=int, default=0, help="print this many dropped documents per language instead")
    parser.add_argument("--derive", action="store_true", help="derive the default bounds and write them")
    options = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"no {DATA}: this benchmark needs the project's shared texts")
    codes = options.languages.split() or list(known_codes())
    work: Callable[[], list[str]] = lambda: table(codes) + ([] if options.languages else programs())  # noqa: E731
    if options.dropped:
        work = lambda: dropped(codes, options.dropped)  # noqa: E731
    elif options.derive:
        work = lambda: derive(codes)  # noqa: E731
    missed = work()
    sys.exit("MISSED: " + "; ".join(missed) if missed else 0)


if __name__ == "__main__":
    main()
