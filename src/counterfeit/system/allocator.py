"""Configure the C library's allocator to keep the memory that training and scoring free.

A training step frees tens of megabytes and allocates them again in the next step, and so does the next block of
distances. By default, glibc returns such memory to the system every time. Each of its pages then costs a page fault,
and has to be zeroed, in the next step: thousands of faults per step for convolutions.

The setting affects the whole process and cannot be undone. It is made by the command line, and in the processes that we
start for members of a comparison. A script or notebook that imports us decides for itself.
"""

from __future__ import annotations

import ctypes
import functools
import platform

# Parameters of mallopt (malloc.h): free memory at the end of the heap above which it is returned to the system, and the
# size of an allocation from which on it never comes from the heap.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT = 1 << 30  # bytes
LARGEST_MMAP = 1 << 25  # the largest threshold that glibc accepts


@functools.cache
def keep_freed_memory() -> bool:
    """Let this process keep up to 1 GiB of freed memory for reuse; return False if libc is not glibc."""
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(M_TRIM_THRESHOLD, KEPT) and libc.mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP))
