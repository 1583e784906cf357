"""What a block of text is like: its words, its signs, its place among the open elements."""

from filters.main_text import layout as col
from filters.main_text.layout import Bytes, Ints, Longs
from filters.main_text.signs import DIGIT, ENDING, IN_WORD, LOWER, MARKING, UNSPACED, code_at, sign_of
from filters.main_text.tree import block_node
from filters.text.compiled import compiled, inlined

_START, _STEP, _MASK = 2166136261, 16777619, 0xFFFFFFFF


@inlined
def _folded(found: int) -> int:
    """A hash as an element of `tokens`."""
    return (found ^ (found >> 16)) & 0x7FFFFFFF


@compiled
def measure_words(text: Bytes, tokens: Ints, state: Longs) -> tuple[int, int, int, int, int, int, int]:
    """Keep the words from S_START to S_OUT: counts of words, digits, endings, marks, unspaced characters; the last
    sign's kind (1 ends a sentence, 2 is another mark); a hash of the text.
    """
    at, end, held = state[col.S_START], state[col.S_OUT], state[col.S_TOKENS]
    words = digits = endings = marks = unspaced = last = 0
    word, begun, whole = _START, False, _START
    while at < end:
        code = int(text[at])
        if code < 128:
            at += 1
        else:
            code, at = code_at(text, at)
        kind = sign_of(code)
        if kind & IN_WORD and not kind & UNSPACED:
            low = int(LOWER[code]) if code < len(LOWER) else code
            word, begun, last = (word ^ low) * _STEP & _MASK, True, 0
            digits += (kind & DIGIT) != 0
            continue
        if begun:
            tokens[held] = _folded(word)
            whole = (whole ^ word) * _STEP & _MASK
            held += 1
            words += 1
            word, begun = _START, False
        if kind & UNSPACED:
            tokens[held] = code * 40503 & 0x7FFFFFFF
            whole = (whole ^ code) * _STEP & _MASK
            held += 1
            unspaced += 1
            last = 0
        elif kind & ENDING:
            endings += 1
            last = 1
        elif kind & MARKING:
            marks += 1
            last = 2
    if begun:
        tokens[held] = _folded(word)
        whole = (whole ^ word) * _STEP & _MASK
        held += 1
        words += 1
    state[col.S_TOKENS] = held
    return words, digits, endings, marks, unspaced, last, whole & 0x7FFFFFFF


@compiled
def measure_block(text: Bytes, blocks: Ints, nodes: Ints, tokens: Ints, state: Longs) -> None:
    """Fill the row of the block from S_START to S_OUT."""
    number, node, first = state[col.S_BLOCKS], block_node(nodes, state), state[col.S_TOKENS]
    words, digits, endings, marks, unspaced, last, whole = measure_words(text, tokens, state)
    chars, linked = state[col.S_CHARS], state[col.S_LINKED]
    blocks[number, col.B_START], blocks[number, col.B_END] = state[col.S_START], state[col.S_OUT]
    blocks[number, col.B_NODE], blocks[number, col.B_CHARS], blocks[number, col.B_LINKED] = node, chars, linked
    blocks[number, col.B_WORDS], blocks[number, col.B_DIGITS], blocks[number, col.B_ENDINGS] = words, digits, endings
    blocks[number, col.B_MARKS], blocks[number, col.B_UNSPACED], blocks[number, col.B_LAST] = marks, unspaced, last
    blocks[number, col.B_TOKEN], blocks[number, col.B_TOKEN_END] = first, state[col.S_TOKENS]
    blocks[number, col.B_HASH], blocks[number, col.B_IMAGES] = whole, state[col.S_IMAGES]
    blocks[number, col.B_INLINE], blocks[number, col.B_AFTER_BREAK] = state[col.S_INLINE], state[col.S_BREAK]
    blocks[number, col.B_PRE] = state[col.S_PRE] > 0
    state[col.S_BLOCKS] += 1


@compiled
def sum_up(blocks: Ints, nodes: Ints) -> None:
    """Set the sums of all nodes from the blocks in them: a parent comes before its children."""
    nodes[:, col.N_CHARS :] = 0
    for block in range(len(blocks)):
        node, chars, linked = blocks[block, col.B_NODE], blocks[block, col.B_CHARS], blocks[block, col.B_LINKED]
        nodes[node, col.N_CHARS] += chars
        nodes[node, col.N_LINKED] += linked
        nodes[node, col.N_BLOCKS] += 1
        if blocks[block, col.B_ENDINGS] and chars >= col.FEW_CHARS and chars > linked:
            nodes[node, col.N_GOOD] += chars - linked
    for node in range(len(nodes) - 1, 0, -1):
        parent = nodes[node, col.N_PARENT]
        for column in range(col.N_CHARS, col.NODE_COLUMNS):
            nodes[parent, column] += nodes[node, column]
