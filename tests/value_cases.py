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
    "a sparse tensor": torch.zeros(2, 2).to_sparse(),
}
VALUES: dict[str, Any] = {**NUMBERS, **TEXTS, **THINGS, **ARRAYS}
