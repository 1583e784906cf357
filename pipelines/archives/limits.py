"""How much of an archive is believed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Sizes beyond which a record or an archive is not read."""

    body_bytes: int = 16 << 20  # of one page, decompressed; a longer one is cut and is "too_large"
    head_bytes: int = 64 << 10  # of an HTTP head
    unpacked_bytes: int = 64 << 30  # of a whole archive packed as one stream
