"""Words that tell a language from a near relative, for pairs that a model of characters confuses.

Indonesian and Malay share most of their words, so a model of short pieces of words leaves doubt in ordinary paragraphs.
The words below are common in one language of a pair and foreign to the other. They decide where most of those in a
text are of one side. The lists are ours.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

_Label = tuple[str, float]
_LEAST = 2  # words of one side that decide
_TIMES = 2  # as many as of the other side, and more
_OFTEN = 3  # times a word counts
_LONG = 160  # characters of a text that the relative's words would hardly be missing from
_NOTICED = 0.02  # score of either side from which words are counted
_WORD = re.compile("[^\\s\u0964.,;:!?()\\[\\]\"'«»“”‘’/-]+")


@dataclass(frozen=True)
class _Relatives:
    """Two near languages. `own` are words of the first and not of the second, `other` the reverse; so are endings."""

    language: str  # "ind_Latn"
    others: tuple[str, ...]  # the first is the relative; texts of either are also taken for the rest
    own: frozenset[str]
    other: frozenset[str]
    own_endings: tuple[str, ...] = ()
    other_endings: tuple[str, ...] = ()
    lean: float = 1.0  # share of both scores from which a long text without words of either is in the first


_INDONESIAN = """
aduk agustus aja akibatnya aktivitas angkot anjlok antariksa apotek apoteker arisan artinya asik ayamnya bagasi
bagian bahwa bajaj bakso bakwan balita bandara banget bapak baper barusan becak beda bengkel bensin beranda
berantakan berarti berbeda berkualitas bertiga berujar bervariasi berwenang besok biaya bidan bikin bilang bioskop
bisa bohlam bulutangkis bumbu buncis bupati butuh cabai camat capek celana cewek cicilan cokelat copet cowok cucunya
daring daster deh delapan dengerin desain desember deterjen diamkan dibiayai dibutuhkan dikarenakan dokter dompet
dong dosen dpr dprd ekspor ember enggak eropa fase foto gabah gak galau galon gampang garing garpu gede gerimis
gimana gitu gorden gorengan gratis gubernur gue halte haluskan handuk hewan identitas ilmuwan imbuh imbuhnya impor
informasi inggris internasional istri italia izin jadinya jahe jaksa jelasnya jelek jemuran jendela jenderal jepang
jok jubir juli jumat juni kabupaten kacamata kades kakek kalian kalo kamar kanker kantong kantor kaos kapan kapolres
kapolsek karcis karena karenanya kartu karyawan kasus kayak kayaknya kebijakan kecamatan kecelakaan kecepatan kecoa
kelurahan kemaren kemarin kemeja kendaraan kepengen kepolisian keponakan ketemu ketimbang kiai klakson klub knalpot
kocak kok kompor komunitas kondisi konser koran kosan kpk kualitas kue kuliah kulkas kursi lainnya langganan layanan
lemari lengkuas libur liburan listrik loh lokal loket lomba longsor lumayan lurah macet makanya mangkuk maret
masinis masker mau maupun medis melewati melonjak memengaruhi mending mendung mengobrol mengungkapkan menit
menyetrika meskipun mie miliar milyar mobil mudik naiknya nasabah nego ngantuk ngga nggak ngobrol ngomong nih nomor
nonton nyaman nyamuknya nyari nyeri nyetir nyoba obat obatnya ojek olahraga oleskan omong opname pabrik pacar
padahal panennya panitia paparnya partai pasokan pekarangan pelaku pelatih pelayanan pemilu pemkot pemprov pemudik
peneliti penelitian pengajian pengemudi pengen pengendara penghargaan pengin pensiun perawat perban permen peron
persen perusahaan pesantren pilek pinjol piring poin polisi polri ponsel posyandu prioritas produsen properti publik
punya pupuknya puskesmas rame redaksi reguler rekening rektor relatif religius rencana repot resep resimen ribet
riset ruangan rupiah rusak saja sajadah sajikan saldo sapi sapinya sdm sdt sebagian sedangkan selasa semprot sendok
senin sepakbola sepatu sepeda sepekan setidaknya setir setrika sih sinetron siswa siswi situasi situs skripsi sopir
sore soto spanyol spesialis spion standar stasiun stasiunnya sulit sumur suster tabungan taburi tadinya tambal tante
tas telepon televisi tempe tentara terasi terigu terkadang terkait terpuruk tetangga tewasnya tiongkok tipe tiriskan
tni toko toples trotoar tuh tumis turunnya tutur tuturnya uang ucapnya udah ujarnya ulek unduh ungkap uni
universitas voli wajan walikota warganet wartawan warung wisatawan wisuda wortel yaitu yakni
"""
_MALAY = """
aiskrim akaun akhbar aktiviti almari antarabangsa askar bahagian baharu bahawa bahawasanya bandaraya bapanya barah
basikal basikalnya bekalan belian bendahari bendang berbanding berbeza berbual bercuti berhampiran berjimat berkahwin
berpusing bersara betik betul beza bilion brek caj cili cuba dijangka dijangkiti dinaiki dirakam disember doktor ejen
ekoran elektrik emel enjin eropah fasa fasal fasiliti felda filem fizikal graduan haiwan halia hartanah hensem
hospital iaitu ianya ibubapa imigresen inggeris isnin itali jambatan jangkitan jawatankuasa jeneral jepun jerebu jkr
jom joran julai jumaat jun juruhebah jurulatih jururawat juruteknik juruterbang justeru kahwin kakitangan kanak kanser
kasut kasutnya katil kecederaan kejuruteraan kek kelab kelajuan kelmarin keluli kelulusan kemalangan kenderaan kerana
keretapi kerusi kes kesihatan keupayaan kewangan khamis kilang kobis komuniti kontot korang kualiti kuarantin kueh
kuih laluan lapan lebuhraya lesen lori mac mahkamah mahu majikan makcik maklumat manakala meletup memaklumkan
memandangkan membabitkan memberitahu mencuba menerusi mengemas mengesyorkan menggembara menyiasat merakam merungut
mesyuarat minit moden motokar motosikal muzik nombor ogos olimpik pakcik pangsapuri pasaraya pautan peguam pelabur
pelaburan pelakon pelancongan pemandu pembaris pembedahan pembekal pemborong pencen pengerusi pensel pensyarah
penuntut penyelidik penyelidikan perakuan peratus perbandaran perbezaan percutian perisian perkhidmatan perlawanan
persendirian perubatan peruncit pesakit pesawah petrol pilihanraya pingat pinggan plag rakan rasmi resipi ringgit
rosak sahaja saintis saiz saiznya salji samada seawal sebahagian selepas semakan semasa sembang sememangnya senarai
sepanyol sepatutnya seramai sesetengah sesiapa setem setiausaha sewaan siasatan sifar sihat sinki soalan sokongan spm
stesen stokin stpm sudu suis sukan syampu syarikat tadika takda takde taknak talian tamadun tarikh tayar teksi
televisyen tembikai tempatan ternampak tersepit tingkap tompok tuala ubat uitm ukm universiti wad wang yuran zealand
"""
_MARATHI = """
असतात असते असतो असे आज आणखी आणि आमचे आमच्या आम्हाला आम्ही आला आली आले आहे आहेत आहोत उद्या करणे करतात करून कसे काय
केला केली केले खूप गेला गेली गेले जातील झाला झाली झाले तिला तुझे तुम्हाला तुम्ही तुला तेथे त्यांचे त्यांना त्यांनी
त्याचे त्याने त्याला दिली दिले नाही नाहीत पण पाणी पाहिजे मला माझा माझी माझे मासे मी मुलगा मुलगी मुले म्हणाला म्हणाली
म्हणाले म्हणून येतील येथे होईल होता होती होते होतो
"""
_KONKANI = """
अशें आनी आमकां आमगेर आमी आयचो आयज आवय आशिल्ली आशिल्ले आशिल्लें आशिल्लो आशिल्ल्या आसतना आसतात आसली आसलें आसलो आसा
आसात उदक उपरांत करपाक कशें कितें कित्याक कोंकणी खंय खातीर गोंय गोंयची गोंयच्या गोंयांत घरा घेवपाक चली चलो चेडवां
चेडो जातलीं जातलें जाता जातात जाय जाली जालें जालो जाल्यार जावंक जावन जें तशें तांकां ताका ताची ताचें ताचो ताणीं
ताणें तिका तिणें तुका तुजी तुजें तुजो तुमकां तुमगेर तुमी तें थंय थंयसर दर्या दर्याचीं दिवपाक देखून नाशिल्ली
नाशिल्लें नाशिल्लो नुस्तें नुस्त्याचें परतून पूण फाल्यां बरें बापूय भयण भायर भुरगीं भुरगें भुरगो भुरग्यां भुरग्यांक
भुरग्मदीं मागीर मात्शें म्हजी म्हजें म्हजो म्हज्या म्हण म्हणटात म्हळें म्हाका येतली येतलें येतलो रस्त्यार
रातीं ल्हान ल्हारां वचपाक वता वतां वतात वतालीं वताले वांगडा वेळार व्हड व्हडली व्हडलें व्हडलो शेतां सकाळीं सगल्या सयत
सांगताली सांगलें सांज सांजेर सोदूंक हांगा हांगासर हांव हाका हाडूंक हें
"""
_SPANISH = """
ahora aquel aquella aqui aquí así ayer año años cada casa como con cuando después dijo ella ellas ellos esa ese eso
habia había hacer hasta hecho hijo hijos hombre mucha muchas mucho muchos mujer más niño niños noche nosotros porque
que querer quería quien quiere qué según tambien también todavía y
"""
_LADINO = """
agora ainda aki ansi ansina avia aviya avla avlan avlar avlava ay ayi biva bivian bivir despues disheron disho dize
dizen djente djoha djoya djudezmo djudia djudio djudios djudyo djueves djugar dospues ermana ermanas ermano ermanos
ermoza ermozo eskola estava estavan eya eyas eyos fija fijo fijos guevos i ija ijo ijos kada kaje kale kaminar
kamino kaminos kantar kantigas kantika kantikas kavesa kayo kaza kazal kazar ke kere keren keria kijo kinze komer
komida komo kon konseja konsejas koza kozas kuala kualas kualo kuando kuatro ladino lingua meldar meldava merkar mos
mosotros mozotros muestra muestras muestro muestros muncha munchas muncho munchos nona nono ombre ombres pasharo
pasharos pishkado puevlo salyo sefarad sefaradi sefaradim sefaradis shabat sinko sivdad syempre tenia tenian tyempo
vava vozotros
"""

_PORTUGUESE = """
ainda alguém alguma algumas além às até bom colher com criança crianças dois duas ele em então essa esse estão
farinha fazer foram hoje isso janela já lhe lhes linha manhã manteiga mas melhor milho misture muita muitas muito
muitos mãe nem nenhum nenhuma ninguém nossa nosso num numa não olho ontem pela pelas pelo pelos pessoa pessoas podem
quando sem são também tem trabalho três tudo têm uma umas velha velho vezes você vocês
"""
_GALICIAN = """
aínda algunha algunhas ata coa coas culler deica dende dous dunha dunhas entón esa ese fariña foron galega galego
hai homes irmá irmán lle lles mañá máis mellor moi moita moitas moito moitos mozo neno nenos nin ningunha non nosa
noso nunha nunhas onte pobo porén quen quizais senón sinxelo súa súas tamén teñen tiña traballo unha unhas veciños
vello vella xa xente xeito xogo xoves xunto xuntos
"""

_PAIRS = (
    _Relatives(
        "ind_Latn",
        ("zsm_Latn", "pmy_Latn", "bjn_Latn", "abs_Latn"),
        frozenset(_INDONESIAN.split()),
        frozenset(_MALAY.split()),
        ("itas",),
        ("aliti", "iviti", "ersiti", "uniti", "oriti"),
        0.4,
    ),
    _Relatives(
        "mar_Deva",
        ("gom_Deva",),
        frozenset(_MARATHI.split()),
        frozenset(_KONKANI.split()),
        (),
        ("पाक", "ूंक", "तलें", "तलीं", "ताली", "ताले", "तालीं", "टाले", "ल्लें", "ल्लो", "ल्ली", "चेर"),
    ),
    _Relatives(
        "por_Latn",
        ("glg_Latn",),
        frozenset(_PORTUGUESE.split()),
        frozenset(_GALICIAN.split()),
        ("ção", "ções", "são", "sões", "ões", "ável", "agem", "lhar", "lha", "lho"),
        ("ción", "cións", "sión", "sións", "ábel", "íbel", "axe", "xía"),
    ),
    _Relatives("spa_Latn", ("lad_Latn",), frozenset(_SPANISH.split()), frozenset(_LADINO.split())),
)


def settle_relatives(found: Sequence[_Label], text: str, known: Collection[str]) -> list[_Label]:
    """The labels of a text, where the words of a pair of relatives decide which of the two it is in.

    The scores of both go to the one the text is in; it is then as sure as the model was of the two together. A model
    that does not know both is left alone.
    """
    scores = dict(found)
    for pair in _PAIRS:
        both = (pair.language, *pair.others)
        if scores.keys().isdisjoint(both):
            continue
        noticed = max(scores.get(label, 0.0) for label in both)
        if noticed >= _NOTICED and pair.language in known and pair.others[0] in known:
            whole = sum(scores.get(label, 0.0) for label in both)
            side = _side(text, pair, scores.get(pair.language, 0.0) / whole)
            if side:
                for label in both:
                    scores.pop(label, None)
                scores[side] = min(1.0, whole)
    return sorted(scores.items(), key=lambda one: (-one[1], one[0]))


def _side(text: str, pair: _Relatives, share: float) -> str:
    """The language of the two that a text is in by its words; empty where they leave doubt.

    `share` is the first language's part of the scores of both.
    """
    counts = Counter(_WORD.findall(text.lower()))
    mine = (counts.keys() & pair.own) | _ending_in(pair.own_endings, counts)
    foreign = ((counts.keys() & pair.other) | _ending_in(pair.other_endings, counts)) - mine
    own, other = (sum([min(counts[word], _OFTEN) for word in words]) for words in (mine, foreign))
    if (own >= _LEAST and own > _TIMES * other) or (own and not other):
        return pair.language
    if (other >= _LEAST and other > _TIMES * own) or (other and not own and pair.lean < 1):
        return pair.others[0]
    return pair.language if not own and not other and share >= pair.lean and len(text) >= _LONG else ""


def _ending_in(endings: tuple[str, ...], words: Iterable[str]) -> set[str]:
    return {word for word in words if word.endswith(endings)} if endings else set()
