"""The process that workers are forked from has loaded every pass, and nothing else that is slow."""

import subprocess
import sys

SCRIPT = """
import os, sys
import pipelines.pipeline
threads = len(os.listdir("/proc/self/task"))
import pipelines.preload
from filters.language_id import fasttext_model
from filters.signals import counting, lines
from filters.text import quick_text
passes = (quick_text._strip, fasttext_model._predict, lines.count_line_kinds, counting.count_characters)
print([bool(made.signatures) for made in passes if hasattr(made, "signatures")])
print([name for name in ("pandas", "cffi", "trafilatura", "fasttext", "torch") if name in sys.modules])
print(len(os.listdir("/proc/self/task")) - threads)
"""


def test_passes_are_loaded_and_no_thread_is_started() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    loaded, slow, threads = done.stdout.split("\n")[:3]
    assert "True" in loaded
    assert "False" not in loaded
    assert slow == "[]"
    assert threads == "0"
