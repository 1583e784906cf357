"""The words of a text tell a language from a near relative."""

import pytest

from filters.language_id.identify import identify
from filters.language_id.relatives import settle_relatives
from pipelines.models.files import load_model

INDONESIAN = (
    "Ibu kos memberi tahu bahwa mulai besok air hanya mengalir pada pagi hari. Karena itu semua penghuni menampung air"
    " di ember, lalu mencuci piring bersama di halaman belakang sambil bercerita.",
    "Paman membuka bengkel kecil di samping rumah. Kalau ada sepeda yang rusak, anak-anak datang ke sana, dan beliau"
    " memperbaikinya tanpa minta uang. Kadang ia cuma minta ditemani minum kopi.",
)
MALAY = (
    "Tuan rumah memberitahu bahawa mulai esok air hanya disalurkan pada waktu pagi. Oleh sebab itu semua penyewa"
    " menyimpan air di dalam baldi, kemudian membasuh pinggan bersama-sama kerana tiada paip lain.",
    "Pakcik membuka kedai membaiki basikal di sebelah rumah. Kanak-kanak selalu datang ke sana selepas waktu"
    " persekolahan, dan beliau membaikinya tanpa meminta wang.",
)
KONKANI = (
    "आमच्या घरा फाटल्यान एक व्हडलो आंबो आसा. पावसांत ताचेर सवणीं येतात आनी आमी भुरगीं तांकां पळयत बसतालीं. मागीर आवय"
    " आमकां जेवपाक आपयताली."
)
MARATHI = (
    "आमच्या घरामागे एक मोठे आंब्याचे झाड आहे. पावसाळ्यात त्यावर पक्षी येतात आणि आम्ही मुले त्यांना बघत बसत होतो. नंतर आई"
    " आम्हाला जेवायला बोलवत असे."
)
LADINO = (
    "Kada alhad mi tiyo vinia a muestra kaza kon un sesto de fruta. Mozotros moz asentavamos deredor de eya, i el mos"
    " kontava komo bivian los djudios en Selanik kuando era chiko."
)
SPANISH = (
    "Cada domingo mi tío venía a nuestra casa con un cesto de fruta. Nosotros nos sentábamos alrededor de él, y nos"
    " contaba cómo vivían los vecinos de Salónica cuando era niño."
)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        *((text, "ind_Latn") for text in INDONESIAN),
        *((text, "zsm_Latn") for text in MALAY),
        (KONKANI, "gom_Deva"),
        (MARATHI, "mar_Deva"),
        (LADINO, "lad_Latn"),
        (SPANISH, "spa_Latn"),
    ],
)
def test_a_text_is_in_the_relative_whose_words_it_has(text: str, label: str) -> None:
    first, score = identify(text, load_model())[0]
    assert (first, score >= 0.5) == (label, True)


def test_words_of_both_relatives_leave_the_scores_alone() -> None:
    found = [("zsm_Latn", 0.6), ("ind_Latn", 0.4)]
    assert settle_relatives(found, "karena kerana bisa wang", {"ind_Latn", "zsm_Latn"}) == found


SHARED = "anak itu duduk di bawah pokok dan makan nasi. " * 4  # words of both


@pytest.mark.parametrize(
    ("text", "indonesian", "label"),
    [
        (SHARED, 0.45, "ind_Latn"),
        (SHARED, 0.2, "zsm_Latn"),
        (SHARED[:80], 0.45, "zsm_Latn"),
        (SHARED + "petrol", 0.55, "zsm_Latn"),
    ],
)
def test_a_long_text_without_malay_words_needs_less_to_be_indonesian(text, indonesian, label) -> None:
    found = settle_relatives([("zsm_Latn", 1 - indonesian), ("ind_Latn", indonesian)], text, {"ind_Latn", "zsm_Latn"})
    assert found[0][0] == label


def test_a_model_that_knows_one_of_two_relatives_is_left_alone() -> None:
    found = [("ind_Latn", 0.9)]
    assert settle_relatives(found, "bahawa kerana wang kedai", {"ind_Latn"}) == found


def test_languages_without_a_relative_keep_their_scores() -> None:
    found = [("fra_Latn", 0.9), ("spa_Latn", 0.01)]
    assert settle_relatives(found, "ke kon komo kada", {"spa_Latn", "lad_Latn"}) == found


def test_a_short_recipe_in_portuguese_is_not_galician() -> None:
    text = "Ingredientes:\n- 3 ovos\n- 250 g de farinha\n- 1 colher de sopa de mel\n\nPreparo:\n"
    text += "1. Bata os ovos com o mel.\n2. Junte a farinha e misture.\n3. Asse 40 min em forno quente."
    label, score = identify(text, load_model())[0]
    assert (label, score >= 0.5) == ("por_Latn", True)


def test_galician_stays_galician() -> None:
    text = "Onte fomos á vila coa miña irmá e mercamos froita. Unha veciña deunos moitas mazás e despois choveu moito."
    assert identify(text, load_model())[0][0] == "glg_Latn"
