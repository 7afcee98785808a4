import os

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
    assert int(environment["GOMP_SPINCOUNT"]) < 300_000  # what OpenMP does by itself


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
