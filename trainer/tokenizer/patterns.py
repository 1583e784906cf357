"""How a text is cut into pieces before byte pairs are merged: BLOOM's pattern and ours."""

from dataclasses import dataclass

from tokenizers import Regex, pre_tokenizers

_UNSPACED = r"\p{Han}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Hiragana}\p{Katakana}"
_STOPS = r"\s()|.,!?…。，、।۔،"
_WORD = r"\p{L}\p{M}\x{200C}\x{200D}"  # joiners are letters' business: Persian, Malayalam, Sinhala need them


@dataclass(frozen=True)
class _Pattern:
    """How text is cut before merging: as the tokenizer does it, and as the trainer counts it (`bpe.count`).

    The trainer's pieces are bounded: 8 characters in scripts without spaces, 32 in others. Clause-long pieces are what
    makes BPE training run out of memory (32 GB and more reported for 20 GB of text), and no merge could use them.
    """

    released: str
    counted: str


def _roots(word: str, marks: str) -> str:
    return "|".join(
        [
            word,
            r" ?\p{N}{1,2}",  # two digits a piece: 0.965 bits a byte against 0.969 for one, 0.972 for three (nanochat)
            marks,
            r"[\r\n]{1,16}",
            r"[^\S\r\n]{1,16}(?!\S)",  # leave one space for the word that follows
            r"[^\S\r\n]{1,16}",
        ]
    )


PATTERNS = {
    # BLOOM's, written as one plain class: the released one nests a class, which only Oniguruma reads as meant.
    "bloom": _Pattern(
        rf" ?[^{_STOPS}]+",
        rf" ?(?:[{_UNSPACED}]{{1,8}}|[^{_STOPS}{_UNSPACED}]{{1,32}})|(?:(?! [^{_STOPS}])[{_STOPS}]){{1,32}}",
    ),
    # Ours: combining marks and joiners stay inside words, digits in twos, punctuation and line breaks apart.
    "roots": _Pattern(
        _roots(rf" ?[{_WORD}]+(?:['’ʼ][{_WORD}]+)*", rf" ?[^\s\p{{N}}{_WORD}]+"),
        _roots(
            rf" ?(?:[{_UNSPACED}]{{1,8}}|[{_WORD}&&[^{_UNSPACED}]]{{1,32}}(?:['’ʼ][{_WORD}]{{1,32}})?)",
            rf" ?[^\s\p{{N}}{_WORD}]{{1,16}}",
        ),
    ),
}


def cut_by(pattern: str) -> pre_tokenizers.PreTokenizer:
    """A pre-tokenizer that cuts by this pattern and spells each piece in byte-level letters."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
