"""Ask torch-fidelity, pytorch-fid, clean-fid, prdc and vendi-score about the features of tests/metrics_cases.py.

Run in an environment that has them (torch-fidelity 0.4.0, pytorch-fid 0.3.0, clean-fid 0.1.35, prdc 0.2, vendi-score
0.0.3, scipy below 1.18, scikit-learn); it writes tests/metrics_peers.json, against which tests/test_metrics_parity.py
holds ours:

    python benchmarks/parity/peers.py

Only their algebra is used, never a detector, so that torchvision, which they import for theirs, is replaced by a stub.
"""

import json
import sys
import types
import warnings
from importlib.metadata import version
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import torch

TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path.insert(0, str(TESTS))


class Stub(types.ModuleType):
    """A module in which every class can be inherited from and everything else is a mock."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return torch.nn.Module if name[0].isupper() else MagicMock()


try:
    import torchvision  # noqa: F401
except (ImportError, RuntimeError):
    sys.modules["torchvision"] = Stub("torchvision")
    for name in ("datasets", "transforms", "transforms.functional", "models", "models.inception", "models.utils"):
        parent, _, child = f"torchvision.{name}".rpartition(".")
        sys.modules[f"torchvision.{name}"] = Stub(child)
        setattr(sys.modules[parent], child, sys.modules[f"torchvision.{name}"])

import cleanfid.fid as clean_fid  # noqa: E402
import prdc  # noqa: E402
import torch_fidelity.metric_fid as tf_fid  # noqa: E402
import torch_fidelity.metric_isc as tf_isc  # noqa: E402
import torch_fidelity.metric_kid as tf_kid  # noqa: E402
import torch_fidelity.metric_prc as tf_prc  # noqa: E402
from pytorch_fid.fid_score import calculate_frechet_distance  # noqa: E402
from vendi_score import vendi  # noqa: E402

import metrics_cases as cases  # noqa: E402


def scores(real, fake, subset):
    """Every peer's numbers for one pair of sets; torch-fidelity's input1 is the fakes."""
    first, second = torch.from_numpy(fake), torch.from_numpy(real)
    moments = [(x.mean(axis=0), np.cov(x, rowvar=False)) for x in (real, fake)]
    kid = tf_kid.kid_features_to_metric(first, second, kid_subset_size=subset, rng_seed=2020, verbose=False)
    prc = tf_prc.prc_features_to_metric(first, second, verbose=False)
    np.random.seed(2020)  # clean-fid draws from numpy's global state, its second argument first
    clean_kid = clean_fid.kernel_distance(real, fake, max_subset_size=subset)
    return {
        "fid": {
            "torch-fidelity": tf_fid.fid_statistics_to_metric(
                *(tf_fid.fid_features_to_statistics(x) for x in (first, second)), verbose=False
            )["frechet_inception_distance"],
            "pytorch-fid": float(calculate_frechet_distance(*moments[0], *moments[1])),
            "clean-fid": float(clean_fid.fid_from_feats(real, fake)),
        },
        "kid": {"torch-fidelity": kid["kernel_inception_distance_mean"], "clean-fid": clean_kid},
        "kid_std": {"torch-fidelity": kid["kernel_inception_distance_std"]},
        "precision_recall": {"torch-fidelity": {"Precision": prc["precision"], "Recall": prc["recall"]}},
        "vendi": {"vendi-score": float(vendi.score_dual(fake, normalize=True))},
        "prdc": {"prdc": {key: float(value) for key, value in prdc.compute_prdc(real, fake, nearest_k=5).items()}},
    }


def main():
    """Write the goldens."""
    warnings.simplefilter("ignore", DeprecationWarning)  # scipy's, for the `disp` that both FID peers still pass
    packages = (
        "torch-fidelity",
        "pytorch-fid",
        "clean-fid",
        "prdc",
        "vendi-score",
        "scipy",
        "scikit-learn",
        "torch",
        "numpy",
    )
    goldens = {
        "peers": {name: version(name) for name in packages},
        "features": {name: scores(*case) for name, case in cases.CASES.items()},
        "logits": {},
    }
    for name, logits in cases.LOGITS.items():
        score = tf_isc.isc_features_to_metric(torch.from_numpy(logits))
        goldens["logits"][name] = {"mean": score["inception_score_mean"], "std": score["inception_score_std"]}
    (TESTS / "metrics_peers.json").write_text(json.dumps(goldens, indent=2) + "\n")


if __name__ == "__main__":
    main()
