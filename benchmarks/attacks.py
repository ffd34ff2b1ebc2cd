"""What the usual attacks on a web server get from the app: statuses, seconds, memory, and how long others wait.

    python benchmarks/attacks.py [--only NAME …]

`counterfeit judge` serves a run and a human test on all addresses, with a token, in a process of its own; every attack
comes from a loopback address of its own, since what one address may do is bounded. Meanwhile somebody else asks for a
small file, over a new connection each time. It takes three minutes, writes benchmarks/results/attacks.json, and fails
if an attack gets what it must not: the rules are beside the attacks, in attack_cases.py.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import counterfeit as cf
from attack_cases import ATTACKS, Attack, Target, ask
from counterfeit.app.shelf import Shelf
from counterfeit.human.design import Design
from counterfeit.system.files import write_json

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))
from human_cases import drawn_test  # noqa: E402

CODE = "CLASS"
LOOK = 0.05  # seconds between two looks at the server's memory, and between two questions of somebody else


def prepared(home: Path) -> str:
    """A run and a human test in a folder, and links in it that lead out of it; the id of the run."""
    images = np.random.default_rng(0).integers(0, 256, (128, 28, 28), np.uint8)
    cf.train("vae", images, out=home / "runs" / "vae", epochs=1, quiet=True, device="cpu")
    drawn_test(home / "runs" / ".app" / "tests" / f"{CODE}.sqlite", Design(models=2, fakes=10, raters=30)).close()
    outside = home / "outside"
    outside.mkdir()
    (outside / "run.json").write_text(Target.SECRET)
    (outside / "epoch-0001.png").write_text(Target.SECRET)
    (home / "runs" / "link").symlink_to(outside)
    (home / "runs" / "vae" / "samples" / "epoch-0009.png").symlink_to(outside / "epoch-0001.png")
    large = home / "runs" / "vae" / "samples" / "epoch-0008.png"
    with large.open("wb") as file:
        file.truncate(64 << 20)
    return Shelf([home / "runs"]).runs()[0].id


def memory(pid: int) -> float:
    """MB that a process has in memory."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


async def watched(attack: Attack, target: Target, pid: int) -> dict[str, Any]:
    """What an attack gets, and what it costs."""
    most, longest, done = memory(pid), 0.0, asyncio.Event()
    before, begun = most, time.perf_counter()

    async def look() -> None:
        nonlocal most
        while not done.is_set():
            most = max(most, memory(pid))
            await asyncio.sleep(LOOK)

    async def somebody() -> None:
        """Waits for an answer, and tries again when the connection is refused, as a browser does."""
        nonlocal longest
        while not done.is_set():
            since = time.perf_counter()
            while await ask(target, target.get("/static/post.js"), "127.0.0.9") != "200" and not done.is_set():
                await asyncio.sleep(LOOK)
            longest = max(longest, time.perf_counter() - since)
            await asyncio.sleep(LOOK)

    others = [asyncio.create_task(look()), asyncio.create_task(somebody())]
    got = await attack.tries(target)
    seconds = time.perf_counter() - begun
    done.set()
    await asyncio.gather(*others)
    return {
        "tried": sum(got.values()),
        "got": dict(got.most_common()),
        "seconds": round(seconds, 1),
        "memory_mb": round(most - before, 1),
        "others_wait_s": round(longest, 2),
        "holds": attack.holds(got),
    }


async def all_of(chosen: list[str], target: Target, pid: int) -> dict[str, Any]:
    found = {}
    for attack in ATTACKS:
        if not chosen or attack.name in chosen:
            found[attack.name] = one = await watched(attack, target, pid)
            print(attack.name, one, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], choices=[attack.name for attack in ATTACKS])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "attacks.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        run = prepared(Path(place))
        words = [sys.executable, "-m", "counterfeit", "judge", f"{place}/runs", "--host=0.0.0.0", "--port=0"]
        with subprocess.Popen([*words, f"--code={CODE}"], stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            found = re.fullmatch(r".*:(\d+)/judge\?token=(.*)\n", server.stdout.readline())
            assert found is not None
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8192), most))  # ours; the server has the usual number
            target = Target(int(found[1]), found[2], run, CODE)
            attacks = asyncio.run(all_of(options.only, target, server.pid))
            lives = server.poll() is None
            server.terminate()
    machine = {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
    if not options.only:
        write_json(options.out, {"machine": machine, "attacks": attacks})
    failed = [name for name, one in attacks.items() if not one["holds"]]
    if failed or not lives:
        sys.exit(f"does not hold: {', '.join(failed) or 'the server has ended'}")
    print(Counter(one["holds"] for one in attacks.values()))


if __name__ == "__main__":
    main()
