"""The package as a Python library: its names, a score as a mapping, notebooks, asyncio, forks, spawned processes."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import counterfeit as cf
from counterfeit.errors import InputError
from counterfeit.models import MODELS
from counterfeit.registry import Registry
from counterfeit.scoring import Scored
from counterfeit.system import arguments

SMALL = {"epochs": 1, "batch_size": 100, "latent": 4, "encoder_width": 64, "decoder_width": 64, "device": "cpu"}
DEADLINE = 120  # seconds; a child that waits for its parent's threads waits forever


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script of its own, for what is decided at import or at the end of a process."""
    Path("script.py").write_text(code)
    source = str(Path(cf.__file__).parent.parent)
    env = {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, env=env, timeout=DEADLINE)


def test_public_names_are_seen_and_nothing_else() -> None:
    assert dir(cf) == sorted(cf.__all__) and {"report", "likelihood", "sample"} <= set(dir(cf))
    assert all(inspect.getdoc(getattr(cf, name)) for name in cf.__all__ if name != "__version__")


def test_public_names_stay_what_they_are_whatever_is_imported() -> None:
    code = """
import importlib, pkgutil
import counterfeit.report, counterfeit.scoring.likelihood
import counterfeit as cf
before = {name: getattr(cf, name) for name in cf.__all__}
for module in pkgutil.walk_packages(cf.__path__, "counterfeit."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:  # of an extra that is not installed
            assert not error.name.startswith("counterfeit"), error
from counterfeit.report import render
from counterfeit.scoring.likelihood import Nats
assert {name: getattr(cf, name) for name in cf.__all__} == before
assert all(callable(before[name]) for name in before if name != "__version__"), before
assert cf.data.__name__ == "counterfeit.data"
"""
    done = python(code)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def score() -> cf.Score:
    one = Scored(1.5, 0.1, "", None, "lower", {}, ())
    return cf.Score({"FID[mnist-cnn]": one}, {"notes": []})


def test_a_score_keeps_the_promises_of_a_mapping(score: cf.Score) -> None:
    name = "FID[mnist-cnn]"
    assert score.get("KID") is None and score.get("KID", 3) == 3 and score.get(name) is score[name]
    assert name in score and "KID" not in score and [] not in score and 3 not in score
    assert dict(score) == score.metrics and list(score.keys()) == [name] and len(score) == 1
    for wrong in ("KID", 3, None, [], {}):
        with pytest.raises(KeyError):
            score[wrong]  # type: ignore[index]
    with pytest.raises(InputError, match=r"no 'KID'; it has FID\[mnist-cnn\]$"):
        score["KID"]


def test_tables_in_a_notebook_are_texts(score: cf.Score, monkeypatch: pytest.MonkeyPatch) -> None:
    from counterfeit.api.list import LISTS

    plain = score.table(), LISTS["models"]()
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert (score.table(), LISTS["models"]()) == plain
    assert "FID[mnist-cnn]" in plain[0] and "vae" in plain[1] and "\x1b" not in "".join(plain)


def test_settings_of_numpy_and_torch_are_taken_and_stored_as_plain_ones(digits, tmp_path: Path) -> None:
    given = {
        **SMALL,
        "epochs": np.int64(1),
        "latent": torch.tensor(4),
        "lr": np.float32(0.5),
        "betas": np.array([0, 0]),
    }
    config = MODELS["vae"].settings.replace(
        {**given, "device": torch.device("cpu"), "skip_bad": np.bool_(True), "data": np.str_("x")}
    )
    assert config == MODELS["vae"].settings.replace(
        {**SMALL, "lr": 0.5, "betas": [0, 0.0], "skip_bad": True, "data": "x"}
    )
    plain = (int, float, str, bool, tuple, type(None))
    assert all(type(value) in plain for value in vars(config).values())
    run = cf.train("vae", digits[0][:200], out=tmp_path / "run", quiet=True, **{**given, "lr": 1e-3, "betas": (0, 0)})
    assert run.sample(np.int64(3), seed=torch.tensor(2)).shape == (3, 1, 28, 28)


def test_a_wrong_type_names_the_function_the_argument_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^train: resume is 'yes'; it must be True or False$"):
        cf.train("vae", resume="yes")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^--epochs is '3'; it must be a whole number$"):
        cf.train("vae", epochs="3")
    with pytest.raises(InputError, match=r"^Run: path is 3; it must be text or a path$"):
        cf.load.__wrapped__(3)  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'model'"):
        cf.train()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (int | None, "a whole number or None"),
        (tuple[float, float], "2 of these: a number"),
        (str | Path, "text or a path"),
        (np.ndarray, "an array of numbers"),
    ],
)
def test_types_in_words(kind: object, says: str) -> None:
    assert arguments.words(kind) == says


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("VAE", "vae"), (" v a e ", "vae"), ("CIFAR-10", "cifar10"), ("Fashion_MNIST", "fashion-mnist")],
)
def test_a_name_in_another_spelling_gets_a_hint_or_a_match(typed: str, meant: str) -> None:
    names: Registry[int] = Registry("thing")
    for name in ("vae", "cifar10", "fashion-mnist"):
        names.add(name, 1)
    assert names.named(typed) == meant and names.named("other") == "other"
    with pytest.raises(InputError, match=f"did you mean '{meant}'"):
        names[typed]


def test_in_a_running_loop_of_asyncio(digits, tmp_path: Path) -> None:
    async def work() -> list[np.ndarray]:
        run = cf.train("vae", digits[0][:200], out=tmp_path / "run", quiet=True, **SMALL)
        both = await asyncio.gather(*(asyncio.to_thread(run.sample, 8, seed=1) for _ in range(2)))
        return [run.sample(8, seed=1), *both]

    here, *others = asyncio.run(work())
    assert all(np.array_equal(here, other) for other in others)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_child_forked_after_a_training_does_not_wait_for_threads_that_it_has_not() -> None:
    """With two threads in the parent, sampling in such a child never came to an end."""
    code = """
import multiprocessing, warnings, numpy, torch
import counterfeit as cf
warnings.simplefilter("ignore")  # Python 3.12 warns of every fork of a process that has threads
torch.set_num_threads(2)
images = numpy.random.default_rng(0).integers(0, 256, (600, 28, 28), numpy.uint8)
run = cf.train("vae", images, out="run", quiet=True, epochs=1, device="cpu")
def sampled(sent): sent.send(run.sample(200))
def trained(sent): sent.send(cf.train("gan", images, out="child", quiet=True, epochs=1, device="cpu").sample(9))
expected = run.sample(200)
for work in (sampled, trained):
    context = multiprocessing.get_context("fork")
    receive, sent = context.Pipe()
    child = context.Process(target=work, args=(sent,))
    child.start()
    assert receive.poll(50), f"{work.__name__} hangs" + str(child.kill() or "")
    found = receive.recv()
    child.join()
    assert child.exitcode == 0 and (work is trained or (found == expected).all())
assert torch.get_num_threads() == 2
"""
    done = python(code, OMP_NUM_THREADS="2")
    assert done.returncode == 0, done.stderr


def test_a_script_without_a_main_guard_is_told_so_by_its_child() -> None:
    code = """
import multiprocessing, numpy
import counterfeit as cf
images = numpy.zeros((100, 28, 28), numpy.uint8)
run = cf.train("vae", images, out="run", quiet=True, epochs=1, batch_size=50, latent=2, device="cpu")
child = multiprocessing.get_context("spawn").Process(target=print)
child.start()
child.join()
print(child.exitcode)
"""
    done = python(code)
    assert done.returncode == 0 and done.stdout.split() == ["1"], done.stderr
    assert '__name__ == "__main__"' in done.stderr.strip().splitlines()[-1]
