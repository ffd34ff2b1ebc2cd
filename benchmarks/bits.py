"""Which bits does the code of today give? The digests of every model's weights, samples and score after 200 steps.

    python benchmarks/bits.py

They are kept under the digest of the code that trains and samples. So a change that was to keep every bit, a move of
files for example, has been shown to, and `stale.py` knows that what the code before it has trained is not stale. Run it
before such a change, and after it: it says what differs, and exits with 1 where anything does. Bits are those of a
machine and of one thread: only those that were recorded on one kind of machine are compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

import counterfeit as cf
from counterfeit.models import MODELS
from counterfeit.runs import RunFolder, source
from counterfeit.system.files import write_json
from counterfeit.training.loop import Stepped
from counterfeit.training.trainer import Training

RESULTS = Path(__file__).parent / "results/bits.json"
STEPS = 200
SAMPLES = 256
DATA = "mnist5k"
EPOCHS = 10  # more than STEPS of any batch size
# Defaults that have changed since a model's bits were first recorded: they stay as they were, so that codes compare.
FIRST: dict[str, dict[str, Any]] = {
    "acgan": {"fake_weight": 0.1},
    "wgan-gp": {"lr": 1e-4, "schedule": "constant", "ema": 0.0},
}

Json = dict[str, Any]


def machine() -> Json:
    """What decides the bits beside our code."""
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": str(torch.__version__),
    }


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def recorded(model: str, folder: Path) -> Json:
    """The digests of a model, small where its spec says how, that is trained for STEPS steps, and its samples' FID."""
    small = dict(MODELS[model].small)
    small |= FIRST.get(model, {})
    config = MODELS[model].settings.replace({**small, "data": DATA, "epochs": EPOCHS, "device": "cpu"})
    steps: list[Stepped] = []
    for event in Training(model, config, RunFolder(folder)).events(stop=lambda: len(steps) == STEPS):
        if isinstance(event, Stepped):
            steps.append(event)
    run = cf.load(folder)
    weights = {name: tensor.tolist() for name, tensor in run.model.state_dict().items()}
    images = run.sample(SAMPLES)
    (fid,) = run.score(n=SAMPLES, metrics=["fid"], detector="mnist-cnn").values()
    return {
        "weights": hashlib.sha256(json.dumps(weights).encode()).hexdigest(),
        "samples": hashlib.sha256(images.tobytes()).hexdigest(),
        "fid": fid.value,
    }


def differ(one: Json, other: Json) -> bool:
    """In a bit of weights or samples, or in the score by more than what the order of its sums decides."""
    bits = any(one[key] != other[key] for key in ("weights", "samples"))
    return bits or not math.isclose(one["fid"], other["fid"], rel_tol=1e-9)


def same(model: str, trained: str, today: str, known: Json, drawn: str | None = None) -> bool:
    """Whether two digests of code are one, or were seen to give a model the same weights, and the same samples of them.

    `drawn` is the code that has drawn the samples, which may be a later one than that which trained.
    """
    samples = any(_alike(model, "samples", code, today, known) for code in (trained, drawn or trained))
    return samples and _alike(model, "weights", trained, today, known)


def _alike(model: str, what: str, one: str, other: str, known: Json) -> bool:
    """Whether a chain of codes leads from one to the other, of which each has the bits of the next on a machine."""
    alike, asked = {one}, [one]
    while asked and other not in alike:
        seen = _seen(model, what, asked.pop(), known)
        found = [code for code in known if code not in alike and seen & _seen(model, what, code, known)]
        alike.update(found)
        asked += found
    return other in alike


def _seen(model: str, what: str, code: str, known: Json) -> set[tuple[str, str]]:
    """On which machine a code gave which weights, or samples."""
    records = [(record["machine"], record["models"].get(model)) for record in known.get(code, [])]
    return {(json.dumps(machine), found[what]) for machine, found in records if found}


def load() -> Json:
    """Of every digest of code, a record a machine."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def main() -> int:
    """Record today's bits, and compare them with those of the codes before."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS), metavar="MODEL")
    args = parser.parse_args()
    torch.set_num_threads(1)
    today, here, known = source.digest(*source.TRAINING), machine(), load()
    record = next((r for r in known.get(today, []) if r["machine"] == here), None)
    if record is None:
        record = {"machine": here, "models": {}}
        known.setdefault(today, []).append(record)
    with tempfile.TemporaryDirectory() as temporary:
        for model in args.models:
            if model not in record["models"]:
                record["models"][model] = recorded(model, Path(temporary) / model)
                write_json(RESULTS, known)
    before = {code: r for code, rs in known.items() if code != today for r in rs if r["machine"] == here}
    differs = False
    for code, other in before.items():
        found = [m for m in args.models if m in other["models"] and differ(other["models"][m], record["models"][m])]
        missing = [m for m in args.models if m not in other["models"]]
        differs |= bool(found)
        print(
            f"{code[:12]}: "
            + (f"other bits of {', '.join(found)}" if found else "the same bits")
            + (f"; {', '.join(missing)} not recorded" if missing else "")
        )
    print(f"{today[:12]}, the code of today: {len(record['models'])} models recorded")
    return 1 if differs else 0


if __name__ == "__main__":
    sys.exit(main())
