"""Tables of all code points for compiled passes: class, lower case, folding and script.

They come from Python's own Unicode data, so `unicodedata.unidata_version` is among the settings of `measure`. Each is
built when a process first needs it.
"""

import unicodedata
from functools import cache
from itertools import chain

import numpy as np
import numpy.typing as npt

LETTER = 1  # general category L*
MARK = 2  # M*: combining signs, which belong to the letter before them
NUMBER = 4  # N*
PUNCTUATION = 8  # P*
SYMBOL = 16  # S*
SPACE = 32  # str.isspace
JOINER = 64  # Cf without the zero-width space: changes the shape of a word, not the word
IDEOGRAPH = 128  # Han and kana: scripts that put no space between words
MID_LETTER = 256  # joins two letters: the apostrophe of "don't"
MID_NUMBER = 512  # joins two digits: the comma of "1,000"
CONNECTOR = 1024  # Pc: the underscore
ROOTS_SPECIAL = 2048  # ROOTS's special characters, with the letters and marks in its list by mistake
SPECIAL = 4096  # the same list without letters and marks
TERMINAL = 8192  # ends a sentence: Sentence_Terminal
APOSTROPHE = 32768  # ' and similar signs: the mark of elision

SIZE = 0x110000
_ASSIGNED = ((0, 0x33480), (0xE0000, 0xE01F0))  # all other code points are unassigned or private
# Letters in every version of Unicode since 13: ideographs and Hangul syllables. They are not asked for one by one.
_ALL_LETTERS = ((0x3400, 0x4DC0), (0x4E00, 0x9FFD), (0xAC00, 0xD7A4), (0x20000, 0x2A6DE))
_UNASKED = (*_ALL_LETTERS, (0xD800, 0xF900))  # and surrogates and private ones, which are of no class
# Code points that may be a mark or decompose; the others are ideographs and Hangul syllables.
_DECOMPOSABLE = (
    range(0x3400), range(0x4DC0, 0x4E00), range(0xA000, 0xAC00), range(0xD7A4, 0x20000), range(0x2F800, 0x2FA20),
)  # fmt: skip

# UAX #29, Unicode 16, table 3, without the colon, as in CLDR's root locale: it ends clauses more often than it joins.
_MID_NUM_LET = ".'‘’․﹒＇．"
_MID_LETTER = "··՟״‧" + _MID_NUM_LET
_MID_NUMBER = ",;;։،؍٬߸⁄︐︔﹐﹔，；" + _MID_NUM_LET
# Arabic vowel signs, signs of the Quran, tatweel; not the hamza and madda, which are parts of letters.
ARABIC_SILENT = ((0x0610, 0x061B), (0x0640, 0x0641), (0x064B, 0x0653), (0x0656, 0x0660), (0x0670, 0x0671),
    (0x06D6, 0x06DD), (0x06DF, 0x06E5), (0x06E7, 0x06E9), (0x06EA, 0x06EE), (0x08D3, 0x0900))  # fmt: skip
ARABIC_VARIANTS = {"\u06cc": "\u064a", "\u06a9": "\u0643", "\u06c1": "\u0647", "\u0671": "\u0627"}
_APOSTROPHES = "'‘’＇ʼ"

# Unicode 16's property Sentence_Terminal (UAX #29); hexadecimal code points. The ellipsis is not among them.
_TERMINAL = """
0021 002E 003F 0589 061D-061F 06D4 0700-0702 07F9 0837 0839 083D-083E 0964-0965 104A-104B 1362 1367-1368 166E 1735-1736
17D4-17D5 1803 1809 1944-1945 1AA8-1AAB 1B4E-1B4F 1B5A-1B5B 1B5E-1B5F 1B7D-1B7F 1C3B-1C3C 1C7E-1C7F 2024 203C-203D
2047-2049 2CF9-2CFB 2E2E 2E3C 2E53-2E54 2E60-2E61 3002 A4FF A60E-A60F A6F3 A6F7 A876-A877 A8CE-A8CF A92F A9C8-A9C9
AA5D-AA5F AAF0-AAF1 ABEB FE12 FE15-FE16 FE52 FE56-FE57 FF01 FF0E FF1F FF61 10A56-10A57 10F55-10F59 10F86-10F89
11047-11048 110BE-110C1 11141-11143 111C5-111C6 111CD 111DE-111DF 11238-11239 1123B-1123C 112A9 113D4-113D5 1144B-1144C
115C2-115C3 115C9-115D7 11641-11642 1173C-1173E 11944 11946 11A42-11A43 11A9B-11A9C 11C41-11C42 11EF7-11EF8 11F43-11F44
16A6E-16A6F 16AF5 16B37-16B38 16B44 16D6E-16D6F 16E98 1BC9F 1DA88
"""
_SCRIPT_NAMES = {
    "Latn": "LATIN", "Arab": "ARABIC", "Deva": "DEVANAGARI", "Beng": "BENGALI", "Taml": "TAMIL", "Telu": "TELUGU",
    "Mlym": "MALAYALAM", "Knda": "KANNADA", "Guru": "GURMUKHI", "Gujr": "GUJARATI", "Orya": "ORIYA", "Cyrl": "CYRILLIC",
    "Grek": "GREEK", "Hebr": "HEBREW", "Thai": "THAI", "Laoo": "LAO", "Khmr": "KHMER", "Mymr": "MYANMAR",
    "Ethi": "ETHIOPIC", "Hang": "HANGUL", "Kana": "KATAKANA", "Hira": "HIRAGANA", "Armn": "ARMENIAN",
    "Geor": "GEORGIAN", "Sinh": "SINHALA", "Tibt": "TIBETAN", "Nkoo": "NKO", "Hani": "CJK",
}  # fmt: skip
SCRIPTS: dict[str, int] = {name: number for number, name in enumerate(_SCRIPT_NAMES, start=1)}
SCRIPTS |= {"Hans": SCRIPTS["Hani"], "Hant": SCRIPTS["Hani"]}
_CATEGORY_BITS = {
    **dict.fromkeys(("Lu", "Ll", "Lt", "Lm", "Lo"), LETTER),
    **dict.fromkeys(("Mn", "Mc", "Me"), MARK),
    **dict.fromkeys(("Nd", "Nl", "No"), NUMBER),
    **dict.fromkeys(("Pd", "Ps", "Pe", "Pi", "Pf", "Po"), PUNCTUATION),
    **dict.fromkeys(("Sm", "Sc", "Sk", "So"), SYMBOL),
    "Pc": PUNCTUATION | CONNECTOR,
    "Cf": JOINER,
}


def _codes_in(ranges: str) -> list[int]:
    """Code points of hexadecimal ranges such as "0021 083D-083E"."""
    found: list[int] = []
    for item in ranges.split():
        low, _, high = item.partition("-")
        found += range(int(low, 16), int(high or low, 16) + 1)
    return found


@cache
def classes() -> npt.NDArray[np.uint16]:
    """The class bits of every code point; uint16 (0x110000,)."""
    table = np.zeros(SIZE, dtype=np.uint16)
    asked = np.zeros(SIZE, dtype=np.bool_)
    for low, high in _ASSIGNED:
        asked[low:high] = True
    for low, high in _UNASKED:
        asked[low:high] = False
    for low, high in _ALL_LETTERS:
        table[low:high] = LETTER
    kinds = map(unicodedata.category, map(chr, np.flatnonzero(asked).tolist()))
    table[asked] = [_CATEGORY_BITS.get(kind, 0) for kind in kinds]
    table[0x200B] = 0
    for code in range(0x3100):
        if chr(code).isspace():
            table[code] |= SPACE
    for low, high in ((0x3005, 0x3008), (0x3041, 0x3100), (0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00)):
        _mark_letters(table, low, high, IDEOGRAPH)
    _mark_letters(table, 0x20000, 0x33480, IDEOGRAPH)
    for characters, bit in (
        (_MID_LETTER, MID_LETTER),
        (_MID_NUMBER, MID_NUMBER),
        (_APOSTROPHES, APOSTROPHE),
    ):
        for character in characters:
            table[ord(character)] |= bit
    table[_codes_in(_TERMINAL)] |= TERMINAL
    special = _roots_special()
    table[special] |= ROOTS_SPECIAL
    table[special[(table[special] & (LETTER | MARK)) == 0]] |= SPECIAL
    return table


# datatrove 0.10.1: signs, besides ASCII punctuation, that alone make no word; and how its sentence marks differ from
# Unicode's. U+FF11 is the digit one.
_DATATROVE_SIGNS = """
0000-0008 000B-001F 007F-009F 00AB 00B4 00BB 2013-2014 2019 201C-201E 2026 2236 2501 25BA 3001-3002 3008-300D 3010-3011
FF01 FF05 FF08-FF09 FF0C FF0E FF11 FF1A-FF1B FF1F FF5E
"""
_DATATROVE_ADDS = "17D6 17D9-17DA"
_DATATROVE_LACKS = "1B4E-1B4F 1B7F 2024 2CF9-2CFB 2E60-2E61 FE12 FE15-FE16 113D4-113D5 16D6E-16D6F"


@cache
def datatrove_classes() -> npt.NDArray[np.uint16]:
    """The class bits of every code point as datatrove has them: its signs, and its sentence marks; uint16 (0x110000,).

    PUNCTUATION is what alone makes no word, and SYMBOL is empty; all other bits are those of `classes`.
    """
    table = classes() & np.uint16(0xFFFF ^ (PUNCTUATION | SYMBOL))
    table[_codes_in(_DATATROVE_ADDS)] |= TERMINAL
    table[_codes_in(_DATATROVE_LACKS)] &= np.uint16(0xFFFF ^ TERMINAL)
    table[(table & TERMINAL) != 0] |= PUNCTUATION
    table[_codes_in(_DATATROVE_SIGNS)] |= PUNCTUATION
    table[[code for code in range(33, 127) if not chr(code).isalnum()]] |= PUNCTUATION
    return table


def _mark_letters(table: npt.NDArray[np.uint16], low: int, high: int, bit: int) -> None:
    part = table[low:high]
    part[(part & (LETTER | MARK)) != 0] |= bit


@cache
def lower() -> npt.NDArray[np.int32]:
    """Simple lower case of every code point; int32 (0x110000,). One that lowers to several stays as it is."""
    table = np.arange(SIZE, dtype=np.int32)
    cased = table[:0x1E944].tobytes().decode("utf-32-le", "surrogatepass")
    small = cased.replace("\u0130", "\0").lower()  # the only one that lowers to several
    table[:0x1E944] = np.frombuffer(small.encode("utf-32-le", "surrogatepass"), dtype=np.int32)
    table[0x130] = 0x130
    return table


@cache
def folding() -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint64]]:
    """Words are equal that differ only in case or in normal form ("é" as one code point or as two).

    Returns `bases`, int32 (0x110000,), the lower-case letter of a code point without its marks, -1 for a mark; and
    `marks`, uint64 (0x110000,), the sum of the digests of its marks, 0 for none. A sum does not depend on the order of
    marks, so o + dot below + acute equals ó + dot below. Marks are those with a combining class (UAX #15); vowel signs
    of Indic scripts have none and count as letters.

    Arabic vowel signs, and the stroke that stretches a word, change no word: nearly all texts leave them out. The yeh,
    kaf and heh of Arabic, Persian and Urdu are one letter each, as keyboards mix them.
    """
    bases, marks = _folding(lower())
    silent = [code for low, high in ARABIC_SILENT for code in range(low, high)]
    bases[silent], marks[silent] = -1, 0
    for letter, plain in ARABIC_VARIANTS.items():
        bases[ord(letter)] = ord(plain)
    return bases, marks


@cache
def canonical() -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint64]]:
    """Lines are equal that differ only in normal form; case counts. Arrays as those of `folding`."""
    return _folding(same())


def _folding(cases: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint64]]:
    bases, marks = cases.copy(), np.zeros(SIZE, np.uint64)
    codes, letters, digests = _decompositions()
    bases[codes] = np.where(letters < 0, -1, cases[letters])
    marks[codes] = digests
    return bases, marks


@cache
def decomposable() -> tuple[str, ...]:
    """All marks, and all characters that a normal form decomposes, in order of their code points."""
    return tuple(
        character
        for character in map(chr, chain.from_iterable(_DECOMPOSABLE))
        if unicodedata.decomposition(character) or unicodedata.combining(character)
    )


@cache
def _decompositions() -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.uint64]]:
    """Marks, and letters with marks: their code points, the letter (-1 for none), and the sum of the marks' digests.

    Each (code points,). An Indic sign that decomposes into two letters is not among them: it keeps its own code point.
    """
    rows = []
    for character in decomposable():
        if unicodedata.combining(character) or unicodedata.decomposition(character)[:1] not in ("", "<"):
            parts = unicodedata.normalize("NFD", character)
            own = [ord(part) for part in parts if unicodedata.combining(part)]
            letters = [ord(part) for part in parts if not unicodedata.combining(part)]
            if len(letters) <= 1:
                digest = sum((part * 0x9E3779B97F4A7C15) ^ (part << 40) for part in own) % (1 << 64)
                rows.append((ord(character), letters[0] if letters else -1, digest))
    codes, bases, digests = zip(*rows, strict=True)
    return np.array(codes, np.int32), np.array(bases, np.int32), np.array(digests, np.uint64)


@cache
def lower_only() -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint64]]:
    """Words are equal that differ only in case, as in ROOTS's code. Arrays as those of `folding`."""
    return lower(), np.zeros(SIZE, np.uint64)


@cache
def exact() -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint64]]:
    """Only identical words are equal. Arrays as those of `folding`."""
    return same(), np.zeros(SIZE, np.uint64)


@cache
def same() -> npt.NDArray[np.int32]:
    """Every code point as itself, for passes that take `lower()` and must heed case; int32 (0x110000,)."""
    return np.arange(SIZE, dtype=np.int32)


@cache
def scripts() -> npt.NDArray[np.uint8]:
    """The script of every letter, as its number in SCRIPTS, 0 for others; uint8 (0x110000,).

    Python's Unicode data has no script property; for these scripts it is the first word of a character's name.
    """
    table = np.zeros(SIZE, dtype=np.uint8)
    numbers = {word: SCRIPTS[name] for name, word in _SCRIPT_NAMES.items()}
    letters = classes() & LETTER
    for low, high in ((0, 0x3400), (0xA000, 0xAC00), (0xF900, 0x20000)):
        for code in (low + np.flatnonzero(letters[low:high])).tolist():
            table[code] = numbers.get(unicodedata.name(chr(code), "").partition(" ")[0], 0)
    for low, high in ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0x20000, 0x33480), (0x3005, 0x3008)):
        table[low:high] = SCRIPTS["Hani"]
    table[0xAC00:0xD7A4] = SCRIPTS["Hang"]
    return table


# ROOTS's own list: punctuation, symbols and spaces found in samples; hexadecimal code points.
_ROOTS_LIST = """
0081-0085 0091-0093 0095-0099 009C-009D 00A0-00A8 00AA-00AB 00AD 00AF-00B4 00B7-00BF 00D7 00F7-00F8 0131 026A
02BA-02BC 02C8 02CC 02D0 02D8 02DA 02DC 03C0 0413 060C 0647 066A 066C 06E9 093E 0940 0947 094D 097D 09BE 0E51
2002-2003 2005 2008-200B 2010-2011 2013-2016 2018-201A 201C-2020 2022 2024 2026 202F-2030 2032-2033 2039-203A
203F 2043-2044 20A8 20AA 20AC 2103 2190-2193 21D3 2206 2208 2212 221A 221E-221F 223C 2248 2256 2264-2265 2295
22C5 2550 25A0 25AC 25B2 25B4 25B7 25BA-25BC 25C6 25CF 25E6 2605-2606 261B 263B 2661 266B 2713 2726 2731 2756
27A4 27A9 2800 3000-3002 300A-300D 3010-3011 309C 30B7 30C3-30C4 30F3 30FB-30FC 4E00 4E0A 58EB FD3E-FD3F FEFF
FF01 FF08-FF09 FF0C FF0E FF11 FF1A-FF1B FF1F FF3E FF5E FFFC-FFFD
"""

# Single code points with the property Emoji in Unicode 14 (UTS #51), which ROOTS took through the package emoji 1.6.1.
_EMOJI = """
00A9 00AE 203C 2049 2122 2139 2194-2199 21A9-21AA 231A-231B 2328 23CF 23E9-23F3 23F8-23FA 24C2 25AA-25AB 25B6
25C0 25FB-25FE 2600-2604 260E 2611 2614-2615 2618 261D 2620 2622-2623 2626 262A 262E-262F 2638-263A 2640 2642
2648-2653 265F-2660 2663 2665-2666 2668 267B 267E-267F 2692-2697 2699 269B-269C 26A0-26A1 26A7 26AA-26AB
26B0-26B1 26BD-26BE 26C4-26C5 26C8 26CE-26CF 26D1 26D3-26D4 26E9-26EA 26F0-26F5 26F7-26FA 26FD 2702 2705
2708-270D 270F 2712 2714 2716 271D 2721 2728 2733-2734 2744 2747 274C 274E 2753-2755 2757 2763-2764 2795-2797
27A1 27B0 27BF 2934-2935 2B05-2B07 2B1B-2B1C 2B50 2B55 3030 303D 3297 3299 1F004 1F0CF 1F170-1F171 1F17E-1F17F
1F18E 1F191-1F19A 1F201-1F202 1F21A 1F22F 1F232-1F23A 1F250-1F251 1F300-1F321 1F324-1F393 1F396-1F397
1F399-1F39B 1F39E-1F3F0 1F3F3-1F3F5 1F3F7-1F4FD 1F4FF-1F53D 1F549-1F54E 1F550-1F567 1F56F-1F570 1F573-1F57A
1F587 1F58A-1F58D 1F590 1F595-1F596 1F5A4-1F5A5 1F5A8 1F5B1-1F5B2 1F5BC 1F5C2-1F5C4 1F5D1-1F5D3 1F5DC-1F5DE
1F5E1 1F5E3 1F5E8 1F5EF 1F5F3 1F5FA-1F64F 1F680-1F6C5 1F6CB-1F6D2 1F6D5-1F6D7 1F6DD-1F6E5 1F6E9 1F6EB-1F6EC
1F6F0 1F6F3-1F6FC 1F7E0-1F7EB 1F7F0 1F90C-1F93A 1F93C-1F945 1F947-1F9FF 1FA70-1FA74 1FA78-1FA7C 1FA80-1FA86
1FA90-1FAAC 1FAB0-1FABA 1FAC0-1FAC5 1FAD0-1FAD9 1FAE0-1FAE7 1FAF0-1FAF6
"""


@cache
def _roots_special() -> npt.NDArray[np.int64]:
    """Code points of ROOTS's "special characters": ASCII punctuation, digits and white space, a list of its own, emoji.

    Laurençon et al. 2022, `special_characters` of the filtering code. The list holds digits and spaces, and by mistake
    some letters and vowel signs; `SPECIAL` leaves those out.
    """
    codes: set[int] = {*range(0x20, 0x30), *range(0x3A, 0x41), *range(0x5B, 0x61), *range(0x7B, 0x7F)}
    codes |= {*range(0x30, 0x3A), 0x20, *range(0x09, 0x0E)}
    codes |= {*_codes_in(_ROOTS_LIST), *_codes_in(_EMOJI)}
    return np.array(sorted(codes), dtype=np.int64)
