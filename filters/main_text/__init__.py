"""The main text of a page, found by a model: bytes to blocks, blocks to numbers, numbers to a choice."""
