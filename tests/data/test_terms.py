"""The terms of a text, in any script and language."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.config import LANGUAGES
from mmrec.data.terms import LONGEST, NUMBER, language_of, number_asked, number_in, terms_of


@pytest.mark.parametrize(("text", "terms"), [
    ("The mugs, and a MUG", ["mug", "mug"]), ("Rødgrød café ÆON", ["rodgrod", "cafe", "aeon"]),
    ("L'Oréal", ["l", "oreal"]), ("running runs", ["run", "run"]), ((LONGEST + 1) * "x", []), ("", []),
    (" \0 ", []), ("3.5oz", ["3", "5oz", "#35oz"]), ("NOR.0707-60", ["nor", "0707", "60", "#nor070760"]),
    ("赤い椅子", ["赤", "椅", "子", "赤い", "い椅", "椅子"]), ("マグ 日", ["日", "マグ"]),
    ("ｶﾞﾗｽ ＵＳＢ", ["usb", "ガラ", "ラス"]),  # half and full width
    ("สีแดง", ["สี", "ีแ", "แด", "ดง"]), ("الأحمر أحمر", ["احمر", "احمر"]),
    ("красная красный", ["красн", "красн"]),
    ("हिंदी", ["हिंदी"]), ("κόκκινο", ["κοκκιν"]),
])
def test_words_by_their_script(text, terms):
    found = terms_of(text)
    assert sorted(found) == sorted(terms)


@pytest.mark.parametrize(("language", "text", "terms"), [
    ("german", "Gläser und das Glas", ["glas", "glas"]), ("french", "les robes rouges", ["rob", "roug"]),
    ("spanish", "vestidos de algodón", ["vest", "algodon"]),
    ("turkish", "kırmızı elbise", ["kirmiz", "elbis"]),
])
def test_endings_and_stop_words_are_those_of_the_language(language, text, terms):
    assert terms_of(text, language) == terms


@given(text=st.text(max_size=40), language=st.sampled_from(sorted(LANGUAGES.values())))
def test_any_text_has_the_terms_of_its_other_forms(text, language):
    terms = terms_of(text, language)
    assert all(term.strip() and not term[0].isspace() and "\n" not in term for term in terms)
    for form in ("NFC", "NFD", "NFKC"):
        assert terms_of(unicodedata.normalize(form, text), language) == terms
    assert terms_of(f" {text}\n", language) == terms


@given(st.from_regex(r"[A-Z]{1,4}[-./_]?[0-9]{2,6}([-./_][0-9A-Z]{1,4})?", fullmatch=True))
def test_a_product_number_is_one_term_however_it_is_written(number):
    (whole,) = {term for term in terms_of(f"the mug {number} here") if term.startswith(NUMBER)}
    bare = whole.removeprefix(NUMBER)
    assert number_asked(number) == number_asked(f" {number.lower()} ") == number_in(number.lower()) == bare


@pytest.mark.parametrize(("words", "number"), [
    ("4 006381 333931", "4006381333931"), ("red mug", None), ("mug 16", None), ("mug", None), ("16", None),
    ("T-710", "t710"), ("", None), ("1" * 41, None),
])
def test_a_query_is_a_product_number_or_not(words, number):
    assert number_asked(words) == number


@pytest.mark.parametrize(("text", "language"), [
    ("Oak shelf, red mug and a blue lamp", "english"), ("Kinderkleider aus Baumwolle", "german"),
    ("Robe rouge en coton pour femme", "french"), ("Vestido rojo de algodón para mujer", "spanish"),
    ("Röd klänning av bomull för barn", "swedish"), ("赤いワンピース", "english"), ("", "english"),
    ("Lamp", "english"), ("Red cup", "english"), ("Linen towel", "english"),
    ("Good kettle\nOdd kettle", "english"),
    ("Wolldecke\nLeinentuch\nBecher", "german"), ("Sedia di legno", "italian"),
])
def test_the_language_is_told_by_the_texts(text, language):
    assert language_of([text, "1234", "赤い"]) == language
