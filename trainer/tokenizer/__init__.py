"""The byte-level BPE tokenizer: sampling, merges, fertility."""
