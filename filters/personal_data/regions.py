"""Countries where the languages of ROOTS are spoken."""

# ISO 639-1 -> countries (ISO 3166) whose national numbers are likely in such a text, most likely first
REGIONS: dict[str, tuple[str, ...]] = {
    "ak": ("GH",),
    "ar": ("SA", "EG", "AE", "MA", "DZ", "IQ", "TN", "SY", "JO"),
    "as": ("IN",),
    "bm": ("ML",),
    "bn": ("BD", "IN"),
    "ca": ("ES", "AD"),
    "en": ("US", "GB", "CA", "AU", "IN", "NG", "ZA", "IE", "NZ", "KE"),
    "es": ("MX", "ES", "AR", "CO", "CL", "PE", "VE", "EC"),
    "eu": ("ES", "FR"),
    "fon": ("BJ",),
    "fr": ("FR", "CA", "BE", "CH", "SN", "CI", "CM", "MA"),
    "gu": ("IN",),
    "hi": ("IN",),
    "id": ("ID",),
    "ig": ("NG",),
    "ki": ("KE",),
    "kn": ("IN",),
    "lg": ("UG",),
    "ln": ("CD", "CG"),
    "ml": ("IN",),
    "mr": ("IN",),
    "ne": ("NP", "IN"),
    "nso": ("ZA",),
    "ny": ("MW", "ZM"),
    "or": ("IN",),
    "pa": ("IN", "PK"),
    "pt": ("BR", "PT", "AO", "MZ"),
    "rn": ("BI",),
    "rw": ("RW",),
    "sn": ("ZW",),
    "st": ("LS", "ZA"),
    "sw": ("KE", "TZ", "UG"),
    "ta": ("IN", "LK", "SG"),
    "te": ("IN",),
    "tn": ("BW", "ZA"),
    "ts": ("ZA", "MZ"),
    "tum": ("MW", "ZM"),
    "tw": ("GH",),
    "ur": ("PK", "IN"),
    "vi": ("VN",),
    "wo": ("SN", "GM"),
    "xh": ("ZA",),
    "yo": ("NG", "BJ"),
    "zh": ("CN", "TW", "HK", "SG", "MO"),
    "zu": ("ZA",),
}
# ISO 639-3 -> ISO 639-1; macro-languages and their members give the same code
_LONG = """aka=ak arb=ar ara=ar asm=as bam=bm ben=bn cat=ca eng=en spa=es eus=eu fra=fr guj=gu hin=hi ind=id ibo=ig
    kik=ki kan=kn lug=lg lin=ln mal=ml mar=mr nep=ne npi=ne nya=ny ori=or ory=or pan=pa por=pt run=rn kin=rw sna=sn
    sot=st swa=sw swh=sw tam=ta tel=te tsn=tn tso=ts twi=tw urd=ur vie=vi wol=wo xho=xh yor=yo zho=zh cmn=zh zul=zu"""
_SHORT = dict(pair.split("=") for pair in _LONG.split())


def regions_of(language: str | None) -> tuple[str, ...]:
    """Countries for a language code (ISO 639-1 or 639-3); none for a language that is not in the table."""
    return REGIONS.get(_SHORT.get(language or "", language or ""), ())
