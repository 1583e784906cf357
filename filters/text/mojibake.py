"""Mends text that was UTF-8 and was read as windows-1252 before it was stored: "Ã©" for "é"."""

import re

_MANY = 3  # such sequences from which a text may be broken throughout
_SHARE = 0.9  # of the characters outside ASCII that belong to such sequences in a broken text
# Bytes 0x80 to 0x9F in windows-1252; the five it lacks are control characters, as browsers read them.
_HIGH = {
    bytes([byte]).decode("cp1252") if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else chr(byte): byte
    for byte in range(0x80, 0x100)
}
_LATER = "[" + "".join(map(re.escape, (sign for sign, byte in _HIGH.items() if byte < 0xC0))) + "]"
_SEQUENCE = re.compile(f"[Â-ß]{_LATER}|[à-ï]{_LATER}{{2}}|[ð-ô]{_LATER}{{3}}")
_FIRST = ("Ã", "Â", "â€", "Ø", "Ù", "Ð", "Ñ", "à¤", "à¦", "á»", "Ä", "Å", "ã", "æ", "å", "è", "à®", "Î", "Ï", "×")


def mend(text: str) -> str:
    """The text with each sequence as the character it was; as it is unless nearly all of it outside ASCII is broken.

    A text about encodings, which shows a few such sequences among proper letters, stays as it is.
    """
    if text.isascii() or not any(first in text for first in _FIRST):
        return text
    found = _SEQUENCE.findall(text)
    if len(found) < _MANY:
        return text
    outside = sum(1 for sign in text if sign > "\x7f")
    if sum(map(len, found)) < _SHARE * outside:
        return text
    return _SEQUENCE.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    try:
        return bytes(_HIGH[sign] for sign in found[0]).decode("utf-8")
    except UnicodeDecodeError:
        return found[0]
