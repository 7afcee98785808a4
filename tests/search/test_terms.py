"""The terms of a text: as LanceDB's full-text index takes it apart."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.search.text import LONGEST, STOP_WORDS, terms_of
from mmrec.store.files import LocalFiles
from mmrec.store.tables import KeyedTable

# Letters that languages are written in, with signs and digits. Of rarer ones, such as mathematical letters,
# and of the two left out, the library here and the one in LanceDB fold different accents away.
ALPHABET = (
    st.characters(max_codepoint=0x17F, exclude_categories=["Cs"], exclude_characters="ªĸ")
    | st.characters(min_codepoint=0x391, max_codepoint=0x3C9, categories=["L"])
    | st.characters(min_codepoint=0x410, max_codepoint=0x44F) | st.sampled_from("日本語赤いمصباحไทย")
)
SCHEMA = pa.schema([pa.field("key", pa.string(), nullable=False), pa.field("words", pa.string())])


@pytest.mark.parametrize(("text", "terms"), [
    ("The mugs, and a MUG", {"mug": 2}), ("Rødgrød café ÆON", {"rodgrod": 1, "cafe": 1, "aeon": 1}),
    ("3.5oz L'Oréal", {"3": 1, "5oz": 1, "l": 1, "oreal": 1}), ("running runs", {"run": 2}),
    ("日本 日本語", {"日本": 1, "日本語": 1}), ((LONGEST + 1) * "x", {}), ("", {}), (" \0 ", {}),
])
def test_words_in_small_letters_without_endings_accents_and_stop_words(text, terms):
    assert terms_of(text) == terms


def test_no_stop_word_is_a_term():
    assert terms_of(" ".join(STOP_WORDS)) == {}


@settings(max_examples=60)
@given(texts=st.lists(st.text(ALPHABET, max_size=30), min_size=1, max_size=6))
def test_the_index_on_the_disk_finds_a_text_by_each_of_its_terms_and_by_nothing_else(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("rows")
    table = KeyedTable(LocalFiles(folder), "rows", SCHEMA)
    table.upsert(pa.table([[str(n) for n in range(len(texts))], texts], schema=SCHEMA))
    table.index_text("words")
    for words in texts:
        having = {str(n) for n, text in enumerate(texts) if terms_of(text) & terms_of(words)}
        assert {key for key, _ in table.match(words, "words", 10)} == having
