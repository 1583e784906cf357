"""What to say of a name that no language file has: whose code it is, which name is near, how a file is written."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import resources

from babel.core import Locale, get_global

_CODE = re.compile(r"[a-z]{2,3}")
# The older of two codes that ISO 639 gives; a language file has the other.
_OLDER = frozenset({
    "alb", "arm", "baq", "bur", "chi", "cze", "dut", "fre", "geo", "ger",
    "gre", "ice", "mac", "mao", "may", "per", "rum", "slo", "tib", "wel",
})  # fmt: skip
_NEAR = 0.7  # least likeness of two names, of 1, to suggest one for the other


def describe_unknown(name: str, known: Mapping[str, str], titles: Mapping[str, str]) -> str:
    """Say that no language is called `name`, and what to do.

    `known` has all names of languages, in lower case with _ for -, and their codes; `titles` codes and full names.
    """
    wanted = name.strip().lower().replace("-", "_")
    base, _, rest = wanted.partition("_")
    if rest and (near := sorted({known[each] for each in known if each.partition("_")[0] == base})):
        return _suggest(name, [f"{code!r} ({titles[code]})" for code in near])
    if code := _code_of(base if _CODE.fullmatch(base) else wanted.replace("_", " ")):
        return _how_to_add(name, code)
    names = [each for each in known if len(each) > 2]
    close = [] if _CODE.fullmatch(wanted) else get_close_matches(wanted, names, n=1, cutoff=_NEAR)
    return _suggest(name, [_titled(near, known[near], titles) for near in close])


def _titled(near: str, code: str, titles: Mapping[str, str]) -> str:
    """A known name as it is suggested: a full name as it is written, and a code beside another name."""
    shown = titles[code] if near == titles[code].lower() else near
    return repr(code) if near == code else f"{shown!r} ({code})"


def _suggest(name: str, near: list[str]) -> str:
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"unknown language {name!r}.{hint} `roots languages` prints all that have a file."


def _names() -> Mapping[str, str]:
    """Codes of all languages, in two or three letters, with their English names."""
    return {code: title for code, title in Locale("en").languages.items() if _CODE.fullmatch(code)}


def _code_of(name: str) -> str:
    """The shortest code of a language by a code or an English name in lower case; "" if there is none."""
    names = _names()
    code = get_global("language_aliases").get(name, name)
    if code in names:
        return str(code)
    return next((code for code, title in names.items() if title.lower() == name), "")


def _how_to_add(name: str, code: str) -> str:
    """Say which language it is, and the language file that it needs."""
    aliases = get_global("language_aliases").items()
    long = [alias for alias, short in aliases if short == code and len(alias) == 3 and alias not in _OLDER]
    parts = get_global("likely_subtags").get(code, "").split("_")
    script = next((part for part in parts if len(part) == 4), "Latn")
    folder = resources.files("filters.languages")
    return (
        f"unknown language {name!r}: {_names()[code]} is not one of ours. Write {folder.joinpath(code)}.toml with "
        f'three lines, name = "{_names()[code]}", iso639_3 = "{min(long, default=code)}" and script = "{script}" '
        f"(check them), and run again; or write {code}.toml anywhere, and run with --lang ./{code}.toml. "
        "`roots languages` prints all that have a file."
    )
