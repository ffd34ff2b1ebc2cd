"""Values that people pass by mistake, as plain data: every public parameter is given every one of them.

Some are right for some parameter; then the call may succeed. What must not happen is an error that is not ours.
"""

from __future__ import annotations

import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch


class NoRepr:
    """An object that cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class NoEqual:
    """An object that cannot be compared, as arrays cannot."""

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no ==")


class BytesPath:
    """A path of bytes."""

    def __fspath__(self) -> bytes:
        return b"there"


NUMBERS: dict[str, Any] = {
    "zero": 0,
    "minus one": -1,
    "one and a half": 1.5,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "2^31": 2**31,
    "2^63": 2**63,
    "10^30": 10**30,
    "-10^30": -(10**30),
    "5,000 digits": 10**5000,
    "complex": 1j,
    "Decimal": Decimal("NaN"),
    "Fraction": Fraction(1, 3),
    "numpy int": np.int64(-3),
    "numpy NaN": np.float32("nan"),
    "numpy bool": np.bool_(True),
    "tensor of one": torch.tensor(1.0),
}
TEXTS: dict[str, Any] = {
    "nothing": "",
    "a blank": " ",
    "a number as text": "3",
    "a word": "ten",
    "a line break": "a\nb",
    "a zero byte": "a\0b",
    "half a character": "\ud800",
    "no UTF-8 in a file's name": "\udcff",
    "too long for a name": "x" * 300,
    "5,000 letters": "ä" * 5000,
    "a comma": ",",
    "nobody's home": "~nosuchuser/x",
    "markup": "[red]x[/red]",
    "bytes": b"mnist5k",
    "numpy text": np.str_("vea"),
    "a folder": Path("."),
    "no path": Path("nowhere/there"),
    "a device": Path("/dev/null"),
    "a pure path": PurePosixPath("there"),
    "a path of bytes": BytesPath(),
}
THINGS: dict[str, Any] = {
    "None": None,
    "True": True,
    "an empty list": [],
    "a list in a list": [[]],
    "rows of two lengths": [[1], [2, 3]],
    "numbers and words": [1, "a"],
    "a tuple of None": (None,),
    "a dict": {"a": 1},
    "a set": {1, 2},
    "an object": object(),
    "no repr": NoRepr(),
    "no ==": NoEqual(),
    "a class": int,
    "a function": lambda *args, **settings: None,
    "an iterator": iter(()),
    "a range": range(3),
    "a date": datetime.date(2020, 1, 1),
}
ARRAYS: dict[str, Any] = {
    "an empty array": np.zeros(0),
    "an array of no axis": np.zeros((), np.uint8),
    "an array of objects": np.full((2, 2), None),
    "an array of words": np.array(["a", "b"]),
    "an array of NaN": np.full((2, 4), np.nan),
    "an array of dates": np.zeros(3, "datetime64[s]"),
    "images of floats": np.zeros((3, 28, 28)),
    "images of 5 channels": np.zeros((3, 5, 28, 28), np.uint8),
    "a tensor on no device": torch.zeros(2, 3, device="meta"),
    "a tensor of bfloat16": torch.zeros(2, 3, dtype=torch.bfloat16),
    "a row on no device": torch.zeros(2, device="meta"),
    "a number on no device": torch.zeros((), device="meta"),
    "a sparse tensor": torch.zeros(2, 2).to_sparse(),
}
VALUES: dict[str, Any] = {**NUMBERS, **TEXTS, **THINGS, **ARRAYS}

# Grid files that cannot be used: what stands in them beside what is right, and what is said.
GRID = {"models": '["vae"]', "data": '["mnist5k"]', "seeds": "[0]", "out": '"runs/never"'}
GRID_FILES: dict[str, tuple[str | bytes, str]] = {
    "nothing": ("", "models"),
    "no TOML": ("models = [", "a grid file has"),
    "not UTF-8": (b'models = ["vae"] # \xff', "utf-8"),
    "nested too deep": ("models = " + "[" * 100_000 + "]" * 100_000, "nested too deep"),
    "a number of 5,000 digits": (f"models = ['vae']\ndata = ['mnist5k']\nseeds = [{'9' * 5000}]", "a grid file has"),
    "larger than any grid": ("#" * (1 << 21), "bytes"),
}
GRID_VALUES: list[tuple[str, str, str]] = [  # field, value, what is said
    ("models", "[]", "models"),
    ("models", "3", "models"),
    ("models", '["vae", "vae"]', "each once"),
    ("models", '["VAE"]', "did you mean 'vae'?"),
    ("models", '"vae, gann"', "did you mean 'gan'?"),
    ("data", '["MNIST"]', "did you mean 'mnist'?"),
    ("data", '["CIFAR-10"]', "did you mean 'cifar10'?"),
    ("data", '["nowhere.npz"]', "nowhere.npz"),
    ("data", "[3]", "data"),
    ("data", '["a\\u0000b"]', "zero byte"),
    ("seeds", "[0.5]", "seeds"),
    ("seeds", "[-1]", "--seed is -1"),
    ("seeds", "[nan]", "seeds"),
    ("seeds", f"[{10**30}]", "2^63 - 1"),
    ("seeds", '["0"]', "seeds"),
    ("out", "3", "out"),
    ("train.epochs", '"ten"', "--epochs"),
    ("train.epochs", "2020-01-01", "--epochs"),
    ("train.epochs", f"{10**30}", "--epochs"),
    ("train.epochs", "nan", "--epochs"),
    ("train.lr", "nan", "--lr is nan"),
    ("train.betas", "[0.5]", "--betas"),
    ("train.latent", f"{2**31 - 1}", "memory"),
    ("train.encoder_width", "500000", "memory"),
    ("train.batch_size", "6000", "5000 images"),
    ("train.epoch", "3", "did you mean 'epochs'?"),
    ("train.device", '"meta"', "--device meta cannot"),
    ("train.device", '"cuda:99"', "--device cuda:99"),
    ("train.precision", '"tf32"', "tf32"),
    ("train.loss", '"bce"', "--loss is 'bce'; it must be 'bernoulli'"),
    ("train.init", '"random"', "no initialization named 'random'"),
    ("train.dcgan.lr", "0.1", "no model of this grid"),
    ("score.detector", "3", "--detector is 3"),
    ("score.detector", '"mnist_cnn"', "did you mean 'mnist-cnn'?"),
    ("score.detector", '"none.onnx"', "none.onnx"),
    ("score.metrics", '["fid", "kids"]', "no metric named 'kids'"),
    ("score.metrics", "3", "--metrics is 3"),
    ("score.metrics", '"fid, label-accuracy"', "labels"),
    ("score.n", f"{10**30}", "-n is"),
    ("score.n", f"{2**31 - 1}", "memory"),
    ("score.real", '"mnsit"', "did you mean 'mnist'?"),
    ("score.real", "3", "uint8"),
    ("score.real", '"cifar10"', "color"),
    ("score.real", '"mnist:tset"', "mnist"),
    ("score.device", '"hpu"', "--device hpu cannot"),
    ("score.device", '"cpu:7"', "cpu:7"),
    ("score.seed", f"{2**63 - 1}\nrepeats = 2", "--seed"),
    ("score.repeats", "0", "--repeats"),
    ("score.size", "4", "--size"),
    ("score.weights", '"none.pth"', "--weights"),
    ("score.protocol", '"tf2"', "--protocol"),
]
DEVICES = ["meta", "hpu", "privateuseone", "cpu:7", "cuda:99", "gpu", "", "cuda:", "cuda:x", "CPU", "cpu\n"]
