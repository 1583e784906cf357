"""Scripts and labels: which script a text is in, and what its characters say of its language.

The script of every letter is looked up, which is quick, and sure where no model is. Labels of any fastText model become
ISO 639-3 and ISO 15924, "fra_Latn". Codes are of single languages, as GlotLID and FLORES write them (`arb`, `swh`,
`npi`); Chinese is `zho`. Chinese, Cantonese and Japanese are told apart by their characters: short texts without
punctuation, verse and lists have few of the character n-grams that a model knows.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from filters.text import characters

UNKNOWN_SCRIPT = "Zzzz"  # ISO 15924
HAN = ("Hans", "Hant", "Hani")
SCRIPT_PARTS = {  # scripts of a label that are several scripts of letters
    "Jpan": ("Hira", "Kana", "Hani"),
    "Kore": ("Hang", "Hani"),
    "Hrkt": ("Hira", "Kana"),
    **dict.fromkeys(HAN, ("Hani",)),
}


def script_of(text: str) -> str:
    """ISO 15924 code of the script that most letters of a text are in; "Zzzz" for a text without letters."""
    scripts = script_counts(text)
    if not scripts:
        return UNKNOWN_SCRIPT
    first = next(iter(scripts))
    if first in ("Hira", "Kana") or (first == "Hani" and scripts.get("Hira", 0) + scripts.get("Kana", 0) > 0):
        kana = scripts.get("Hira", 0) + scripts.get("Kana", 0)
        return "Jpan" if 20 * kana >= scripts.get("Hani", 0) else han_form(text)
    return han_form(text) if first == "Hani" else first


def script_counts(text: str) -> dict[str, int]:
    """How many characters of a text are in each script, most first; digits and signs left out."""
    counts = np.bincount(characters.scripts()[_codes(text)]).tolist()
    found = sorted((-count, name) for count, name in zip(counts, _script_names(), strict=False) if count and name)
    return {name: -count for count, name in found}


def han_form(text: str) -> str:
    """Whether a Chinese text is simplified, "Hans", or traditional, "Hant".

    A character that GB 2312 has and Big5 lacks counts as simplified, the other way round as traditional. "Hans" where
    both are as many.
    """
    traditional = int(_han_forms()[_codes(text)].sum(dtype=np.int64))
    return "Hant" if traditional > 0 else "Hans"


def _codes(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


@cache
def _script_names() -> list[str]:
    names = [""] * (max(characters.SCRIPTS.values()) + 1)
    for name, number in characters.SCRIPTS.items():
        names[number] = names[number] or name
    return names


@cache
def _han_forms() -> npt.NDArray[np.int8]:
    """1 for a traditional character, -1 for a simplified one, 0 for all others; int8 (0x110000,)."""
    table = np.zeros(0x110000, dtype=np.int8)
    ideographs = range(0x4E00, 0xA000)
    lines = "\n".join(map(chr, ideographs))
    big5, gb2312 = (lines.encode(charset, "replace").split(b"\n") for charset in ("big5", "gb2312"))
    table[ideographs.start : ideographs.stop] = np.array([one != b"?" for one in big5], np.int8) - np.array(
        [one != b"?" for one in gb2312], np.int8
    )
    return table


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
# A code for a group of languages, or another code of the same language -> the code that is used here
_SINGLE: dict[str, str] = {
    "ara": "arb", "aze": "azj", "cmn": "zho", "est": "ekk", "fas": "pes", "kur": "kmr", "lav": "lvs", "mlg": "plt",
    "mon": "khk", "msa": "zsm", "nep": "npi", "nor": "nob", "ori": "ory", "pus": "pbt", "que": "quy", "sqi": "als",
    "swa": "swh", "uzb": "uzn", "yid": "ydd", "fil": "tgl",
}  # fmt: skip


@cache
def standard_label(raw: str) -> str:
    """A model's label as ISO 639-3 and script: `__label__fr`, `__label__fra_Latn` and `fra` are "fra_Latn".

    A label without a script gets that of the table of languages, "Zzzz" where the language is not in it.
    """
    name = raw.removeprefix("__label__")
    code, _, script = name.partition("_")
    if not script and code in WIKIPEDIAS:
        return WIKIPEDIAS[code]
    code = _SINGLE.get(code, code)
    if script:
        return f"{code}_{script}"
    return next((label for label in WIKIPEDIAS.values() if label.startswith(code + "_")), f"{code}_{UNKNOWN_SCRIPT}")


def wide_names() -> dict[str, str]:
    """The labels of lid.176 as its file has them -> ours. It labels written Chinese as Wu, so Wu becomes Chinese."""
    return {f"__label__{code}": label for code, label in WIKIPEDIAS.items()} | {"__label__wuu": WIKIPEDIAS["zh"]}


def split_label(label: str) -> tuple[str, str]:
    """Split "fra_Latn" into its language and its script."""
    code, _, script = label.partition("_")
    return code, script or UNKNOWN_SCRIPT


_ARABIC = str.maketrans("\u064a\u0643\u0647", "\u06cc\u06a9\u06c1")  # yeh, kaf, heh -> the letters of Urdu
_URDU = re.compile("[\u0679\u0688\u0691\u06ba\u06d2]")  # tteh, ddal, rreh, noon ghunna, yeh barree
# Letters of Sindhi, Pashto, Kurdish and Saraiki, which also have some of Urdu's.
_FOREIGN = re.compile(
    "[\u067a-\u067d\u067f\u0680\u0681\u0683-\u0685\u0687\u0689\u068a\u068c\u068d\u068f\u0693\u0695\u0696"
    "\u0699\u069a\u06a6\u06a7\u06aa\u06ab\u06b1\u06b3\u06b5\u06bb\u06bc\u06c6\u06cd\u06ce\u06d0\u06fd\u06fe\u0759]"
)
_LEAST_URDU = 0.015  # share of letters that only Urdu has in a text in Urdu


def urdu_letters(text: str) -> str:
    """The text with Urdu's own letters where it is Urdu with Arabic's yeh, kaf and heh, as old sites write it."""
    if "\u064a" not in text and "\u0643" not in text and "\u0647" not in text:
        return text
    found = len(_URDU.findall(text))
    if found < 2 or found < _LEAST_URDU * len(text) or _FOREIGN.search(text):
        return text
    return text.translate(_ARABIC)


_VOWEL_SIGNS = re.compile("[" + "".join(f"{chr(low)}-{chr(high - 1)}" for low, high in characters.ARABIC_SILENT) + "]+")
_VOCALISED = 0.15  # share of a text in vowel signs from which it is vocalised Arabic: verse, the Quran, first readers


def bare_arabic(text: str) -> str:
    """The text without vowel signs and tatweel where it is vocalised Arabic: models read next to none."""
    if "\u064e" not in text:
        return text
    bare = _VOWEL_SIGNS.sub("", text)
    return bare.replace("\u0671", "\u0627") if len(text) - len(bare) >= _VOCALISED * len(text) else text


_Label = tuple[str, float]
CHINESE = ("zho", "yue", "wuu", "lzh", "hak", "nan")
_EAST_ASIAN = frozenset({"Hans", "Hant", "Hani", "Jpan", "Kore", "Hang"})
_HAN_TEXT = 0.3  # share of Han and kana among the letters from which a text is judged here: one stands for several
_PRESENT = 0.05  # share of the letters in another script from which a language of that script is possible
_HANGUL = 0.1  # Hangul syllables for a Han character from which a text is Korean
_KANA = 0.03  # least share of kana in a Japanese text; a Chinese text that names a Japanese product has as many
_FEW_KANA = 0.01  # the same where the Han characters are Japanese too
_DIFFERENT_RUNS = 2  # runs of kana that a Japanese text has at least; a name is one
_KANA_RUN = re.compile("[\u3041-\u3096\u30a1-\u30fa\u30fc]+")
_CANTONESE = re.compile("[嘅喺咗嚟佢哋啲冇㗎嘢嗰咁唔攞瞓啱嗌睇乜咩噉嘥]")
_LEAST_CANTONESE = 0.02  # share of such characters among the Han characters of a text in Cantonese


def settle_han(found: Sequence[_Label], text: str, counts: Mapping[str, int]) -> list[_Label]:
    """The labels of a text with impossible ones replaced; as they are where little of the text is in Han or kana.

    `counts` are the letters of the text by script. The scores of labels taken out go to Chinese, or to Japanese.
    """
    han, kana = counts.get("Hani", 0), counts.get("Hira", 0) + counts.get("Kana", 0)
    letters = sum(counts.values())
    if han + kana < _HAN_TEXT * letters or not han or counts.get("Hang", 0) > _HANGUL * han:
        return list(found)
    if kana and _is_japanese(text, han, kana):
        return _moved(found, counts, "jpn_Jpan", frozenset(CHINESE))
    cantonese = len(_CANTONESE.findall(text)) >= _LEAST_CANTONESE * han
    chinese = next((label for label, _ in found if label.startswith("zho_")), "zho_Hans")
    return _moved(found, counts, chinese, frozenset({"jpn", "kor"} if cantonese else {"jpn", "kor", "yue"}))


def _moved(found: Sequence[_Label], counts: Mapping[str, int], target: str, wrong: frozenset[str]) -> list[_Label]:
    """The labels without those of `wrong` languages or of absent scripts, whose scores go to `target`."""
    letters = sum(counts.values())
    scores: dict[str, float] = {target: 0.0}
    for label, score in found:
        code, script = split_label(label)
        absent = script not in _EAST_ASIAN and counts.get(script, 0) < _PRESENT * letters
        kept = target if absent or code in wrong else label
        scores[kept] = scores.get(kept, 0.0) + score
    return sorted(((label, min(1.0, score)) for label, score in scores.items()), key=lambda one: (-one[1], one[0]))


def _is_japanese(text: str, han: int, kana: int) -> bool:
    """Whether a text with Han and kana is Japanese rather than Chinese with Japanese names."""
    home = _homes()[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)]
    japanese, chinese = int((home > 0).sum()), int((home < 0).sum())
    if japanese > chinese and kana >= _FEW_KANA * (han + kana):
        return True
    runs = set(_KANA_RUN.findall(text))
    return kana >= _KANA * (han + kana) and len(runs) >= _DIFFERENT_RUNS and kana > chinese


@cache
def _homes() -> npt.NDArray[np.int8]:
    """1 for a character that only Japan's charset has, -1 for one that only Chinese ones have; int8 (0x110000,)."""
    table = np.zeros(0x110000, dtype=np.int8)
    ideographs = range(0x4E00, 0xA000)
    lines = "\n".join(map(chr, ideographs))
    big5, gb2312, jis = (
        np.array([one != b"?" for one in lines.encode(charset, "replace").split(b"\n")])
        for charset in ("big5", "gb2312", "shift_jis")
    )
    chinese = big5 | gb2312
    table[ideographs.start : ideographs.stop] = (jis & ~chinese).astype(np.int8) - (~jis & chinese).astype(np.int8)
    return table
