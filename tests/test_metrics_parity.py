"""The same features give the numbers of torch-fidelity, pytorch-fid, clean-fid, prdc and vendi-score, which are in
metrics_peers.json; parity/peers.py wrote it."""

import json
from pathlib import Path

import pytest

from counterfeit.metrics.frechet import fid
from counterfeit.metrics.inception_score import inception_score
from counterfeit.metrics.kernel import kid
from counterfeit.metrics.prdc import prdc, precision_recall
from counterfeit.metrics.vendi import vendi
from metrics_cases import CASES, LOGITS, softmax

PEERS = json.loads((Path(__file__).parent / "metrics_peers.json").read_text())
REL = 1e-6


@pytest.mark.parametrize("case", CASES)
def test_features(case):
    real, fake, subset = CASES[case]
    peers = PEERS["features"][case]
    for peer, number in peers["fid"].items():
        assert fid(real, fake).value == pytest.approx(number, rel=REL), peer
    ours = kid(real, fake, subset_size=subset)
    for peer, number in peers["kid"].items():
        assert ours.value == pytest.approx(number, rel=REL), peer
    assert ours.extras["subset_std"] == pytest.approx(peers["kid_std"]["torch-fidelity"], rel=REL)
    for label, number in peers["precision_recall"]["torch-fidelity"].items():
        assert precision_recall(real, fake)[label].value == pytest.approx(number, rel=REL)
    assert vendi(fake).value == pytest.approx(peers["vendi"]["vendi-score"], rel=REL)
    labels = {"precision": "PRDC-precision", "recall": "PRDC-recall", "density": "Density", "coverage": "Coverage"}
    for key, number in peers["prdc"]["prdc"].items():
        assert prdc(real, fake)[labels[key]].value == pytest.approx(number, rel=REL)


@pytest.mark.parametrize("case", LOGITS)
def test_inception_score(case):
    ours = inception_score(softmax(LOGITS[case]))
    assert ours.value == pytest.approx(PEERS["logits"][case]["mean"], rel=REL)
    assert ours.extras["split_std"] == pytest.approx(PEERS["logits"][case]["std"], rel=REL)
