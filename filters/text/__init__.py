"""Text as arrays: characters, words, passages, charsets, and the compiler of the passes that read them."""
