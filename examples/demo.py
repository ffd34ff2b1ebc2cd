"""`make demo`: train a VAE on MNIST for 10 epochs, sample it, and say where the images are.

If it was stopped, it continues; if it was finished, it shows the results again.
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
        print(f"{error}\nMNIST cannot be downloaded here; the demo uses {data} (5,000 of its digits, no test set).\n")
    out = Path("runs") / f"demo-{data}"
    begun = time.perf_counter()
    run = cf.train("vae", data, out=out, epochs=epochs, resume=RunFolder(out).holds_run())
    grid = sample(run, 64)
    last = run.log[-1]
    terms = {name.removeprefix("test_"): value for name, value in last.items() if name.startswith("test_")}
    print(f"\nA variational autoencoder, {run.config.epochs} epochs on {data}, in {time.perf_counter() - begun:.0f} s.")
    if terms:
        print(
            f"test loss        {terms['loss']:.2f} nats per image "
            f"= reconstruction {terms['reconstruction']:.2f} + KL {terms['kl']:.2f}"
        )
    print(f"samples          {grid}")
    print(f"every epoch      {run.folder.samples}")
    print(f"loss curves      {run.folder.curves}")
    print(f"run              {run.name}")
    print(f"\nNext:\n  source .venv/bin/activate\n  counterfeit sample {run.name} --seed 1")


if __name__ == "__main__":
    main()
