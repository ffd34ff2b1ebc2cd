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
        device: where to compute, for a folder.

    Returns:
        What was found; the run keeps it in its scores folder as well.

    Raises:
        InputError: something given is wrong, or the family has no likelihood.
    """
    opened = run if isinstance(run, Run) else Run(run, device)
    return opened.likelihood(k, n, split, seed=seed)
