"""The elements that are open while the scanner reads: what an opening tag ends, and what an end tag closes.

Only elements that hold blocks, links and elements of scripts are nodes; other elements inside lines need no place.
Source: HTML Standard, 13.2.6.4 (the rules for parsing tokens), without foster parents and reopened formatting.
"""

from filters.main_text import layout as col
from filters.main_text.layout import Ints, Longs
from filters.main_text.tags import CELL, ENDS_P, KINDS, SCOPE, numbers_of_tags
from filters.text.compiled import compiled, inlined

_A, _P, _LI, _UL, _OL, _DT, _DD, _DL = numbers_of_tags("a p li ul ol dt dd dl")
_TABLE, _TR, _TD, _TH, _CAPTION, _OPTION = numbers_of_tags("table tr td th caption option")
_TBODY, _THEAD, _TFOOT, _H1, _H6, _PRE, _LISTING = numbers_of_tags("tbody thead tfoot h1 h6 pre listing")


@inlined
def _is_heading(tag: int) -> bool:
    return bool(_H1 <= tag <= _H6)


@compiled
def _drop_from(place: int, nodes: Ints, state: Longs) -> None:
    """Close all elements from a place of the stack on."""
    while state[col.S_DEPTH] > place:
        state[col.S_DEPTH] -= 1
        node = state[col.STACK + state[col.S_DEPTH]]
        tag = nodes[node, col.N_TAG]
        state[col.OPEN_TAGS + tag] -= 1
        if nodes[node, col.N_FLAGS] & col.IS_LINK:
            state[col.S_LINKS] -= 1
        if tag in (_PRE, _LISTING):
            state[col.S_PRE] -= 1


@compiled
def _find(tags: tuple[int, int], stops: tuple[int, int], nodes: Ints, state: Longs) -> int:
    """The place in the stack of an open element, one of `tags`; -1 behind a scope or one of `stops`."""
    place = state[col.S_DEPTH] - 1
    while place > 0:
        found = nodes[state[col.STACK + place], col.N_TAG]
        if found in tags:
            return int(place)
        if found in stops or KINDS[found] & SCOPE:
            return -1
        place -= 1
    return -1


@compiled
def _find_row(tag: int, nodes: Ints, state: Longs) -> int:
    """The place of the outermost part of the innermost table that a new part of it ends; -1 if none."""
    place, found = state[col.S_DEPTH] - 1, -1
    section = tag in (_TBODY, _THEAD, _TFOOT)
    while place > 0:
        held = nodes[state[col.STACK + place], col.N_TAG]
        if held == _TABLE:
            return found
        if (
            held in (_TD, _TH, _CAPTION)
            or (held == _TR and tag != _TD and tag != _TH)
            or (section and (held in (_TBODY, _THEAD, _TFOOT)))
        ):
            found = int(place)
        place -= 1
    return -1


@compiled
def end_what_is_implied(tag: int, nodes: Ints, state: Longs) -> None:
    """Close what the opening tag of `tag` ends."""
    kind = KINDS[tag]
    if kind & ENDS_P and state[col.OPEN_TAGS + _P] > 0:
        place = _find((_P, _P), (-1, -1), nodes, state)
        if place >= 0:
            _drop_from(place, nodes, state)
    place = -1
    if tag == _LI:
        place = _find((_LI, _LI), (_UL, _OL), nodes, state) if state[col.OPEN_TAGS + _LI] > 0 else -1
    elif tag in (_DT, _DD):
        place = _find((_DT, _DD), (_DL, _DL), nodes, state)
    elif kind & CELL:
        place = _find_row(tag, nodes, state) if state[col.OPEN_TAGS + _TABLE] > 0 else -1
    elif tag == _A:
        place = _find((_A, _A), (_TABLE, _TABLE), nodes, state) if state[col.OPEN_TAGS + _A] > 0 else -1
        if place >= 0 and place < state[col.S_DEPTH] - 1:
            _take_out(place, nodes, state)
            place = -1
    elif _is_heading(tag) or tag == _OPTION:
        top = nodes[state[col.STACK + state[col.S_DEPTH] - 1], col.N_TAG]
        if (_is_heading(tag) and _is_heading(top)) or (tag == _OPTION and top == _OPTION):
            place = state[col.S_DEPTH] - 1
    if place > 0:
        _drop_from(place, nodes, state)


@compiled
def _take_out(place: int, nodes: Ints, state: Longs) -> None:
    """Close one element below others that stay open: formatting ends through blocks."""
    node = state[col.STACK + place]
    state[col.OPEN_TAGS + nodes[node, col.N_TAG]] -= 1
    if nodes[node, col.N_FLAGS] & col.IS_LINK:
        state[col.S_LINKS] -= 1
    for above in range(place, state[col.S_DEPTH] - 1):
        state[col.STACK + above] = state[col.STACK + above + 1]
    state[col.S_DEPTH] -= 1


@compiled
def close(tag: int, nodes: Ints, state: Longs) -> None:
    """Close the element that an end tag ends, with all that is open in it; nothing where none is open."""
    if _is_heading(tag):
        place = state[col.S_DEPTH] - 1
        while place > 0 and not _is_heading(nodes[state[col.STACK + place], col.N_TAG]):
            if KINDS[nodes[state[col.STACK + place], col.N_TAG]] & SCOPE:
                return
            place -= 1
        if place > 0:
            _drop_from(place, nodes, state)
        return
    if state[col.OPEN_TAGS + tag] <= 0:
        return
    if state[col.S_BEYOND] > 0:
        state[col.S_BEYOND] -= 1
        return
    in_table = KINDS[tag] & CELL or tag == _TABLE
    place = state[col.S_DEPTH] - 1
    while place > 0:
        found = nodes[state[col.STACK + place], col.N_TAG]
        if found == tag:
            break
        if found == _TABLE if in_table else KINDS[found] & SCOPE:
            return
        if tag == _LI and (found in (_UL, _OL)):
            return
        place -= 1
    if place <= 0:
        return
    if tag == _A and place < state[col.S_DEPTH] - 1:
        _take_out(place, nodes, state)
    else:
        _drop_from(place, nodes, state)


@compiled
def push(tag: int, flags: int, class_hash: int, nodes: Ints, state: Longs) -> None:
    """Open an element; beyond the largest depth or number of nodes it is only counted."""
    number, depth = state[col.S_NODES], state[col.S_DEPTH]
    if number >= min(col.MOST_NODES, len(nodes)) or depth >= col.MOST_DEPTH:
        if state[col.OPEN_TAGS + tag] > 0:
            state[col.S_BEYOND] += 1
        return
    parent = state[col.STACK + depth - 1]
    nodes[number, col.N_PARENT], nodes[number, col.N_TAG], nodes[number, col.N_DEPTH] = (
        parent,
        tag,
        nodes[parent, col.N_DEPTH] + 1,
    )
    nodes[number, col.N_FLAGS] = flags | (nodes[parent, col.N_FLAGS] & (col.IS_HIDDEN | col.IS_UNSEEN))
    nodes[number, col.N_CLASS] = class_hash
    nodes[number, col.N_PATH] = ((nodes[parent, col.N_PATH] * 1000003) ^ (tag + 1)) & 0x3FFFFFFF
    nodes[number, col.N_WORD], nodes[number, col.N_WORD_END] = state[col.S_FIRST_WORD], state[col.S_CLASS_WORDS]
    state[col.STACK + depth] = number
    state[col.S_DEPTH] += 1
    state[col.S_NODES] += 1
    state[col.OPEN_TAGS + tag] += 1
    if flags & col.IS_LINK:
        state[col.S_LINKS] += 1
    if tag in (_PRE, _LISTING):
        state[col.S_PRE] += 1


@compiled
def block_node(nodes: Ints, state: Longs) -> int:
    """The innermost open element that is no link."""
    place = state[col.S_DEPTH] - 1
    while place > 0 and nodes[state[col.STACK + place], col.N_TAG] == _A:
        place -= 1
    return int(state[col.STACK + place])
