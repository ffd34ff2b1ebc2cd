"""The C library's allocator, set to keep what training frees.

A training step frees and asks again for the same tens of megabytes. glibc gives such memory back to the system each
time, and every page of it costs a fault, zeroed, at the next step: thousands a step for convolutions.

The setting is the whole process's, and cannot be taken back: the command line makes it, and the processes that we start
for members of a comparison. A script or notebook that calls us decides for itself.
"""

from __future__ import annotations

import ctypes
import functools
import platform

# malloc.h: above which freed memory at the end of the heap is returned, and from which size on it is never of the heap
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT = 1 << 30  # bytes
LARGEST_MMAP = 1 << 25  # glibc takes no larger threshold


@functools.cache
def keep_freed_memory() -> bool:
    """From now on this process keeps up to 1 GiB that it freed, for its next use; False where libc is not glibc."""
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(M_TRIM_THRESHOLD, KEPT) and libc.mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP))
