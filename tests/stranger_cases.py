"""Run folders as strangers may send them: plain data, a file of a run and what it holds in place of its own content.

`put` makes one. A case's change is "bytes", "link", "fifo", "folder" or "sparse" (of so many bytes) for the whole file,
"set" or "drop" for a place in its JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file

RUN, INDEX, LOG = "run.json", "checkpoint/checkpoint.json", "log.jsonl"
PICTURES, SCORE = "samples/report/pictures.json", "scores/stored.json"
DEEP = 100_000
NAN, HUGE = float("nan"), 10**30
SHA = "0" * 64


class Case(NamedTuple):
    """What is wrong, and words that the line must have besides the name of the file."""

    file: str
    change: str
    value: Any = None
    place: tuple[str | int, ...] = ()
    says: str = ""

    def __str__(self) -> str:
        value = f" {str(self.value)[:24]!r}" if self.value is not None else ""
        return f"{self.file} {self.change} {'.'.join(map(str, self.place))}{value}"


# What no JSON file can be.
CONTENTS = (
    b"",
    b" \n",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"7",
    b"NaN",
    b"{} {}",
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\x00}\x00",
    b'{"model": "va\xc3',
    b"\x00" * 64,
    b"[" * DEEP,
    b'{"a":' * DEEP,
    b"[" * 500 + b"]" * 500,
    b'{"a": ' + b"1" * 100_000 + b"}",
    b'{"a": 1e999}',
    b'{"a": ' + b"9" * 31 + b"}",
)
KINDS = (("fifo", None), ("folder", None), ("sparse", 1 << 30), ("link", "/dev/zero"), ("link", "/dev/null"))


def everywhere(file: str) -> list[Case]:
    """What no file that we read can be."""
    return [Case(file, "bytes", text) for text in CONTENTS] + [Case(file, *kind) for kind in KINDS]


def at(file: str, says: str, place: str, *values: Any) -> list[Case]:
    """Each of these values at a place, `config.latent`."""
    keys = tuple(int(key) if key.isdecimal() else key for key in place.split("."))
    return [Case(file, "set", value, keys, says) for value in values]


RECORD_CASES = [
    *everywhere(RUN),
    *(Case(RUN, "drop", None, (key,), key) for key in ("model", "settings", "data", "made_by", "resumed_by")),
    *(Case(RUN, "drop", None, ("data", key), key) for key in ("name", "split", "n", "shape", "classes", "digest")),
    *at(RUN, "model", "model", None, 7, []),
    *at(RUN, "", "settings", None, [], "text"),
    *at(RUN, "latent", "settings.model.latent", None, "many", 1.5, True, [], 0, -1),
    *at(RUN, "31 digits", "settings.model.latent", HUGE),
    *at(RUN, "", "settings.model.lr", None, "fast", NAN, float("inf"), -1),
    *at(RUN, "", "settings.run.epochs", None, -1, 0, HUGE),
    *at(RUN, "batch", "settings.run.batch_size", 0, 10**6),
    *at(RUN, "", "settings.model.betas", None, [0.9], [0.9, 2], "ab"),
    *at(RUN, "", "settings.model.loss", None, 5),
    *at(RUN, "", "data.n", None, 0, -5, 1.5, HUGE, "600"),
    *at(RUN, "", "data.shape", None, [], [28, 28], [1, -28, 28], [1, 0, 28], [1, HUGE, 28], [1, 10**5, 28]),
    *at(RUN, "", "data.classes", None, 10, "0123456789", [0, 1], [None]),
    *at(RUN, "", "data.kind", None, 5, "url", "pickle"),
    *at(RUN, "", "data.path", 5, []),
    *at(RUN, "", "data.digest", None, 5),
    *at(RUN, "", "made_by", None, [], "us"),
    *at(RUN, "versions", "made_by.versions", None, [], "1.0", {"torch": None}),
    *at(RUN, "", "made_by.command", None, "rm", [1]),
    *at(RUN, "", "made_by.training_code", 5, []),
    *at(RUN, "", "resumed_by", None, {}, [3], [{"from_step": -1}], [{"versions": []}]),
    *at(RUN, "", "finished", 5, [], True),
]

# What only those find who make a model of it.
MODEL_CASES = [
    *at(RUN, "did you mean", "model", "vea"),
    *at(RUN, "", "model", "dcgan"),
    *at(RUN, "", "settings.model.latent", 3, 10**9, 10**18, 2**63),
    *at(RUN, "", "settings.model.encoder_width", 10**9, 10**18),
    *at(RUN, "", "settings.model.loss", "unknown", "bce"),
    *at(RUN, "", "data.shape", [3, 28, 28], [1, 14, 14], [1, 65536, 65536]),
    *at(RUN, "", "data.classes", [], ["one"]),
]

INDEX_CASES = [
    *everywhere(INDEX),
    *(Case(INDEX, "drop", None, (key,)) for key in ("step", "epoch")),
    *at(INDEX, "", "step", None, "4", -1, 1.5, True, 3, 10**18, HUGE, NAN),
    *at(INDEX, "", "epoch", None, "1", -1, 0, 2, 10**15, HUGE),
    *at(
        INDEX,
        "",
        "files",
        None,
        [],
        {},
        "model",
        {"model": None},
        {"model": []},
        {"model": "model-0000004.safetensors"},
    ),
    *at(INDEX, "", "files.model", {}, {"file": "model-0000004.safetensors"}, {"sha256": SHA}),
    *at(INDEX, "", "files.model.sha256", None, 5, "", SHA[1:], SHA.replace("0", "G")),
    *at(
        INDEX,
        "must be",
        "files.model.file",
        "../../other/checkpoint/model-0000004.safetensors",
        "../checkpoint/model-0000004.safetensors",
        "./model-0000004.safetensors",
        "/etc/passwd",
        "..\\..\\other\\model-0000004.safetensors",
        "C:\\model-0000004.safetensors",
        "C:model-0000004.safetensors",
        "\\\\host\\share\\model-0000004.safetensors",
        "model-0000004.safetensors\x00",
        "model-0000004.safetensors/",
        "model-4.safetensors",
        "training-0000004.safetensors",
        "con",
        "",
        "\x1b[2J",
    ),
    *at(INDEX, "", "files.other", {"file": "other-0000004.safetensors", "sha256": SHA}),
    *at(INDEX, "ema", "files.ema", {"file": "ema-0000004.safetensors", "sha256": SHA}),
]

LOG_CASES = [
    *(Case(LOG, "bytes", text + b"\n") for text in CONTENTS),
    *(Case(LOG, *kind) for kind in KINDS if kind != ("link", "/dev/null")),
    *(
        Case(LOG, "bytes", text, says="line ")
        for text in (
            b'{"epoch": 1, "step": 1}\n{"epoch": 1, "st\n{"epoch": 1, "step": 2}\n',
            b'{"epoch": 1}\n',
            b'{"step": 1}\n',
            b'{"epoch": 1, "step": null}\n',
            b'{"epoch": 1, "step": "1"}\n',
            b'{"epoch": 1, "step": -1}\n',
            b'{"epoch": 1, "step": 1.5}\n',
            b'{"epoch": 1, "step": 1, "loss": null}\n',
            b'{"epoch": 1, "step": 1, "loss": "low"}\n',
            b'{"epoch": 1, "step": 1, "loss": [1]}\n',
            b'{"epoch": 1, "step": 1, "loss": NaN}\n',
            b'{"epoch": 1, "step": 1, "loss": 1, "images_per_s": -1}\n',
            b'{"epoch": 1, "step": 1, "loss": 1, "images_per_s": 1e-300}\n',
            b'{"epoch": 1, "step": 1, "loss": 1, "images_per_s": 1}\n{"epoch": 1, "step": 2, "images_per_s": 1}\n',
            b'{"epoch": 1, "step": 2}\n{"epoch": 1, "step": 1}\n',
        )
    ),
]

SCORE_CASES = [
    *everywhere(SCORE),
    *(Case(SCORE, "drop", None, (key,)) for key in ("metrics", "receipt")),
    *at(SCORE, "", "metrics", None, [], {"FID": None}, {"FID": {"value": 1}}),
    *at(SCORE, "", "receipt", None, [], "paid"),
    *at(SCORE, "", "receipt.real.name", None, 5, ["a"]),
    *at(SCORE, "", "receipt.generated.name", None, 5, {}),
    *at(SCORE, "", "receipt.generated.step", None, -1, "4"),
    *at(SCORE, "", "receipt.notes", None, "text", [5], {}),
    *at(SCORE, "", "receipt.command", None, "rm", [5]),
    *at(SCORE, "", "receipt.versions", None, [], {"python": 3}),
    *at(SCORE, "", "receipt.machine", None, [], {"cpus": []}),
    *at(SCORE, "", "receipt.time", None, 5),
]

PICTURES_CASES = [
    *everywhere(PICTURES),
    *(Case(PICTURES, "drop", None, (key,)) for key in ("weights_sha256", "layout", "files", "left_out")),
    *at(PICTURES, "", "files", None, [], {"samples": None}, {"samples": 5}),
    *at(
        PICTURES,
        "names",
        "files.samples",
        "../../../secret.png",
        "../report/samples.png",
        "/etc/passwd",
        "..\\..\\secret.png",
        "C:secret.png",
        "real.png",
        "",
        ".",
    ),
    *at(PICTURES, "names", "files.secret", "secret.png"),
    *at(PICTURES, "", "left_out", None, "text", [5]),
]

Tensors = dict[str, torch.Tensor]


def _with(change: Callable[[Tensors], object]) -> Callable[[Tensors], Tensors]:
    def changed(tensors: Tensors) -> Tensors:
        change(tensors)
        return tensors

    return changed


def _first(tensors: Tensors) -> str:
    return next(name for name in sorted(tensors) if tensors[name].ndim and tensors[name].dtype == torch.float32)


# Tensors of a group that do not fit the run; the SHA-256 in checkpoint.json is made right.
TENSOR_CASES: Mapping[str, Callable[[Tensors], Tensors]] = {
    "no tensors": lambda tensors: {},
    "one too few": _with(lambda tensors: tensors.pop(_first(tensors))),
    "one too many": _with(lambda tensors: tensors.update(more=torch.zeros(3))),
    "one too many of 4 MB": _with(lambda tensors: tensors.update(more=torch.zeros(1 << 20))),
    "another name": _with(lambda tensors: tensors.update(other=tensors.pop(_first(tensors)))),
    "another shape": _with(lambda tensors: tensors.update({_first(tensors): torch.zeros(3)})),
    "turned": _with(lambda tensors: tensors.update({_first(tensors): tensors[_first(tensors)][None]})),
    "float64": _with(lambda tensors: tensors.update({_first(tensors): tensors[_first(tensors)].double()})),
    "float16": lambda tensors: {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()},
    "whole numbers": _with(lambda tensors: tensors.update({_first(tensors): tensors[_first(tensors)].long()})),
    "NaN": _with(lambda tensors: tensors[_first(tensors)].view(-1)[:1].fill_(NAN)),
    "infinity": _with(lambda tensors: tensors[_first(tensors)].view(-1)[-1:].fill_(float("inf"))),
}
# Files of tensors that are none.
TENSOR_CONTENTS = (
    b"",
    b"\xff" * 100,
    (1 << 40).to_bytes(8, "little") + b"{}",
    (2).to_bytes(8, "little") + b"{}" + b"more",
    (DEEP).to_bytes(8, "little") + b"[" * DEEP,
    (64).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}}'[:64],
)


def put(run: Path, case: Case) -> None:
    """Make the file of a run be as the case has it."""
    path = run / case.file
    text = path.read_bytes() if path.is_file() else b"{}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    match case.change:
        case "bytes":
            path.write_bytes(case.value)
        case "set" | "drop":
            value = json.loads(text)
            outer = value
            for key in case.place[:-1]:
                outer = outer[key]
            if case.change == "drop":
                del outer[case.place[-1]]
            else:
                outer[case.place[-1]] = case.value
            path.write_text(json.dumps(value))
        case "link":
            path.symlink_to(case.value)
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "sparse":
            with path.open("wb") as file:
                file.truncate(case.value)


def put_tensors(run: Path, group: str, change: Callable[[Tensors], Tensors] | bytes) -> None:
    """Change the tensors of a group, or all of its file, and make the SHA-256 in checkpoint.json right."""
    index = json.loads((run / INDEX).read_text())
    path = run / "checkpoint" / index["files"][group]["file"]
    if isinstance(change, bytes):
        path.write_bytes(change)
    else:
        save_file({name: tensor.contiguous() for name, tensor in change(load_file(path)).items()}, path)
    index["files"][group]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (run / INDEX).write_text(json.dumps(index))


# What a data set, a folder or a grid may be called, before the rest of its name.
NAMES = (
    "a|b ",
    "a\\|b ",
    "two\nlines ",
    "two\r\nlines ",
    "\n\n# title ",
    "\n---\n",
    "<img src=x onerror=alert(1)>",
    "</h2><script>alert(1)</script>",
    "</pre></style>",
    '" onload="alert(1)',
    "' onload='alert(1)",
    "-->",
    "]]>",
    "&lt;b&gt;",
    "{{ 7 * 7 }}{% raw %}",
    "![x](http://example.org/x.png)",
    "[x](javascript:alert(1))",
    "![x][y] ",
    "[y]: http://example.org ",
    "`code ",
    "**bold** __bold__ ~~gone~~ ",
    "# ",
    "- ",
    "1. ",
    "> ",
    "=HYPERLINK(1) ",
    "=1+1",
    "+1",
    "-1",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "$x^$ ",
    "$\\frac$ ",
    "\x1b[31m",
    "\x00",
    "\x07",
    "\u202e",
    "\udcff",
    "\ufeff",
    "日本 ",
)
