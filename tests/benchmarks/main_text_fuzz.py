"""Random bytes and mutated pages through the scanner, the model and the choice: none may crash or break a rule.

    python -m tests.benchmarks.main_text_fuzz --runs 100000

Prints the number of pages and the slowest one. `tests/filters/main_text/test_scan.py` runs a few of them.
"""

import argparse
import random
import time
from collections.abc import Iterator

from pipelines.extraction.learned import Learned

ALPHABET = "<>/=\"'&#;!-? \n\tabpdtrhlisx019é字\u0301\u200d\u202e\ud800\x00"
PIECES = """
    <p>|</p>|<div class='a b'>|</div>|<table>|<tr>|<td>|</table>|<ul><li>|</ul>|<a href=x>|</a>|<pre>|</pre>|
    <script>|</script>|<style>|</style>|<!--|-->|<title>|</title>|<br>|<svg>|</svg>|<template>|</template>|
    <noscript>|</noscript>|<ruby>|<rt>|</ruby>|<math>|&amp;|&#x110000;|&notit;|<h1>|</h2>|<select>|<option>|
    <dialog hidden>|<meta name=description content='|A sentence of a few words.|<my-tag>|<body id=x>|<![CDATA[|
    <?php|\x00|\ufeff|&copy|</a b='>'>
""".replace("\n    ", "").split("|")


def pages(runs: int, seed: int) -> Iterator[str]:
    """Pages of pieces, pages of random signs, and pages of pieces with bytes cut, doubled and changed."""
    chance = random.Random(seed)
    for run in range(runs):
        if run % 3 == 0:
            yield "".join(chance.choices(ALPHABET, k=chance.randrange(300)))
            continue
        page = list("".join(chance.choices(PIECES, k=chance.randrange(60))))
        for _ in range(chance.randrange(8) if run % 3 == 1 and page else 0):
            place = chance.randrange(len(page))
            page[place : place + chance.randrange(9)] = chance.choices(ALPHABET, k=chance.randrange(9))
            page = page or ["x"]
        yield "".join(page)


def check(runs: int, seed: int) -> tuple[str, float]:
    """Read all pages; returns the slowest and its seconds. Raises AssertionError if a rule is broken."""
    engine, slowest = Learned(), ("", 0.0)
    for page in pages(runs, seed):
        start = time.process_time()
        found = engine.read(page)
        seconds = time.process_time() - start
        slowest = max(slowest, (page, seconds), key=lambda held: held[1])
        assert 0 <= found.share <= 1, page
        assert not set("\x00\x0b\x0c\r\ufeff") & set(found.text), page
        assert found.text == engine.read(page).text, page
    return slowest


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    check(3, options.seed)  # compiles
    page, seconds = check(options.runs, options.seed)
    print(f"{options.runs} pages without a crash; the slowest took {1000 * seconds:.1f} ms: {page[:200]!r}")


if __name__ == "__main__":
    main()
