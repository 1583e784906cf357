"""How much of an archive is believed, and what readers of damaged zips raise."""

import lzma
import struct
import zipfile
import zlib
from dataclasses import dataclass

# What the standard library raises on damaged zips and streams, in opening, listing and reading them
UNPACKING_ERRORS = (
    zipfile.BadZipFile, OSError, EOFError, zlib.error, lzma.LZMAError, struct.error, ValueError, OverflowError,
    LookupError, RuntimeError,
)  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """Sizes beyond which a record or an archive is not read."""

    body_bytes: int = 16 << 20  # of one page, decompressed; a longer one is cut and is "too_large"
    head_bytes: int = 64 << 10  # of an HTTP head
    unpacked_bytes: int = 64 << 30  # of a whole archive packed as one stream
