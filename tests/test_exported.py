"""Exported files, written and read again: `make export`, since each takes PyTorch's compiler some seconds."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import counterfeit as cf
from counterfeit.models import MODELS
from counterfeit.models.base import HasLatents
from loop_cases import can

pytestmark = pytest.mark.export
WITH_LATENTS = [name for name, spec in MODELS.items() if spec.based_on is None and can(name, HasLatents)]
LEVELS = 1


def trained(name: str, folder: Path) -> cf.Run:
    spec = MODELS[name]
    return cf.train(name, "mnist5k", out=folder / name, steps=10, device="cpu", quiet=True, **spec.small)


def facts_of(path: Path) -> dict[str, str]:
    onnx = pytest.importorskip("onnx")
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


@pytest.mark.parametrize("name", WITH_LATENTS)
def test_onnx_of_every_model_makes_our_images_of_another_seed(name: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    run = trained(name, tmp_path)
    path = run.export()
    assert path == run.path / "exports" / "generator.onnx"
    session = onnxruntime.InferenceSession(path)
    labels = run.labels(30)
    inputs = {"latents": run.noise(30, seed=5), **({} if labels is None else {"labels": labels})}
    (images,) = session.run(["images"], inputs)
    ours = run.sample(30, seed=5)
    assert images.dtype == np.uint8 and images.shape == ours.shape
    assert np.abs(images.astype(int) - ours).max() <= LEVELS
    assert [given.name for given in session.get_inputs()] == list(inputs)  # the order that torch-fidelity takes

    facts = facts_of(path)
    assert facts["model"] == name and facts["weights_sha256"] == run.weights_sha256
    assert facts["images_checked"] == "256" and int(facts["levels_apart"]) <= LEVELS
    with np.load(path.with_suffix(".npz")) as kept:
        assert np.array_equal(kept["images"], run.sample(256)) and np.array_equal(kept["latents"], run.noise(256))


@pytest.mark.parametrize("name", ["cvae", "dcgan", "cflow"])
def test_pt2(name: str, tmp_path: Path) -> None:
    run = trained(name, tmp_path)
    path = run.export("pt2", tmp_path / "mine.pt2")
    extra = {"counterfeit.json": ""}
    module = torch.export.load(path, extra_files=extra).module()
    z, labels = run.noise(9, seed=3), run.labels(9)
    with torch.no_grad():
        images = module(torch.from_numpy(z), *([] if labels is None else [torch.from_numpy(labels)]))
    assert np.abs(images.numpy().astype(int) - run.sample(9, seed=3)).max() <= LEVELS
    assert json.loads(extra["counterfeit.json"])["weights_sha256"] == run.weights_sha256
    state = run.model.state_dict().values()
    held = [entry.file_size for entry in zipfile.ZipFile(path).infolist() if "/weights/weight_" in entry.filename]
    assert 0 < sum(held) <= sum(weights.numel() * weights.element_size() for weights in state)  # once, and no averages


def test_options_of_sampling_and_a_fitted_sampler_are_in_the_file(tmp_path: Path) -> None:
    flow = trained("flow", tmp_path).with_sampling(steps=3, solver="euler")
    assert json.loads(facts_of(flow.export())["sampling"]) == flow.options.to_dict()
    vae = trained("vae", tmp_path).with_sampling(sampler="gmm", components=2)
    facts = facts_of(vae.export())
    assert facts["latents"] == "own"
    with np.load(vae.path / "exports" / "generator.npz") as kept:
        assert np.array_equal(kept["latents"], vae.noise(256))
