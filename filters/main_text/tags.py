"""The elements of HTML as numbers, with what the scanner must know of each.

Source: HTML Standard, 13.1.2.4 (optional tags), 13.2.4.2 (scopes), 13.2.6.4 (what an opening tag closes).
"""

import numpy as np
import numpy.typing as npt

# What an element is; bits.
BLOCK = 1  # begins and ends a line of text
SKIP = 2  # its content is no text of the page
ENDS_P = 4  # its opening tag ends an open paragraph
SCOPE = 8  # the search for an open element stops at it
CELL = 16  # a part of a table, searched up to the table
READING = 32  # how a character is read (ruby)
KEPT = 64  # a node of the tree
NESTED = 128  # skipped up to its own end tag
UNUSUAL = 256  # settled by the slow cleaning of pipelines.extraction.markup

_BLOCKS = (
    "html body div p li ul ol dl dt dd table tbody thead tfoot tr td th h1 h2 h3 h4 h5 h6 hr pre blockquote article "
    "section main nav header footer aside figure figcaption form fieldset legend address details summary center "
    "caption hgroup menu dialog button option head dir listing search frameset"
)
_SKIPPED = "script style noscript textarea iframe xmp noembed noframes svg select template video audio canvas math xml"
_NESTED = "svg select template video audio canvas"
_OFFICE = "worddocument latentstyles excelworkbook officedocumentsettings documentproperties"  # settings of an editor
_OFFICE_NAMES = " ".join(["m:mathpr", *(f"{prefix}:{name}" for prefix in "wox" for name in _OFFICE.split())])
_ENDS_P = (
    "address article aside blockquote center details dialog dir div dl fieldset figcaption figure footer header hgroup "
    "hr main menu nav ol p search section summary ul h1 h2 h3 h4 h5 h6 pre listing form li dt dd table"
)
_INLINE = (
    "a span b i em strong u s small big font code sub sup mark cite q abbr time tt strike nobr ins del kbd samp var "
    "label br hr img input meta link area base col embed source track wbr param "
    "bdi bdo dfn data output ruby rb rt rp rtc object optgroup colgroup picture map title meter progress acronym"
)
_GROUPS = {
    BLOCK | KEPT: _BLOCKS,
    SKIP: f"{_SKIPPED} {_OFFICE_NAMES}",
    NESTED: _NESTED,
    ENDS_P: _ENDS_P,
    SCOPE: "table html td th caption button object",
    CELL: "td th tr tbody thead tfoot caption",
    READING: "rt rp rtc",
    KEPT: "a object",
    UNUSUAL: "math xml",
}
NAMES = ("", "custom", *sorted({name for names in (*_GROUPS.values(), _INLINE) for name in names.split()}))
NUMBER = {name: number for number, name in enumerate(NAMES)}
UNKNOWN, CUSTOM = 0, 1  # an element that HTML has not; one with a hyphen in its name, which a script defines

_FNV_START, _FNV_STEP = 2166136261, 16777619


def name_hash(name: bytes) -> int:
    """FNV-1a of a name, 32 bits; the scanner computes the same letter by letter."""
    found = _FNV_START
    for byte in name:
        found = (found ^ byte) * _FNV_STEP & 0xFFFFFFFF
    return found


def hashed(values: dict[str, int], bits: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """A table of names by open addressing: hashes and values, (2 ** bits,) each; 0 where a slot is free."""
    keys, held = np.zeros(1 << bits, np.int64), np.zeros(1 << bits, np.int32)
    for name, value in values.items():
        key = name_hash(name.encode())
        slot = key & (len(keys) - 1)
        while keys[slot]:
            if keys[slot] == key:
                raise ValueError(f"two names have one hash: {name}")
            slot = (slot + 1) & (len(keys) - 1)
        keys[slot], held[slot] = key, value
    return keys, held


def _kinds() -> npt.NDArray[np.int32]:
    """The bits of every element, by its number."""
    found = np.zeros(len(NAMES), np.int32)
    found[CUSTOM] = KEPT
    for bits, names in _GROUPS.items():
        for name in names.split():
            found[NUMBER[name]] |= bits
    found[NUMBER["hr"]] &= ~KEPT
    return found


KINDS = _kinds()
TAG_KEYS, TAG_NUMBERS = hashed(NUMBER, 10)


def numbers_of_tags(names: str) -> list[int]:
    """The numbers of elements."""
    return [NUMBER[name] for name in names.split()]
