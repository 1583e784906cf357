"""Shingles, signatures, bands, exact similarity and the decision, against independent implementations."""

import gzip
import json
import math
import random
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.near_duplicates import brute_force, shingle_tables
from filters.near_duplicates import signatures as near
from tests.support.paths import ROOT

SHARED = ROOT.parent / "shared" / "data"
SCHEME = near.Scheme()
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data: real texts are not in the repository")


@pytest.fixture(scope="module", autouse=True)
def _tables_are_forgotten():
    """The tests make tables for many lengths of shingles, 4 MB each."""
    yield
    shingle_tables.make_tables.cache_clear()


# Units, shingles and sets once more, with Python strings.


def script_of(character: str) -> str:
    """The script of a letter that is a unit by itself, or "" for one that is part of a word."""
    if not unicodedata.category(character).startswith("L"):
        return ""
    name = unicodedata.name(character, "")
    for script, word in (
        ("Thai", "THAI"), ("Laoo", "LAO"), ("Khmr", "KHMER"), ("Mymr", "MYANMAR"), ("Tibt", "TIBETAN"),
        ("Hani", "CJK"), ("Hani", "HIRAGANA"), ("Hani", "KATAKANA"), ("Hani", "IDEOGRAPHIC"),
    ):  # fmt: skip
        if name.startswith(word):
            return script
    return "Hani" if name.startswith("KATAKANA-HIRAGANA") else ""


LEFT_OUT = {"\u0640", "\u0670", *map(chr, range(0x064B, 0x0653))}  # of Arabic: tatweel and vowel signs
ONE_LETTER = str.maketrans("یکہٱ", "يكها")


def units_of(text: str) -> list[tuple[str, str]]:
    """(unit, its script or "" for a word) in order."""
    units: list[tuple[str, str]] = []
    is_open, stacked = False, False
    for character in unicodedata.normalize("NFC", text).translate(ONE_LETTER):
        category = unicodedata.category(character)
        joins = character in "\u200c\u200d"
        if (category == "Cf" and not joins) or character in LEFT_OUT:
            continue
        if not (category[0] in "LMN" or category == "Pc" or joins):
            is_open = stacked = False
            continue
        script = script_of(character)
        extends = category[0] == "M" or joins or character in "\u0e33\u0eb3"
        same_word = is_open and not script and not units[-1][1]
        if is_open and (extends or same_word or (stacked and script == units[-1][1])):
            units[-1] = (units[-1][0] + character.casefold(), units[-1][1])
        else:
            units.append((character.casefold(), script))
        is_open, stacked = True, character in "\u17d2\u1039"
    return units


def shingles_of(text: str, words: int) -> set[tuple[str, ...]]:
    units = units_of(text)
    reach = {name: max(1, round(words * share)) for name, (share, _) in shingle_tables.SCRIPTS_WITHOUT_SPACES.items()}
    found = set()
    for place, (_, script) in enumerate(units):
        length = reach.get(script, words)
        if place + length <= len(units):
            found.add(tuple(unit for unit, _ in units[place : place + length]))
    return found


def exact_jaccard(one: set[tuple[str, ...]], other: set[tuple[str, ...]]) -> float:
    return len(one & other) / len(one | other) if one | other else 0.0


SAMPLES = {
    "en": "The quick brown fox doesn't jump over the lazy dog; it walks around it, slowly and in circles.",
    "fr": "L'été dernier, nous sommes allés à la plage près de Saint-Malo avec ma sœur et son frère aîné.",
    "ar": "اللُّغَةُ العَرَبِيَّةُ هي أكثر اللغات السامية تحدثا، وإحدى أكثر اللغات انتشارا في العالم.",
    "fa": "می‌خواهم کتاب‌های تازه‌ای را که دیروز خریده‌ام برای دوستانم بخوانم و درباره‌شان بنویسم.",
    "hi": "हिन्दी विश्व की एक प्रमुख भाषा है और भारत की एक राजभाषा है; यह देवनागरी लिपि में लिखी जाती है।",
    "bn": "বাংলা ভাষা দক্ষিণ এশিয়ার বঙ্গ অঞ্চলের মানুষের একটি ভাষা যা কো এবং কৌ স্বরচিহ্ন দিয়ে লেখা হয়।",
    "ta": "தமிழ் மொழி தமிழர்களினதும் தமிழ் பேசும் பலரதும் தாய்மொழி ஆகும், இது திராவிட மொழிக் குடும்பம்.",
    "ml": "മലയാളം ഇന്ത്യയിൽ കേരള സംസ്ഥാനത്തിലും കേന്ദ്രഭരണപ്രദേശമായ ലക്ഷദ്വീപിലും സംസാരിക്കപ്പെടുന്ന ഭാഷയാണ്.",
    "th": "ภาษาไทยเป็นภาษาราชการและภาษาประจำชาติของประเทศไทย ไม่ใช่ไม้ และไม่มีการเว้นวรรคระหว่างคำ",
    "lo": "ພາສາລາວເປັນພາສາທາງການຂອງສາທາລະນະລັດປະຊາທິປະໄຕປະຊາຊົນລາວ ນ້ຳ",
    "km": "ភាសាខ្មែរគឺជាភាសាកំណើតរបស់ជនជាតិខ្មែរ និងជាភាសាផ្លូវការរបស់ប្រទេសកម្ពុជា",
    "my": "မြန်မာဘာသာစကားသည် မြန်မာနိုင်ငံ၏ ရုံးသုံးဘာသာစကားဖြစ်သည်။ ဒုက္ခ ပစ္စည်း",
    "bo": "བོད་སྐད་ནི་བོད་མི་རྣམས་ཀྱི་སྐད་ཡིག་ཡིན། དེ་ནི་རྒྱ་བོད་ཀྱི་སྐད་ཁྱིམ་ལ་གཏོགས།",
    "zh": "汉语是世界上使用人数最多的语言之一，2024年约有十三亿人使用GitHub和其他网站，𠀀也是汉字。",
    "ja": "日本語は主に日本国内や日本人同士の間で使用されている言語であり、コーヒーやガラスもカタカナで書く。",
    "ko": "한국어는 대한민국과 조선민주주의인민공화국의 공용어이며 한글로 표기한다 그리고 띄어쓰기를 한다.",
    "vi": "Tiếng Việt là ngôn ngữ của người Việt và là ngôn ngữ chính thức tại Việt Nam, có sáu thanh điệu.",
    "yo": "Èdè Yorùbá jẹ́ èdè tí àwọn ọmọ Yorùbá ń sọ ní ìwọ̀-oòrùn Áfíríkà, pàápàá ní Nàìjíríà àti Bẹ̀nẹ̀.",
    "de": "Die STRAẞE und die Straße sind dieselbe, doch İstanbul und ıstanbul faltet man verschieden, ŉ auch.",
}  # fmt: skip


@pytest.mark.parametrize("language", SAMPLES)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_units_and_shingles_are_those_of_plain_python(language: str, form: str) -> None:
    text = unicodedata.normalize(form, SAMPLES[language] * 2)
    assert near.sign_texts(pa.array([text]), SCHEME).shingles[0] > 0
    sets = near.shingle_sets(pa.array([text]), SCHEME)
    assert sets.values.size == len(shingles_of(text, 5))


alphabet = st.sampled_from(sorted(set("".join(SAMPLES.values()) + " \n.-1\u0301\u0323\u200b\u00ad🙂")))


@settings(max_examples=300, deadline=None)
@given(st.lists(alphabet, min_size=0, max_size=60), st.lists(alphabet, max_size=60), st.integers(1, 6))
def test_jaccard_of_any_two_texts_is_that_of_plain_python(one: list[str], other: list[str], words: int) -> None:
    texts = ["".join(one + one + other), "".join(one + other)]
    sets = near.shingle_sets(pa.array(texts), near.Scheme(words=words))
    found = near.jaccards(*sets, np.array([0]), np.array([1]))[0]
    assert found == pytest.approx(exact_jaccard(*(shingles_of(text, words) for text in texts)))


# Pairs that differ in one sign and have different meanings: they must never be one unit.
MINIMAL_PAIRS = {
    "Thai: not, wood": ("ไม่", "ไม้"),
    "Lao: to see, day": ("ເຫັນ", "ເຫນ"),
    "Devanagari: day, give": ("दिन", "दीन"),
    "Devanagari: virama": ("कल", "कल्"),
    "Bengali: vowel sign": ("কাল", "কাঁল"),
    "Tamil: vowel length": ("கல்", "கால்"),
    "Telugu: vowel sign": ("పలు", "పాలు"),
    "Malayalam: chillu": ("അവൻ", "അവന"),
    "Gujarati: vowel sign": ("દિન", "દીન"),
    "Gurmukhi: nasal": ("ਸਗ", "ਸੰਗ"),
    "Kannada: vowel length": ("ಕಡು", "ಕಾಡು"),
    "Khmer: subscript": ("ខែ", "ខ្មែ"),
    "Burmese: tone": ("စား", "စာ"),
    "Tibetan: subjoined": ("སད", "སྐད"),
    "Hangul: final": ("가", "각"),
    "Arabic: letter dots": ("بيت", "بنت"),
    "Persian: joiner": ("می‌خواهم", "میخواهم"),
    "Hebrew: point": ("שׁם", "שׂם"),
    "Vietnamese: tones": ("ma", "má"),
    "Vietnamese: horn": ("mơ", "mo"),
    "Yoruba: dot below": ("ọkọ", "oko"),
    "Yoruba: tone": ("ọkọ̀", "ọkọ́"),
    "Igbo: dot below": ("ụgbọ", "ugbo"),
    "French: accent": ("pêche", "péché"),
    "Turkish: dotless i": ("sıkıldım", "sikildim"),
    "Japanese: voiced": ("かき", "かぎ"),
    "Chinese: one stroke": ("未来", "末来"),
}


@pytest.mark.parametrize("name", MINIMAL_PAIRS)
def test_minimal_pairs_stay_apart(name: str) -> None:
    one, other = MINIMAL_PAIRS[name]
    signs = near.sign_texts(pa.array([one, other]), near.Scheme(words=1))
    assert signs.units[0] != signs.units[1]
    assert tuple(signs.content[0]) != tuple(signs.content[1])


def test_letters_that_nfc_takes_apart_are_taken_apart() -> None:
    """Each letter with a nukta that NFC takes apart, alone and before each sign that may follow it."""
    letters = [chr(code) for code in range(0x900, 0xC00) if not unicodedata.is_normalized("NFC", chr(code))]
    assert len(letters) == 19
    signs = [chr(code) for code in range(0x900, 0xC00) if unicodedata.category(chr(code)).startswith("M")]
    texts = [f"{letter}{sign}{end}" for letter in letters for sign in ["", *signs] for end in ("", " a")]
    forms = [
        near.sign_texts(pa.array([unicodedata.normalize(form, text) for text in texts]), near.Scheme(words=1))
        for form in ("NFC", "NFD")
    ]
    found = near.sign_texts(pa.array(texts), near.Scheme(words=1))
    for form in forms:
        assert (found.units == form.units).all()
        assert (found.content == form.content).all()


marked = st.sampled_from(
    "aàâạeèêẹệoõọsṣßkकকখ가각 \u0300\u0301\u0302\u0323\u0307\u0331\u09bc\u09be\u09c7\u1161\u11a8"
    "\u09dc\u09df\u09a1\u09cd\u0958\u095b\u093c\u0928\u1fd3\u0390"
)


@settings(max_examples=500)
@given(st.lists(marked, min_size=1, max_size=8))
def test_a_text_in_any_normal_form_has_the_units_of_its_nfc(characters: list[str]) -> None:
    text = "".join(characters)
    forms = [text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))]
    scheme = near.Scheme(words=1)
    signs = near.sign_texts(pa.array(forms), scheme)
    assert len(set(signs.units.tolist())) == len({tuple(each) for each in signs.content.tolist()}) == 1
    ends = near.shingle_sets(pa.array(forms), scheme)
    sets = [ends.values[low:high].tolist() for low, high in zip(ends.offsets, ends.offsets[1:], strict=False)]
    assert sets[0] == sets[1] == sets[2]


SAME = {
    "composed and decomposed": ("Bẹ̀nẹ̀ và tiếng Việt", unicodedata.normalize("NFD", "Bẹ̀nẹ̀ và tiếng Việt")),
    "Bengali o in two parts": ("কো", "ক\u09c7\u09be"),
    "Hangul from jamo": ("한국어", unicodedata.normalize("NFD", "한국어")),
    "case": ("ÉCOLE STRASSE ΣΊΣΥΦΟΣ", "école straße σίσυφος"),
    "Yoruba: dot below typed after the tone": ("\u00e8\u0323s\u00e8\u0323", "\u1eb9\u0300s\u1eb9\u0300"),
    "Vietnamese as Windows-1258 writes it": ("Vi\u00ea\u0323t", "Vi\u1ec7t"),
    "order of marks": ("q\u0323\u0307", "q\u0307\u0323"),
    "Arabic with vowel signs": ("كَتَبَ الرَّجُلُ", "كتب الرجل"),
    "Arabic stretched": ("مـحـمـد", "محمد"),
    "Urdu typed with Arabic letters": ("یہ کتاب", "يه كتاب"),
    "zero-width space": ("Vi\u200bệt Nam", "Việt Nam"),
    "soft hyphen": ("hyphen\u00adation", "hyphenation"),
    "punctuation": ("one, two", "one - (two)!"),
}


@pytest.mark.parametrize("name", SAME)
def test_texts_that_read_the_same_have_the_same_units(name: str) -> None:
    signs = near.sign_texts(pa.array(list(SAME[name])), near.Scheme(words=1))
    assert signs.units[0] == signs.units[1]


EXACT = [
    ("Hello, World! 12", "HelloWorld", True),  # ROOTS: white space, digits and ASCII punctuation do not count
    ("a\u00a0b\u2003c", "abc", True),
    ("١٢ كتب", "كتب", True),
    ("Hello", "hello", False),  # case does
    ("Vi\u200bệt", "Việt", True),  # characters without a width do not
    ("كَتَبَ", "كُتِبَ", False),  # vowel signs do
    ("«a»", "a", False),  # and so does other punctuation
    ("क", "का", False),
    ("12 34", "56 78", False),  # only characters that do not count: compared as they are
    ("12 34", "12 34", True),
    ("", "!", False),
]


@pytest.mark.parametrize(("one", "other", "equal"), EXACT)
def test_the_exact_digest_ignores_what_roots_ignored(one: str, other: str, equal: bool) -> None:
    content = near.sign_texts(pa.array([one, other]), SCHEME).content
    assert (tuple(content[0]) == tuple(content[1])) is equal


def test_text_that_only_seems_not_to_be_in_nfc_is_cut_alike() -> None:
    """A mark between two characters that would compose: the text is in NFC, but the quick check says it may not be."""
    suspect = unicodedata.normalize("NFC", "a\u0334\u0301 b") + " c d e f g \u1100\u0301\u1161"
    assert unicodedata.is_normalized("NFC", suspect)
    signs = near.sign_texts(pa.array([suspect, "x " + suspect]), near.Scheme(words=2))
    sets = near.shingle_sets(pa.array([suspect, "plain text here"]), near.Scheme(words=2))
    assert signs.shingles.tolist() == [len(units_of(suspect)) - 1, len(units_of(suspect))]
    assert np.diff(sets.offsets).tolist() == [len(units_of(suspect)) - 1, 2]


def test_texts_shorter_than_a_shingle_have_none_and_share_no_band() -> None:
    texts = pa.array(["four words are few", "other four words here", "", None, "中文短句", "🙂🙂"])
    signs = near.sign_texts(texts, SCHEME)
    assert signs.shingles.tolist() == [0] * 6
    assert not near.band_keys(signs, SCHEME).any()


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_slices_nulls_and_large_strings_give_the_same(kind: pa.DataType) -> None:
    texts = [None, *SAMPLES.values(), ""]
    whole = near.sign_texts(pa.array(texts, kind), SCHEME)
    part = near.sign_texts(pa.array(texts, kind).slice(3, 9), SCHEME)
    for one, other in zip(whole, part, strict=True):
        assert np.array_equal(one[3:12], other)


def test_damaged_bytes_are_not_read_beyond_their_end() -> None:
    broken = [b"abc \xf4", b"\xff\xff\xff\xff\xff", b"\xe0\xa4", b"\xc3", b"\x80\x80 \xed\xa0\x80 x"]
    texts = pa.array(broken, pa.binary()).view(pa.string())
    assert near.sign_texts(texts, near.Scheme(words=1)).shingles.min() >= 0


def test_the_estimate_is_as_good_as_theory_says() -> None:
    """Its error over pairs of known similarity is the binomial one, within 10 %."""
    rng = random.Random(5)
    texts, truths = [], []
    for _ in range(1500):
        common = rng.randrange(60, 240)
        words = [f"w{rng.randrange(10**9)}" for _ in range(300 + 300 - common)]
        texts += [" ".join(words[:300]), " ".join(words[300 - common :])]
        truths.append(common / (600 - common))
    signs = near.sign_texts(pa.array(texts), near.Scheme(words=1)).minhashes
    estimates = (signs[::2] == signs[1::2]).mean(axis=1)
    truth = np.array(truths)
    theory = math.sqrt((truth * (1 - truth)).mean() / 112)
    error = math.sqrt(((estimates - truth) ** 2).mean())
    assert theory * 0.9 < error < theory * 1.1
    assert abs((estimates - truth).mean()) < 4 * theory / math.sqrt(1500)


def test_the_estimate_agrees_with_datasketch() -> None:
    rng = random.Random(6)
    errors = []
    for common in range(20, 300, 4):
        words = [f"w{rng.randrange(10**9)}" for _ in range(600 - common)]
        one, other = words[:300], words[300 - common :]
        oracle = [MinHash(112, seed=7), MinHash(112, seed=7)]
        for sketch, part in zip(oracle, (one, other), strict=True):
            sketch.update_batch([word.encode() for word in part])
        signs = near.sign_texts(pa.array([" ".join(one), " ".join(other)]), near.Scheme(words=1)).minhashes
        errors.append((signs[0] == signs[1]).mean() - oracle[0].jaccard(oracle[1]))
    most = 0.5 / math.sqrt(112) * math.sqrt(2)  # standard error of the difference of two estimates, at most
    assert abs(np.mean(errors)) < 4 * most / math.sqrt(len(errors))
    assert np.abs(errors).max() < 5 * most


def test_a_signature_is_the_minimum_of_each_function_for_any_number_of_shingles() -> None:
    scheme = near.Scheme(words=1)
    texts = pa.array([" ".join(f"word{number}" for number in range(count)) for count in range(1, 36)])
    signatures = near.sign_texts(texts, scheme).minhashes
    sets = near.shingle_sets(texts, scheme)
    a, b = near.hash_functions(scheme.hashes, scheme.seed)
    for row, found in enumerate(signatures):
        values = sets.values[sets.offsets[row] : sets.offsets[row + 1]] >> np.uint64(32)
        with np.errstate(over="ignore"):
            wanted = ((a * values[:, None] + b) >> np.uint64(32)).min(axis=0)
        assert found.tolist() == wanted.tolist()


def test_hash_functions_are_spread_evenly() -> None:
    """A small check of strong universality: over many functions, inputs collide and bits are set as often as by chance.

    A multiplication that wraps where it should not (a x + b mod 2^61 - 1 in 64 bits) fails this.
    """
    a, b = near.hash_functions(20_000, 3)
    with np.errstate(over="ignore"):
        one, other = ((a * np.uint64(x) + b) >> np.uint64(32) for x in (12345, 12345 + (1 << 31)))
    for bits in (1, 4, 8):
        share = ((one >> np.uint64(32 - bits)) == (other >> np.uint64(32 - bits))).mean()
        chance = 2.0**-bits
        assert abs(share - chance) < 5 * math.sqrt(chance / 20_000)


def test_bands_follow_the_s_curve() -> None:
    rng = random.Random(8)
    for wanted, low, high in ((0.6, 0.10, 0.32), (0.72, 0.5, 0.8), (0.85, 0.95, 1.0)):
        common = round(300 * 2 * wanted / (1 + wanted))
        texts = []
        for _ in range(300):
            words = [f"w{rng.randrange(10**9)}" for _ in range(600 - common)]
            texts += [" ".join(words[:300]), " ".join(words[300 - common :])]
        scheme = near.Scheme(words=1)
        keys = near.band_keys(near.sign_texts(pa.array(texts), scheme), scheme)
        share = (keys[::2] == keys[1::2]).any(axis=1).mean()
        assert low < near.candidate_probability(wanted, 14, 8) < high
        assert abs(share - near.candidate_probability(wanted, 14, 8)) < 4 * 0.5 / math.sqrt(300)


def test_numbers_that_must_never_change() -> None:
    """Signatures are stored beside releases, so a text must always have the same ones."""
    signs = near.sign_texts(pa.array([SAMPLES["en"], SAMPLES["zh"]]), SCHEME)
    keys = near.band_keys(signs, SCHEME)
    found = [
        *signs.content[:, 0].tolist(),
        *signs.units.tolist(),
        *signs.minhashes[:, 0].tolist(),
        *keys[:, 13].tolist(),
    ]
    assert found == PINNED


PINNED = [
    898608126846857488,
    14632812283234482650,
    12367161970628216795,
    14826428031249032512,
    204217869,
    196616760,
    8183306614179503867,
    12721056050059129853,
]


def test_a_large_bucket_gives_few_pairs_and_a_small_one_all() -> None:
    bucket = np.repeat(np.arange(3), [1, 5, 10_000])
    better, worse = near.bucket_pairs(bucket, np.arange(bucket.size))
    assert (better < worse).all()
    assert (bucket[better] == bucket[worse]).all()
    assert (bucket[better] == 1).sum() == 10
    assert (bucket[better] == 2).sum() == sum(10_000 - head - 1 for head in range(near.BUCKET_HEADS))
    assert near.bucket_pairs(bucket[:1], bucket[:1])[0].size == 0


def test_buckets_of_one_member_give_no_pairs() -> None:
    alone = np.arange(20)
    assert [side.size for side in near.bucket_pairs(alone, alone)] == [0, 0]


def decide(pairs: dict[tuple[int, int], float], count: int, threshold: float) -> list[int]:
    ordered = sorted(pairs, key=lambda pair: (pair[1], pair[0]))
    better, worse = (np.array([pair[side] for pair in ordered], dtype=np.int64) for side in (0, 1))
    known = np.array([pairs[pair] for pair in ordered])
    evidence = np.empty(count, dtype=np.int64)
    near.decide_removals(
        near.Sets(np.zeros(count + 1, np.int64), np.zeros(1, np.uint64)),
        better,
        worse,
        known,
        threshold,
        np.zeros(count, np.bool_),
        evidence,
    )
    return [int(better[pair]) if pair >= 0 else -1 for pair in evidence]


def test_there_are_no_chains() -> None:
    """0 ~ 1 ~ 2 without 0 ~ 2: 1 is removed for 0, and 2 stays, because it is similar only to a removed document."""
    assert decide({(0, 1): 0.9, (1, 2): 0.9, (0, 2): 0.5}, 3, 0.8) == [-1, 0, -1]
    assert decide({(0, 2): 0.9, (1, 2): 0.95}, 3, 0.8) == [-1, -1, 0]


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.tuples(st.integers(0, 9), st.integers(0, 9)), st.floats(0, 1), max_size=40))
def test_every_removal_has_an_edge_to_a_kept_document(drawn: dict[tuple[int, int], float]) -> None:
    pairs = {(min(pair), max(pair)): found for pair, found in drawn.items() if pair[0] != pair[1]}
    kept_for = decide(pairs, 10, 0.8) if pairs else [-1] * 10
    for document, head in enumerate(kept_for):
        strong = [one for one in range(document) if pairs.get((one, document), 0) >= 0.8 and kept_for[one] < 0]
        assert head == (strong[0] if strong else -1)


def test_components_are_those_of_a_plain_search() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.integers(0, 200, 150), rng.integers(0, 200, 150)
    parents = np.arange(200)
    near.join_components(parents, first, second)
    while not np.array_equal(parents, parents[parents]):
        parents = parents[parents]
    label = np.arange(200)
    for _ in range(200):
        least = np.minimum(label[first], label[second])
        np.minimum.at(label, first, least)
        np.minimum.at(label, second, least)
    assert np.array_equal(parents, label)


def test_brute_force_by_index_finds_what_comparing_all_pairs_finds() -> None:
    rng = random.Random(11)
    vocabulary = [f"w{number}" for number in range(40)]
    texts = [" ".join(rng.choices(vocabulary, k=rng.randrange(0, 60))) for _ in range(60)] + ["", "a b c d e f g"]
    sets = near.shingle_sets(pa.array(texts), near.Scheme(words=1))
    chosen = near.shingle_sets(pa.array(texts[:20]), near.Scheme(words=1))
    document, query, jaccard = brute_force.find_similar(brute_force.index_sets(chosen), sets, 0.4)
    found = dict(zip(zip(document.tolist(), query.tolist(), strict=True), jaccard.tolist(), strict=True))
    for one in range(len(texts)):
        for other in range(20):
            exact = near.jaccards(*sets, np.array([one]), np.array([other]))[0]
            assert found.get((one, other), 0) == (exact if exact >= 0.4 else 0)


@pytest.mark.parametrize("bad", [{"words": 0}, {"bands": 0}, {"rows": 101}])
def test_a_scheme_out_of_bounds_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        near.Scheme(**bad)


@needs_data
def test_similarities_of_natural_near_duplicates_are_those_of_another_program() -> None:
    """Exact Jaccard of pairs of 2,189 documents, computed by another program with \\w+ words in lower case."""
    documents = {}
    with gzip.open(SHARED / "near_dup" / "docs.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            documents[row["id"]] = row["text"]
    rows = [line.split("\t") for line in (SHARED / "near_dup" / "pairs.tsv").read_text("utf-8").splitlines()[1:]]
    place = {name: number for number, name in enumerate(documents)}
    rows = [row for row in rows if row[0] in place and row[1] in place and not row[0].startswith(("zh", "ja"))]
    assert len(rows) > 500
    sets = near.shingle_sets(pa.array(list(documents.values())), SCHEME)
    one, other = (np.array([place[row[side]] for row in rows]) for side in (0, 1))
    found = near.jaccards(*sets, one, other)
    wanted = np.array([float(row[2]) for row in rows])
    assert np.abs(found - wanted).mean() < 0.02


LANGUAGES = ("ar", "bn", "en", "es", "fr", "hi", "pt", "sw", "ta", "vi", "yo", "zh")


def texts_of(language: str, count: int) -> list[str]:
    """Texts of one language, those with a free licence first."""
    found: list[str] = []
    for folder in ("text_open", "text_restricted"):
        path = SHARED / folder / f"{language}.jsonl.gz"
        if path.is_file():
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                found += [json.loads(line)["text"] for line in lines]
    return [text for text in found if len(text) > 300][:count]


@needs_data
@pytest.mark.parametrize(("scheme", "least"), [(near.Scheme(), 0.97), (near.Scheme(bands=32), 0.995)])
def test_recall_on_real_texts_in_twelve_languages(scheme: near.Scheme, least: float) -> None:
    """The share of pairs with an exact Jaccard of .8 or more that has an equal band; near copies are planted."""
    tried = hit = 0
    for language in LANGUAGES:
        rng = random.Random(language)
        texts = texts_of(language, 150)
        assert len(texts) > 20
        for text in texts[:100]:
            characters = list(text)
            for _ in range(rng.choice([1, 3, 8, 15])):
                start = rng.randrange(len(characters))
                characters[start : start + rng.randrange(1, 6)] = rng.choices(text, k=3)
            texts.append("".join(characters))
        signs = near.sign_texts(pa.array(texts), scheme)
        keys = near.band_keys(signs, scheme)
        sets = near.shingle_sets(pa.array(texts), scheme)
        one, other, _ = brute_force.find_similar(brute_force.index_sets(sets), sets, 0.8)
        pairs = one < other
        found = (keys[one[pairs]] == keys[other[pairs]]).any(axis=1)
        assert found.size > 20, language
        assert found.mean() > 0.9, language
        tried, hit = tried + found.size, hit + int(found.sum())
    assert hit / tried >= least
