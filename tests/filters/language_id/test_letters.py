"""Urdu typed with Arabic letters is read as Urdu."""

import pytest

from filters.language_id.identify import identify
from filters.language_id.scripts import urdu_letters
from pipelines.models.files import load_model

URDU = "ہمارے گاؤں کے باہر ایک پرانا کنواں ہے جس کا پانی گرمیوں میں بھی ٹھنڈا رہتا ہے۔"
ARABIC = "كان الصياد يجلس كل يوم على شاطئ البحر وينتظر عودة أبنائه من الصيد."
SINDHI = "اسان جي ڳوٺ ۾ هڪ پراڻو کوهه آهي، جنهن جو پاڻي اونهاري ۾ به ٿڌو رهندو آهي."


def test_urdu_with_the_letters_of_an_arabic_keyboard_is_urdu() -> None:
    typed = URDU.translate(str.maketrans("یکہ", "يكه"))
    assert typed != URDU
    first, score = identify(typed, load_model())[0]
    assert (first, score > 0.9) == ("urd_Arab", True)


@pytest.mark.parametrize("text", [URDU, ARABIC, SINDHI, "plain"])
def test_other_texts_keep_their_letters(text: str) -> None:
    assert urdu_letters(text) == text
