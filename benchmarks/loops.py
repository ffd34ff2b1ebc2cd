"""Training images/s of the convolutional networks, and of three models beside what people would run instead.

    python benchmarks/loops.py [--models flow ddpm …] [--data mnist] [--pairs 7] [--seconds 10] [--peers .venv-peers]

Each side is a process of its own; a round is one stretch of each, the order alternating, while the others wait. Between
the rounds the products of a step are timed by themselves, see limits.py; of a model with several stages it is the
first. The networks of torchcfm and diffusers are not ours: weights and operations per image stand beside. A row that
was measured before stays until it is measured again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import torch

import counterfeit as cf
import limits
from counterfeit.models import MODELS
from counterfeit.models.build import build
from counterfeit.runs import provenance
from counterfeit.system.files import write_json
from nets import torchs_own
from our_loop import timed
from peer_loops import BATCH, NETS
from speed import HERE, Side
from spread import ratios, spread

RESULTS = HERE / "results" / "loops.json"
PEERS = {"flow": "torchcfm", "ddpm": "diffusers", "wgan-gp": "script"}
MODELS_SHOWN = ["conv-vae", "vq-vae", "vae-gan", "sngan", "r3gan", "wgan-gp", "flow", "ddpm"]
PROBE = 3  # steps from which the length of a stretch is judged
FACTS = """
import json, sys, peer_loops, torch
from torch.utils.flop_counter import FlopCounterMode
shape = tuple(map(int, sys.argv[2].split(",")))
net = peer_loops.NETS[sys.argv[1]](shape).eval()
x, t = torch.zeros(1, *shape), torch.zeros(1)
with FlopCounterMode(display=False) as count, torch.no_grad():
    net(t, x) if sys.argv[1] == "torchcfm" else net(x, t)
weights = sum(weight.numel() for weight in net.parameters())
print(json.dumps({"weights": weights, "mflop": round(count.get_total_flops() / 1e6, 1)}))
"""


def facts_of(peer: str, shape: tuple[int, ...], python: Path) -> dict[str, float]:
    """Weights of a peer's network, and millions of operations of its forward pass of one image."""
    words = [str(python), "-c", FACTS, peer, ",".join(map(str, shape))]
    return json.loads(
        subprocess.run(words, cwd=HERE, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    )


def our_facts(model: str, shape: tuple[int, int, int]) -> dict[str, float]:
    """The same of ours, by PyTorch's own layers, which the counter knows."""
    from torch.utils.flop_counter import FlopCounterMode

    net = build(MODELS[model], MODELS[model].settings, shape, 0).eval()
    (network,) = net.networks().values()
    with torchs_own(), FlopCounterMode(display=False) as count, torch.no_grad():
        network(torch.zeros(1, *shape), torch.zeros(1), None)
    weights = sum(weight.numel() for weight in network.parameters())
    return {"weights": weights, "mflop": round(count.get_total_flops() / 1e6, 1)}


def images_of_a_step(model: str, shape: tuple[int, int, int]) -> int:
    """How many training images the model takes for one, such as a batch for every update of a critic."""
    settings = timed(model)
    return settings.batch_size * build(MODELS[model], settings, shape, 0).stages()[0].batches


def compare(model: str, data: str, pairs: int, seconds: float, python: Path | None) -> dict[str, object]:
    """Rates of all sides, the ratio of ours to the peer, and the fraction of the limit."""
    images, peer = cf.load_data(data).images, PEERS.get(model)
    batch, products = images_of_a_step(model, images.shape[1:]), limits.products(model, data)
    probe = Side(sys.executable, "ours", model, data, PROBE)
    steps = max(PROBE, round(seconds * probe.rate()))
    probe.close()
    row: dict[str, object] = {"model": model, "data": data, "steps_a_stretch": steps, "pairs": pairs}
    with tempfile.TemporaryDirectory() as home:
        array = Path(home) / "images.npy"
        np.save(array, images)
        sides = {side: Side(sys.executable, side, model, data, steps) for side in ("ours", "bfloat16")}
        if peer == "script":  # on our networks, in our environment
            sides["peer"] = Side(sys.executable, peer, model, data, steps)
        elif peer and python:
            assert batch == BATCH
            sides["peer"] = Side(str(python), peer, model, str(array), steps)
            row["networks"] = {
                "ours": our_facts(model, images.shape[1:]),
                "peer": facts_of(peer, images.shape[1:], python),
            }
        rates: dict[str, list[float]] = {side: [] for side in sides}
        fractions = []
        for pair in range(pairs):
            for side in sorted(sides, reverse=bool(pair % 2)):
                rates[side].append(sides[side].rate())
            fractions.append(limits.seconds(products) * rates["ours"][-1])
        for side in sides.values():
            side.close()
    row |= {f"{side}_images_per_s": round(median(values) * batch) for side, values in rates.items()}
    row |= {"fraction_of_limit": spread(fractions), "bfloat16_over_ours": ratios(rates["bfloat16"], rates["ours"])}
    return row | ({"peer": peer, "over_peer": ratios(rates["ours"], rates["peer"])} if "peer" in sides else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS_SHOWN)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=10.0, help="of one stretch of ours")
    parser.add_argument("--peers", type=Path, help=f"environment that has {' and '.join(NETS)} (make nets)")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    rows = json.loads(args.out.read_text())["rows"] if args.out.exists() else []
    for model in args.models:
        row = compare(model, args.data, args.pairs, args.seconds, args.peers and args.peers / "bin/python")
        rows = [other for other in rows if (other["model"], other["data"]) != (model, args.data)] + [row]
        print(json.dumps(row), flush=True)
        made_by = provenance(torch.device("cpu"))
        write_json(args.out, {"rows": rows, "threads": torch.get_num_threads(), "made_by": made_by})


if __name__ == "__main__":
    main()
