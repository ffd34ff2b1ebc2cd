"""The zoo: its weights as they ship, and copies of it that are damaged, of another version or missing."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import counterfeit as cf
from counterfeit import catalog
from counterfeit.api.list import LISTS
from counterfeit.app.shelf import Shelf
from counterfeit.comparison import pictures
from counterfeit.comparison.grid import of_runs
from counterfeit.errors import InputError, RunError
from counterfeit.hub.files import LIST, digest, is_ours

ROOT = Path(__file__).parent.parent
HOME = ROOT / "zoo" / "counterfeit_zoo"
NAME = "csngan-mnist"
every_one = pytest.mark.parametrize("name", catalog.zoo())


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Path:
    """A copy of the package's entry NAME, which is found in place of an installed one."""
    monkeypatch.syspath_prepend(tmp_path / "packages")
    copy = tmp_path / "packages" / HOME.name
    shutil.copytree(HOME / NAME, copy / NAME)
    (copy / "__init__.py").write_text("raise SystemExit('it was run')")
    return copy


@every_one
def test_what_ships_is_what_the_package_knows(name: str) -> None:
    facts, folder = catalog.zoo()[name], HOME / name
    assert digest(folder / LIST) == facts.sha256
    listed = json.loads((folder / LIST).read_text())["files"]
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert set(there) == {LIST, *listed} and all(map(is_ours, listed))
    assert all(digest(there[file]) == of["sha256"] for file, of in listed.items())
    assert sum(of["size"] for of in listed.values()) == facts.size < 3 << 20
    texts = [path.read_text() for path in there.values() if ".json" in path.suffix]
    assert not any(re.search(r'"/\w', text) for text in texts), "paths of the machine that made it"
    (weights,) = (path for path in there.values() if path.suffix == ".safetensors")
    tensors = load_file(weights)
    assert {t.dtype for t in tensors.values() if t.ndim > 1} == {torch.float16}
    (receipt,) = (json.loads(path.read_text()) for path in (folder / "scores").iterdir())
    assert receipt["receipt"]["generated"]["digest"] == digest(weights), "scored as it ships"
    assert {label: receipt["metrics"][label]["value"] for label in facts.scores} == facts.scores


def test_all_of_it_is_small() -> None:
    assert {path.name for path in HOME.iterdir() if path.is_dir() and path.name[0] != "_"} == set(catalog.zoo())
    assert sum(facts.size for facts in catalog.zoo().values()) < 6e6


def test_it_is_loaded_with_float32_weights_and_none_of_it_is_run(zoo: Path, cache: Path) -> None:
    run = cf.load(f"zoo:{NAME}", device="cpu")
    assert run.name == f"zoo:{NAME}" and run.path.is_relative_to(cache) and run.path.name == NAME
    (weights,) = (zoo / NAME / "checkpoint").glob("*.safetensors")
    halves, state = load_file(weights), run.model.state_dict()
    assert set(state) == set(halves)
    assert all(torch.equal(state[name], halves[name].to(state[name].dtype)) for name in state)
    assert {t.dtype for t in state.values()} == {torch.float32, torch.int64}
    shutil.rmtree(zoo)
    again = cf.load(f"zoo:{NAME}", device="cpu")  # from the cache
    assert np.array_equal(again.sample(3, seed=2), run.sample(3, seed=2))


def test_commands(zoo: Path, command, test_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = command("sample", f"zoo:{NAME}", "-n", "4", "--label", "7")
    assert (outcome.code, outcome.out.strip()) == (0, f"{NAME}/samples/sample-n4-label7-seed0.png"), outcome.err
    assert Path(outcome.out.strip()).is_file()
    assert command("sample", f"zoo:{NAME}", "-n", "4", "--out", "a.npz").code == 0
    with np.load("a.npz") as made:
        assert np.array_equal(made["images"], cf.load(f"zoo:{NAME}", device="cpu").sample(4))
    monkeypatch.setenv("COUNTERFEIT_CACHE", str(test_cache))
    outcome = command("score", f"zoo:{NAME}", "-n", "100", "--real", "mnist5k", "--metrics", "label-accuracy", "--json")
    found = json.loads(outcome.out)
    assert found["receipt"]["generated"]["name"] == f"zoo:{NAME}"
    assert found["metrics"]["Label-accuracy[mnist-cnn]"]["value"] > 0.95, "trained weights, and the right ones"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sample", "zoo:csngan-mnst"], "no generator of the zoo is named 'csngan-mnst'; did you mean 'csngan-mnist'?"),
        (["cas", "zoo:nothing", "--real", "mnist5k"], "no generator of the zoo is named 'nothing'; known: "),
        (["train", "csngan", "--out", f"zoo:{NAME}"], "cannot be trained further: pass a folder as --out"),
        (["train", "csngan", "--resume", "--out", f"zoo:{NAME}"], "cannot be trained further: pass a folder as --out"),
    ],
)
def test_what_cannot_be_is_one_line(words: list[str], says: str, zoo: Path, command) -> None:
    outcome = command(*words)
    assert outcome.code == 2 and says in outcome.err and len(outcome.err.splitlines()) == 1, outcome.err


def test_other_rooms_take_it_as_a_run(zoo: Path, cache: Path, tmp_path: Path) -> None:
    (member,) = of_runs([f"zoo:{NAME}"]).members
    assert (member.model, member.path) == ("csngan", f"zoo:{NAME}"), "what was typed"
    for places, home in (([f"zoo:{NAME}"], tmp_path / "runs"), ([f"zoo:{NAME}", "mine"], tmp_path / "mine")):
        shelf = Shelf(places)
        assert [run.folder.path.name for run in shelf.runs()] == [NAME]
        assert shelf.home == home, "where the app trains: not in the cache"


def test_a_comparison_calls_it_as_it_was_typed(zoo: Path, cache: Path, digits, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez("real.npz", images=digits[0][:20])
    drawn: list[cf.Run] = []
    monkeypatch.setattr(pictures, "draw", lambda run, place: drawn.append(run) or pictures.Drawn("", 1, {}, []))
    made = cf.compare([f"zoo:{NAME}"], out="made", real="real.npz", detector="mnist-cnn", metrics=["fid"], n=8)
    (run,) = made["runs"]
    assert made["failures"] == [] and made["title"] == run["path"] == f"zoo:{NAME}"
    assert run["score"]["receipt"]["generated"]["name"] == f"zoo:{NAME}"
    assert [(one.name, one.path.is_relative_to(cache)) for one in drawn] == [(f"zoo:{NAME}", True)]
    for page in ("report.html", "table.csv", "table.md", "comparison.json"):
        assert str(cache) not in (Path("made") / page).read_text()


def test_a_copy_of_it_is_not_trained_further(zoo: Path, command) -> None:
    shutil.copytree(zoo / NAME, "mine")
    outcome = command("train", "csngan", "--resume", "--epochs", "20", "--out", "mine")
    assert outcome.code == 2 and "mine has only the weights that images are drawn with" in outcome.err
    assert cf.load("mine", device="cpu").sample(2).shape == (2, 1, 28, 28)


def test_damage(zoo: Path, cache: Path) -> None:
    (weights,) = (zoo / NAME / "checkpoint").glob("*.safetensors")
    whole, listed = weights.read_bytes(), (zoo / NAME / LIST).read_text()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(RunError, match=rf"zoo:{NAME}: checkpoint/{weights.name} has not the SHA-256 of its files.json"):
        cf.load(f"zoo:{NAME}")
    (zoo / NAME / LIST).write_text(listed.replace(digest(HOME / NAME / "run.json"), digest(weights)))
    with pytest.raises(RunError, match="is not of this version of counterfeit: pip install ./zoo"):
        cf.load(f"zoo:{NAME}")
    weights.unlink()
    (zoo / NAME / LIST).write_text(listed)
    with pytest.raises(RunError, match=rf"'checkpoint/{weights.name}' of its files.json is missing"):
        cf.load(f"zoo:{NAME}")
    assert not [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="the zoo's weights are a package of their own, which is missing: pip install"):
        cf.load(f"zoo:{NAME}")


def test_options_of_sampling_are_those_of_its_model(zoo: Path, command) -> None:
    assert "--sampler" in command("sample", "zoo:vae-mnist", "--help").out
    assert "--sampler" not in command("sample", f"zoo:{NAME}", "--help").out


def test_the_page_says_the_scores_that_ship() -> None:
    page = (ROOT / "docs" / "zoo.md").read_text()
    for name, facts in catalog.zoo().items():
        ((label, value),) = facts.scores.items()
        assert f"| `zoo:{name}` | {label.removeprefix('FID')[1:-1]} | {value:.5g} |" in page


def test_list_says_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    lines = LISTS["zoo"]().splitlines()
    for name, facts in catalog.zoo().items():
        (line,) = (line for line in lines if line.startswith(f"zoo:{name} "))
        ((label, value),) = facts.scores.items()
        assert line.split()[1:3] == [facts.model, facts.data] and facts.license in line
        assert f"{value:.4g} {label.removeprefix('FID')}" in line and f"{facts.size / 1e6:.1f} MB" in line
