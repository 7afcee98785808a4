"""The one way of a batch through an encoder: batches, pooling, failures, order, decoding ahead, threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.encoders.base import FEW, TURN, Encoder, Fingerprint, ToyImage, ToyText, unit
from mmrec.errors import DataError, EncodeError

COMPASS = {"n": (0, 1), "s": (0, -1), "e": (1, 0), "w": (-1, 0)}


class Compass(Encoder):
    """Letters as directions in the plane; a word has one piece a letter, `?` cannot be prepared."""

    batch_size = 4

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint(
            model="compass", modality="text", dim=2, revision="1", preprocessing="none", sha256="0" * 64
        )

    def pieces(self, value: str) -> list[str]:
        if "?" in value:
            raise DataError("where to?", field="text")
        return list(value)

    def forward(self, pieces: Sequence[str]) -> np.ndarray:
        self.batches.append(list(pieces))
        return np.array([COMPASS[p] for p in pieces], np.float32) * 7


class Lengths(Compass):
    """Whole texts, whose cost is their length."""

    batch_size = 2

    def pieces(self, value: str) -> list[str]:
        return [value]

    def size(self, piece: str) -> int:
        return len(piece)

    def forward(self, pieces: Sequence[str]) -> np.ndarray:
        self.batches.append(list(pieces))
        return np.array([[len(p), 1] for p in pieces], np.float32)


class Decoding(Compass):
    """Prepares inputs ahead in threads, and counts how many are ready or in hand but not encoded yet."""

    decodes = True

    def __init__(self) -> None:
        super().__init__()
        self.lock, self.open, self.most = threading.Lock(), 0, 0
        self.preparing_while_encoding = threading.Event()
        self.encoding = False

    def pieces(self, value: str) -> list[str]:
        with self.lock:
            self.open += 1
            self.most = max(self.most, self.open)
            if self.encoding:
                self.preparing_while_encoding.set()
        return super().pieces(value)

    def forward(self, pieces: Sequence[str]) -> np.ndarray:
        self.encoding = True
        self.preparing_while_encoding.wait(0.02)
        self.encoding = False
        with self.lock:
            self.open -= len(pieces)
        return super().forward(pieces)


class Faulty(Compass):
    """Returns whatever it was given."""

    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result

    def forward(self, pieces: Sequence[str]) -> np.ndarray:
        return self.result


@pytest.mark.parametrize("kind", [Compass, Decoding])
def test_several_inputs_and_several_pieces_are_pooled_by_the_mean_of_their_units(kind):
    vectors = kind().embed([["n"], ["ne"], ["n", "e"], ["nne"], []])
    half, third = np.sqrt(1 / 2), np.array([1, 2]) / np.sqrt(5)
    np.testing.assert_allclose(vectors, [[0, 1], [half, half], [half, half], third, [0, 0]], atol=1e-6)
    assert vectors.dtype == np.float32


@pytest.mark.parametrize("kind", [Compass, Decoding])
def test_inputs_that_cancel_out_give_zeros_rather_than_nan(kind):
    assert not kind().embed([["ns"], ["e", "w"]]).any()


@pytest.mark.parametrize("kind", [Compass, Decoding])
def test_batches_are_full_but_for_the_last(kind):
    encoder = kind()
    encoder.embed([["nesw"], ["ne"], ["s"], ["nnn"]])
    assert [len(batch) for batch in encoder.batches] == [4, 4, 2]


def test_pieces_of_like_size_share_a_batch():
    encoder = Lengths()
    encoder.embed([["a" * n] for n in (9, 1, 8, 2, 5)])
    assert [[len(p) for p in batch] for batch in encoder.batches] == [[1, 2], [5, 8], [9]]


@given(st.lists(st.text("nesw", max_size=5), max_size=20))
def test_the_order_is_kept_and_no_value_knows_of_another(words):
    vectors = Lengths().embed([[word] for word in words])
    expected = unit(np.array([[len(w), 1] for w in words], np.float32).reshape(len(words), 2))
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


@pytest.mark.parametrize("kind", [Compass, Decoding])
def test_a_value_that_cannot_be_prepared_fails_by_its_position(kind):
    vectors, failures = kind().embed_or_reject([["n"], ["?"], ["e"], ["n", "?"], ["w"]])
    assert failures.keys() == {1, 3}
    assert all(isinstance(error, DataError) for error in failures.values())
    np.testing.assert_array_equal(vectors, [[0, 1], [0, 0], [1, 0], [0, 0], [-1, 0]])


def test_embed_raises_what_embed_or_reject_returns():
    with pytest.raises(DataError, match="where to"):
        Compass().embed([["n"], ["?"]])


@pytest.mark.parametrize("kind", [Compass, Decoding])
def test_a_bug_in_pieces_is_not_taken_for_a_bad_input(kind):
    with pytest.raises(TypeError):
        kind().embed([["n"], [None]])


@pytest.mark.parametrize("result", [
    np.zeros((2, 3)), np.zeros((1, 2)), np.zeros(2), np.full((2, 2), np.nan), np.array([[1, 2], [np.inf, 0]]),
], ids=["wide", "short", "flat", "nan", "inf"])
def test_a_model_that_returns_nonsense_is_an_error_that_names_it(result):
    with pytest.raises(EncodeError, match="compass returned shape"):
        Faulty(result).embed([["n"], ["e"]])


def test_inputs_are_prepared_while_others_are_encoded():
    encoder = Decoding()
    encoder.embed([["n"]] * 40)
    assert encoder.preparing_while_encoding.is_set()


def test_few_inputs_are_prepared_ahead():
    encoder = Decoding()
    encoder.embed([["n"]] * 500)
    assert encoder.most <= 3 * encoder.batch_size + encoder.batch_size + 3  # waiting, in the batch, in hand


class DecodingFaulty(Decoding):
    def forward(self, pieces: Sequence[str]) -> np.ndarray:
        return np.zeros((1, 1))


def test_no_thread_is_left_behind():
    before = threading.active_count()
    Decoding().embed([["n"]] * 40)
    with pytest.raises(EncodeError):
        DecodingFaulty().embed([["n"]] * 40)
    assert threading.active_count() == before


@pytest.mark.parametrize("make", [ToyText, Decoding], ids=["text", "decoded"])
def test_several_threads_get_right_answers(make):
    encoder = make()
    words = [["nesw"[i % 4] + "n" * (i % 3)] for i in range(60)]
    expected = make().embed(words)
    with ThreadPoolExecutor(8) as pool:
        shifts = [*range(0, 60, 3)] * 2
        answers = pool.map(lambda shift: encoder.embed(words[shift:] + words[:shift]), shifts)
        for shift, answer in zip(shifts, answers, strict=True):
            np.testing.assert_allclose(answer, np.roll(expected, -shift, axis=0), atol=1e-6)


class Interrupted(Compass):
    """In its second batch, has another thread embed a query, and goes on once that waits for its turn."""

    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self.log, self.pool, self.asked = log, ThreadPoolExecutor(1), None

    def forward(self, pieces: Sequence[str]) -> np.ndarray:
        self.log.append("bulk")
        if len(self.log) == 2:
            self.asked = self.pool.submit(Logged(self.log).embed, [["n"]])
            while not (TURN.waiting or self.asked.done()):
                time.sleep(0.001)
        return super().forward(pieces)


class Logged(Compass):
    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self.log = log

    def forward(self, pieces: Sequence[str]) -> np.ndarray:
        self.log.append("query")
        return super().forward(pieces)


def test_a_query_waits_for_no_more_than_the_batch_that_is_in_hand():
    log: list[str] = []
    encoder = Interrupted(log)
    encoder.embed([["n"]] * 40)
    assert log == ["bulk", "bulk", "query", *["bulk"] * 8]
    assert encoder.asked.result(60).tolist() == [[0, 1]]
    encoder.pool.shutdown()


def test_inputs_are_prepared_while_another_encoder_has_its_turn():
    encoder, others = Decoding(), 2 * FEW
    with ThreadPoolExecutor(1) as pool:
        with TURN.turn(urgent=False):
            done = pool.submit(encoder.embed, [["n"]] * others)
            while encoder.most < encoder.batch_size:
                time.sleep(0.001)
            assert not encoder.batches
        assert done.result(60).shape == (others, 2)


def test_one_picture_is_prepared_without_starting_threads():
    class Here(Decoding):
        def pieces(self, value: str) -> list[str]:
            assert threading.current_thread() is threading.main_thread()
            return super().pieces(value)

    assert Here().embed([["ne"]]).shape == (1, 2)


class Asking(Compass):
    """A model that uses another one."""

    def forward(self, pieces: Sequence[str]) -> np.ndarray:
        return Compass().embed([[piece] for piece in pieces])


def test_an_encoder_may_use_another():
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(Asking().embed, [["n"]] * 20).result(60).shape == (20, 2)


def test_an_error_ends_the_turn():
    with pytest.raises(EncodeError):
        Faulty(np.zeros((1, 1))).embed([["n"]] * 20)
    with pytest.raises(TypeError):
        Faulty({}).embed([["n"]])
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(Compass().embed, [["n"]]).result(60).shape == (1, 2)


def test_unit_brings_rows_to_norm_1_and_leaves_zeros():
    np.testing.assert_allclose(unit(np.array([[3, 4], [0, 0]], np.float32)), [[0.6, 0.8], [0, 0]])


def test_a_fingerprint_is_a_value():
    one = Compass().fingerprint
    assert one == Fingerprint(**one.as_dict())
    assert one != replace(one, sha256="1" * 64)
    assert Compass().dim == 2
    assert Compass().words is None


def test_the_toys_count_inputs_and_put_like_near_like(pictures):
    text, image = ToyText(), ToyImage()
    mug, cup, chair = text.embed([["red mug"], ["a red cup"], ["blue chair"]])
    assert mug @ cup > mug @ chair
    red, blue, _, _, white = image.embed([[picture] for picture in pictures])
    assert red @ red > red @ white
    assert red @ red > red @ blue
    assert (text.calls, image.calls) == (3, 5)
