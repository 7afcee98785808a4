from hypothesis import example, given
from hypothesis import strategies as st

from mmrec.encoders.text import cut

WORDS = st.lists(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=12), max_size=300)
LONG = st.tuples(WORDS, st.integers(1, 60)).map(lambda drawn: drawn[0] * drawn[1])


def words(text: str) -> int:
    return len(text.split())


def test_a_text_that_fits_stays_whole():
    assert cut("red mug", words, 2) == [("red mug", 2)]
    assert cut("", words, 2) == [("", 0)]


@given(WORDS, st.integers(8, 64))
def test_no_window_is_too_long(parts, limit):
    windows = cut(" ".join(parts), words, limit)
    assert all(window.tokens == words(window.text) <= limit for window in windows)


@given(LONG, st.integers(128, 256))
def test_a_word_that_is_short_beside_a_window_is_whole_in_one(parts, limit):
    windows = cut(" ".join(parts), words, limit)
    assert all(window.tokens == words(window.text) <= limit for window in windows)
    seen = {word for window in windows for word in window.text.split()}
    assert seen >= set(parts)


@given(st.lists(st.booleans(), max_size=2_000), st.integers(4, 100))
@example([False] * 1_200, 20)
@example([False] * 1_000 + [True] * 1_000, 30)
def test_no_character_is_lost_or_moved_where_spaces_are_rare(spaced, limit):
    text = "".join(chr(0x4E00 + i) + " " * space for i, space in enumerate(spaced))  # each character once
    windows = cut(text, len, limit)
    assert all(len(window.text) <= limit for window in windows)
    assert all(window.text in text for window in windows)
    seen = dict.fromkeys("".join(window.text for window in windows).replace(" ", ""))
    assert "".join(seen) == text.replace(" ", "")


def test_windows_are_of_like_length():
    lengths = [window.tokens for window in cut("word " * 1001, words, 100)]
    assert len(lengths) < 15
    assert min(lengths) > 0.6 * max(lengths)


def test_a_character_that_never_fits_is_kept_whole():
    assert cut("xx", lambda text: 9 * len(text), 4) == [("x", 9), ("x", 9)]
