import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from mmrec import threads


@pytest.fixture
def environment(monkeypatch) -> dict[str, str]:
    """An empty environment to set, and torch's threads as they were afterwards."""
    environment: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", environment)
    before = torch.get_num_threads()
    yield environment
    torch.set_num_threads(before)


def test_every_library_gets_the_same_number(environment):
    assert threads.set_threads(3) == 3
    assert torch.get_num_threads() == 3
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "LANCE_CPU_THREADS", "LANCE_IO_THREADS"):
        assert environment[name] == "3"
    assert environment["TOKENIZERS_PARALLELISM"] == "false"
    assert environment["OMP_WAIT_POLICY"] == "passive"


def test_the_default_is_the_cores_of_this_process(environment, monkeypatch):
    assert threads.set_threads() == threads.cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    assert threads.cores() == os.cpu_count()


def test_what_the_user_has_set_stays(environment):
    environment.update(OMP_NUM_THREADS="2", LANCE_CPU_THREADS="5", TOKENIZERS_PARALLELISM="true")
    assert threads.set_threads(4) == 2
    assert torch.get_num_threads() == 2
    assert environment["LANCE_CPU_THREADS"] == "5"
    assert environment["TOKENIZERS_PARALLELISM"] == "true"
    assert environment["MKL_NUM_THREADS"] == "4"


def test_lance_can_always_read_while_it_waits(environment):
    threads.set_threads(1)
    assert environment["LANCE_IO_THREADS"] == "2"


class Passing:
    """A turnstile that this thread holds until `open`, and the order in which others went through."""

    def __init__(self) -> None:
        self.turnstile, self.order, self.threads = threads.Turnstile(), [], []
        self.opened = threading.Event()
        self.start("holder", urgent=True)

    def start(self, name: str, *, urgent: bool) -> None:
        """Starts a thread and waits until it is inside (the first) or in the queue."""

        def go() -> None:
            with self.turnstile.turn(urgent=urgent):
                self.order.append(name)
                self.opened.wait()

        queued = len(self.turnstile.waiting)
        self.threads.append(threading.Thread(target=go, daemon=True))
        self.threads[-1].start()
        while not self.order or (len(self.threads) > 1 and len(self.turnstile.waiting) == queued):
            time.sleep(0.001)

    def open(self) -> list[str]:
        """Lets all through; the names in the order of their turns."""
        self.opened.set()
        for thread in self.threads:
            thread.join(60)
        return self.order[1:]


def test_urgent_threads_go_first_and_those_of_a_kind_in_the_order_of_their_arrival():
    passing = Passing()
    for name in ("bulk 1", "query 1", "bulk 2", "query 2"):
        passing.start(name, urgent=name.startswith("query"))
    assert passing.open() == ["query 1", "query 2", "bulk 1", "bulk 2"]


def test_no_thread_is_passed_by_others_for_ever(monkeypatch):
    monkeypatch.setattr(threads.Turnstile, "PATIENCE", 3)
    passing = Passing()
    passing.start("bulk", urgent=False)
    for n in range(5):
        passing.start(f"query {n}", urgent=True)
    assert passing.open() == ["query 0", "query 1", "bulk", "query 2", "query 3", "query 4"]


def test_a_thread_inside_may_enter_again_and_an_error_ends_its_turn():
    turnstile = threads.Turnstile()
    with pytest.raises(ZeroDivisionError), turnstile.turn(urgent=False), turnstile.turn(urgent=True):
        1 / 0  # noqa: B018
    with ThreadPoolExecutor(1) as pool:

        def enter() -> bool:
            with turnstile.turn(urgent=False):
                return True

        assert pool.submit(enter).result(60)
    assert not turnstile.waiting
