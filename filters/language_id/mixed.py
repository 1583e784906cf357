"""Pages in several languages: the language of every line, and how much of a text is in the wanted one.

A comment thread, a bilingual parliament, a lyric with its translation: the language of the whole text says little of
them. Short lines cannot be told and are left out of the count; they are neither for nor against.
"""

from collections.abc import Sequence

from filters.language_id.identify import Label, LanguageModel, split_label
from filters.language_id.scripts import identify

_SHORTEST = 20  # characters of a line whose language can be told: of so short ones every sixth is told wrong
_SURE = 0.5  # score of a line that counts


def line_languages(text: str, model: LanguageModel) -> list[Label | None]:
    """The likeliest language of every line of a text; None for a line too short to tell, or without a letter."""
    return [_language(line.strip(), model) for line in text.split("\n")]


def share_in(languages: Sequence[Label | None], iso639_3: str) -> float:
    """Share of the lines that are surely in some language that are in the wanted one, 0 to 1; 0 for no such line."""
    sure = [split_label(found[0])[0] for found in languages if found is not None and found[1] >= _SURE]
    return sum(code == iso639_3 for code in sure) / len(sure) if sure else 0.0


def _language(line: str, model: LanguageModel) -> Label | None:
    if len(line) < _SHORTEST:
        return None
    labels = identify(line, model, 1)
    return labels[0] if labels else None
