"""Columns of the arrays that the scanner fills: blocks, nodes, and its own state."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.main_text.tags import NAMES

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

# A block: text between two tags that end a line.
(
    B_START, B_END, B_NODE, B_CHARS, B_LINKED, B_WORDS, B_DIGITS, B_ENDINGS, B_MARKS, B_UNSPACED, B_LAST, B_TOKEN,
    B_TOKEN_END, B_HASH, B_IMAGES, B_INLINE, B_AFTER_BREAK, B_PRE,
) = range(18)  # fmt: skip
BLOCK_COLUMNS = 18

# A node: an open element that can hold blocks. Its sums include the nodes below it.
(
    N_PARENT, N_TAG, N_DEPTH, N_WORD, N_WORD_END, N_CLASS, N_FLAGS, N_PATH, N_CHARS, N_LINKED, N_BLOCKS, N_GOOD,
) = range(12)  # fmt: skip
NODE_COLUMNS = 12
IS_HIDDEN, IS_LINK, IS_UNSEEN, IS_OPEN = 1, 2, 4, 8  # bits of N_FLAGS; unseen: hidden, or a dialog that is closed

MOST_BLOCKS, MOST_NODES, MOST_DEPTH = 100_000, 300_000, 400
MOST_HEAD = 1000  # words of the title, and of what the page says it is about

# The scanner's state; behind it the open elements (their nodes), and for each element of HTML how often it is open and
# whether it has no end tag from here on.
(
    S_BLOCKS, S_NODES, S_TOKENS, S_CLASS_WORDS, S_FIRST_WORD, S_OUT, S_START, S_CHARS, S_LINKED, S_GAP, S_SIGN,
    S_DEPTH, S_BEYOND, S_LINKS, S_PRE, S_READING, S_IMAGES, S_INLINE, S_BREAK, S_NAME, S_NAME_END,
    S_NOSCRIPT_BYTES, S_READ_NOSCRIPT, S_UNUSUAL, S_FULL, S_TITLE, S_ABOUT,
) = range(27)  # fmt: skip
STACK = 27
OPEN_TAGS = STACK + MOST_DEPTH
UNCLOSED = OPEN_TAGS + len(NAMES)
STATE = UNCLOSED + len(NAMES)

FEW_CHARS = 40  # of a block from which it can be a sentence


class Work(NamedTuple):
    """The arrays that compiled functions share while a page is read; all are bounded."""

    source: Bytes
    text: Bytes
    blocks: Ints
    nodes: Ints
    class_words: Ints
    tokens: Ints
    head: Ints
    state: Longs


@dataclass(frozen=True)
class Page:
    """A page as blocks of text. `blocks` (B, 18) and `nodes` (N, 12) have the columns above."""

    text: Bytes  # UTF-8 of all blocks, each from B_START to B_END
    blocks: Ints
    nodes: Ints
    class_words: Ints  # slots of the words of class and id, of a node from N_WORD to N_WORD_END
    tokens: Ints  # hashes of words, of a block from B_TOKEN to B_TOKEN_END
    title: Ints  # hashes of the words of <title>
    about: Ints  # hashes of the words of the page's own description
    is_unusual: bool  # holds formulas or dialogs, which the slow cleaning of the source settles
    is_full: bool  # has more blocks than are read

    def block_text(self, number: int) -> str:
        """The text of one block."""
        return bytes(self.text[self.blocks[number, B_START] : self.blocks[number, B_END]]).decode("utf-8", "replace")
