"""From shards to a model: tokenizer, token shards, an ALiBi decoder, its training and its measures.

Importing this package loads neither torch nor tokenizers; its modules do, where they need them.
"""

import os

# Threads that wait for the next product sleep. By default they spin, which takes the core from other programs: with two
# threads on two busy cores, a step of training takes four times the CPU time. OpenMP reads this when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
