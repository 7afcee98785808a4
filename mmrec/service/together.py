"""Writes that come while another is under way, done as one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")


class Together(Generic[A, B]):
    """Gathers requests for one kind of write.

    A write of one row takes the store as long as one of a thousand, since most of it is a new version of the
    table and its way to the disk: whatever waits when the writer is free goes into one.

    Args:
        write: many at once; gives an answer for each.
        writer: runs one write at a time.
    """

    def __init__(self, write: Callable[[Sequence[A]], Sequence[B]], writer: Executor) -> None:
        self._write, self._writer = write, writer
        self._lock = threading.Lock()
        self._waiting: list[tuple[A, asyncio.Future[B]]] = []

    async def ask(self, one: A) -> B:
        """The answer to one request, once it is written.

        Raises:
            Whatever the write raised, to each whom it served.
        """
        future = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waiting.append((one, future))
        self._writer.submit(self._work)
        answer: B = await future
        return answer

    def _work(self) -> None:
        with self._lock:
            taken, self._waiting = self._waiting, []
        if not taken:  # those before took this one along
            return
        try:
            answers = self._write([one for one, _ in taken])
        except Exception as error:
            settle = [partial(future.set_exception, error) for _, future in taken]
        else:
            settle = [partial(f.set_result, answer) for (_, f), answer in zip(taken, answers, strict=True)]
        for (_, future), act in zip(taken, settle, strict=True):
            future.get_loop().call_soon_threadsafe(_settled, future, act)


def _settled(future: asyncio.Future[B], act: Callable[[], None]) -> None:
    if not future.done():  # else the request has run out of time
        act()
