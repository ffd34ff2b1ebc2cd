"""The app under load: 40 raters and 5 explorers at once while a training runs; and what an idle app costs a training.

    python benchmarks/load.py [--seconds 60] [--pairs 6] [--steps 1500]

Raters look at each image for about a second, explorers drag: they ask for the next place as soon as the last one is
there, at most 40 times a second, as a page does. Every answer is timed until the next image is there. In the end the
server is killed, and every judgement that it answered must be in the file of the test. Then the same training runs
alone, beside an idle app, and beside one with its page open, in turn. Writes benchmarks/results/load.json.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

import counterfeit as cf
from counterfeit.app.shelf import Shelf, Shelved
from counterfeit.human.design import Design
from counterfeit.human.store import Store
from counterfeit.runs import RunFolder
from counterfeit.runs.log import Steps
from counterfeit.system.files import write_json

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))
from human_cases import drawn_test  # noqa: E402

RATERS, EXPLORERS = 40, 5
THOUGHT = 1.0  # seconds for an image, in the mean
BETWEEN = 0.025  # seconds between two questions of an explorer
COMMAND = (sys.executable, "-m", "counterfeit")
TRAINING = ("train", "vae", "--data", "mnist", "--log-every", "20")
QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
AT_FIRST = 0.25  # share of a training's rows of the log that does not count


class User:
    """Somebody with a browser: an address of their own, one connection, the times of their answers in ms."""

    def __init__(self, port: int, number: int) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self._to = http.client.HTTPConnection("127.0.0.1", port, 60, source_address=(f"127.3.0.{number + 1}", 0))
        self._cookie = ""
        self.times: list[float] = []
        self.joined: list[float] = []
        self.late = 0  # answers that a newer question replaced

    def ask(self, path: str, posted: dict[str, Any] | None = None) -> bytes:
        head = {"cookie": self._cookie, "origin": self.base, "content-type": "application/json"}
        body = None if posted is None else json.dumps(posted)
        for trial in range(3):  # as a browser does, whose connection was closed while nothing was asked
            try:
                self._to.request("GET" if posted is None else "POST", path, body, head)
                answer = self._to.getresponse()
                found = answer.read()
                break
            except (ConnectionError, http.client.HTTPException):
                self._to.close()
                if trial == 2:
                    raise
        if answer.status not in (200, 204):
            raise RuntimeError(f"{path} was answered with {answer.status}: {found[:200]!r}")
        self._cookie = (answer.getheader("set-cookie") or self._cookie).partition(";")[0]
        self.late += answer.status == 204
        return found


def rate(user: User, code: str, until: float, kept: dict[int, list[str]], number: int) -> None:
    """Judge as long as there is time and something to judge; what was answered is in `kept`."""
    chance, begun = random.Random(number), time.perf_counter()
    now = json.loads(user.ask(f"/rate/{code}/join", {}))
    user.ask(f"/rate/{code}/image/{now['id']}")
    user.joined.append(1e3 * (time.perf_counter() - begun))
    while time.monotonic() < until and not now.get("finished"):
        time.sleep(chance.expovariate(1 / THOUGHT))
        said, begun = chance.choice(("real", "fake")), time.perf_counter()
        shown = {"id": now["id"], "answer": said, "seconds": 1.0, "shown_ms": None}
        now = json.loads(user.ask(f"/rate/{code}/answer", shown))
        kept.setdefault(number, []).append(said)
        if not now.get("finished"):
            user.ask(f"/rate/{code}/image/{now['id']}")
        user.times.append(1e3 * (time.perf_counter() - begun))


def explore(user: User, run: str, until: float, number: int) -> None:
    """Drag through a plane, one place at least."""
    while not user.times or time.monotonic() < until:
        share, begun = len(user.times) / 100, time.perf_counter()
        moves = [
            {"direction": {"is": "axis", "kind": "random", "axis": axis}, "amount": float(amount)}
            for axis, amount in enumerate((3 * np.sin(share), 3 * np.cos(2 * share)))
        ]
        user.ask("/explore/point", {"run": run, "client": str(number), "center": {"is": "mean"}, "moves": moves})
        user.times.append(1e3 * (time.perf_counter() - begun))
        time.sleep(max(0.0, BETWEEN - (time.perf_counter() - begun)))


@contextmanager
def served(home: Path) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """The port and the process of an app, which is killed in the end."""
    words = [*COMMAND, "app", str(home), "--port=0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield urlsplit(server.stdout.readline()).port or 0, server
        finally:
            server.kill()


def times_of(all_of_users: list[list[float]]) -> dict[str, Any]:
    found = [ms for times in all_of_users for ms in times]
    of = {"median_ms": np.median(found), "p99_ms": np.percentile(found, 99), "most_ms": max(found)}
    return {"answers": len(found), **{name: round(float(ms), 1) for name, ms in of.items()}}


def loaded(home: Path, seconds: float) -> dict[str, Any]:
    """Raters and explorers at once, while a training runs; what they waited, and what was lost."""
    file = home / ".app" / "tests" / "CLASS.sqlite"
    drawn_test(file, Design(models=2, fakes=30, raters=RATERS)).close()
    run = next(one for one in Shelf([home]).runs() if one.folder.path.name == "explored")
    kept: dict[int, list[str]] = {}
    failed: list[BaseException] = []
    training = subprocess.Popen([*COMMAND, *TRAINING, f"--out={home}/beside", "--epochs=1000"], **QUIET)
    try:
        with served(home) as (port, _):
            explore(User(port, RATERS + EXPLORERS), run.id, 0.0, 0)  # its page is open: the model is in memory
            until = time.monotonic() + seconds
            raters = [User(port, n) for n in range(RATERS)]
            explorers = [User(port, RATERS + n) for n in range(EXPLORERS)]
            jobs = [partial(rate, one, "CLASS", until, kept, n) for n, one in enumerate(raters)]
            jobs += [partial(explore, one, run.id, until, n) for n, one in enumerate(explorers)]
            threads = [threading.Thread(target=caught, args=(job, failed)) for job in jobs]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        trained = training.poll() is None
    finally:
        training.send_signal(signal.SIGTERM)
        training.wait()
    if failed or not trained:
        raise failed[0] if failed else RuntimeError("the training has ended before the load")
    with Store(file) as store:
        stored: dict[int, list[str]] = {}
        for one in store.judgements():
            stored.setdefault(one.rater, []).append(one.answer)
    said = sum(map(len, kept.values()))
    same = sorted(kept.values()) == sorted(stored.values())
    return {
        "answers": {
            f"{RATERS} raters join at once": times_of([user.joined for user in raters]),
            f"{RATERS} raters: an answer, until the next image": times_of([user.times for user in raters]),
            f"{EXPLORERS} explorers: a place": times_of([user.times for user in explorers]),
        },
        "judgements": {"answered": said, "stored": sum(map(len, stored.values())), "same": same},
        "replaced": sum(user.late for user in explorers),
    }


def caught(job: Callable[[], None], failed: list[BaseException]) -> None:
    try:
        job()
    except BaseException as error:
        failed.append(error)


def speed(out: Path, steps: int) -> float:
    """Images per second of a training: the median over its log, without its beginning."""
    subprocess.run([*COMMAND, *TRAINING, f"--out={out}", f"--steps={steps}"], check=True, **QUIET)
    rows = [row.images_per_s for row in RunFolder(out).log_rows() if isinstance(row, Steps)]
    return statistics.median(rows[int(AT_FIRST * len(rows)) :])


def watching(port: int, out: Path, ended: threading.Event) -> None:
    """A page that is open on a run from when it is there: its events are read as they come."""
    while not (out / "run.json").exists() and not ended.wait(0.2):
        pass
    run = Shelved.of(RunFolder(out))
    to = http.client.HTTPConnection("127.0.0.1", port, 60)
    to.request("GET", f"/runs/{run.id}/events")
    answer = to.getresponse()
    while not ended.is_set() and answer.readline():
        pass


def slowed(home: Path, pairs: int, steps: int) -> dict[str, Any]:
    """The speed of a training beside an idle app over that of the same one alone, in turn and in both orders."""
    speed(home / "first", min(steps, 100))  # all files are read once
    found: dict[str, list[float]] = {"alone": [], "idle": [], "watched": []}
    for pair in range(pairs):
        for what in list(found) if pair % 2 else list(found)[::-1]:
            out = home / f"{what}-{pair}"
            if what == "alone":
                found[what].append(speed(out, steps))
                continue
            with served(home) as (port, _):
                ended = threading.Event()
                if what == "watched":
                    threading.Thread(target=watching, args=(port, out, ended), daemon=True).start()
                found[what].append(speed(out, steps))
                ended.set()
        print({what: round(values[-1]) for what, values in found.items()}, flush=True)
    ratios = {
        what: [round(one / alone, 3) for one, alone in zip(found[what], found["alone"], strict=True)]
        for what in ("idle", "watched")
    }
    return {"images_per_s": {what: [round(one) for one in of] for what, of in found.items()}, "ratios": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the load")
    parser.add_argument("--pairs", type=int, default=6, help="of trainings")
    parser.add_argument("--steps", type=int, default=1500, help="of each of these trainings")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "load.json")
    options = parser.parse_args()
    machine = {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "runs"
        images = np.random.default_rng(0).integers(0, 256, (128, 28, 28), np.uint8)
        cf.train("vae", images, out=home / "explored", epochs=1, quiet=True, device="cpu")
        result = {"machine": machine, "seconds": options.seconds, **loaded(home, options.seconds)}
        print(json.dumps(result, indent=1), flush=True)
        result["training"] = slowed(home, options.pairs, options.steps)
    write_json(options.out, result)
    if not result["judgements"]["same"]:
        sys.exit("judgements that were answered are not in the file")


if __name__ == "__main__":
    main()
