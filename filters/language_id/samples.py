"""Cuts training samples for a language model out of text, and roughens them as web pages are.

A classifier trained on whole clean sentences is unsure of what pages hold: lines cut off, menus in English around the
text, letters without their marks. Each sample gets these changes by chance; filters/models/README.md has the results.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from random import Random

# Words in the menus of pages in any language, collected by us.
_MENU = [
    "Home", "About", "Contact", "Login", "Register", "Search", "Menu", "News", "Sports", "Video", "Photos",
    "Facebook", "Twitter", "WhatsApp", "YouTube", "Instagram", "Share", "Email", "Print", "Comments", "Reply",
    "Subscribe", "Newsletter", "Privacy", "Terms", "Cookies", "Copyright", "Next", "Previous", "Read", "more",
    "Download", "PDF", "Help", "FAQ", "Blog", "Shop", "Cart", "English", "Français", "Português", "Events", "Gallery",
    "Admin", "Posted", "Tags", "Categories",
]  # fmt: skip


@dataclass(frozen=True)
class Roughness:
    """How samples are cut, and the chance of each change."""

    shortest: int = 20  # characters of a sample
    longest: int = 400
    bare: float = 0.08  # Latin letters lose their marks, as on keyboards that lack them
    menu: float = 0.1  # words of menus stand before, after or in the text
    menu_share: float = 0.3  # largest share of such a sample that they take


@dataclass(frozen=True)
class TextSource:
    """Documents of one language from one place, under one licence."""

    name: str
    licence: str
    documents: tuple[str, ...]

    @property
    def chars(self) -> int:
        """Characters of all documents."""
        return sum(map(len, self.documents))


def samples(
    sources: Sequence[TextSource],
    count: int,
    roughness: Roughness,
    random: Random,
    favoured: Mapping[str, float] | None = None,
) -> Iterator[str]:
    """Cut `count` samples from the documents of a language.

    The chance of a source grows with the square root of its size, so that a manual of ten megabytes does not drown ten
    stories, and the stories are not repeated a hundred times. `favoured` maps sources to a factor of their chance.
    """
    kept = [source for source in sources if source.chars]
    weights = [sqrt(source.chars) * (favoured or {}).get(source.name, 1.0) for source in kept]
    sizes = [[len(document) for document in source.documents] for source in kept]
    for place in random.choices(range(len(kept)), weights, k=count):
        (document,) = random.choices(kept[place].documents, sizes[place])
        yield roughen(cut_sample(document, roughness, random), roughness, random)


def cut_sample(document: str, roughness: Roughness, random: Random) -> str:
    """Cut a piece of a document, at spaces where it has some; the logarithm of its length is uniform."""
    size = int(exp(random.uniform(log(roughness.shortest), log(roughness.longest))))
    if len(document) <= size:
        return document
    start = random.randrange(len(document) - size + 1)
    if start:
        space = document.find(" ", start, start + size // 2)
        start = space + 1 if space >= 0 else start
    end = start + size
    if end < len(document):
        space = document.rfind(" ", start + size // 2, end)
        end = space if space >= 0 else end
    return document[start:end]


def roughen(text: str, roughness: Roughness, random: Random) -> str:
    """Change a sample as pages do, each change by its chance."""
    bare, menu = random.random(), random.random()
    if bare < roughness.bare:
        text = without_marks(text)
    if menu < roughness.menu:
        budget = random.random() * roughness.menu_share * len(text)
        words = text.split(" ")
        while budget > 0:
            word = random.choice(_MENU)
            words.insert(random.choice((0, len(words), random.randrange(len(words) + 1))), word)
            budget -= len(word) + 1
        text = " ".join(words)
    return text


def without_marks(text: str) -> str:
    """The text with Latin letters without their marks; other scripts stay as they are."""
    if text.isascii():
        return text
    parts = []
    latin = False
    for character in unicodedata.normalize("NFD", text):
        if not unicodedata.combining(character):
            latin = character < "ɐ"
            parts.append(character)
        elif not latin:
            parts.append(character)
    return unicodedata.normalize("NFC", "".join(parts))
