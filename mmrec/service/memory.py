"""Memory that a long-running service has done with goes back to the system, where glibc would keep it."""

from __future__ import annotations

import ctypes
import platform

ARENAS = 2  # heaps that threads share; glibc makes up to eight for each core
LARGE = 2**20  # bytes from which a block is mapped by itself, and unmapped when it is freed
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # of mallopt, in malloc.h


def give_back() -> bool:
    """Has large blocks unmapped when they are freed, and few heaps made; says whether the system took it.

    Every write makes new vectors in place of the old, tens of megabytes each. glibc by itself raises its
    threshold to the largest block that was freed, and keeps those below it in the heap of whichever thread
    came by: a service under writes then holds far more than it needs.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    set_option = ctypes.CDLL(None).mallopt
    return bool(set_option(_MMAP_THRESHOLD, LARGE) and set_option(_ARENA_MAX, ARENAS))
