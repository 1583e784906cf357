"""How text is cut into pieces before byte pairs are merged: BLOOM's pattern and ours."""

from dataclasses import dataclass

from tokenizers import Regex, pre_tokenizers

_UNSPACED = r"\p{Han}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Hiragana}\p{Katakana}"
_STOPS = r"\s()|.,!?…。，、।۔،"
_WORD = r"\p{L}\p{M}\x{200C}\x{200D}"  # Persian, Malayalam and Sinhala write joiners inside words


@dataclass(frozen=True)
class _Pattern:
    """How text is cut before merging: by the released tokenizer, and while pieces are counted for training.

    Counted pieces are bounded: 8 characters in scripts without spaces, 32 in others. Unbounded pieces can be whole
    clauses, which fill the memory of other trainers and which no merge could use.
    """

    released: str
    counted: str  # by merges.count_pieces


def _roots(word: str, marks: str) -> str:
    return "|".join(
        [
            word,
            r" ?\p{N}{1,2}",  # nanochat needs fewer bits with two digits a piece than with one or three
            marks,
            r"[\r\n]{1,16}",
            r"[^\S\r\n]{1,16}(?!\S)",  # leave one space for the word that follows
            r"[^\S\r\n]{1,16}",
        ]
    )


PATTERNS = {
    # BLOOM's, written as one plain class: the released one nests a class, which only Oniguruma reads as intended.
    "bloom": _Pattern(
        rf" ?[^{_STOPS}]+",
        rf" ?(?:[{_UNSPACED}]{{1,8}}|[^{_STOPS}{_UNSPACED}]{{1,32}})|(?:(?! [^{_STOPS}])[{_STOPS}]){{1,32}}",
    ),
    # Ours keeps combining marks and joiners in words, takes digits in twos, and cuts at punctuation and line breaks.
    "roots": _Pattern(
        _roots(rf" ?[{_WORD}]+(?:['’ʼ][{_WORD}]+)*", rf" ?[^\s\p{{N}}{_WORD}]+"),
        _roots(
            rf" ?(?:[{_UNSPACED}]{{1,8}}|[{_WORD}&&[^{_UNSPACED}]]{{1,32}}(?:['’ʼ][{_WORD}]{{1,32}})?)",
            rf" ?[^\s\p{{N}}{_WORD}]{{1,16}}",
        ),
    ),
}


def cut_by(pattern: str) -> pre_tokenizers.PreTokenizer:
    """Return a pre-tokenizer that cuts by this pattern and spells each piece in byte-level letters."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
