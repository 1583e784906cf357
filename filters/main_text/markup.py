"""Reading of one tag: its name, and what its attributes say; and the end of elements whose content is no text.

Source: HTML Standard, 13.2.5 (tokenization).
"""

import numpy as np

from filters.main_text import layout as col
from filters.main_text.layout import Bytes, Ints, Longs
from filters.main_text.tags import CUSTOM, TAG_KEYS, TAG_NUMBERS, UNKNOWN, name_hash
from filters.text.compiled import compiled, inlined

_CLASS, _ID, _ROLE, _ITEM = (name_hash(name) for name in (b"class", b"id", b"role", b"itemprop"))
_STYLE, _HIDDEN, _ARIA_HIDDEN, _HREF = (name_hash(name) for name in (b"style", b"hidden", b"aria-hidden", b"href"))
_OPEN, _UNTIL_FOUND = name_hash(b"open"), len("until-found")
_NAME, _PROPERTY, _CONTENT = name_hash(b"name"), name_hash(b"property"), name_hash(b"content")
_ABOUT = np.array([name_hash(name) for name in (b"description", b"og:description", b"twitter:description")])
_SLOTS = 0xFFFF  # of the table of class words
_WORDS = 12  # of one element that are looked at
_SHORTEST = 3  # letters of a word
_MASK = 0xFFFFFFFF


@inlined
def is_letter(byte: int) -> bool:
    """Whether a byte is a letter of ASCII."""
    return bool(97 <= byte | 32 <= 122)


@inlined
def _is_blank(byte: int) -> bool:
    """Whether a byte separates attributes."""
    return bool(byte == 32 or 9 <= byte <= 13)


@compiled
def name_at(source: Bytes, at: int) -> tuple[int, int]:
    """The number of the element whose name begins at `at`, and where the name ends."""
    size, found, hyphen = len(source), 2166136261, False
    while at < size:
        byte = int(source[at])
        if byte == 62 or byte == 47 or _is_blank(byte):
            break
        if 65 <= byte <= 90:
            byte |= 32
        hyphen |= byte == 45
        found = (found ^ byte) * 16777619 & _MASK
        at += 1
    slot = found & (len(TAG_KEYS) - 1)
    while TAG_KEYS[slot]:
        if TAG_KEYS[slot] == found:
            return int(TAG_NUMBERS[slot]), at
        slot = (slot + 1) & (len(TAG_KEYS) - 1)
    return CUSTOM if hyphen else UNKNOWN, at


@compiled
def _hides(source: Bytes, at: int, end: int) -> bool:
    """Whether a style has `display: none`."""
    while at + 11 <= end:
        begins = source[at] | 32 == 100 and source[at + 1] | 32 == 105 and source[at + 2] | 32 == 115
        if begins and source[at + 3] | 32 == 112 and source[at + 6] | 32 == 121:
            at += 7
            while at < end and (source[at] == 58 or _is_blank(source[at])):
                at += 1
            if at + 3 < end and source[at] | 32 == 110 and source[at + 1] | 32 == 111:
                return True
        at += 1
    return False


@compiled
def _read_words(source: Bytes, value: tuple[int, int], salt: int, class_words: Ints, state: Longs) -> int:
    """Keep the slots of the words of an attribute; returns a hash of its letters."""
    at, end = value
    letters, found, size = 17, 2166136261, 0
    while at <= end:
        byte = int(source[at]) if at < end else 32
        if is_letter(byte):
            found = (found ^ (byte | 32)) * 16777619 & _MASK
            letters = (letters * 31 + byte) & 0x3FFFFFFF
            size += 1
        else:
            held = state[col.S_CLASS_WORDS]
            if size >= _SHORTEST and held < len(class_words) and held - state[col.S_FIRST_WORD] < _WORDS:
                class_words[held] = ((found ^ (found >> 16)) + salt) & _SLOTS
                state[col.S_CLASS_WORDS] += 1
            found, size = 2166136261, 0
        at += 1
    return letters


@compiled
def _value_at(source: Bytes, at: int) -> tuple[int, int, int]:
    """The value of an attribute whose name ended at `at`: where it begins and ends, and where to go on."""
    size = len(source)
    while at < size and _is_blank(source[at]):
        at += 1
    if at >= size or source[at] != 61:
        return at, at, at
    at += 1
    while at < size and _is_blank(source[at]):
        at += 1
    if at >= size:
        return at, at, at
    quote = source[at]
    if quote == 34 or quote == 39:
        begin = at + 1
        at = begin
        while at < size and source[at] != quote:
            at += 1
        return begin, at, at + 1
    begin = at
    while at < size and source[at] != 62 and not _is_blank(source[at]):
        at += 1
    return begin, at, at


@compiled
def _name_hash_at(source: Bytes, at: int) -> tuple[int, int]:
    """The hash of the name of an attribute, and where it ends."""
    size, found, begin = len(source), 2166136261, at
    while at < size:
        byte = int(source[at])
        if byte == 62 or byte == 47 or _is_blank(byte) or (byte == 61 and at > begin):
            break
        if 65 <= byte <= 90:
            byte |= 32
        found = (found ^ byte) * 16777619 & _MASK
        at += 1
    return found, at


@compiled
def read_attributes(source: Bytes, at: int, class_words: Ints, state: Longs) -> tuple[int, int, int]:
    """Read the attributes of an opening tag: where the tag ends, its bits, and a hash of its classes."""
    size, flags, classes = len(source), 0, 0
    state[col.S_FIRST_WORD] = state[col.S_CLASS_WORDS]
    while at < size and source[at] != 62:
        if _is_blank(source[at]) or source[at] == 47:
            at += 1
            continue
        name, at = _name_hash_at(source, at)
        begin, end, at = _value_at(source, at)
        if name == _CLASS:
            classes = _read_words(source, (begin, end), 0, class_words, state)
        elif name == _ID:
            _read_words(source, (begin, end), 0, class_words, state)
        elif name in (_ROLE, _ITEM):
            _read_words(source, (begin, end), 7, class_words, state)
        elif name == _HREF:
            flags |= col.IS_LINK
        elif name == _OPEN:
            flags |= col.IS_OPEN
        elif name == _HIDDEN:
            flags |= col.IS_HIDDEN if end - begin == _UNTIL_FOUND else col.IS_HIDDEN | col.IS_UNSEEN
        elif (name == _ARIA_HIDDEN and end - begin == 4) or (name == _STYLE and _hides(source, begin, end)):
            flags |= col.IS_HIDDEN
    return at + 1, flags, classes


@compiled
def after_tag(source: Bytes, at: int) -> int:
    """Where a tag ends whose attributes say nothing; `>` in quotes does not end it."""
    size = len(source)
    value = False  # behind an equals sign
    while at < size:
        byte = source[at]
        if byte == 62:
            return at + 1
        at += 1
        if value and (byte == 34 or byte == 39):
            while at < size and source[at] != byte:
                at += 1
            at += 1
        value = byte == 61 or (value and _is_blank(byte))
    return size


@compiled
def after_comment(source: Bytes, at: int) -> int:
    """Where the comment or declaration that begins with `<!` or `<?` at `at` ends."""
    size = len(source)
    if at + 3 < size and source[at + 1] == 33 and source[at + 2] == 45 and source[at + 3] == 45:
        at += 4
        if at < size and source[at] == 62:
            return at + 1
        if at + 1 < size and source[at] == 45 and source[at + 1] == 62:
            return at + 2
        while at < size:
            if source[at] == 62 and source[at - 1] == 45 and source[at - 2] == 45:
                return at + 1
            if source[at] == 62 and source[at - 1] == 33 and source[at - 2] == 45 and source[at - 3] == 45:
                return at + 1
            at += 1
        return size
    while at < size and source[at] != 62:
        at += 1
    return at + 1


@compiled
def _is_name(source: Bytes, at: int, name: int, name_end: int) -> bool:
    """Whether the name between `name` and `name_end` stands at `at`, as a whole."""
    length = name_end - name
    if at + length > len(source):
        return False
    for place in range(length):
        if source[at + place] | 32 != source[name + place] | 32:
            return False
    after = at + length
    return after >= len(source) or source[after] == 62 or source[after] == 47 or _is_blank(source[after])


@compiled
def find_end(source: Bytes, at: int, name: int, name_end: int, nested: bool) -> int:
    """Where the end tag of the element whose name is given by its place begins; -1 if there is none."""
    size, deep = len(source), 1
    while at + 1 < size:
        if source[at] == 60:
            if source[at + 1] == 47:
                if _is_name(source, at + 2, name, name_end):
                    deep -= 1
                    if not deep:
                        return at
            elif nested and _is_name(source, at + 1, name, name_end):
                deep += 1
        at += 1
    return -1


@compiled
def find_script_end(source: Bytes, at: int, name: int, name_end: int) -> int:
    """The same of a script, in which a comment may hide another script with its end tag; -1 if there is none."""
    size, comment, hidden = len(source), False, False
    while at + 1 < size:
        if source[at] == 60:
            if source[at + 1] == 47 and _is_name(source, at + 2, name, name_end):
                if not hidden:
                    return at
                hidden = False
            elif comment and _is_name(source, at + 1, name, name_end):
                hidden = True
            elif at + 3 < size and source[at + 1] == 33 and source[at + 2] == 45 and source[at + 3] == 45:
                comment = True
        elif source[at] == 62 and comment and source[at - 1] == 45 and source[at - 2] == 45:
            comment = hidden = False
        at += 1
    return -1


@compiled
def about_at(source: Bytes, at: int) -> tuple[int, int, int]:
    """Where the page's description begins and ends, if the meta element whose name ends at `at` holds one, and its end.

    Begin and end are the same for other elements.
    """
    size, is_about, content, content_end = len(source), False, at, at
    while at < size and source[at] != 62:
        if _is_blank(source[at]) or source[at] == 47:
            at += 1
            continue
        name, at = _name_hash_at(source, at)
        begin, end, at = _value_at(source, at)
        if name == _CONTENT:
            content, content_end = begin, end
        elif name in (_NAME, _PROPERTY):
            value = 2166136261
            for place in range(begin, end):
                byte = int(source[place])
                value = (value ^ (byte | 32 if 65 <= byte <= 90 else byte)) * 16777619 & _MASK
            for known in _ABOUT:
                is_about |= value == known
    return (content if is_about else content_end), content_end, at + 1
