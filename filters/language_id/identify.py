"""Which language a text is in, and how sure that is: labels such as `fra_Latn` from any fastText model.

The default model is a pair: a small one of ours that knows all wanted languages (filters/models/README.md), and
lid.176.ftz (Joulin et al. 2016, CC-BY-SA 3.0) for the others; `arbiter` joins their answers. `pipelines.model_files`
opens models. Labels are ISO 639-3 codes of single languages with ISO 15924 scripts, as GlotLID and FLORES write them
(`arb`, `swh`, `npi`); Chinese is `zho`, and its script is counted from the text.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from filters.language_id.arbiter import Pair
from filters.language_id.fasttext_model import FastTextModel
from filters.text.quick_text import PIECES

SAMPLE = 1200  # characters of a text that are read: longer samples change next to no label

Label = tuple[str, float]  # "fra_Latn", score

# lid.176's labels (codes of Wikipedias) -> ISO 639-3 and script
_WIKIPEDIAS = """
    af:afr_Latn als:gsw_Latn am:amh_Ethi an:arg_Latn ar:arb_Arab arz:arz_Arab as:asm_Beng ast:ast_Latn av:ava_Cyrl
    az:azj_Latn azb:azb_Arab ba:bak_Cyrl bar:bar_Latn bcl:bcl_Latn be:bel_Cyrl bg:bul_Cyrl bh:bho_Deva bn:ben_Beng
    bo:bod_Tibt bpy:bpy_Beng br:bre_Latn bs:bos_Latn bxr:bxr_Cyrl ca:cat_Latn cbk:cbk_Latn ce:che_Cyrl ceb:ceb_Latn
    ckb:ckb_Arab co:cos_Latn cs:ces_Latn cv:chv_Cyrl cy:cym_Latn da:dan_Latn de:deu_Latn diq:diq_Latn dsb:dsb_Latn
    dty:dty_Deva dv:div_Thaa el:ell_Grek eml:egl_Latn en:eng_Latn eo:epo_Latn es:spa_Latn et:ekk_Latn eu:eus_Latn
    fa:pes_Arab fi:fin_Latn fr:fra_Latn frr:frr_Latn fy:fry_Latn ga:gle_Latn gd:gla_Latn gl:glg_Latn gn:gug_Latn
    gom:gom_Deva gu:guj_Gujr gv:glv_Latn he:heb_Hebr hi:hin_Deva hif:hif_Latn hr:hrv_Latn hsb:hsb_Latn ht:hat_Latn
    hu:hun_Latn hy:hye_Armn ia:ina_Latn id:ind_Latn ie:ile_Latn ilo:ilo_Latn io:ido_Latn is:isl_Latn it:ita_Latn
    ja:jpn_Jpan jbo:jbo_Latn jv:jav_Latn ka:kat_Geor kk:kaz_Cyrl km:khm_Khmr kn:kan_Knda ko:kor_Hang krc:krc_Cyrl
    ku:kmr_Latn kv:kpv_Cyrl kw:cor_Latn ky:kir_Cyrl la:lat_Latn lb:ltz_Latn lez:lez_Cyrl li:lim_Latn lmo:lmo_Latn
    lo:lao_Laoo lrc:lrc_Arab lt:lit_Latn lv:lvs_Latn mai:mai_Deva mg:plt_Latn mhr:mhr_Cyrl min:min_Latn mk:mkd_Cyrl
    ml:mal_Mlym mn:khk_Cyrl mr:mar_Deva mrj:mrj_Cyrl ms:zsm_Latn mt:mlt_Latn mwl:mwl_Latn my:mya_Mymr myv:myv_Cyrl
    mzn:mzn_Arab nah:nhn_Latn nap:nap_Latn nds:nds_Latn ne:npi_Deva new:new_Deva nl:nld_Latn nn:nno_Latn no:nob_Latn
    oc:oci_Latn or:ory_Orya os:oss_Cyrl pa:pan_Guru pam:pam_Latn pfl:pfl_Latn pl:pol_Latn pms:pms_Latn pnb:pnb_Arab
    ps:pbt_Arab pt:por_Latn qu:quy_Latn rm:roh_Latn ro:ron_Latn ru:rus_Cyrl rue:rue_Cyrl sa:san_Deva sah:sah_Cyrl
    sc:srd_Latn scn:scn_Latn sco:sco_Latn sd:snd_Arab sh:hbs_Latn si:sin_Sinh sk:slk_Latn sl:slv_Latn so:som_Latn
    sq:als_Latn sr:srp_Cyrl su:sun_Latn sv:swe_Latn sw:swh_Latn ta:tam_Taml te:tel_Telu tg:tgk_Cyrl th:tha_Thai
    tk:tuk_Latn tl:tgl_Latn tr:tur_Latn tt:tat_Cyrl tyv:tyv_Cyrl ug:uig_Arab uk:ukr_Cyrl ur:urd_Arab uz:uzn_Latn
    vec:vec_Latn vep:vep_Latn vi:vie_Latn vls:vls_Latn vo:vol_Latn wa:wln_Latn war:war_Latn wuu:wuu_Hans
    xal:xal_Cyrl xmf:xmf_Geor yi:ydd_Hebr yo:yor_Latn yue:yue_Hant zh:zho_Hans
"""
WIKIPEDIAS: dict[str, str] = dict(pair.split(":") for pair in _WIKIPEDIAS.split())
# A code for a group of languages, or another code for the same -> the one that is used here
_SINGLE: dict[str, str] = {
    "ara": "arb", "aze": "azj", "cmn": "zho", "est": "ekk", "fas": "pes", "kur": "kmr", "lav": "lvs", "mlg": "plt",
    "mon": "khk", "msa": "zsm", "nep": "npi", "nor": "nob", "ori": "ory", "pus": "pbt", "que": "quy", "sqi": "als",
    "swa": "swh", "uzb": "uzn", "yid": "ydd", "fil": "tgl",
}  # fmt: skip
# Languages that models and people tell apart, and texts do not: the gate takes one for the other.
_NEAR: dict[str, tuple[str, ...]] = {
    "arb": ("arz",),
    "aka": ("twi", "fat"),
    "twi": ("aka", "fat"),
    "hin": ("bho", "mag", "mai", "awa"),
    "ind": ("zsm", "jav", "sun", "min"),
    "kin": ("run",),
    "npi": ("dty",),
    "nso": ("tsn", "sot"),
    "por": ("glg",),
    "run": ("kin",),
    "sot": ("tsn", "nso"),
    "spa": ("glg", "ast"),
    "tsn": ("nso", "sot"),
    "xho": ("zul", "ssw", "nbl"),
    "zho": ("wuu", "yue", "jpn"),
    "zul": ("xho", "ssw", "nbl"),
}
UNKNOWN_SCRIPT = "Zzzz"  # ISO 15924


@dataclass(frozen=True)
class LanguageModel:
    """A fastText model of languages: `sha256` is what it is, `path` only where it lies."""

    path: str
    sha256: str
    labels: frozenset[str]  # "fra_Latn"
    raw: FastTextModel | Pair = field(repr=False, compare=False)

    def predict(self, text: str, k: int = 3) -> list[Label]:
        """The k likeliest labels of a whole text, best first, with scores from 0 to 1; none for a text of nothing."""
        line = text.replace("\n", " ")
        if isinstance(self.raw, Pair):
            return self.raw.predict(line, k)
        return [(label_of(raw), min(1.0, score)) for score, raw in self.raw.predict([line], k)[0]]

    def glances(self, pieces: Sequence[str], least: float) -> list[str]:
        """The likeliest label of each of some short pieces where its score is at least `least`: quick, and less sure.

        Of a pair, ours alone is asked, without the arbiter.
        """
        ask = self.raw.glances(pieces, least) if isinstance(self.raw, Pair) else self.raw.predict(pieces, 1, least)
        return [label_of(raw) for found in ask for _, raw in found]

    def knows(self, iso639_3: str) -> bool:
        """Whether the model has a label for the language."""
        return any(split_label(label)[0] == iso639_3 for label in self.labels)


def wide_names() -> dict[str, str]:
    """The labels of lid.176 as its file has them -> ours. It labels written Chinese as Wu, so Wu becomes Chinese."""
    return {f"__label__{code}": label for code, label in WIKIPEDIAS.items()} | {"__label__wuu": WIKIPEDIAS["zh"]}


@cache
def label_of(raw: str) -> str:
    """A model's label as ISO 639-3 and script: `__label__fr`, `__label__fra_Latn` and `fra` are "fra_Latn".

    A label that says no script, of a language that is not in the table, has script "Zzzz".
    """
    name = raw.removeprefix("__label__")
    code, _, script = name.partition("_")
    if not script and code in WIKIPEDIAS:
        return WIKIPEDIAS[code]
    code = _SINGLE.get(code, code)
    default = next((label for label in WIKIPEDIAS.values() if label.startswith(code + "_")), f"{code}_{UNKNOWN_SCRIPT}")
    return f"{code}_{script}" if script else default


def sample(text: str) -> str:
    """The characters of a text that its language is read from."""
    if len(text) <= SAMPLE:
        return text
    size = SAMPLE // PIECES
    last = len(text) - size
    return " ".join(text[at : at + size] for at in (last * piece // (PIECES - 1) for piece in range(PIECES)))


def split_label(label: str) -> tuple[str, str]:
    """Split "fra_Latn" into its language and its script."""
    code, _, script = label.partition("_")
    return code, script or UNKNOWN_SCRIPT


def gate(
    languages: Iterable[Sequence[Mapping[str, Any]] | None], iso639_3: str, floor: float, known: Collection[str]
) -> list[bool]:
    """Which pages may be in a language, by the labels of their quick text, as the index stores them.

    Yes where the language, or one that is near it, is among a page's labels with a score of at least `floor`. `known`
    are all labels of the model: a page may be in any language that is not among them, for nothing can speak against it.
    """
    wanted = {iso639_3, *_NEAR.get(iso639_3, ())}
    if not any(split_label(label)[0] in wanted for label in known):
        return [True for _ in languages]
    return [
        any(item["score"] >= floor and split_label(item["label"])[0] in wanted for item in labels or ())
        for labels in languages
    ]
