"""Letters of languages, the commoner first, and how likely a text is one of them.

It chooses among encodings from before Unicode, in which the same bytes are words of one language and noise in
all others. Each byte beyond ASCII is taken for one letter, or half of one, so that texts can be compared.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

_MARK = "\u0300-\u036f\u0591-\u05bd\u064b-\u065f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
WORD = re.compile(rf"(?:[^\W\d_]|[{_MARK}])+")
_COMMON_SIGNS = frozenset("€£°–“”„’«»")
_SIGNS = frozenset("§©®±²³µ·×—‘…™½¼¿¡\xa0฿₪、。，！？：；（）「」《》・")
_COMMON_SIGN = math.log(0.02)
_SIGN = math.log(0.005)
_ODD_SIGN = math.log(1e-5)
_ODD_LETTER = math.log(1e-4)
_ODD_WORD = math.log(1e-3)  # such as one without a vowel
_SHORT_CAPITALS = math.log(0.05)  # words of one or two letters are rarely names
_OPEN = re.compile(r"¡[^!\n]*$|¿[^?\n]*$|[a-z][³²¼½¾¿¡®©°±×«»](?=[a-z])", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Language:
    """Letters of a language beyond ASCII.

    Attributes:
        letters: Small letters, the commoner first.
        is_latin: They stand beside letters of ASCII.
        odd: Pattern that words of the language do not match; None for none.
    """

    letters: str
    is_latin: bool = False
    odd: re.Pattern[str] | None = None

    def log_likelihood(self, text: str) -> float:
        """Return the logarithm of the text's probability, by its characters beyond ASCII."""
        chances = _by_rank(self.letters)
        total, inside = _signs(text), 0.0
        for word, count in _words(text).items():
            inside += count * self._word(word, chances)
        return total + inside

    def _word(self, word: str, chances: dict[str, float]) -> float:
        others = [letter for letter in word if not letter.isascii()]
        small = word.replace("İ", "ı").lower()
        plain = word.replace("İ", "I").replace("ß", "")  # ß stands in words of capitals
        cased = plain in (plain.lower(), plain.upper(), plain[:1].upper() + plain[1:].lower())
        ascii_letters = len(word) - len(others)
        mixed = (not ascii_letters and len(word) > 2) if self.is_latin else bool(ascii_letters)
        if mixed or not cased:
            return _ODD_LETTER * len(others)
        total = sum(chances.get(letter, _ODD_LETTER) for letter in small if not letter.isascii())
        if len(word) <= 2 and word != small:
            total += _SHORT_CAPITALS
        return total + (_ODD_WORD if self.odd and self.odd.search(small) else 0.0)


@cache
def _by_rank(letters: str) -> dict[str, float]:
    """Return the logarithm of each letter's share, by its rank (Gusein-Zade's law)."""
    weights = [math.log((len(letters) + 1) / rank) for rank in range(1, len(letters) + 1)]
    return {letter: math.log(w / sum(weights)) for letter, w in zip(letters, weights, strict=True)}


@cache
def _words(text: str) -> Counter[str]:
    """Count the words with letters beyond ASCII."""
    return Counter(word for word in WORD.findall(text) if not word.isascii())


def _signs(text: str) -> float:
    """Return the logarithm of the probability of what is no letter."""
    total = _ODD_WORD * len(_OPEN.findall(text))
    for letter, count in Counter(letter for letter in text if not letter.isascii()).items():
        if not WORD.fullmatch(letter):
            total += count * (
                _COMMON_SIGN if letter in _COMMON_SIGNS else _SIGN if letter in _SIGNS else _ODD_SIGN
            )
    return total


_VIETNAMESE = "đưươăâêôáàảãạếềểễệốồổỗộớờởỡợứừửữựíìỉĩịấầẩẫậắằẳẵặéèẻẽẹóòỏõọúùủũụýỳỷỹỵ"
_CYRILLIC = re.compile(r"^[^аеёиоуыэюяєії]{3,}$|^[ъьы]|[ъь]{2}|[аеиоуыэюя]{4}|^й[^оеа]")
LANGUAGES: dict[str, tuple[Language, ...]] = {
    "western": (
        Language("üäöß", True),
        Language("éèàêçôâîûùœïëÿæ", True),
        Language("óíáéñúüºª", True),
        Language("ãçáéíóêõâúàôü", True, re.compile("õ(?!e)|ã(?![oe]|$|s)")),
        Language("àèòùìéî", True),
        Language("äåöéü", True),
        Language("øåæéöü", True),
        Language("ëéïöüèê", True),
    ),
    "icelandic": (Language("áðíéóöúþýæ", True, re.compile(".þ|^ð")),),
    "central": (
        Language("łąęóżśćńź", True),
        Language("íáéřčžýšěůúťďňó", True),
        Language("áíéčžýšúľťôňďäóĺŕ", True),
        Language("áéöóőíüúű", True),
        Language("ăîţşâ", True),
        Language("čšžćđ", True),
    ),
    "turkish": (Language("ıüşğçöâîû", True),),
    "baltic": (Language("ėųšžąįūęč", True), Language("āīēšūņļžčķģ", True), Language("äõöüšž", True)),
    "vietnamese": (Language(_VIETNAMESE, True),),
    "cyrillic": (
        Language("оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё", odd=_CYRILLIC),
        Language("оаніирвтеслкудмпзяьбгйчхцїюєжшщґф", odd=_CYRILLIC),
        Language("аиоентрсвлкдпмзгяъубчцйжщхфшюь", odd=re.compile("^[^аеиоуъюя]{3,}$|^ь")),
        Language("аиоенрсуткјвдмплгзбцшћчжђљњхфџ", odd=re.compile("^[^аеиоур]{3,}$")),
    ),
    "greek": (
        Language(
            "ατοιενρσκηπςυμλίόάγέδήωχθύφβώξζψϊΐϋΰ",
            odd=re.compile("ς.|.σ$|^[^αειουηωάέίόύήώϊΐϋΰ]{2,}$|[άέίόύήώ].*[άέίόύήώ]"),
        ),
    ),
    "hebrew": (Language("יוהלרבתמאשנעםדקחפסכגטצןזךףץ", odd=re.compile("[ךםןףץ].|.[כמנצ]$")),),
    "arabic": (
        Language("اليمونرتبةعدسفهكقأحجشطصىخإذضزثغظئءؤآًَُِّْ", odd=re.compile("^[ًَُِّْ]|[ةى].|^ئ|^ؤ")),
        Language("ایيردنهومتبسلکكشزفگعخقجآپحطصچضذژغظثئ", odd=re.compile("^[ئءؤ]")),
    ),
    "thai": (
        Language(
            "านรอก่เงมย้ลวดทัสตีะปบคหแจิพชขใไ์ุูำ็ืโผถึธฟฉณภซศษญฐๆฮฆ๊๋ฝฎฑฌฏฬฯ",
            odd=re.compile("^[ะัาำิีึืฺุู็-๎]|[เแโใไ][เแโใไ]|[เแโใไ]$|[ิ-ู็-๎][ิ-ฺ]"),
        ),
    ),
}
"""Languages by group of encodings."""

_SIMPLIFIED = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行"
    "所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它"
    "与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新"
    "己制身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平"
    "系气题活尔更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形"
    "社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北边死张该交规万取"
    "拉格望觉术领共确传师观清今切院让识候带导争运京州深圳店差服态度质量价格快慢买卖钱坏满错棒推荐喜欢广苏杭武汉"
    "成都重庆天津红绿蓝黄黑"
)
_TRADITIONAL = (
    "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡用道行"
    "所然家種事成方多經麼去法學如都同現當沒動面起看定天分還進好小部其些主樣理心她本前開但因只從想實日軍者意無力它"
    "與長把機十民第公此已工使情明性知全三又關點正業外將兩高間由問很最重並物手應戰向頭文體政美相見被利什二等產或新"
    "己制身果加西斯月話合回特代內信表化老給世位次度門任常先海通教兒原東聲提立及比員解水名真論處走義各入幾口認條平"
    "系氣題活爾更別打女變四神總何電數安少報才結反受目太量再感建務做接必場件計管期市直德資命山金指克許統區保至隊形"
    "社便空決治展馬科司五基眼書非則聽白卻界達光放強即像難且權思王象完設式色路記南品住告類求據程北邊死張該交規萬取"
    "臺台灣高雄中南服務態差質價格快慢買賣錢壞滿錯棒推薦喜歡常店紅綠藍黃黑竹"
)
_KANJI = (
    "日一人年大十二本中長出三時行見月分後前生五間上東四今金九入学高円子外八六下来気小七山話女北午百書先名川千水半"
    "男西電校語土木聞食車何南万毎白天母火右読友左休父雨会同事自社発者地業方新場員立開手力問代明動京目通言理体田主"
    "題意不作用度強公持野以思家世多正安院心界教文元重近考画海売知道集別物使品計死特私始朝運終台広住無真有口少町料"
    "工建空急止送切転研足究楽起着店病質待試族銀早映親験英医仕去味写字答夜音注帰古歌買悪図週室歩風紙黒花春赤青館屋"
    "色走秋夏習駅洋旅服夕借曜飲肉貸堂鳥飯勉冬昼茶弟牛魚兄犬妹姉漢阪都府県市区商良好非常最高低対応達変届"
)
_HANGUL = (
    "이다에의는로하을가고지서한은기으년대사시를리도인스일어해자부정수나제그전주동구과여원공장들비성보아선국있상조신만"
    "위라경오세방문관중소게되등연학진면물용계생개교유트민마후모발안영월화재요내미호당우단회분명산음업실행적간행양으무반"
    "본작체결도평심합니까었했았던것였며야고습말때려없저께더못할입식통좋데예감특별울남광송포천북락터코드카크프그레임"
    "르치타파하피키바버너네히노두러른른종직책최추출현형황강건거격견년람력령류률매목배번범법병복불설속술습승야약역"
    "온왔요완외욱운움웅원웠점족존준집참창처청초축층친탁토품필허험환활획회번빠르친절맛싸쌉비쌌서울부산대구인천광주대전"
)


@dataclass(frozen=True)
class Characters:
    """Language with thousands of characters, of two bytes each.

    Attributes:
        common: Common characters, the commonest hundred first.
        is_kana: Japanese, in which most characters are kana.
        first: Bytes with which its other common characters begin, in ``legacy``.
        legacy: Oldest encoding of the language, which has its common characters.
    """

    common: str
    first: tuple[int, int]
    legacy: str
    is_kana: bool = False

    def log_likelihood(self, text: str) -> float:
        """Return the logarithm of the text's probability, by its characters beyond ASCII."""
        ranks = {letter: rank for rank, letter in enumerate(dict.fromkeys(self.common))}
        counts = Counter(letter for letter in text if not letter.isascii())
        total = sum(count * math.log(self._chance(letter, ranks)) for letter, count in counts.items())
        return total if any(map(str.isalpha, counts)) else total + _ODD_WORD

    def _chance(self, letter: str, ranks: dict[str, int]) -> float:
        if letter in _SIGNS or letter in _COMMON_SIGNS:
            return 0.005
        share = 1.0
        if self.is_kana:
            if "\u3041" <= letter <= "\u3093":
                return 0.5 / 83
            if "\u30a1" <= letter <= "\u30fc":
                return 0.15 / 90
            if "\uff66" <= letter <= "\uff9f":  # of half width, one byte each
                return 0.1 / 56
            share = 0.35
        if letter in ranks:
            return share * (0.4 / 100 if ranks[letter] < 100 else 0.35 / (len(ranks) - 100))
        try:
            first = letter.encode(self.legacy)[0]
        except UnicodeEncodeError:
            return 1e-7
        is_letter = unicodedata.category(letter) == "Lo"
        return share * (0.25 / 3000 if is_letter and self.first[0] <= first <= self.first[1] else 1e-6)


CHARACTERS: dict[str, Characters] = {
    "simplified": Characters(_SIMPLIFIED, (0xB0, 0xD7), "gb2312"),
    "traditional": Characters(_TRADITIONAL, (0xA4, 0xC6), "big5"),
    "japanese": Characters(_KANJI, (0xB0, 0xCF), "euc_jp", is_kana=True),
    "korean": Characters(_HANGUL, (0xB0, 0xC8), "euc_kr"),
}
"""Languages of two bytes per character by group of encodings."""


@cache
def models(group: str) -> tuple[Callable[[str], float], ...]:
    """Return the functions that give the logarithm of a text's probability, of a group's languages."""
    if group in CHARACTERS:
        return (CHARACTERS[group].log_likelihood,)
    return tuple(language.log_likelihood for language in LANGUAGES[group])
