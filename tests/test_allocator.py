"""Freed memory is kept: a process that frees and asks again for the same buffers meets no page faults.

In processes of ours alone: a script that calls us keeps its allocator's settings.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest

from counterfeit.cli import dispatch
from counterfeit.comparison import member
from counterfeit.comparison.engines import cluster

FAULTS = """
import resource, sys, torch
from counterfeit.system.allocator import keep_freed_memory

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


HOST = """
import sys, numpy as np, counterfeit as cf
from counterfeit.system.allocator import keep_freed_memory

small = dict(epochs=1, batch_size=10, latent=2, encoder_width=8, decoder_width=8, quiet=True)
cf.train("vae", np.zeros((20, 8, 8), np.uint8), out=sys.argv[1], **small)
assert not keep_freed_memory.cache_info().currsize
"""


def test_a_script_that_trains_keeps_its_allocator(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", HOST, str(tmp_path / "run")], check=True)


class Reached(Exception):
    """The allocator is about to be set."""


GRID = 'models = ["vae"]\ndata = ["mnist5k"]\n'
PROCESSES: dict[str, tuple[object, Callable[[], object]]] = {
    **{f"the command {verb}": (dispatch, partial(dispatch.main, [verb])) for verb in dispatch.VERBS},
    "one of several workers": (member, member.main),
    "a task on a cluster": (cluster, lambda: cluster._work(b"", b"", "")),
}


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_of_ours_sets_its_allocator_before_it_works(
    process: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reached() -> NoReturn:
        raise Reached

    module, start = PROCESSES[process]
    monkeypatch.chdir(tmp_path)
    Path("grid.toml").write_text(GRID)
    monkeypatch.setattr(module, "keep_freed_memory", reached)
    monkeypatch.setattr("counterfeit.system.signals.obey", lambda quiet: None)
    with pytest.raises(Reached):
        start()
    assert [path.name for path in tmp_path.iterdir()] == ["grid.toml"]
