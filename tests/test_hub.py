"""Runs on the hub: the real client over real HTTP to a stand-in, what it is sent, and what a stranger may send back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import counterfeit as cf
from counterfeit import hub
from counterfeit.errors import InputError, RunError
from counterfeit.hub import place as places
from counterfeit.hub import pushing
from counterfeit.hub.files import LIST, is_ours
from hub_cases import TOKEN, Hub, Repository, serving

pytest.importorskip("huggingface_hub")
# The client's own way to upload is deprecated by its HTTP library.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    # Large files by HTTP: the other way, Xet, is a protocol and a binary of its own.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    with serving() as there:
        monkeypatch.setenv("HF_ENDPOINT", there.address)
        yield there


@pytest.fixture(scope="module")
def scored(tmp_path_factory, test_cache) -> Path:
    """The folder of a tiny VAE that was scored twice."""
    home = tmp_path_factory.mktemp("hub")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        images = np.random.default_rng(0).integers(0, 256, (64, 28, 28), np.uint8)
        tiny = {"latent": 4, "encoder_width": 4, "decoder_width": 4, "batch_size": 16, "epochs": 1}
        run = cf.train("vae", images, out=home / "run", quiet=True, device="cpu", **tiny)
        run.score(images[:, None], n=32, metrics=["fid", "kid"], detector="mnist-cnn")
    return run.path


@pytest.fixture
def run(scored: Path, tmp_path: Path) -> cf.Run:
    """A copy of it, with things beside it that are no run's."""
    shutil.copytree(scored, tmp_path / "mine")
    (tmp_path / "mine" / "notes.txt").write_text("private")
    (tmp_path / "mine" / "checkpoint" / "old.pt").write_bytes(b"a pickle")
    (tmp_path / "mine" / "samples" / "epoch-0001.png").unlink()
    (tmp_path / "mine" / "samples" / "epoch-0001.png").symlink_to("/etc/hostname")
    return cf.load(tmp_path / "mine", device="cpu")


def front_of(card: str) -> dict:
    yaml = pytest.importorskip("yaml")
    _, front, _ = card.split("---\n", 2)
    return dict(yaml.safe_load(front))


def test_what_is_pushed_is_loaded(run, stand_in, cache, command) -> None:
    outcome = command("push", run.path, "me/digits", "--license", "mit", "--message", "first")
    assert outcome.code == 0, outcome.err
    repository = stand_in.repositories["me/digits"]
    sha = repository.branches["main"]
    assert outcome.out.split() == ["hf://me/digits", f"{stand_in.address}/me/digits/commit/{sha}"]
    files = repository.commits[sha]
    own = {name for name in files if is_ours(name)}
    assert set(files) - own == {"README.md", "grid.png", LIST, ".gitattributes"}
    assert {"run.json", "log.jsonl", "checkpoint/checkpoint.json"} < own and any(n.startswith("scores/") for n in own)
    assert all(files[name] == (run.path / name).read_bytes() for name in own)
    assert "samples/epoch-0001.png" not in own and repository.messages[-1] == "first"

    other = cf.load("hf://me/digits", device="cpu")
    assert other.name == "hf://me/digits" and other.path.is_relative_to(cache)
    assert np.array_equal(other.sample(5, seed=3), run.sample(5, seed=3))
    assert not any(path.is_symlink() for path in other.path.rglob("*"))
    stand_in.asked.clear()
    assert cf.load(f"hf://me/digits@{sha}").path == other.path and stand_in.asked == []  # a commit is what it was
    assert cf.load("hf://me/digits").path == other.path and len(stand_in.asked) == 1


def test_the_card_says_what_the_receipts_say(run, stand_in) -> None:
    pushed = run.push("me/digits", license="cc-by-4.0", dry_run=True)
    assert stand_in.asked == [] and pushed.url == ""
    assert {"checkpoint/old.pt", "notes.txt", "samples/epoch-0001.png"} <= set(pushed.left_out)
    assert "stays   checkpoint/old.pt" in pushed.table() and "run.json" in pushed.files
    front = front_of(pushed.card)
    assert front["license"] == "cc-by-4.0" and front["library_name"] == "counterfeit" and "vae" in front["tags"]
    (entry,) = front["model-index"]
    scored = {}
    for path in (run.path / "scores").glob("*.json"):
        for name, value in json.loads(path.read_text())["metrics"].items():
            scored.setdefault(name, []).append(value["value"])
    shown = [metric for result in entry["results"] for metric in result["metrics"]]
    assert scored and sorted((metric["name"], metric["value"]) for metric in shown) == sorted(
        (name, value) for name, values in scored.items() for value in values
    )
    assert all("[" in metric["name"] and "[" not in metric["type"] for metric in shown)
    assert run.weights_sha256 in pushed.card and 'cf.load("hf://me/digits")' in pushed.card


def test_a_later_push_replaces_the_checkpoint_and_a_branch_keeps_its_own(run, stand_in, cache) -> None:
    run.push("me/digits@v1")
    repository = stand_in.repositories["me/digits"]
    old = dict(repository.files("v1")[1])
    assert "run.json" not in repository.files("main")[1]
    with pytest.raises(RunError, match="hf://me/digits is no run of counterfeit, since it has no files.json"):
        cf.load("hf://me/digits")
    repository.commit("v1", {**old, "checkpoint/model-0000001.safetensors": b"older", "mine.md": b"a note"})
    run.push("hf://me/digits@v1")
    files = repository.files("v1")[1]
    assert "checkpoint/model-0000001.safetensors" not in files and files["mine.md"] == b"a note"
    assert cf.load("hf://me/digits@v1").record == run.record
    with pytest.raises(RunError, match="me/digits has no revision v2"):
        cf.load("hf://me/digits@v2")


def test_content_of_strangers(run, stand_in, cache) -> None:
    run.push("me/digits")
    repository = stand_in.repositories["me/digits"]
    good = dict(repository.files("main")[1])
    weights = next(name for name in good if name.startswith("checkpoint/model"))
    listed = json.loads(good[LIST])["files"]

    def without(name: str) -> bytes:
        return json.dumps({"files": {key: value for key, value in listed.items() if key != name}}).encode()

    for change, says in (
        ({weights: good[weights][:-1] + b"x"}, f"{weights} has not the SHA-256"),
        ({LIST: without(weights)}, f"{weights} is not in its files.json"),
        ({LIST: b'{"files": {"run.json": 3}}'}, "files.json cannot be read"),
        ({LIST: json.dumps({"files": {**listed, "../x": listed["run.json"]}}).encode()}, "'../x' of its files.json"),
        ({"run.json": None}, "no run of counterfeit, since it has no run.json"),
    ):
        repository.commit("main", {name: of for name, of in {**good, **change}.items() if of is not None}, says)
        with pytest.raises(RunError, match=says.replace(".", r"\.")):
            cf.load("hf://me/digits")
    assert not [path for path in (cache / "hub").rglob("*") if path.suffix != ".lock" and path.is_file()]

    stand_in.asked.clear()
    repository.commit("main", {**good, "sitecustomize.py": b"boom", "checkpoint/x.pt": b"boom", "../up.json": b"{}"})
    path = cf.load("hf://me/digits").path
    assert not any(word in line for line in stand_in.asked for word in ("boom", ".py", ".pt", "up.json"))
    assert sorted(p.name for p in path.iterdir() if p.is_file()) == ["curves.png", LIST, "log.jsonl", "run.json"]


def test_sizes_are_looked_at_before_anything_is_fetched(run, stand_in, cache, monkeypatch) -> None:
    run.push("me/digits")
    stand_in.asked.clear()
    monkeypatch.setattr("counterfeit.hub.fetch.MOST", 1000)
    with pytest.raises(RunError, match="more than a run has"):
        cf.load("hf://me/digits")
    assert len(stand_in.asked) == 1


def test_what_the_hub_refuses_is_one_line(run, stand_in, command, monkeypatch) -> None:
    for words in (["sample", "hf://nobody/nothing"], ["score", "hf://nobody/nothing", "-n", "4"]):
        outcome = command(*words)
        assert outcome.code == 2 and "hf://nobody/nothing cannot be used: check its name, and log in" in outcome.err
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    outcome = command("push", run.path, "me/digits")
    assert outcome.code == 2 and "log in by `hf auth login` or HF_TOKEN" in outcome.err
    assert not stand_in.repositories
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    outcome = command("sample", "hf://me/digits")
    assert outcome.code == 2 and "cannot be reached" in outcome.err and "Traceback" not in outcome.err


def test_a_run_that_is_training_is_not_pushed(run, stand_in) -> None:
    with run.folder.lock(), pytest.raises(RunError, match=r"another process is training in .*mine: wait for it"):
        run.push("me/digits")
    assert stand_in.asked == []


def test_files_are_looked_at_after_images_are_drawn(run, stand_in, cache, monkeypatch) -> None:
    def drawn(run: cf.Run) -> bytes:
        (run.path / "log.jsonl").write_text((run.path / "log.jsonl").read_text() + "\n")
        return grid(run)

    grid = pushing._grid
    monkeypatch.setattr(pushing, "_grid", drawn)
    run.push("me/digits")
    assert (cf.load("hf://me/digits").path / "log.jsonl").read_bytes() == (run.path / "log.jsonl").read_bytes()


def test_a_repository_of_something_else_is_left_as_it_is(run, stand_in) -> None:
    there = stand_in.repositories["me/book"] = Repository()
    there.commit("main", {".gitattributes": b"", "README.md": b"a book", "chapter.md": b"once"})
    for name in ("me/book", "me/book@v1"):
        with pytest.raises(RunError, match=f"hf://{name} holds something else, and no run of counterfeit"):
            run.push(name)
    assert len(there.commits) == 1 and list(there.branches) == ["main"]
    there.commit("main", {".gitattributes": b"", "README.md": b"to be filled"})
    run.push("me/book")
    assert b"counterfeit" in there.files("main")[1]["README.md"]


def test_places_on_this_machine_are_named(run, stand_in, capsys) -> None:
    receipt = next((run.path / "scores").glob("*.json"))
    score = json.loads(receipt.read_text())

    def said(command: list[str], real: str) -> str:
        score["receipt"]["real"]["name"], score["receipt"]["generated"]["name"] = real, "vae"
        receipt.write_text(json.dumps({**score, "receipt": {**score["receipt"], "command": command}}))
        cf.load(run.path).push("me/digits", dry_run=True)
        return capsys.readouterr().err

    run.folder.write_record(replace(run.record, made_by={"command": ["counterfeit", "train", "vae"]}))
    assert "places on this machine" not in said(["counterfeit", "score", "vae", "--real", "hf://me/x"], "mnist")
    err = said(["counterfeit", "score", "vae", "--real=/home/me/faces"], "faces")
    assert f"named in scores/{receipt.name}, pushed as they are: --real=/home/me/faces" in err
    assert f"named in scores/{receipt.name}, pushed as they are: data/faces" in said(["score"], "data/faces")


def test_what_a_killed_download_has_left_is_removed(run, stand_in, cache) -> None:
    run.push("me/digits")
    commit = stand_in.repositories["me/digits"].branches["main"]
    left = cache / "hub" / "me--digits" / f".part-{commit}" / "run"
    left.mkdir(parents=True)
    (left / "stale.txt").write_text("half")
    path = cf.load("hf://me/digits").path
    assert {of.name for of in path.parent.iterdir()} <= {commit, f"{commit}.lock"} and not (path / "stale.txt").exists()


def test_progress_bars_of_others_are_on_again(monkeypatch) -> None:
    from huggingface_hub import utils

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_PROGRESS_BARS", None)
    utils.enable_progress_bars()
    with pytest.raises(RunError), places.reaching(places.client() and hub.address("me/x")):
        assert utils.are_progress_bars_disabled()
        raise OSError("no network")
    assert not utils.are_progress_bars_disabled()
    utils.disable_progress_bars()
    with places.reaching(hub.address("me/x")):
        pass
    assert utils.are_progress_bars_disabled()
    utils.enable_progress_bars()


@pytest.mark.parametrize(
    "text", ["digits", "me/", "/x", "a/b/c", "me/di gits", "../x", "me/..", "me/x@", "me/x@../y", "me/x@-b", "hf://me"]
)
def test_names_that_are_no_place_on_the_hub(text: str) -> None:
    with pytest.raises(InputError, match="no place on the hub"):
        hub.address(text)


def test_names_that_are(monkeypatch) -> None:
    assert str(hub.address("me/x")) == str(hub.address("hf://me/x")) == str(hub.address("me/x@main")) == "hf://me/x"
    assert hub.address("hf://me/x.y@feature/z").revision == "feature/z"
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"pip install 'counterfeit\[hub\]'"):
        places.client()


@pytest.mark.parametrize(
    "name", ["run.py", "../run.json", "checkpoint/../run.json", "scores/../x.json", "checkpoint/a.pt"]
)
def test_files_that_no_run_has(name: str) -> None:
    assert not is_ours(name)
