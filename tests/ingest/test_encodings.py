"""The encoding of words of many languages, and what is no text at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.sources.encodings import sniff_encoding

WORDS = {
    "cp1252": ["Müsli für Ärzte", "Crème brûlée", "Señor y Niño", "Smørrebrød", "Maçã e limão",
    "5 € – “neu”"],
    "cp1250": ["Červená lampa", "Žlutý hrnek", "Żółty kubek", "Sárga bögre, tűz és őz", "Łóżko dziecięce"],
    "iso8859_2": ["Żółty kubek świąteczny", "Červená lampa, šál"],
    "iso8859_15": ["Schöne Lampe 5 €", "Größe für 7 €"],
    "cp1251": ["Красная лампа", "КРАСНАЯ ЛАМПА", "Чайник электрический", "Жовтий кухоль і чайник"],
    "koi8_r": ["Красная лампа настольная", "Чайник электрический"],
    "cp1253": ["Κόκκινη λάμπα", "Φλιτζάνι μπλε"], "cp1254": ["Kırmızı ışık", "Çay bardağı", "Gümüş kaşık"],
    "cp1255": ["מנורה אדומה", "מנורה לשולחן"], "cp1256": ["مصباح أحمر للمكتب", "كوب أزرق"],
    "cp1257": ["Raudona lempa ąžuolinė šviesa"], "cp874": ["โคมไฟสีแดง ตั้งโต๊ะ", "แก้วน้ำ"],
    "cp850": ["Schöne Lampe für die Tür, Größe"], "mac_roman": ["Größe für Tür", "Crème brûlée"],
    "cp932": ["赤いランプ", "青いマグカップ"], "euc_jp": ["赤いランプ", "机用の照明"],
    "gb18030": ["红色台灯 书桌用", "蓝色杯子"], "big5": ["紅色檯燈 書桌用", "藍色杯子"],
    "cp949": ["빨간 램프", "책상용"],
    "utf-8": ["Größe, 灯, лампа"],
}


@pytest.mark.parametrize("encoding", WORDS)
@settings(max_examples=15)
@given(data=st.data())
def test_no_letter_of_any_language_is_lost(encoding: str, data: st.DataObject) -> None:
    own = WORDS[encoding]
    more = data.draw(st.lists(st.sampled_from([*own, "Lamp 40 W", "plain, ascii"]), max_size=12))
    text = "id;title\n" + "".join(f"{n};{words}\n" for n, words in enumerate([*own, *more]))
    assert text.encode(encoding).decode(sniff_encoding(text.encode(encoding), "x")) == text


@pytest.mark.parametrize("encoding", ["utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"])
def test_wide_texts_need_no_mark(encoding: str) -> None:
    assert sniff_encoding("id,title\n1,Lamp\n2,Mug\n".encode(encoding), "x") == encoding
