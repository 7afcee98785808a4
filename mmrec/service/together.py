"""Requests of one kind that come while others are under way, done as one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")


class Together(Generic[A, B]):
    """Gathers requests for one kind of work.

    A write of one row takes the store as long as one of a thousand, since most of it is a new version of the
    table and its way to the disk; many recommendations share the reading of all vectors. Whatever waits when
    a thread is free is one piece of work.

    Args:
        work: does many at once; gives an answer for each, or an error for one of them.
        pool: whose threads do it.
    """

    def __init__(self, work: Callable[[Sequence[A]], Sequence[B | Exception]], pool: Executor) -> None:
        self._do, self._pool = work, pool
        self._lock = threading.Lock()
        self._waiting: list[tuple[A, asyncio.Future[B]]] = []

    async def ask(self, one: A) -> B:
        """The answer to one request.

        Raises:
            The error that is its answer, or what the work raised, to each whom it served.
        """
        future = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waiting.append((one, future))
            called = len(self._waiting) > 1
        if not called:  # else the work that those before have called for takes this one along
            self._pool.submit(self._work)
        answer: B = await future
        return answer

    def _work(self) -> None:
        with self._lock:
            taken, self._waiting = self._waiting, []
        answers: Sequence[B | Exception]
        try:
            answers = self._do([one for one, _ in taken])
        except Exception as error:
            answers = [error] * len(taken)
        settled = [(future, answer) for (_, future), answer in zip(taken, answers, strict=True)]
        for loop in {future.get_loop() for future, _ in settled}:  # one, unless several serve this app
            loop.call_soon_threadsafe(_settle, [pair for pair in settled if pair[0].get_loop() is loop])


def _settle(settled: Sequence[tuple[asyncio.Future[B], B | Exception]]) -> None:
    for future, answer in settled:
        if future.done():  # the request has run out of time
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
