"""Where commands are tried: a home with a run, images and things of somebody's, and what a command did to it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import signal
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

import counterfeit as cf
from counterfeit.cli.dispatch import main

DEADLINE = 60  # seconds: everything here is a matter of one or two, on a busy machine of ten
CODES = (0, 1, 2, 130)
SIDE = 16

TALLY: Counter[str] = Counter()
"""Cases by kind, and what went wrong by its name: printed at the end of the session."""


class Hang(BaseException):
    """Raised in a command that does not come back."""


@dataclass
class Attempt:
    """What a command did.

    Attributes:
        words: of the command line.
        code: the exit code; -1 for none, after an exception.
        trace: of the exception that it ended with, or "".
        made: files that are there now and were not.
        gone: files that were there and are not, or have another content.
    """

    words: Sequence[str]
    code: int = -1
    out: str = ""
    err: str = ""
    trace: str = ""
    hung: bool = False
    made: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    def faults(self, may_change: Sequence[str] = ()) -> list[str]:
        """What is wrong with it: traceback, hang, loss, litter, silence. `may_change` are what it was told to write."""
        found = []
        if self.hung:
            found.append("hang")
        if self.trace or "Traceback (most recent call last)" in self.err or self.code not in CODES:
            found.append("traceback")
        if any(not _below(path, may_change) for path in self.gone):
            found.append("loss")
        hidden = [p for p in self.made if any(part.startswith(".") and part != ".lock" for part in Path(p).parts)]
        if hidden or (self.code == 2 and any(not _below(path, may_change) for path in self.made)):
            found.append("litter")
        if self.code == 2 and not self.err.strip().splitlines()[-1:]:
            found.append("silence")
        return found

    def __str__(self) -> str:
        text = (
            f"counterfeit {' '.join(map(repr, self.words))}\nexit {self.code}\n{self.err[-1500:]}\n{self.trace[-3000:]}"
        )
        return f"{text}\nmade {self.made[:8]}\ngone {self.gone[:8]}"


def _below(path: str, roots: Sequence[str]) -> bool:
    return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)


def build(home: Path) -> None:
    """A run on own images, these as an .npz file and as class folders, a grid file, and somebody's notes."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (24, SIDE, SIDE), np.uint8)
    labels = np.arange(24) % 3
    np.savez(home / "own.npz", images=images, labels=labels, test_images=images[:6] // 2, test_labels=labels[:6])
    for i, image in enumerate(images):
        path = home / "photos" / "abc"[labels[i]] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    (home / "notes.txt").write_text("of years of work\n")
    (home / "thesis").mkdir()
    (home / "thesis" / "chapter.tex").write_text("\\chapter{One}\n")
    with _inside(home):
        settings = {"latent": 2, "encoder_width": 8, "decoder_width": 8, "batch_size": 8, "device": "cpu"}
        cf.train("cvae", data="own.npz", out="run", epochs=1, quiet=True, **settings)
        (home / "grid.toml").write_text(
            'models = ["ae"]\ndata = ["own.npz"]\nseeds = [0]\nout = "grid"\n[train]\nepochs = 1\nbatch_size = 8\n'
            'encoder_width = 8\ndecoder_width = 8\nlatent = 2\ndevice = "cpu"\n'
            '[score]\nn = 8\nmetrics = ["fid"]\ndetector = "mnist-cnn"\n'
        )


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def ground(built: Path, place: Path) -> Iterator[Path]:
    """A fresh copy of the home, in which the process is for the time of the block."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(built, place, symlinks=True)
    with _inside(place):
        yield place


def attempt(words: Sequence[str], home: Path) -> Attempt:
    """Run a command in this process, in `home`."""
    did, before = Attempt(words), state(home)
    out, err = io.StringIO(), io.StringIO()

    def ring(*_: object) -> None:
        raise Hang

    handler = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, DEADLINE)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(list(words))
    except SystemExit as end:
        did.code = end.code if isinstance(end.code, int) else 0 if end.code is None else -1
    except Hang:
        did.hung = True
    except BaseException:
        did.trace = traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    did.out, did.err = out.getvalue(), err.getvalue()
    after = state(home)
    did.made = sorted(after.keys() - before.keys())
    did.gone = sorted(path for path, digest in before.items() if after.get(path) != digest)
    return did


def state(home: Path) -> dict[str, str]:
    """The digest of every file below a folder; a link is where it leads."""
    found = {}
    for folder, folders, files in os.walk(home):
        for name in files:
            path = Path(folder, name)
            known = str(path.relative_to(home))
            if path.is_symlink():
                found[known] = os.readlink(path)
            elif path.is_file():
                found[known] = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                found[known] = "special"
        if not folders and not files:
            found[str(Path(folder).relative_to(home))] = "empty"
    return found


def judged(kind: str, did: Attempt, may_change: Sequence[str] = ()) -> None:
    """Count a case, and fail where something is wrong with it."""
    TALLY[f"{kind}: cases"] += 1
    faults = did.faults(may_change)
    TALLY.update(faults)
    assert not faults, f"{', '.join(faults)}\n{did}"
