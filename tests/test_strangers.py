"""Run folders of strangers: whatever lies in them gives one line and exit code 2, and no name in them leads out."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import counterfeit as cf
from counterfeit.comparison import pictures
from counterfeit.comparison.pictures import draw, folder
from counterfeit.errors import RunError
from counterfeit.scoring.kept import kept
from counterfeit.scoring.score import stored
from counterfeit.system.reading import Malformed
from stranger_cases import (
    INDEX,
    INDEX_CASES,
    KINDS,
    LOG,
    LOG_CASES,
    MODEL_CASES,
    PICTURES,
    PICTURES_CASES,
    RECORD_CASES,
    SCORE,
    SCORE_CASES,
    TENSOR_CASES,
    TENSOR_CONTENTS,
    Case,
    put,
    put_tensors,
)

# The commands that read a run. Of those that look for --real first it is a small file.
READERS: dict[str, tuple[str, ...]] = {
    "sample": ("sample", "RUN", "-n", "4", "--out", "new.png"),
    "score": ("score", "RUN", "-n", "20", "--metrics", "fid", "--detector", "mnist-cnn"),
    "cas": ("cas", "RUN", "-n", "20"),
    "likelihood": ("likelihood", "RUN", "-n", "2", "-k", "2"),
    "compare": ("compare", "RUN", "--out", "new", "-n", "20", "--metrics", "fid"),
    "report": ("report", "RUN", "--out", "new.html", "-n", "20", "--metrics", "fid"),
    "resume": ("train", "cvae", "--out", "RUN", "--epochs", "2", "--resume"),
}
SCORED = {"n": 20, "metrics": ["fid"], "detector": "mnist-cnn"}


@pytest.fixture(autouse=True)
def not_for_ever() -> Iterator[None]:
    """A pipe that is waited for ends the test, not the suite."""

    def end(*_: object) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, test_cache: Path) -> Path:
    """A small cvae of one epoch of four steps, with a score and pictures."""
    home = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        digits = cf.load_data("mnist5k")
        np.savez(home / "digits.npz", images=digits.images[::8][:600], labels=digits.labels[::8][:600])
        small = {"epochs": 1, "encoder_width": 8, "decoder_width": 8, "latent": 2, "log_every": 1}
        run = cf.train("cvae", home / "digits.npz", out=home / "run", quiet=True, **small)
        run.score(**SCORED)
        draw(run)
    (stored,) = (home / "run" / "scores").iterdir()
    stored.rename(home / "run" / SCORE)
    return home / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def one_line(outcome: Any, *says: str) -> None:
    """Exit code 2, and one line with these words."""
    assert outcome.code == 2 and "Traceback" not in outcome.err, outcome
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("counterfeit: ")]
    assert line == outcome.err.splitlines()[-1] and line.isprintable() and len(line) < 700, line
    for words in says:
        assert words in line, f"{words!r} is not in {line!r}"


@pytest.fixture
def read(command: Callable[..., Any], run: Path) -> Callable[[str], Any]:
    return lambda reader: command(*(run if word == "RUN" else word for word in READERS[reader]))


@pytest.mark.parametrize("case", RECORD_CASES, ids=str)
def test_run_json(case: Case, run: Path, read, tmp_path: Path) -> None:
    put(run, case)
    one_line(read("sample"), "run.json", case.says)
    assert not (tmp_path / "new.png").exists()


@pytest.mark.parametrize("reader", READERS)
def test_run_json_in_every_command(reader: str, trained: Path, run: Path, read) -> None:
    for case in RECORD_CASES[::5]:
        put(run, case)
        one_line(read(reader), "run.json", case.says)
        shutil.rmtree(run)
        shutil.copytree(trained, run)


@pytest.mark.parametrize("case", MODEL_CASES, ids=str)
def test_settings_that_are_not_those_of_the_weights(case: Case, run: Path, read) -> None:
    """No memory is taken for them: a model of 10**9 latent numbers would need 4 TB."""
    put(run, case)
    one_line(read("sample"), case.says)


@pytest.mark.parametrize("case", INDEX_CASES, ids=str)
def test_checkpoint_json(case: Case, run: Path, read, tmp_path: Path) -> None:
    put(run, case)
    one_line(read("sample"), "checkpoint", case.says)
    one_line(read("resume"), "checkpoint", case.says)
    assert not (tmp_path / "new.png").exists()


@pytest.mark.parametrize("reader", ["score", "cas", "likelihood"])
def test_checkpoint_json_in_every_command(reader: str, trained: Path, run: Path, read) -> None:
    for case in INDEX_CASES[::9]:
        put(run, case)
        one_line(read(reader), "checkpoint", case.says)
        shutil.rmtree(run)
        shutil.copytree(trained, run)


@pytest.mark.parametrize("reader", ["compare", "report"])
def test_a_comparison_names_the_run_whose_checkpoint_is_damaged(reader: str, run: Path, read) -> None:
    put(run, next(case for case in INDEX_CASES if "other" in str(case.value)))
    outcome = read(reader)
    assert outcome.code == 1 and "Traceback" not in outcome.err, outcome
    assert str(run) in outcome.err.splitlines()[-1] and "must be" in outcome.err.splitlines()[-1]


@pytest.mark.parametrize("case", LOG_CASES, ids=str)
def test_log_jsonl(case: Case, run: Path, read) -> None:
    put(run, case)
    one_line(read("resume"), "log.jsonl", case.says)
    with pytest.raises(RunError, match=r"log\.jsonl"):
        _ = cf.load(run).log


@pytest.mark.parametrize("case", SCORE_CASES, ids=str)
def test_a_stored_score(case: Case, run: Path) -> None:
    put(run, case)
    with pytest.raises((OSError, Malformed)):
        stored(run / SCORE)


@pytest.mark.parametrize("case", [SCORE_CASES[0], Case(SCORE, "fifo"), SCORE_CASES[-1]], ids=str)
def test_a_stored_score_is_passed_over_and_measured_again(case: Case, run: Path, capsys) -> None:
    put(run, case)
    found = cf.compare([run], out="new", **SCORED)
    assert found["failures"] == [] and len(found["runs"]) == 1
    assert "stored.json is ignored" in capsys.readouterr().err


def test_a_stored_score_of_ours_is_taken(run: Path, capsys) -> None:
    cf.compare([run], out="new", **SCORED)
    assert "is ignored" not in capsys.readouterr().err and len(list((run / "scores").iterdir())) == 1


@pytest.mark.parametrize("case", PICTURES_CASES, ids=str)
def test_pictures_json(case: Case, run: Path, capsys) -> None:
    put(run, case)
    opened = cf.load(run)
    assert pictures._known(opened, folder(opened)) is None
    assert "pictures.json is not used" in capsys.readouterr().err


@pytest.mark.parametrize("case", [case for case in PICTURES_CASES if "secret.png" in str(case)], ids=str)
def test_no_picture_from_outside_is_in_a_page(case: Case, run: Path, tmp_path: Path, read) -> None:
    Image.new("RGB", (77, 55), "red").save(tmp_path / "secret.png")
    put(run, case)
    assert read("report").code == 0
    assert 'width="77"' not in Path("new.html").read_text() and 'width="291"' in Path("new.html").read_text()


def test_a_pictures_json_that_cannot_be_replaced(run: Path) -> None:
    put(run, Case(PICTURES, "folder"))
    with pytest.raises(RunError, match="cannot write"):
        draw(cf.load(run))


def test_pictures_that_are_links_are_drawn_again_in_the_run(run: Path, tmp_path: Path, capsys) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"nobody else's")
    picture = run / "samples/report/samples.png"
    picture.unlink()
    picture.symlink_to(secret)
    draw(cf.load(run))
    assert not picture.is_symlink() and secret.read_bytes() == b"nobody else's"
    assert "a link that leads elsewhere" in capsys.readouterr().err
    away = folder(cf.load(run)).rename(tmp_path / "away")
    (run / "samples/report").symlink_to(away)
    with pytest.raises(RunError, match="to a place outside the run"):
        draw(cf.load(run))


@pytest.mark.parametrize("group", ["model", "training"])
@pytest.mark.parametrize("case", TENSOR_CASES)
def test_tensors_that_do_not_fit(group: str, case: str, run: Path, read) -> None:
    put_tensors(run, group, TENSOR_CASES[case])
    one_line(read("resume"), f"{group}-0000004.safetensors")
    if group == "model":
        one_line(read("sample"), f"{group}-0000004.safetensors")


@pytest.mark.parametrize("content", TENSOR_CONTENTS, ids=lambda content: repr(content[:12]))
def test_tensors_that_are_none(content: bytes, run: Path, read) -> None:
    for group, reader in (("training", "resume"), ("model", "sample")):
        put_tensors(run, group, content)
        one_line(read(reader), f"{group}-0000004.safetensors")


@pytest.mark.parametrize(("change", "value"), [("fifo", None), ("sparse", 1 << 40), ("link", "/dev/zero")])
def test_tensors_that_are_no_file(change: str, value: Any, run: Path, read) -> None:
    put(run, Case("checkpoint/model-0000004.safetensors", change, value))
    one_line(read("sample"), "model-0000004.safetensors", "cannot be read")


def test_a_step_that_only_the_state_denies(run: Path, read) -> None:
    """checkpoint.json and the names of its files agree on a step; Adam has done more."""
    index = json.loads((run / INDEX).read_text())
    assert (index["step"], index["epoch"]) == (4, 1)
    index |= {"step": 3, "epoch": 0}
    for group, entry in index["files"].items():
        (run / "checkpoint" / entry["file"]).rename(run / "checkpoint" / f"{group}-0000003.safetensors")
        entry["file"] = f"{group}-0000003.safetensors"
    (run / INDEX).write_text(json.dumps(index))
    one_line(read("resume"), "of step 3", "its state is of step 4")


def test_a_random_state_that_is_none(run: Path, read) -> None:
    for state in (torch.zeros(5056, dtype=torch.uint8), torch.zeros(3, dtype=torch.uint8)):
        put_tensors(run, "training", lambda tensors, state=state: {**tensors, "rng": state})
        one_line(read("resume"))


def test_a_log_that_was_cut_within_a_letter(run: Path, read) -> None:
    whole = (run / LOG).read_bytes()
    (run / LOG).write_bytes(whole + '{"epoch": 2, "ä'.encode()[:-1])
    assert len(cf.load(run).log) == whole.count(b"\n")
    assert read("resume").code == 0


def test_a_run_of_version_0_1_0(run: Path, command) -> None:
    """Its run.json and log as the first version wrote them: fewer settings, no kind of data, no digest of code."""
    record = json.loads((run / "run.json").read_text())
    old = ["data", "epochs", "seed", "batch_size", "lr", "betas", "loss", "latent", "encoder_width", "decoder_width"]
    old += ["ema", "size", "skip_bad", "log_every", "device"]
    settings = record.pop("settings")
    record["config"] = {name: {**settings["run"], **settings["model"]}[name] for name in old}
    for key in ("kind", "path"):
        del record["data"][key]
    made = record["made_by"]
    made["versions"] = {name: made["versions"][name] for name in ("counterfeit", "python", "torch", "numpy")}
    record["made_by"] = {name: made[name] for name in ("time", "command", "versions", "code_revision", "machine")}
    del record["finished"]
    expected = cf.load(run).sample(4)
    (run / "run.json").write_text(json.dumps(record, indent=2))
    opened = cf.load(run)
    assert np.array_equal(opened.sample(4), expected) and len(opened.log) == 4 and opened.data.kind == "npz"
    assert command("sample", run, "-n", 4, "--out", "new.png").code == 0
    assert command("score", run, "-n", 20, "--metrics", "fid").code == 0


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_statistics_and_cached_features_that_are_no_file(
    kind: tuple[str, Any], run: Path, command, cache: Path
) -> None:
    put(run, Case("real.npz", kind[0], 1 << 40 if kind[0] == "sparse" else kind[1]))
    one_line(command("score", run, "--real", run / "real.npz", "-n", 20, "--metrics", "fid"), "real.npz")
    kept("features", "key", ["a"], "it", lambda: {"a": np.ones(3)})
    put(cache, Case("features/key.npz", *kind))
    if kind[0] != "folder":
        assert kept("features", "key", ["a"], "it", lambda: {"a": np.zeros(3)})["a"].sum() == 0
        assert kept("features", "key", ["a"], "it", lambda: {"a": np.ones(3)})["a"].sum() == 0
