"""One pass over the bytes of a page: blocks of text, and the elements they stand in. It builds no tree of objects.

The time is linear in the size of a page: a search for an end tag that fails is not made again, and no more than
MOST_DEPTH elements are looked at for a tag.
"""

import numpy as np

from filters.main_text import layout as col
from filters.main_text.layout import Bytes, Longs, Page, Work
from filters.main_text.markup import (
    about_at,
    after_comment,
    after_tag,
    find_end,
    find_script_end,
    is_letter,
    name_at,
    read_attributes,
)
from filters.main_text.measure import measure_block, measure_words, sum_up
from filters.main_text.signs import BLANK, UNSHOWN, WIDE, code_at, reference_at, sign_of
from filters.main_text.tags import (
    BLOCK,
    CUSTOM,
    ENDS_P,
    KEPT,
    KINDS,
    NESTED,
    READING,
    SKIP,
    UNUSUAL,
    numbers_of_tags,
)
from filters.main_text.tree import close, end_what_is_implied, push
from filters.text.compiled import compiled, inlined

_A, _BODY, _HTML, _HEAD, _TITLE, _BR, _IMG, _META, _DIALOG = numbers_of_tags(
    "a body html head title br img meta dialog"
)
_SCRIPT, _STYLE, _NOSCRIPT, _RUBY, _RB, _PRE, _LISTING = numbers_of_tags("script style noscript ruby rb pre listing")
_SPACE, _BREAK, _SOLID = 1, 2, 3  # a gap between two characters: spaces, a line break of the source, a wide space
_EMPTY_CHARS, _HIDDEN_BYTES = 400, 400  # of a page, and of its <noscript>, for which that is read


def scan(page: bytes) -> Page:
    """Read a page in UTF-8. <noscript> is read where the rest of the page is nearly empty."""
    found, hidden = _scan(page, False)
    chars = int(found.nodes[0, col.N_CHARS])
    if hidden >= _HIDDEN_BYTES and chars < _EMPTY_CHARS:
        again, _ = _scan(page, True)
        if int(again.nodes[0, col.N_CHARS]) > 2 * chars:
            return again
    return found


def _scan(page: bytes, noscript: bool) -> tuple[Page, int]:
    """The page, and how many bytes of <noscript> were stepped over."""
    source = np.frombuffer(page, np.uint8)
    tags = page.count(b"<") + 2
    work = Work(
        source,
        np.empty(2 * len(source) + 64, np.uint8),
        np.empty((min(tags, col.MOST_BLOCKS), col.BLOCK_COLUMNS), np.int32),
        np.empty((min(tags, col.MOST_NODES), col.NODE_COLUMNS), np.int32),
        np.empty(min(len(source) // 4, 4 * min(tags, col.MOST_NODES)) + 16, np.int32),
        np.empty(len(source) + 2, np.int32),
        np.empty((2, col.MOST_HEAD + 2), np.int32),
        np.zeros(col.STATE, np.int64),
    )
    state = work.state
    state[col.S_READ_NOSCRIPT] = noscript
    _read(work)
    found = Page(
        work.text[: state[col.S_OUT]],
        work.blocks[: state[col.S_BLOCKS]],
        work.nodes[: state[col.S_NODES]],
        work.class_words[: state[col.S_CLASS_WORDS]],
        work.tokens[: state[col.S_TOKENS]],
        work.head[0, : state[col.S_TITLE]],
        work.head[1, : state[col.S_ABOUT]],
        bool(state[col.S_UNUSUAL]),
        bool(state[col.S_FULL]),
    )
    return found, int(state[col.S_NOSCRIPT_BYTES])


@inlined
def _write(text: Bytes, out: int, code: int) -> int:
    """Write a code point in UTF-8; returns where the next begins."""
    if code < 0x80:
        text[out] = code
        return out + 1
    if code < 0x800:
        text[out] = 0xC0 | code >> 6
        text[out + 1] = 0x80 | code & 63
        return out + 2
    if code < 0x10000:
        text[out] = 0xE0 | code >> 12
        text[out + 1] = 0x80 | code >> 6 & 63
        text[out + 2] = 0x80 | code & 63
        return out + 3
    text[out] = 0xF0 | code >> 18
    text[out + 1] = 0x80 | code >> 12 & 63
    text[out + 2] = 0x80 | code >> 6 & 63
    text[out + 3] = 0x80 | code & 63
    return out + 4


@inlined
def _begins_markup(source: Bytes, at: int) -> bool:
    """Whether "<" at `at` begins a tag, a comment or a declaration."""
    if at + 1 >= len(source):
        return False
    after = int(source[at + 1])
    return bool(is_letter(after) or after == 47 or after == 33 or after == 63)


@inlined
def _gap_after(gap: int, code: int) -> int:
    """The gap when one more white space is read."""
    if code in (10, 13):
        return _SOLID if gap == _SOLID else _BREAK
    return _SOLID if code > 127 else max(gap, _SPACE)


@inlined
def _is_joined(gap: int, before: int, kind: int) -> bool:
    """Whether a gap is a line break between wide characters, which shows no space."""
    return bool(gap == _BREAK and before & kind & WIDE and not before & kind & UNSHOWN)


@compiled
def _read_text(source: Bytes, at: int, end: int, text: Bytes, state: Longs) -> int:
    """Write the text from `at` to the next mark-up before `end`, white space folded; returns where it ends."""
    out, gap, before, chars = state[col.S_OUT], state[col.S_GAP], state[col.S_SIGN], state[col.S_CHARS]
    read, shown = chars, not state[col.S_READING]
    while at < end:
        code, second = int(source[at]), 0
        if code == 60 and _begins_markup(source, at):
            break
        if code >= 128:
            code, at = code_at(source, at)
        else:
            at += 1
            if code == 38:
                code, second, at = reference_at(source, at)
        kind = sign_of(code)
        if kind & BLANK:
            gap = _gap_after(gap, code)
        elif shown and (kind & WIDE or not kind & UNSHOWN):
            if gap and chars and not _is_joined(gap, before, kind):
                text[out] = 32
                out += 1
                chars += 1
            gap, before = 0, kind
            out = _write(text, out, code)
            chars += 1
            if second:
                out = _write(text, out, second)
                chars += 1
    state[col.S_OUT], state[col.S_GAP], state[col.S_SIGN], state[col.S_CHARS] = out, gap, before, chars
    if state[col.S_LINKS] > 0:
        state[col.S_LINKED] += chars - read
    return at


@compiled
def _read_preformatted(source: Bytes, at: int, end: int, text: Bytes, state: Longs) -> int:
    """The same of preformatted text: white space stays, but for blank first lines and the ends of lines."""
    out, chars = state[col.S_OUT], state[col.S_CHARS]
    read = chars
    # The reading of a character stands in both loops: as a function of its own it makes the scan a third slower.
    while at < end:
        code, second = int(source[at]), 0
        if code == 60 and _begins_markup(source, at):
            break
        if code >= 128:
            code, at = code_at(source, at)
        else:
            at += 1
            if code == 38:
                code, second, at = reference_at(source, at)
        kind = sign_of(code)
        if code == 10:
            out = _end_line(text, out, state[col.S_START], chars > 0)
        elif kind & BLANK:
            if code != 13:
                text[out] = 9 if code == 9 else 32
                out += 1
        elif kind & WIDE or not kind & UNSHOWN:
            out = _write(text, out, code)
            chars += 1
            if second:
                out = _write(text, out, second)
    state[col.S_OUT], state[col.S_CHARS] = out, chars
    if state[col.S_LINKS] > 0:
        state[col.S_LINKED] += chars - read
    return at


@inlined
def _end_line(text: Bytes, out: int, start: int, begun: bool) -> int:
    """End a line of preformatted text, without the blanks at its end; returns where the next begins."""
    while out > start and (text[out - 1] == 32 or text[out - 1] == 9):
        out -= 1
    if begun:
        text[out] = 10
        out += 1
    return out


@inlined
def _begin_block(state: Longs) -> None:
    """Forget what was counted of the last block."""
    state[col.S_CHARS] = state[col.S_LINKED] = state[col.S_GAP] = state[col.S_READING] = 0
    state[col.S_START] = state[col.S_OUT]


@compiled
def _end_block(work: Work) -> None:
    """Make a block of the text since the last one."""
    text, state = work.text, work.state
    out = state[col.S_OUT]
    while out > state[col.S_START] and text[out - 1] <= 32:
        out -= 1
    state[col.S_OUT] = out
    if state[col.S_BLOCKS] < len(work.blocks):
        measure_block(text, work.blocks, work.nodes, work.tokens, state)
        state[col.S_IMAGES] = state[col.S_INLINE] = 0
        text[out] = 10
        state[col.S_OUT] += 1
    else:
        state[col.S_FULL] = 1
        state[col.S_OUT] = state[col.S_START]
    _begin_block(state)


@compiled
def _skip(source: Bytes, tag: int, at: int, state: Longs) -> int:
    """Step over an element whose content is no text, from the end of its opening tag; returns where to go on."""
    if state[col.UNCLOSED + tag]:
        return at
    name, name_end = state[col.S_NAME], state[col.S_NAME_END]
    if tag == _SCRIPT:
        end = find_script_end(source, at, name, name_end)
        end = find_end(source, at, name, name_end, False) if end < 0 else end
    else:
        end = find_end(source, at, name, name_end, (KINDS[tag] & NESTED) != 0)
    if end < 0:
        state[col.UNCLOSED + tag] = 1
        return at
    if tag == _NOSCRIPT:
        state[col.S_NOSCRIPT_BYTES] += end - at
    at = after_tag(source, end)
    if tag in (_SCRIPT, _STYLE) and _is_stray(source, at, tag == _STYLE):
        state[col.S_UNUSUAL] = 1
    return at


@compiled
def _is_stray(source: Bytes, at: int, style: bool) -> bool:
    """Whether code stands behind the end tag of a style or script, because another end tag was in it."""
    code = False
    while at < len(source) and source[at] != 60:
        code |= source[at] == 123 or (source[at] == 59 and not style)
        at += 1
    return code and (style or (at + 2 < len(source) and source[at + 1] == 47 and source[at + 2] | 32 == 115))


@compiled
def _read_head(at: int, end: int, kind: int, work: Work) -> None:
    """Keep the words of the title or the description, whichever `kind` is; only the first counts, before any text."""
    text, state = work.text, work.state
    if state[col.S_CHARS] or state[kind] or end - at > col.MOST_HEAD:
        return
    _begin_block(state)
    _read_text(work.source, at, end, text, state)
    held = state[col.S_TOKENS]
    state[col.S_TOKENS] = 0
    measure_words(text, work.head[kind - col.S_TITLE], state)
    state[kind] = state[col.S_TOKENS]
    state[col.S_TOKENS] = held
    state[col.S_OUT] = state[col.S_START]
    _begin_block(state)


@compiled
def _read_title(at: int, work: Work) -> int:
    """Keep the words of the page's title; returns where it ends."""
    source, state = work.source, work.state
    if state[col.UNCLOSED + _TITLE]:
        return at
    end = find_end(source, at, state[col.S_NAME], state[col.S_NAME_END], False)
    if end < 0:
        state[col.UNCLOSED + _TITLE] = 1
        return at
    _read_head(at, end, col.S_TITLE, work)
    return after_tag(source, end)


@inlined
def _settle_inline(tag: int, is_end: bool, state: Longs) -> None:
    """A tag inside a line: readings of characters begin or end, elements of scripts are words apart."""
    if KINDS[tag] & READING:
        state[col.S_READING] = 0 if is_end else 1
    elif state[col.S_READING] and tag in (_RUBY, _RB):
        state[col.S_READING] = 0
    elif tag == CUSTOM and state[col.S_GAP] == 0:
        state[col.S_GAP] = _SPACE
    elif tag == _IMG:
        state[col.S_IMAGES] += 1
    if not is_end and tag:
        state[col.S_INLINE] += 1


@compiled
def _read_root(tag: int, is_end: bool, at: int, work: Work) -> int:
    """A tag of html, head or body: only the words of the first body's attributes are kept; returns where it ends."""
    nodes, state = work.nodes, work.state
    if tag != _BODY or is_end or nodes[0, col.N_WORD_END]:
        return after_tag(work.source, at)
    at, _, classes = read_attributes(work.source, at, work.class_words, state)
    nodes[0, col.N_WORD], nodes[0, col.N_WORD_END] = state[col.S_FIRST_WORD], state[col.S_CLASS_WORDS]
    nodes[0, col.N_CLASS] = classes
    return at


@inlined
def _read_tag(at: int, is_end: bool, work: Work) -> int:
    """Take the tag whose name begins at `at`; returns where it ends."""
    source, state = work.source, work.state
    tag, name_end = name_at(source, at)
    state[col.S_NAME], state[col.S_NAME_END] = at, name_end
    kind, at = KINDS[tag], name_end
    if kind & UNUSUAL:
        state[col.S_UNUSUAL] = 1
    if tag in (_HTML, _HEAD, _BODY):
        return _read_root(tag, is_end, at, work)
    if tag == _TITLE and not is_end:
        return _read_title(after_tag(source, at), work)
    if tag == _META:
        begin, end, at = about_at(source, at)
        _read_head(begin, end, col.S_ABOUT, work)
        return at
    if kind & SKIP and not (tag == _NOSCRIPT and state[col.S_READ_NOSCRIPT]):
        at = after_tag(source, at)
        return at if is_end else _skip(source, tag, at, state)
    if tag == _BR and state[col.S_PRE] > 0:
        state[col.S_OUT] = _end_line(work.text, state[col.S_OUT], state[col.S_START], state[col.S_CHARS] > 0)
    elif kind & BLOCK or tag == _BR:
        if state[col.S_CHARS]:
            _end_block(work)
        else:
            state[col.S_OUT] = state[col.S_START]
            _begin_block(state)
        state[col.S_BREAK] = tag == _BR
    else:
        _settle_inline(tag, is_end, state)
    if is_end or not kind & (KEPT | ENDS_P):
        at = after_tag(source, at)
        if is_end and kind & KEPT:
            close(tag, work.nodes, state)
        return at
    at, flags, classes = read_attributes(source, at, work.class_words, state)
    end_what_is_implied(tag, work.nodes, state)
    if kind & KEPT:
        if tag == _DIALOG and not flags & col.IS_OPEN:
            flags |= col.IS_UNSEEN
        push(tag, flags if tag == _A else flags & ~col.IS_LINK, classes, work.nodes, state)
    if tag in (_PRE, _LISTING) and at < len(source) and source[at] == 10:
        at += 1
    return at


@compiled
def _read(work: Work) -> None:
    """Fill the arrays from a page."""
    source, nodes, state = work.source, work.nodes, work.state
    nodes[0, :] = 0
    nodes[0, col.N_PARENT], nodes[0, col.N_TAG], nodes[0, col.N_PATH] = -1, _BODY, 17
    state[col.S_NODES] = state[col.S_DEPTH] = 1
    at, size = 0, len(source)
    while at < size:
        if source[at] != 60 or not _begins_markup(source, at):
            if state[col.S_PRE] > 0:
                at = _read_preformatted(source, at, size, work.text, state)
            else:
                at = _read_text(source, at, size, work.text, state)
            if at >= size:
                break
        after = source[at + 1]
        if is_letter(after):
            at = _read_tag(at + 1, False, work)
        elif after == 47 and at + 2 < size and is_letter(source[at + 2]):
            at = _read_tag(at + 2, True, work)
        else:
            at = after_comment(source, at)
    if state[col.S_CHARS]:
        _end_block(work)
    sum_up(work.blocks[: state[col.S_BLOCKS]], nodes[: state[col.S_NODES]])
