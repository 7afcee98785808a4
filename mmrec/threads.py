"""Threads: one number of them for every library that starts some, and who goes first where one may pass."""

from __future__ import annotations

import itertools
import os
import sys
import threading
from bisect import insort
from collections.abc import Iterator
from contextlib import contextmanager

# What each library reads as it loads; LanceDB's io threads mostly wait, and two are their least.
_COMPUTE = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "LANCE_CPU_THREADS",
)


def set_threads(n: int | None = None) -> int:
    """Gives torch, the BLAS libraries, the tokenizers and LanceDB n threads each; call it before they load.

    None takes the cores that this process may use. A variable that the user has set in the environment stays,
    and `OMP_NUM_THREADS` also decides for torch. Returns the number of threads that torch uses.
    """
    n = n or cores()
    for name in _COMPUTE:
        os.environ.setdefault(name, str(n))
    os.environ.setdefault("LANCE_IO_THREADS", str(max(2, n)))
    # Threads of OpenMP that spin while they wait for another one keep it from the core that it needs, when
    # other processes are busy or when the search of a text follows the encoding of its words.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # One text at a time goes through them here, and their pool would not survive a fork.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    compute = os.environ["OMP_NUM_THREADS"]
    n = int(compute) if compute.isdecimal() and int(compute) else n
    if "torch" in sys.modules:  # too late for the environment
        sys.modules["torch"].set_num_threads(n)
    return n


def cores() -> int:
    """Cores that this process may use, which a container or `taskset` can make fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Turnstile:
    """Lets one thread through at a time, urgent ones first, those of a kind in the order of their arrival.

    A thread that is inside may enter again. One that is not urgent waits for no more than `PATIENCE` others
    that came after it, so that none waits for ever.
    """

    PATIENCE = 32

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._arrivals = itertools.count()
        self.waiting: list[tuple[int, int]] = []  # rank and arrival of each thread; the least goes first
        self._inside: int | None = None  # identifier of the thread

    @contextmanager
    def turn(self, *, urgent: bool) -> Iterator[None]:
        """One turn; it ends with the block, however that ends."""
        me = threading.get_ident()
        if self._inside == me:
            yield
            return
        with self._changed:
            arrival = next(self._arrivals)
            ticket = (arrival if urgent else arrival + self.PATIENCE, arrival)
            insort(self.waiting, ticket)
            try:
                self._changed.wait_for(lambda: self._inside is None and self.waiting[0] == ticket)
                self._inside = me
            finally:  # also where the wait was interrupted
                self.waiting.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._inside = None
                self._changed.notify_all()
