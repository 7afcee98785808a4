"""The encoding of a text file, found from its bytes."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from itertools import pairwise

from mmrec.errors import DataError

NAMES: Mapping[str, str] = {
    "cp1252": "Windows-1252", "latin_1": "Latin-1", "cp932": "Shift-JIS", "gb18030": "GB18030",
    "big5": "Big5", "euc_jp": "EUC-JP", "cp949": "EUC-KR", "cp1251": "Windows-1251", "cp1250": "Windows-1250",
    "cp1253": "Windows-1253", "cp1254": "Windows-1254", "mac_roman": "Mac Roman", "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16", "utf-16": "UTF-16", "utf-32": "UTF-32", "koi8_r": "KOI8-R",
    "cp1255": "Windows-1255", "cp1256": "Windows-1256", "cp1257": "Windows-1257", "cp874": "Windows-874",
    "cp850": "DOS (cp850)", "cp866": "DOS (cp866)", "iso8859_2": "Latin-2", "iso8859_5": "ISO 8859-5",
    "iso8859_7": "ISO 8859-7", "iso8859_15": "Latin-9", "utf-32-le": "UTF-32", "utf-32-be": "UTF-32",
}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)
_ASIAN: Mapping[str, tuple[str, int, int]] = {  # charset and first bytes of its commonest characters
    "euc_jp": ("euc_jp", 0xA4, 0xCF), "cp932": ("euc_jp", 0xA4, 0xCF), "cp949": ("euc_kr", 0xB0, 0xC8),
    "gb18030": ("gb2312", 0xB0, 0xD7), "big5": ("big5", 0xA4, 0xC6),
}
_KANA = re.compile("[\u3041-\u30fa]")
# Letters of languages; what stands after "|" is rarer there.
_WEST = (
    "äöüßéè", "àâæçéèêëîïôœùûüÿ", "áéíñóúüªº", "àçèéíïòóúü", "áâãàçéêíóôõúªº", "àèéìòùî", "åäöæøéüè",
    "ëéïöüèà",
)
_EAST = ("ąćęłńóśźż", "áčďéěíňóřšťúůýžäľĺŕô", "áéíóöőúüű", "ăâîșțşţ", "čćđšž", "äöüß")
_CYRILLIC = ("оеаинтсрвл|кмдбгжзйпуфхцчшщъыьэюяё", "оаиніветрсл|кмдбгґєжзїйпуфхцчшщьюя")
_GREEK = ("αοιετσνηυρπκλ|βγδζθμξςφχψωάέήίόύώϊϋΐΰ",)
_HEBREW = ("יוהלאמרתבשנ|גדזחטךכםןסעףפץצק",)
_ARABIC = ("اليمنوترةبعدسفهكقحأ|جشصخضذثطغظءآؤإئىپچژگیک",)
_THAI = ("านรอกเงมยลวดทสตะปบคหไแโใ\u0e48\u0e49\u0e31\u0e35\u0e34\u0e37\u0e38\u0e39\u0e47\u0e4c\u0e33|"
         + "".join(map(chr, range(0xE01, 0xE4F))),)
_ALPHABETS: Mapping[str, tuple[str, ...]] = {  # of the languages written in an encoding
    "cp1252": _WEST, "latin_1": _WEST, "iso8859_15": _WEST, "cp1250": _EAST, "iso8859_2": _EAST,
    "cp1251": _CYRILLIC, "koi8_r": _CYRILLIC, "iso8859_5": _CYRILLIC, "cp1253": _GREEK, "iso8859_7": _GREEK,
    "cp1254": ("çğıöşüâîûi̇",), "cp1255": _HEBREW, "cp1256": _ARABIC,
    "cp1257": ("ąčęėįšųūž", "āčēģīķļņšūž", "äöüõšž"),
    "mac_roman": _WEST, "cp850": _WEST, "cp866": _CYRILLIC, "cp874": _THAI,
}
_RUNS = {  # most letters beyond ASCII in a row
    encoding: 2 if languages is _WEST else 4
    for encoding, languages in _ALPHABETS.items() if languages[0][0] < "\u0250"
}
_RARE = ("mac_roman", "cp850", "cp866", "cp874")  # in which Asian texts may look like words
_SIGNS = frozenset("¿¡…'’‘‚“”„–—•€£¥§©®™°²³¼½¾µ×«»´\xa0±฿№")  # of all languages
_OTHER_SCRIPT = "[\u0370-\u06ff\u0e00-\u0e7f]"
_FAULT = re.compile(  # a sign inside a word, or letters of two scripts
    rf"(?<=[^\W\d_])[^\x00-\x7f\w'’‘´–—\xa0\xad](?=[^\W\d_])|[a-zA-Z]{_OTHER_SCRIPT}|{_OTHER_SCRIPT}[a-zA-Z]"
)
_RUN = re.compile(r"[^\W\d_a-zA-Z]{3,}")
_NO_THAI = re.compile("(?<![\u0e01-\u0e2e\u0e31-\u0e3a\u0e47-\u0e4e])[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]")
_WIDE_SIGN = re.compile("[\uff00-\uff60、。・ー「」]")  # of all languages that are written wide
_SPOILT = re.compile("[\udc80-\udcff]")  # as the error handler surrogateescape leaves bytes
_ODD = re.compile(rb"[\x02-\x08\x0e-\x1a\x1c\x1d\x7f]")


def sniff_encoding(data: bytes, origin: str) -> str:
    """The encoding of a text, as Python calls it, from its first bytes.

    Raises:
        DataError: it is no text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    if (wide := _utf32(data) or _utf16(data)) is not None:
        return wide
    if len(_ODD.findall(data.rstrip(b"\x1a"))) + data.count(b"\0") / 8 > len(data) / 50:
        raise DataError(
            f"{origin} is no text, and no kind of table that mmrec reads: give a CSV, TSV, Excel, JSON, XML"
            " or Parquet file"
        )
    if data.isascii() or _is_utf8(data):
        return "utf-8"
    return _legacy(data)


def sample(data: bytes, encoding: str) -> str:
    """The text of the first bytes, which may end inside a character."""
    decoder = codecs.getincrementaldecoder(encoding)(errors_of(encoding))
    return decoder.decode(data).removeprefix("\ufeff")


def errors_of(encoding: str) -> str:
    """What is to become of bytes that an encoding does not know: nothing is lost where that can be told."""
    return "replace" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"


def _utf32(data: bytes) -> str | None:
    """UTF-32 without a mark: of four bytes two or three are NULs."""
    zeros = [data[at::4].count(0) for at in range(4)]
    fourth = len(data) // 4
    for encoding, high in (("utf-32-le", (2, 3)), ("utf-32-be", (0, 1))):
        if fourth > 1 and all(zeros[at] >= fourth for at in high) and min(zeros) < fourth:
            return encoding
    return None


def _utf16(data: bytes) -> str | None:
    """UTF-16 without a mark, seen from NULs that stand on one side of the pairs."""
    even, odd = data[0::2].count(0), data[1::2].count(0)
    if even + odd < max(2, len(data) // 50):
        return None
    encoding = "utf-16-le" if odd > 9 * even else "utf-16-be" if even > 9 * odd else None
    if encoding is None or not set("\n\r,;\t{") & set(data.decode(encoding, "replace")):
        return None
    return encoding


def _is_utf8(data: bytes) -> bool:
    """Whether most of what is not ASCII is UTF-8; single bytes may be spoilt."""
    text = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(data)
    spoilt = len(_SPOILT.findall(text))
    return len(text) - len(text.encode("ascii", "ignore")) - spoilt >= spoilt


def _legacy(data: bytes) -> str:
    """The encoding of a text that is not UTF-8: that in which its letters are those of one language."""
    marked = b"\n".join(line for line in re.split(rb"[\r\n]+", data) if not line.isascii())
    shares = {encoding: _common(marked[:65_536], encoding) for encoding in _ASIAN}
    fit = [encoding for encoding, share in shares.items() if share >= 0.5]
    scores = {encoding: _score(marked[:8_192], encoding) for encoding in _ALPHABETS}
    scores["cp1252"] += 0.05
    if b"\n" not in data and b"\r" in data:
        scores["mac_roman"] += 0.2
    best = max(scores, key=lambda encoding: scores[encoding])
    if scores[best] >= (0.8 if max(shares.values()) < 0.9 else 1.1 if best in _RARE else 0.95):
        return best
    if not fit:
        return best if scores[best] > 0.5 else _windows(data)
    from charset_normalizer import from_bytes

    guess = from_bytes(marked[:65_536], cp_isolation=fit).best()
    return max(fit, key=lambda one: shares[one] + 0.2 * (guess is not None and one == guess.encoding))


def _score(data: bytes, encoding: str) -> float:
    """How well a text reads in an encoding: the share of its letters of one language, less its faults."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data)
    except UnicodeDecodeError:
        return -1.0
    letters = [char.lower() for char in text if char > "\x7f" and char not in _SIGNS]
    faults = len(_FAULT.findall(text)) + len(_NO_THAI.findall(text)) + sum(
        one.islower() and two.isupper() and max(one, two) > "\x7f" for one, two in pairwise(text)
    )
    if not letters:
        return 1.0 - faults
    faults += sum(len(run) for run in _RUN.findall(text) if len(run) > _RUNS.get(encoding, len(run)))
    usual = max(sum(weights.get(char, 0.0) for char in letters) for weights in _WEIGHTS[encoding])
    return (usual - faults) / len(letters)


def _weights(encoding: str) -> list[dict[str, float]]:
    """What the letters of each of an encoding's languages weigh, and those of all together."""
    each = []
    for alphabet in _ALPHABETS[encoding]:
        common, _, rare = alphabet.partition("|")
        each.append(dict.fromkeys(rare, 0.6) | dict.fromkeys(common, 1.0))
    return [*each, dict.fromkeys("".join(_ALPHABETS[encoding]) + "ðþý", 0.85)] if len(each) > 3 else each


def _windows(data: bytes) -> str:
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return "latin_1"
    return "cp1252"


_WEIGHTS = {encoding: _weights(encoding) for encoding in _ALPHABETS}


def _common(data: bytes, encoding: str) -> float:
    """Which share of the characters beyond ASCII are common ones of the encoding's language; 0 if none."""
    charset, first, last = _ASIAN[encoding]
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data)
    except UnicodeDecodeError:
        return 0.0
    foreign = [char for char in text if char > "\x7f" and not _WIDE_SIGN.match(char)]
    common = sum(first <= char.encode(charset, "replace")[0] <= last for char in foreign)
    trust = 0.8 if charset == "euc_jp" and not _KANA.search(text) else 1.0  # hardly a text is without kana
    return trust * common / len(foreign) if foreign else 0.0
