"""From shards to a model: tokenizer, token shards, an ALiBi decoder, its training and its measures.

Importing this package loads neither torch nor tokenizers; its modules do, where they need them.
"""
