"""Text that was decoded with the wrong charset is mended, and only such text."""

import pytest

from filters.text.charset import mend

BROKEN = {
    "fr": "L'élève a répété sa leçon à la fenêtre, où l'été était déjà arrivé.",
    "vi": "Buổi sáng, bà ngoại ra vườn hái rau và kể chuyện ngày xưa cho chúng tôi nghe.",
    "ar": "ذهب الولد إلى المدرسة في الصباح وعاد إلى البيت",
    "hi": "बच्चे सुबह नदी के किनारे खेलते हैं",
    "yo": "Àwọn ọmọdé ń ṣeré nínú ọgbà",
}


def as_windows_1252(text: str) -> str:
    """UTF-8 read as browsers read windows-1252: the five bytes it lacks are control characters."""
    return "".join(
        chr(byte) if byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else bytes([byte]).decode("cp1252")
        for byte in text.encode()
    )


@pytest.mark.parametrize("code", BROKEN)
def test_text_read_with_the_wrong_charset_is_mended(code: str) -> None:
    assert mend(as_windows_1252(BROKEN[code])) == BROKEN[code]


def test_broken_text_whose_spaces_were_made_plain_is_mended() -> None:
    broken = as_windows_1252("Le musée, fermé à midi, rouvre à l'été.\u00a0Là-bas, on dîne à l'hôtel et on écoute.")
    assert (
        mend(broken.replace("\u00a0", " "))
        == "Le musée, fermé à midi, rouvre à l'été. Là -bas, on dîne à l'hôtel et on écoute."
    )


@pytest.mark.parametrize(
    "text",
    [
        *BROKEN.values(),
        "Mal décodée, la lettre « à » s'écrit « Ã  », la lettre « é » devient « Ã© », et « è » devient « Ã¨ » : bête.",
        "Ã© alone",
        "plain",
        "SÃO PAULO, MAÇÃ, IRMÃ E AVELÃ NA MANHÃ DE VERÃO",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert mend(text) == text
