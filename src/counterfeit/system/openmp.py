"""How many threads compute, and how they wait for each other on a machine that others use too.

PyTorch divides each operation among threads, which then wait for the slowest one by spinning: on an idle machine that
saves microseconds. Where another program wants a core, the spinning threads keep the one that all wait for from
running, and a training takes many times as long. So they spin while the cores are ours, and sleep while they are not.

GNU's OpenMP library, with which PyTorch comes on Linux, has no call for that, but a rule: threads spin a thousand
rounds, and not 300,000, while the process has more of its threads than cores. `Watch` gives it more, which do nothing,
for as long as Linux says that our threads wait for cores. The threads that compute are the same, and so are the
numbers.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath

THREADS = "OMP_NUM_THREADS"
# By any of these, a user has decided how threads wait. The last is of Intel's and LLVM's library, with which PyTorch
# comes elsewhere: milliseconds of spinning, 200 by default.
CHOSEN = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"}
BRIEFLY = "1"

INTERVAL = 0.25  # seconds between two looks
CROWDED = 0.05  # part of its time that a thread waits for a core; at most 0.011 on an idle machine of two cores
CALM = 4  # looks without that, until the threads spin again
MOST_CROWDS = 8
MOST_THREADS = 1024


def prepare(environment: MutableMapping[str, str], argv: Sequence[str] = ()) -> None:
    """Settle in the environment what can only be settled before PyTorch is loaded, which is what our commands do.

    What the user has set stays, except that `--threads N` counts more than `OMP_NUM_THREADS`.

    Args:
        argv: the words of a command, of which `--threads N` is read here. Whether N is right, its parser says.
    """
    if sys.platform != "linux" and not CHOSEN & environment.keys():
        environment["KMP_BLOCKTIME"] = BRIEFLY
    if typed := _typed(argv):
        environment[THREADS] = str(typed)
    elif THREADS not in environment and (quota := cpu_quota()) is not None and quota < len(cores()):
        environment[THREADS] = str(max(1, math.floor(quota)))


def _typed(argv: Sequence[str]) -> int | None:
    found = None
    for word, after in zip(argv, [*argv, ""][1:], strict=True):
        name, given, value = word.partition("=")
        if name == "--threads" and len(number := value if given else after) <= len(str(MOST_THREADS)):
            with suppress(ValueError):
                found = int(number)
    return found if found and 0 < found <= MOST_THREADS else None


def in_force(environment: Mapping[str, str] = os.environ) -> str:
    """The settings of this process that are set, by us or the user: `GOMP_SPINCOUNT=1000 OMP_NUM_THREADS=2`."""
    return " ".join(f"{name}={environment[name]}" for name in sorted(CHOSEN | {THREADS}) if name in environment)


class Watch:
    """Has OpenMP's threads sleep rather than spin while other programs want the cores.

    A thread, begun when it is first woken, looks every INTERVAL while something computes. Without effect for a single
    thread, another library than GNU's, or a user who has decided for himself.

    Attributes:
        crowds: threads that are there so that others sleep; none while they spin.
    """

    def __init__(self, waited: Callable[[], float] | None = None) -> None:
        """`waited` says how many seconds our threads have waited for cores since it was asked first."""
        self.crowds: list[_Crowd] = []
        self._waited = waited or Waited()
        self._awake = threading.Event()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Something computes from now on."""
        if self._thread is None and _crowds_needed():
            self._thread = threading.Thread(target=self._look, name="counterfeit-watch", daemon=True)
            with suppress(RuntimeError):  # there can be no more threads: then it is slower, and no error
                self._thread.start()
        self._awake.set()

    def rest(self) -> None:
        """Nothing computes any more. Does not wait: the threads that make room end by themselves."""
        self._awake.clear()

    def _look(self) -> None:
        while self._awake.wait():
            calm, waited, begun, idle = 0, self._waited(), time.monotonic(), 0
            while idle < CALM:  # calls may be short, and follow each other
                time.sleep(INTERVAL)
                before, waited, last, begun = waited, self._waited(), begun, time.monotonic()
                needed, threads = _crowds_needed(), sys.modules["torch"].get_num_threads()
                idle = 0 if self._awake.is_set() else idle + 1
                calm = 0 if waited - before > CROWDED * threads * (begun - last) else calm + 1
                if calm == 0 and not self.crowds:
                    self._crowd(needed)
                elif calm >= CALM:
                    self._disperse()
            self._disperse()

    def _crowd(self, needed: int) -> None:
        for _ in range(needed):
            with suppress(RuntimeError):  # as above
                self.crowds.append(_Crowd())

    def _disperse(self) -> None:
        while self.crowds:
            self.crowds.pop().end()


class _Crowd:
    """A thread that has a team of OpenMP threads of its own, and does nothing with it."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._stand, name="counterfeit-crowd", daemon=True)
        self._thread.start()

    def _stand(self) -> None:
        torch = sys.modules["torch"]
        torch.zeros(1 << 17, dtype=torch.float32, device="cpu").add_(1)  # large enough to be divided among a team
        self._ended.wait()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


def _crowds_needed() -> int:
    """How many teams more make more threads than cores; 0 where that would have no effect, or be too many."""
    torch = sys.modules.get("torch")
    if torch is None or CHOSEN & os.environ.keys() or not _gnu():
        return 0
    threads = torch.get_num_threads()
    needed = (len(cores()) - 1) // (threads - 1) if threads > 1 else 0
    return needed if needed <= MOST_CROWDS else 0


@cache
def _gnu() -> bool:
    """Whether GNU's library is loaded; on Linux it is PyTorch that brings it."""
    try:
        return b"libgomp" in Path("/proc/self/maps").read_bytes()
    except OSError:  # not Linux
        return False


class Waited:
    """Seconds that this process's threads have waited for cores, as Linux counts them; 0.0 where nothing is counted."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._total = 0

    def __call__(self) -> float:
        found: dict[str, int] = {}
        try:
            for task in os.listdir("/proc/self/task"):
                try:
                    found[task] = int(Path(f"/proc/self/task/{task}/schedstat").read_bytes().split()[1])
                except (FileNotFoundError, ProcessLookupError):  # it has ended
                    continue
        except (OSError, ValueError, IndexError):
            return self._total / 1e9
        self._total += sum(waited - self._known.get(task, waited) for task, waited in found.items())
        self._known = found
        return self._total / 1e9


def cores() -> set[int]:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def cpu_quota(root: Path = Path("/")) -> float | None:
    """How many cores' time the process's control groups allow it, which is how containers are limited; None for all.

    A container sees every core of its host, and threads for all of them would be stopped for most of the time.
    """
    quotas = list(_quotas(root))
    return min(quotas) if quotas else None


def _quotas(root: Path) -> Iterator[float]:
    """Those of the process's group and the groups around it: of version 2, and of version 1 in its own hierarchy."""
    try:
        lines = os.fsdecode((root / "proc/self/cgroup").read_bytes()).splitlines()
    except OSError:  # not Linux
        return
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounted = root / "sys/fs/cgroup" / controllers
        for group in [PurePosixPath(path), *PurePosixPath(path).parents]:
            folder = mounted / str(group).lstrip("/")
            try:
                if controllers:
                    limit = [(folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")]
                else:
                    limit = (folder / "cpu.max").read_text().split()
                quota, period = (float(number) for number in limit)
            except (OSError, ValueError):  # no limit here, or "max"
                continue
            if quota > 0 and period > 0:
                yield quota / period
