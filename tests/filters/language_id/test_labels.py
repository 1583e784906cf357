"""Labels of any model become ISO 639-3 and ISO 15924."""

from filters.language import known_codes, load_language
from filters.language_id.scripts import WIKIPEDIAS, split_label, standard_label
from pipelines.models.files import WIDE, load_model


def test_labels_of_any_model_get_one_form() -> None:
    for raw, label in {
        "__label__fr": "fra_Latn",
        "__label__fra_Latn": "fra_Latn",
        "__label__cmn_Hani": "zho_Hani",
        "__label__zho_Hant": "zho_Hant",
        "__label__swa_Latn": "swh_Latn",
        "__label__yor_Latn": "yor_Latn",
        "__label__tum": "tum_Zzzz",
        "__label__als": "gsw_Latn",
        "__label__als_Latn": "als_Latn",
    }.items():
        assert standard_label(raw) == label, raw


def test_every_label_of_the_wide_model_is_mapped() -> None:
    model = load_model(WIDE)
    assert model.labels == set(WIKIPEDIAS.values())
    assert len(model.labels) == len(WIKIPEDIAS) == 176
    assert all(len(code) == 3 and len(script) == 4 for code, script in map(split_label, model.labels))


def test_labels_agree_with_the_language_files() -> None:
    by_code = {code: load_language(code) for code in known_codes()}
    shared = [code for code in by_code if code in WIKIPEDIAS]
    assert len(shared) >= 20
    for code in shared:
        assert WIKIPEDIAS[code] == f"{by_code[code].iso639_3}_{by_code[code].script}"
