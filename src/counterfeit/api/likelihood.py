"""The verb `likelihood`: how probable real images are under a trained VAE, in nats."""

from __future__ import annotations

from pathlib import Path

from counterfeit.run import Run
from counterfeit.scoring.likelihood import Likelihood
from counterfeit.system.arguments import checked
from counterfeit.system.isolation import alone


@checked
@alone
def likelihood(
    run: Run | str | Path,
    k: int = 5000,
    n: int | None = None,
    split: str = "test",
    *,
    seed: int = 0,
    device: str = "auto",
) -> Likelihood:
    """ELBO, rate, distortion, IWAE bound and active units; the Python form of `counterfeit likelihood`.

    Args:
        run: a Run or its folder.
        k, n, split, seed: see `Run.likelihood`.
        device: device to compute on, if `run` is a folder.

    Returns:
        The estimates, which are also saved in the scores folder of the run.

    Raises:
        InputError: an argument is wrong, or the model has no likelihood.
    """
    opened = run if isinstance(run, Run) else Run(run, device)
    return opened.likelihood(k, n, split, seed=seed)
