"""Licences by texts, manifests and expressions."""

import pytest
from identify.vendor.licenses import LICENSES

from filters.programs.licences import declared_licence, licence_allowed, licence_of_manifest, licence_of_text

TEXTS = dict(LICENSES)


@pytest.mark.parametrize("name", TEXTS)
def test_every_known_licence_is_recognised(name: str) -> None:
    assert licence_of_text(TEXTS[name]) == name


def test_names_years_and_line_breaks_do_not_matter() -> None:
    text = "Copyright (c) 2019-2024 Ünal & Sons <x@example.org>\n\n" + " ".join(TEXTS["MIT"].split())
    assert licence_of_text(text.upper()) == "MIT"
    assert licence_of_text(TEXTS["BSD-3-Clause"].replace("the copyright holder", "Example Inc.")) == "BSD-3-Clause"


def test_two_texts_must_both_allow() -> None:
    both = licence_of_text(TEXTS["MIT"] + TEXTS["GPL-2.0"])
    assert both == "GPL-2.0 AND MIT"
    assert not licence_allowed(both)
    assert licence_allowed(licence_of_text(TEXTS["MIT"] + TEXTS["Apache-2.0"]))


LIST = TEXTS["MIT"] + " ".join(f"word{number}" for number in range(400))  # one known text among many others


@pytest.mark.parametrize("text", ["", "All rights reserved.", "你好", TEXTS["MIT"][:400], LIST])
def test_an_unknown_licence_is_none(text: str) -> None:
    assert licence_of_text(text) is None


@pytest.mark.parametrize(
    ("name", "text", "licence"),
    [
        ("Cargo.toml", '[package]\nname = "a"\nlicense = "MIT OR Apache-2.0"', "MIT OR Apache-2.0"),
        ("Cargo.toml", '[package]\nlicense = "MIT/Apache-2.0"', "MIT OR Apache-2.0"),
        ("Cargo.toml", "[package", None),
        ("pyproject.toml", '[project]\nlicense = "(MIT AND Zlib)"', "(MIT AND Zlib)"),
        ("pyproject.toml", '[project]\nlicense = {file = "LICENSE"}', None),
        ("package.json", '{"license": "ISC"}', "ISC"),
        ("package.json", '{"license": "SEE LICENSE IN x"}', None),
        ("package.json", "[" * 100_000, None),
        ("package.json", "[1]", None),
        ("composer.json", '{"license": ["MIT", "GPL-2.0-only"]}', "MIT OR GPL-2.0-only"),
        ("setup.py", "license='MIT'", None),
    ],
)
def test_a_manifest_gives_its_licence_or_none(name: str, text: str, licence: str | None) -> None:
    assert licence_of_manifest(name, text) == licence


LICENCES = [
    ("MIT", True), ("mit", True), ("Apache-2.0", True), ("BSD-3-Clause", True),
    ("Apache-2.0 WITH LLVM-exception", True),
    ("GPL-2.0-only OR MIT", True), ("MIT AND Zlib", True), ("(GPL-3.0-only AND MIT) OR ISC", True), ("0BSD", True),
    ("GPL-2.0", False), ("GPL-3.0", False), ("LGPL-2.1", False), ("LGPL-3.0", False), ("AGPL-3.0", False),
    ("MIT AND GPL-2.0-only", False), ("GPL-2.0-only WITH Classpath-exception-2.0", False), ("", False), (None, False),
    ("NOASSERTION", False), ("MIT OR", False), ("(MIT", False), ("MIT MIT", False), ("Proprietary", False),
    ("(" * 8000 + "MIT", False),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "allowed"), LICENCES)
def test_an_expression_is_allowed_by_the_names_in_it(expression: str | None, allowed: bool) -> None:
    assert licence_allowed(expression) == allowed


def test_permissive_files_of_a_mixed_corpus_are_kept_and_copyleft_is_dropped() -> None:
    """ROOTS's filter was inverted and kept only copyleft; the counts of a known mix show the direction."""
    mix = ["MIT"] * 40 + ["Apache-2.0"] * 25 + ["GPL-3.0"] * 20 + ["AGPL-3.0"] * 5 + [""] * 10
    kept = [name for name in mix if licence_allowed(name)]
    assert (len(kept), kept.count("MIT"), kept.count("Apache-2.0")) == (65, 40, 25)


def test_a_licence_is_read_from_the_head_of_a_file() -> None:
    assert declared_licence("/* SPDX-License-Identifier: GPL-2.0-only OR MIT */\nint a;") == "GPL-2.0-only OR MIT"
    assert declared_licence("# SPDX-License-Identifier: ISC\nx") == "ISC"
    assert declared_licence("# Licensed under MIT\nx") is None
