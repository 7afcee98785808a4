"""Memory of the service: what a thread has freed is the system's again."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

CODE = textwrap.dedent("""
    import sys, threading
    import numpy as np, psutil
    from mmrec.cli_services import release_freed_memory
    if sys.argv[1] == "give back" and not release_freed_memory():
        print("none")
        sys.exit()

    def work():  # larger blocks first, which raise glibc's own threshold
        for size in range(30, 2, -3):
            blocks = [np.ones(size * 2**17) for _ in range(3)]
            pins.append(np.ones(100))  # what lies above keeps the heap from shrinking
            blocks.clear()

    pins = []
    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print(psutil.Process().memory_info().rss // 2**20)
""")


def held(how: str) -> str:
    """Megabytes of a process whose threads have freed all they had."""
    return subprocess.run(
        [sys.executable, "-c", CODE, how], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_what_threads_have_freed_is_given_back():
    given_back = held("give back")
    if given_back == "none":
        pytest.skip("mallopt is of glibc")
    assert int(given_back) < int(held("keep"))
