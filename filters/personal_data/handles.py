"""Handles of persons, and the words after an at sign that belong to programs, chats and documents."""

import re

from filters.personal_data.candidate import Candidate, Kind, is_unspaced, is_word, seen_in

# Words after an at sign, by where they are written: none names a person.
_STYLE_SHEETS = """media import charset keyframes font-face supports namespace page layer include mixin extend override
    tailwind apply use forward screen variants container property counter-style scope starting-style theme utility
    plugin source reference config if else while for each function return debug warn error content at-root"""
_COMMENTS = """param params return returns throws throw exception author see since version todo link inheritdoc var type
    typedef template implements extends interface method mixin package subpackage license copyright deprecated internal
    access private protected public static readonly const constant constructor default description desc example fires
    listens event file fileoverview filesource global ignore memberof module name namespace override summary callback
    psalm phpstan phan psr jsx ts eslint flow jest covers dataprovider group depends before after beforeclass
    afterclass brief note warning details retval ingroup defgroup addtogroup tparam pre post code endcode mainpage
    api apidefine route middleware throwsexception suppress category uses usedby tutorial yields yield async generator
    export exports enum lends mixes prop property requires this variation kind satisfies overload import internal"""
_ANNOTATIONS = """suppresswarnings test beforeeach aftereach beforeall afterall autowired bean component service entity
    table column nullable nonnull notnull notblank notempty inject named singleton provides transactional repository
    controller restcontroller requestmapping getmapping postmapping putmapping deletemapping patchmapping requestbody
    responsebody pathvariable requestparam configuration configurationproperties value qualifier primary lazy
    profile scheduled enablescheduling springbootapplication springboottest id generatedvalue onetomany manytoone
    manytomany onetoone joincolumn data getter setter builder slf4j log4j allargsconstructor noargsconstructor
    requiredargsconstructor tostring equalsandhashcode functionalinterface safevarargs retention target documented
    inherited repeatable native jvmstatic jvmfield jvmoverloads composable preview parcelize volatile synchronized
    throws ignore mock injectmocks spy captor extendwith runwith parameterizedtest displayname disabled size
    valid validated pattern email path get put post delete consumes produces queryparam formparam context activityscoped
    viewchild input output injectable ngmodule pipe directive hostbinding hostlistener state binding published
    observedobject environmentobject stateobject environment main mainactor escaping autoclosure objc objcmembers
    discardableresult available ibaction iboutlet ibinspectable ibdesignable testable viewbuilder nsmanaged unknown
    frozen inlinable usablefrominline resultbuilder dynamicmemberlookup propertywrapper uiapplicationmain protocol
    synthesize selector class end optional required dynamic implementation autoreleasepool try catch finally encode
    staticmethod classmethod dataclass abstractmethod contextmanager asynccontextmanager lru_cache cache cached_property
    cachedproperty total_ordering singledispatch wraps fixture parametrize skipif xfail patch given hypothesis
    unittest pytest overload final jit njit vmap app
    router bp blueprint click cli task shared_task celery login_required permission_required csrf_exempt receiver
    register admin validator field_validator model_validator root_validator deleter deprecated staticproperty
    attr_accessor memoize profile benchmark experimental override"""
_PROGRAMS = """echo viewport host hostname command define isset unless foreach switch case isset set var array list hash
    print printf noop rem setlocal endlocal require exec babel types scope aws-sdk angular vue react latest next
    iteration csrf method section endsection extends stack push auth guest php blade livewire props slot error vite
    daily hourly weekly monthly yearly annually midnight reboot every prefix base context id graph vocab language index
    reverse container nest none json set include included article book misc inproceedings incollection phdthesis
    mastersthesis techreport online string comment preamble makeatletter ref value self this args argv arg params"""
_CHATS = """channel here everyone everybody all room online team group mods moderators anyone someone somebody nobody
    user username handle name example todos todas tous semua alle all-here"""
_MODULES = frozenset(
    [
        "pytest",
        "functools",
        "contextlib",
        "unittest",
        "dataclasses",
        "typing",
        "abc",
        "celery",
        "click",
        "numba",
        "torch",
    ]
)
_WORDS = frozenset(" ".join([_STYLE_SHEETS, _COMMENTS, _ANNOTATIONS, _PROGRAMS, _CHATS]).split())

_HANDLE = re.compile(r"(?:[^\W]|[.\u0300-\u036f\u0900-\u0dff\u064b-\u065f])*")
_DECLARED = (
    r"public|private|protected|static|final|abstract|interface|class|void|def|async|func|fun|function|var|val|struct|"
    r"trait|impl|sealed|override|suspend|lateinit|const|int|float|double|boolean|bool|String|Integer|INT|BIGINT|"
    r"VARCHAR|NVARCHAR|DATE|DATETIME|DECIMAL|BIT"
)
_TARGET = r"[ \t]*(?:(?:[-+*/%.|&^<>?:]|\|\||&&|\*\*|//|<<|>>|\?\?){0,1}=[^=]|<<|\+\+|=>|->|::|\[)"
# What follows a variable, an annotation or a decorator: an assignment, a declaration, or a line that begins with one.
_code_behind = seen_in(
    rf"^(?:{_TARGET}|[ \t]+(?-i:{_DECLARED})\b[^\n]{{0,80}}[(){{;=]|[^\n]{{0,80}}\n[ \t]*"
    rf"(?:(?-i:{_DECLARED})\b[^\n]{{0,80}}[({{;:=]|@[A-Za-z.]+\s))"
)
# A statement ends the line: "push @array, 4;"
_statement_behind = seen_in(r"^[^\n;{}]{0,80}[;{}][ \t]*(?:\n|$|\})")
# A keyword of SQL, an operator, or a list that such a keyword opens
_code_before = seen_in(
    r"(?:(?-i:\b(?:DECLARE|SET|EXEC|EXECUTE|INTO|FETCH|RETURN|LIKE|VALUES|PRINT|SELECT))[ \t(]+|"
    r"[\w\])] ?[=<>+*/%&^]{1,2} ?|#\{|"
    r"(?-i:\b(?:DECLARE|EXEC|VALUES|SELECT)\b)[^\n;.]{0,60}@[A-Za-z_]+[^\n;.]{0,20},\s?)$"
)
_recipe_before = seen_in(r"(?:^|\n)[\w./%$()-]+ ?:[^\n=]{0,60}\n(?:\t[^\n]{0,80}\n){0,4}\t$")


def _is_code(name: str, before: str, after: str) -> bool:
    """Whether a name after an at sign is written as in a program: a known word, or what stands around it is code."""
    lower = name.lower()
    first, dot, _ = lower.partition(".")
    if lower in _WORDS or lower.rpartition(".")[2] in _WORDS or (dot and first in _MODULES):
        return True
    if before[-1:] in ('"', "'") and re.match(rf"{before[-1:]}\s?:", after):
        return True  # a name in JSON: "@context":
    if not name.isascii():
        return False
    if _code_behind(after[:160]) or _recipe_before(before) or _code_before(before[-80:]):
        return True
    return _statement_behind(after[:120]) and _statement_line(before)


def _statement_line(before: str) -> bool:
    """Whether the line so far can begin a statement: it has no punctuation of prose."""
    line = before.rpartition("\n")[2]
    return re.search(r"[.,!?…:]\s|[.!?…]$", line) is None and len(line.split()) <= 4


def _check_user(candidate: Candidate) -> tuple[int, int] | None:
    """A handle of at least three characters whose at sign follows no word; code and addresses are spared."""
    before = candidate.before[-1:]
    if is_word(before) or before in ("/", "@", "\\", ".", "-", "+", "=", "＠"):
        return None
    name = _HANDLE.match(candidate.text, 1)[0].rstrip(".")  # type: ignore[index]  # it matches the empty string
    after = (candidate.text + candidate.after)[1 + len(name) :][:1]
    if after in ("/", "(", "@", "{", "\\", "=") or not 3 <= len(name) <= 30:
        return None
    if any(is_unspaced(char) for char in name) or not any(char.isalpha() for char in name):
        return None
    if _is_code(name, candidate.before, (candidate.text + candidate.after)[1 + len(name) :]):
        return None
    return 0, 1 + len(name)


USER = Kind(
    name="user",
    tag="USER",
    words="a handle: an at sign that follows no letter, then 3 to 30 letters, digits, dots and underscores",
    gate=r"[@＠]",
    pattern=r"[@＠][^\x00-\x2d\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\x{bf}\x{2000}-\x{206f}\x{3000}-\x{303f}\x{ff00}-\x{ff0f}]{3,40}",
    check=_check_user,
    finds=(
        "follow ⟪@ana_lopez92⟫ and (⟪@bo.lee⟫).",
        "تابع ⟪@ahmad_1⟫",
        "⟪@राम_कुमार⟫ ने",
        "关注 ⟪@zhang_wei⟫ 吧",
        "⟪@ana_lopez⟫: thanks",
        "Photo by ⟪@jo_doe42⟫; words by ⟪@mira_k⟫.",
        '{"twitter": "⟪@jo_doe42⟫"}',
        "* ⟪@jo_doe42⟫ sent the pictures",
        "thanks to my ⟪@jo_doe42⟫, let me know",
        "⟪@mira_k⟫ let me know (soon)",
    ),
    spares=(
        "ana@example.org",
        "@media (max-width: 600px)",
        "@Override public",
        "npm i @babel/core",
        "@dataclass(frozen=True)",
        "meet @ 5",
        "@ab",
        "a@b",
        "@123456",
        "@functools.cache above it, or @Transactional, or @psalm-suppress",
        "@count = 5 and @seen[kind] += 1",
        "@Check private String title;",
        "@traced\ndef slow(n):\n",
        "DECLARE @rows INT; SELECT name FROM t WHERE id = @rowId",
        "my @rows = (1, 2);\npush @rows, 4;",
        "all:\n\t@touch done",
        '{"@basis": "https://example.org"}',
        "Write @here or @everyone to reach all.",
    ),
)
