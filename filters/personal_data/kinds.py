"""KINDS: every kind of personal data, one row each. Where two overlap, the earlier row wins."""

from filters.personal_data.candidate import Kind
from filters.personal_data.devices import COORDINATES, MAC_ADDRESS, PLATE, USER, WALLET
from filters.personal_data.keys import KEY, PRIVATE_KEY
from filters.personal_data.national_ids import NATIONAL_ID
from filters.personal_data.network import EMAIL, IP_ADDRESS
from filters.personal_data.numbers import IBAN, PAYMENT_CARD
from filters.personal_data.phones import PHONE

_ROWS = (
    EMAIL, PRIVATE_KEY, IBAN, WALLET, KEY, MAC_ADDRESS, IP_ADDRESS, PAYMENT_CARD, NATIONAL_ID, COORDINATES, PHONE, USER,
    PLATE,
)  # fmt: skip
KINDS: dict[str, Kind] = {kind.name: kind for kind in _ROWS}
DEFAULT_KINDS: tuple[str, ...] = tuple(kind.name for kind in KINDS.values() if kind.by_default)
