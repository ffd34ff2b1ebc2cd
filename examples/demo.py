"""`make demo`: train a VAE on MNIST for the report's 10 epochs, sample it, and say where the pictures are.

Started again, it goes on where it was stopped, or shows the finished run.
"""

from __future__ import annotations

import time
from pathlib import Path

import counterfeit as cf
from counterfeit.api.sample import sample
from counterfeit.runs import RunFolder


def main() -> None:
    data, epochs = "mnist", 10
    try:
        cf.load_data(data)
    except cf.InputError as error:
        data, epochs = "mnist5k", 100  # about as many steps as 10 epochs of MNIST
        print(f"{error}\nMNIST cannot be had here, so the demo takes {data}: 5,000 of its digits, with no test set.\n")
    out = Path("runs") / f"demo-{data}"
    begun = time.perf_counter()
    run = cf.train("vae", data, out=out, epochs=epochs, resume=RunFolder(out).holds_run())
    grid = sample(run, 64)
    last = run.log[-1]
    terms = {name.removeprefix("test_"): value for name, value in last.items() if name.startswith("test_")}
    print(f"\nA variational autoencoder, {run.config.epochs} epochs on {data}, in {time.perf_counter() - begun:.0f} s.")
    if terms:
        print(
            f"test loss        {terms['loss']:.2f} nats an image "
            f"= reconstruction {terms['reconstruction']:.2f} + KL {terms['kl']:.2f}"
        )
    print(f"samples          {grid}")
    print(f"every epoch      {run.folder.samples}")
    print(f"loss curves      {run.folder.curves}")
    print(f"the run          {run.name}  (try: .venv/bin/counterfeit sample {run.name} --seed 1)")


if __name__ == "__main__":
    main()
