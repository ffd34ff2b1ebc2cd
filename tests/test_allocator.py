"""Freed memory is kept: a process that frees and asks again for the same buffers meets no page faults."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from counterfeit.training.allocator import keep_freed_memory

def step():
    held = [torch.ones(1 << 18) for _ in range(24)]  # 1 MiB each, all freed together

if sys.argv[1] == "kept":
    assert keep_freed_memory()
for _ in range(5):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told so")
def test_buffers_of_a_step_are_not_given_back() -> None:
    """20 steps of 24 MiB are 123,000 pages of 4 KiB, or 240 of 2 MiB: without it, and with a glibc that is told to give
    all back, each faults at every step. With it none has to; 6,144, one step's pages, are left for what else grows."""
    faults = {}
    gives_back = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
    for how in ("usual", "kept"):
        command = [sys.executable, "-c", FAULTS, how]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **gives_back})
        faults[how] = int(done.stdout)
    assert faults["kept"] < min(6_144, faults["usual"]), faults
