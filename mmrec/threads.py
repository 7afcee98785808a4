"""One number of threads for every library that starts some, so that none crowds out another."""

from __future__ import annotations

import os
import sys

# What each library reads as it loads; LanceDB's io threads mostly wait, and two are their least.
_COMPUTE = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "LANCE_CPU_THREADS",
)


def set_threads(n: int | None = None) -> int:
    """Gives torch, the BLAS libraries, the tokenizers and LanceDB n threads each; call it before they load.

    A variable that the user has set in the environment stays, and `OMP_NUM_THREADS` also decides for torch.

    Args:
        n: threads; None takes the cores that this process may use.

    Returns:
        The number of threads that torch uses.
    """
    n = n or cores()
    for name in _COMPUTE:
        os.environ.setdefault(name, str(n))
    os.environ.setdefault("LANCE_IO_THREADS", str(max(2, n)))
    # Threads of OpenMP that wait for their next product spin, for milliseconds, on cores that others need,
    # such as the search of a text behind the encoding of its words.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
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
