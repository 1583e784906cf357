"""Tables of text as inputs, row by row."""
