"""Licences by their texts and by manifests: what is found, and what stays unknown."""

import pytest
from identify.vendor.licenses import LICENSES

from filters.programs.code import licence_allowed
from filters.programs.licences import licence_of_manifest, licence_of_text

TEXTS = dict(LICENSES)


@pytest.mark.parametrize("name", TEXTS)
def test_every_known_licence_is_told_from_the_others(name: str) -> None:
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
def test_what_is_not_known_is_none(text: str) -> None:
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
def test_manifests(name: str, text: str, licence: str | None) -> None:
    assert licence_of_manifest(name, text) == licence
