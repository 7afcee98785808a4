"""The encoding of a text file, found from its bytes."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping

from mmrec.errors import DataError

NAMES: Mapping[str, str] = {
    "cp1252": "Windows-1252", "latin_1": "Latin-1", "cp932": "Shift-JIS", "gb18030": "GB18030",
    "big5": "Big5", "euc_jp": "EUC-JP", "cp949": "EUC-KR", "cp1251": "Windows-1251", "cp1250": "Windows-1250",
    "cp1253": "Windows-1253", "cp1254": "Windows-1254", "mac_roman": "Mac Roman", "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16", "utf-16": "UTF-16", "utf-32": "UTF-32", "koi8_r": "KOI8-R",
    "cp1255": "Windows-1255", "cp1256": "Windows-1256", "cp850": "DOS (cp850)",
}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)
_ASIAN: Mapping[str, tuple[str, int, int]] = {  # charset and first bytes of its commonest characters
    "cp932": ("euc_jp", 0xA4, 0xCF), "euc_jp": ("euc_jp", 0xA4, 0xCF), "gb18030": ("gb2312", 0xB0, 0xD7),
    "big5": ("big5", 0xA4, 0xC6), "cp949": ("euc_kr", 0xB0, 0xC8),
}
_OTHERS = ["cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r", "cp850"]
_WESTERN = frozenset(
    "äöüÄÖÜßéèêëàâáíìîïóòôúùûñçÇÉÈÀÁÓÚÍÑôœŒøåÅØæÆãõÃÕ¿¡…'’‘‚“”„–—•€£¥§©®™°²³¼½¾µ×«»´\xa0ªº±"
)
_INSIDE_A_WORD = re.compile(r"[a-z][^\w\s'’‘´–—][a-z]")
_RUN = re.compile(r"[^\W\d_a-zA-Z]{3}")
_WIDE_SIGN = re.compile("[\uff00-\uff60、。・ー「」]")  # of all languages that are written wide
_ODD = re.compile(rb"[\x02-\x08\x0e-\x1a\x1c\x1d\x7f]")


def sniff_encoding(data: bytes, origin: str) -> str:
    """The encoding of a text, as Python calls it, from its first bytes.

    Raises:
        DataError: it is no text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    if (wide := _utf16(data)) is not None:
        return wide
    if len(_ODD.findall(data)) + data.count(b"\0") / 8 > len(data) / 50:
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
    spoilt = sum("\udc80" <= char <= "\udcff" for char in text)
    sound = sum(char > "\x7f" for char in text) - spoilt
    return sound >= spoilt


def _legacy(data: bytes) -> str:
    """The encoding of a text that is not UTF-8: Western if it reads well so, else by its language."""
    from charset_normalizer import from_bytes

    marked = b"\n".join(line for line in re.split(rb"[\r\n]+", data) if not line.isascii())[:65_536]
    lone_cr = b"\n" not in data and b"\r" in data
    for encoding in ("mac_roman", "cp1252", "latin_1") if lone_cr else ("cp1252", "latin_1"):
        if _reads_western(marked, encoding):
            return encoding
    fit = [encoding for encoding in _ASIAN if _common(marked, encoding) >= 0.5]
    best = from_bytes(marked, cp_isolation=[*fit, *_OTHERS, "cp1252"]).best()
    if best is None:
        return max(fit, key=lambda encoding: _common(marked, encoding), default=_windows(data))
    if best.encoding in _ASIAN:
        return max(fit, key=lambda one: (_common(marked, one) + 0.2 * (one == best.encoding)))
    return _windows(data) if best.encoding == "cp1252" else best.encoding


def _windows(data: bytes) -> str:
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return "latin_1"
    return "cp1252"


def _reads_western(data: bytes, encoding: str) -> bool:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return False
    strange = sum(char > "\x7f" and char not in _WESTERN for char in text)
    foreign = sum(char > "\x7f" for char in text)
    return 20 * strange <= foreign and not _RUN.search(text) and not _INSIDE_A_WORD.search(text)


def _common(data: bytes, encoding: str) -> float:
    """Which share of the characters beyond ASCII are common ones of the encoding's language; 0 if none."""
    charset, first, last = _ASIAN[encoding]
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data)
    except UnicodeDecodeError:
        return 0.0
    foreign = [char for char in text if char > "\x7f" and not _WIDE_SIGN.match(char)]
    common = sum(first <= char.encode(charset, "replace")[0] <= last for char in foreign)
    return common / len(foreign) if foreign else 0.0
