"""KINDS: every kind of personal data, one row each. Where two overlap, the earlier row wins."""

from filters.personal_data.candidate import Kind
from filters.personal_data.keys import KEY, PRIVATE_KEY
from filters.personal_data.network import EMAIL, IP_ADDRESS

KINDS: dict[str, Kind] = {kind.name: kind for kind in (EMAIL, PRIVATE_KEY, KEY, IP_ADDRESS)}
DEFAULT_KINDS: tuple[str, ...] = tuple(kind.name for kind in KINDS.values() if kind.by_default)
