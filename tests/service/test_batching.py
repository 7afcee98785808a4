"""What waits goes as one; each sender gets its own answer or error, or the error that all of them met."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from mmrec.service.core import BatchedCalls


class Store:
    """Writes numbers, once it may; answers each with its square."""

    def __init__(self) -> None:
        self.may, self.began, self.writes = threading.Event(), threading.Event(), list[list[int]]()

    def write(self, numbers: Sequence[int]) -> list[int | Exception]:
        self.began.set()
        assert self.may.wait(120)
        self.writes.append(list(numbers))
        if 13 in numbers:
            raise ValueError("thirteen")
        return [n * n if n else KeyError("nothing") for n in numbers]


@pytest.fixture
def store() -> Store:
    return Store()


def gathered(store: Store, numbers: Sequence[int], act) -> list[object]:
    """What the first number and, once its write has begun, the others are answered."""

    async def ask() -> list[object]:
        with ThreadPoolExecutor(1) as writer:
            calls = BatchedCalls(store.write, writer)
            asks = [asyncio.create_task(calls.call(numbers[0]))]
            await asyncio.to_thread(store.began.wait, 120)
            asks += [asyncio.create_task(calls.call(n)) for n in numbers[1:]]
            await asyncio.sleep(0)
            act(asks)
            store.may.set()
            return await asyncio.gather(*asks, return_exceptions=True)

    return asyncio.run(ask())


def test_what_waits_goes_into_one_write_in_its_order(store):
    assert gathered(store, [2, 3, 4, 5], lambda _: None) == [4, 9, 16, 25]
    assert store.writes == [[2], [3, 4, 5]]


def test_an_error_is_told_to_all_it_met_and_to_no_other(store):
    first, *others = gathered(store, [2, 13, 4], lambda _: None)
    assert first == 4
    assert [str(error) for error in others] == ["thirteen", "thirteen"]


def test_an_answer_that_is_an_error_is_raised_to_the_one_who_asked(store):
    first, nothing, last = gathered(store, [2, 0, 4], lambda _: None)
    assert (first, last) == (4, 16)
    assert isinstance(nothing, KeyError)


def test_what_comes_once_nothing_waits_is_done_too(store):
    store.may.set()

    async def ask() -> list[int]:
        with ThreadPoolExecutor(2) as writers:
            calls = BatchedCalls(store.write, writers)
            return [await calls.call(n) for n in (1, 2, 3)]

    assert asyncio.run(ask()) == [1, 4, 9]
    assert store.writes == [[1], [2], [3]]


def test_those_of_several_loops_are_answered_each_in_their_own(store):
    with ThreadPoolExecutor(1) as writer, ThreadPoolExecutor(3) as loops:
        calls = BatchedCalls(store.write, writer)
        asked = [loops.submit(lambda n=n: asyncio.run(calls.call(n))) for n in (1, 2, 3)]
        store.may.set()
        assert [one.result(120) for one in asked] == [1, 4, 9]


def test_one_who_has_gone_does_not_hold_up_the_others(store):
    answers = gathered(store, [2, 3, 4], lambda asks: asks[1].cancel())
    assert answers[0] == 4
    assert isinstance(answers[1], asyncio.CancelledError)
    assert answers[2] == 16
    assert store.writes == [[2], [3, 4]]  # what was taken on is written
