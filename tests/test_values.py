"""Wrong values to every parameter of every public function: an error of ours, and never an accident further down."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import counterfeit as cf
from counterfeit import detectors
from counterfeit.errors import InputError
from counterfeit.exporting.proof import Proof
from counterfeit.models import ModelSettings
from counterfeit.runs import RunFolder
from counterfeit.scoring import Scorer
from counterfeit.settings import ScoreConfig
from counterfeit.tracking import TRACKERS
from counterfeit.training.trainer import Training
from tracking_cases import ENTRY
from value_cases import VALUES

OURS = str(Path(cf.__file__).parent)
QUICK = {"epochs": 1, "batch_size": 8, "latent": 4, "encoder_width": 4, "decoder_width": 4, "quiet": True}


def accident(error: Exception) -> bool:
    """Whether nobody meant this error: it is none of ours, and no TypeError or ValueError of a line of ours."""
    if isinstance(error, InputError):
        return "\n" in str(error)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    assert trace is not None
    frame = trace.tb_frame
    line = linecache.getline(frame.f_code.co_filename, trace.tb_lineno).strip()
    meant = line.startswith("raise ") and frame.f_code.co_filename.startswith(OURS)
    return not (meant and isinstance(error, (TypeError, ValueError)))


def accidents(function: Callable[..., Any], usual: dict[str, Any], others: list[str]) -> tuple[list[str], int]:
    """The usual call, which must succeed, then every parameter with every value: accidents, and how many were tried."""
    exhausted(function(**usual))
    found, tried = [], 0
    for name in dict.fromkeys([*usual, *others]):
        for value_name, value in VALUES.items():
            if name == "compile" and isinstance(value, (bool, np.bool_)):
                continue  # right, and a minute's work
            tried += 1
            try:
                exhausted(function(**{**usual, name: value}))
            except Exception as error:
                if accident(error):
                    found.append(f"{name}={value_name}: {type(error).__name__}: {str(error)[:200]}")
    return found, tried


def exhausted(result: Any) -> None:
    if isinstance(result, Iterator):
        for _ in result:
            pass


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> cf.Run:
    """A conditional model of 16 noisy images in a file, so that everything is quick."""
    folder = tmp_path_factory.mktemp("values")
    images = np.random.default_rng(0).integers(0, 256, (16, 28, 28), np.uint8)
    np.savez(folder / "small.npz", images=images, labels=np.arange(16) % 4)
    return cf.train("cvae", folder / "small.npz", out=folder / "run", device="cpu", **QUICK)


def used_score(metrics: Any, receipt: Any) -> None:
    """A score that is made, and asked for what a user asks."""
    made = cf.Score(metrics, receipt)
    made.table(), made.to_dict(), made.get("FID")


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is right is not computed: the checks are meant, which all come before."""
    monkeypatch.setitem(TRACKERS._things, "kept", ENTRY)
    monkeypatch.setattr(Training, "events", lambda self, stop: iter(()))
    monkeypatch.setattr("counterfeit.api.train.Run", lambda *args: None)
    monkeypatch.setattr("counterfeit.api.cas.measure", lambda *args: None)
    monkeypatch.setattr("counterfeit.run.cas", lambda *args: None)
    monkeypatch.setattr(cf.Run, "_store", lambda *args: None)
    monkeypatch.setattr(Scorer, "score", lambda *args: cf.Score({}, {"detector": {"name": "none"}}))
    monkeypatch.setattr("counterfeit.api.compare.comparison_of", lambda *args, **more: {"failures": []})
    monkeypatch.setattr("counterfeit.api.compare.write", lambda *args: None)
    monkeypatch.setattr("counterfeit.api.compare.write_report", lambda *args: None)
    monkeypatch.setattr("counterfeit.api.report.comparison_of", lambda *args, **more: {"failures": []})
    monkeypatch.setattr("counterfeit.api.report.write_report", lambda *args: None)
    monkeypatch.setattr("counterfeit.exporting.exported.recorded", lambda *args: None)
    monkeypatch.setattr("counterfeit.exporting.exported.proved", lambda *args: Proof(0, 0.0))
    monkeypatch.setattr("counterfeit.exporting.exported.runtime", lambda: None)
    monkeypatch.setattr("counterfeit.exporting.formats.pt2", lambda *args: b"")
    monkeypatch.setattr("counterfeit.exporting.formats.by_torch", lambda program: None)
    monkeypatch.setattr("counterfeit.exporting.formats.onnx", lambda *args: b"")
    monkeypatch.setattr("counterfeit.exporting.formats.with_facts", lambda *args: b"")
    monkeypatch.setattr("counterfeit.exporting.formats.by_onnxruntime", lambda model: None)
    monkeypatch.setattr("counterfeit.hub.pushing._send", lambda *args: "")


def calls(run: cf.Run) -> dict[str, tuple[Callable[..., Any], dict[str, Any], list[str]]]:
    """Every public function and method: how it is usually called, and what else it takes."""
    images = np.random.default_rng(1).integers(0, 256, (16, 28, 28), np.uint8)
    labels, z = np.arange(16) % 4, np.zeros((2, 4), np.float32)
    scored = {"n": 4, "detector": "mnist-cnn", "metrics": ["fid"], "device": "cpu"}
    of_score = list(ScoreConfig().keywords())
    detector = detectors.load("mnist-cnn", device="cpu")
    plugin = run.path.parent / "mine.py"
    plugin.write_text(
        "from dataclasses import replace\nfrom counterfeit.models import MODELS, register\n"
        "register(replace(MODELS['vae'], name='mine'))\n"
    )
    return {
        "Run.with_sampling": (run.with_sampling, {}, ["steps", "sampler", "components"]),
        "Run.fit_sampler": (
            run.with_sampling(sampler="gmm", components=2).fit_sampler,
            {"images": np.load(run.path.parent / "small.npz")["images"], "labels": labels},
            [],
        ),
        "train": (
            cf.train,
            {
                "model": "cvae",
                "data": images,
                "labels": labels,
                "out": "new",
                "resume": False,
                "track": None,
                "device": "cpu",
                **QUICK,
            },
            [field.name for field in fields(ModelSettings)],
        ),
        "score": (cf.score, {"source": images, "real": images, **scored}, of_score),
        "cas": (
            cf.cas,
            {"source": images, "real": str(run.path.parent / "small.npz"), "labels": labels, "n": 4, "device": "cpu"},
            ["seed", "repeats", "size", "skip_bad"],
        ),
        "stats": (cf.stats, {"source": images, "out": "s.npz", "detector": "mnist-cnn"}, ["n", *of_score]),
        "likelihood": (cf.likelihood, {"run": run.path, "k": 1, "n": 1, "split": "train"}, ["seed", "device"]),
        "compare": (
            cf.compare,
            {"sources": [str(run.path)], "out": "c"},
            ["rank_by", "workers", "engine", "address", "cpus_per_run", *of_score],
        ),
        "report": (cf.report, {"runs": [str(run.path)], "out": "r.html"}, ["title", "rank_by", *of_score]),
        "sample": (cf.sample, {"run": run, "n": 2, "out": "s.npy"}, ["label", "seed", "device"]),
        "track": (cf.track, {"run": run, "to": "kept"}, []),
        "load": (cf.load, {"path": run.path}, ["device"]),
        "load_data": (cf.load_data, {"source": images}, ["split", "labels", "size", "skip_bad", "holdout"]),
        "Run": (cf.Run, {"path": run.path}, ["device", "name"]),
        "Run.show": (run.show, {"n": 2}, ["seed", "labels"]),
        "Run.plot": (run.plot, {}, []),
        "Run.sample": (run.sample, {"n": 2}, ["seed", "labels"]),
        "Run.sample_batches": (run.sample_batches, {"n": 2}, ["seed", "labels", "batch_size"]),
        "Run.labels": (run.labels, {"n": 2}, ["labels"]),
        "Run.noise": (run.noise, {"n": 2}, ["seed"]),
        "Run.decode": (run.decode, {"z": z}, ["labels"]),
        "Run.encode": (run.encode, {"images": images[:, None], "labels": labels}, []),
        "Run.reconstruct": (run.reconstruct, {"images": images[:, None], "labels": labels}, []),
        "Run.interpolate": (run.interpolate, {"start": z, "end": z}, ["steps", "labels", "path"]),
        "Explorer": (cf.Explorer, {"run": run}, []),
        "Explorer.with_sampling": (cf.Explorer(run).with_sampling, {}, ["steps", "sampler", "components"]),
        "Explorer.decode": (cf.Explorer(run).decode, {"z": z}, ["labels"]),
        "Explorer.directions": (cf.Explorer(run).directions, {"kind": "random", "n": 2}, ["seed"]),
        "Explorer.class_means": (cf.Explorer(run).class_means, {}, []),
        "Explorer.nearest": (cf.Explorer(run).nearest, {"images": images[:, None]}, ["k"]),
        "Run.export": (run.export, {"to": "pt2"}, ["out"]),
        "Run.push": (run.push, {"repository": "me/x"}, ["license", "private", "message", "dry_run"]),
        "Run.real": (run.real, {"split": "train"}, []),
        "Run.score": (run.score, {"real": images, **scored}, of_score),
        "Run.generated": (run.generated, {}, []),
        "Run.cas": (run.cas, {"real": str(run.path.parent / "small.npz"), "n": 4}, ["seed", "repeats"]),
        "Run.likelihood": (run.likelihood, {"k": 1, "n": 1, "split": "train"}, ["seed", "images", "labels"]),
        "Detector": (detector, {"images": images[:, None]}, ["advance"]),
        "detectors.load": (
            detectors.load,
            {"detector": "mnist-cnn", "device": "cpu"},
            ["weights", "protocol", "any_weights", "compile"],
        ),
        "ImageSet": (
            cf.ImageSet,
            {
                "name": "mine",
                "split": "train",
                "images": images[:, None],
                "labels": labels,
                "classes": ("a",) * 4,
                "digest": "",
            },
            ["kind", "conversion", "sizes"],
        ),
        "Score": (used_score, {"metrics": {}, "receipt": {}}, []),
        "Score[]": (lambda name: cf.Score({}, {}).get(name), {"name": "FID"}, []),
        "RunFolder": (RunFolder, {"path": run.path}, []),
        "load_plugin": (cf.load_plugin, {"path": plugin}, []),
    }


NAMES = (
    "train,score,cas,stats,likelihood,compare,report,sample,track,load,load_data,Run,Run.sample,Run.sample_batches,"
    "Run.show,Run.plot,Run.with_sampling,Run.fit_sampler,Run.labels,Run.noise,Run.decode,Run.encode,Run.reconstruct,Run.interpolate,Run.real,"
    "Explorer,Explorer.with_sampling,Explorer.decode,Explorer.directions,Explorer.class_means,Explorer.nearest,"
    "Run.score,Run.generated,Run.cas,Run.likelihood,Run.export,Run.push,"
    "Detector,detectors.load,ImageSet,Score,Score[],RunFolder,load_plugin"
).split(",")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("no_work")
def test_wrong_values_end_in_errors_of_ours(name: str, run: cf.Run, record_property) -> None:
    function, usual, others = calls(run)[name]
    found, tried = accidents(function, usual, others)
    record_property("cases", tried)
    assert not found, f"{len(found)} accidents:\n" + "\n".join(found)


def test_no_public_function_is_left_out() -> None:
    functions = {name for name in cf.__all__ if callable(getattr(cf, name))} - {"InputError"}
    methods = {f"Run.{name}" for name in dir(cf.Run) if callable(getattr(cf.Run, name)) and name[0] != "_"}
    methods |= {f"Explorer.{name}" for name, value in vars(cf.Explorer).items() if callable(value) and name[0] != "_"}
    assert functions | methods <= set(NAMES)
