"""Grids: what is trained, taken, continued and told; kill -9."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import counterfeit as cf
from counterfeit.comparison.grid import of_runs, read_grid
from counterfeit.comparison.scored import shared_scores
from grid_cases import GRID, numbers


def test_a_grid_becomes_a_table_over_seeds(done) -> None:
    home, comparison = done
    (table,) = comparison["tables"]
    assert comparison["failures"] == [] and table["columns"] == ["FID[mnist-cnn]", "KID[mnist-cnn]"]
    rows = {row["label"]: row for row in table["rows"]}
    assert set(rows) == {"vae", "gan, lr 0.0002"}, "epochs, which all share, are not in the labels"
    for row in rows.values():
        values = row["metrics"]["FID[mnist-cnn]"]["values"]
        own = [cf.load(home / path).score(n=200, metrics=["fid", "kid"]) for path in row["runs"]]
        assert values == [score["FID[mnist-cnn]"].value for score in own]
        assert row["metrics"]["FID[mnist-cnn]"]["std"] == pytest.approx(np.std(values, ddof=1))
        assert row["seeds"] == [0, 1]
    curves = [run["curve"]["points"] for run in comparison["runs"] if run["path"] in rows["vae"]["runs"]]
    assert [len(points) for points in curves] == [2, 2] and rows["gan, lr 0.0002"]["curve"] is None
    best = [min(points, key=lambda point: point[1])[0] for points in curves]
    assert rows["vae"]["curve"]["best_epoch"]["values"] == best
    written = json.loads((home / "runs/small/comparison.json").read_text())
    assert written == json.loads(json.dumps(comparison))
    assert "| vae | 2 |" in (home / "runs/small/table.md").read_text()
    page = (home / "runs/small/report.html").read_text()
    assert "gan, lr 0.0002" in page and page.count("<img") > 4
    lines = (home / "runs/small/table.csv").read_text().splitlines()
    assert len(lines) == 5 and lines[0].startswith("label,model,data,seed,epochs,path,FID[mnist-cnn]")


def test_what_is_done_is_taken(done, monkeypatch) -> None:
    home, comparison = done
    monkeypatch.chdir(home)
    files = [path for path in Path("runs").rglob("*") if path.is_file() and path.parent.name != "small"]
    files = [path for path in files if path.name != ".lock"]  # some versions of filelock empty it whenever they take it
    before = {path: path.stat().st_mtime_ns for path in files}
    assert numbers(cf.compare("small.toml")) == numbers(comparison)
    assert before == {path: path.stat().st_mtime_ns for path in files}, "nothing was trained or scored again"
    of_runs = cf.compare("runs/small", out="other", n=200, metrics="fid,kid")
    assert {row["label"] for row in of_runs["tables"][0]["rows"]} == {"vae", "gan, lr 0.0002"}
    assert before == {path: path.stat().st_mtime_ns for path in files}


def test_a_report_takes_the_scores_that_a_comparison_has_left(done, command, monkeypatch) -> None:
    """Of 200 samples by two metrics, though that is asked for nowhere; and nothing else where another draw is."""
    home, comparison = done
    monkeypatch.chdir(home)
    scores = sorted(Path("runs/small").glob("*/scores/*.json"))

    def refuse(*args: object, **more: object) -> None:
        raise AssertionError("it is scored again")

    with monkeypatch.context() as patch:
        patch.setattr(cf.Run, "score", refuse)
        outcome = command("report", "runs/small", "--out", "report.html")
        found = cf.report("runs/small", "report.html")
    assert outcome.code == 0 and sorted(Path("runs/small").glob("*/scores/*.json")) == scores
    told = "4 runs scored already, nothing is scored again: FID and KID of 200 samples, seed 0, against 5,000 images"
    assert told in outcome.err and "by mnist-cnn" in outcome.err
    (table,), (expected,) = found["tables"], comparison["tables"]
    assert [row["metrics"] for row in table["rows"]] == [row["metrics"] for row in expected["rows"]]
    assert table["protocol"] == expected["protocol"]
    run = "runs/small/vae-mnist5k-s0"
    for options in (["-n", 100], ["--seed", 1], ["--repeats", 2], ["--rank-by", "IS"], ["--metrics", "is"]):
        outcome = command("report", run, "--out", "other.html", "-n", 100, "--metrics", "fid,is", *options)
        assert outcome.code == 0 and "scored already" not in outcome.err
    members = of_runs([run]).members
    assert shared_scores(members, {"n": 200}, None) and not shared_scores(members, {"n": 10_000}, None)
    assert not shared_scores(members, {"seed": 7}, None) and not shared_scores(members, {"n": 200}, "IS")


def test_a_report_takes_no_scores_that_not_all_runs_have_nor_such_of_other_code(done, tmp_path, capsys) -> None:
    home, _ = done
    for seed in (0, 1):
        subprocess.run(["cp", "-r", str(home / f"runs/small/vae-mnist5k-s{seed}"), f"runs{seed}"], check=True)
        for path in Path(f"runs{seed}/scores").glob("*.json"):
            if json.loads(path.read_bytes())["receipt"]["generated"]["n"] != 200:
                path.unlink()
    members = of_runs(["runs0", "runs1"]).members
    assert shared_scores(members, {}, None).keys() == {"runs0", "runs1"}
    (path,) = Path("runs1/scores").glob("*.json")
    score = json.loads(path.read_bytes())
    for part, value in (("code", {"metrics": "0"}), ("versions", {"torch": "1.0"}), ("generated", {"digest": "0"})):
        changed = {**score["receipt"], part: {**score["receipt"][part], **value}}
        path.write_text(json.dumps({**score, "receipt": changed}))
        assert shared_scores(members, {}, None) == {}
    path.write_text(json.dumps(score))
    Path("runs1/run.json").write_text("{")
    assert shared_scores(members, {}, None).keys() == {"runs0"}, "the other one is reported when it is opened"


def test_a_log_that_cannot_be_read_is_said_before_the_scoring(done, monkeypatch, tmp_path: Path) -> None:
    """Which takes minutes, and would be for nothing."""
    home, _ = done
    subprocess.run(["cp", "-r", str(home / "runs/small/vae-mnist5k-s0"), "damaged"], check=True)
    Path("damaged/log.jsonl").write_text("[]\n{}\n")

    def refuse(*args: object, **more: object) -> None:
        raise AssertionError("it is scored")

    monkeypatch.setattr(cf.Run, "score", refuse)
    (failure,) = cf.report("damaged", n=100)["failures"]
    assert "log.jsonl" in failure["error"], failure


def test_other_weights_are_scored_anew(done, monkeypatch, tmp_path: Path) -> None:
    home, comparison = done
    monkeypatch.chdir(tmp_path)
    subprocess.run(["cp", "-r", str(home / "runs/small/vae-mnist5k-s0"), "run"], check=True)
    before = cf.compare("run", n=200, metrics="fid")["runs"][0]["score"]["metrics"]["FID[mnist-cnn]"]["value"]
    cf.train("vae", out="run", epochs=3, resume=True, quiet=True)
    after = cf.compare("run", n=200, metrics="fid")["runs"][0]["score"]["metrics"]["FID[mnist-cnn]"]["value"]
    assert after < before


def test_a_member_that_fails_is_named_and_the_others_go_on(digits, command) -> None:
    """A rate at which the loss is soon no number any more; a folder in the way; a damaged run.json."""
    np.savez("plain.npz", images=digits[0])
    grid = """
        models = ["gan", "vae"]
        data = ["plain.npz"]
        out = "r"
        train = {epochs = 1, gan = {lr = 1e30}}
        score = {n = 100, metrics = "fid"}
    """
    Path("grid.toml").write_text(grid)
    outcome = command("compare", "grid.toml")
    assert outcome.code == 1 and "vae" in outcome.out
    last = outcome.err.strip().splitlines()[-1]
    assert last.startswith("counterfeit: r/gan-plain-s0: ") and ("not finite" in last or "became" in last)
    assert "r/gan-plain-s0" in Path("r/report.html").read_text()
    Path("r/gan-plain-s0/run.json").write_text("{")
    Path("grid.toml").write_text(grid.replace("epochs = 1", "epochs = 2"))
    outcome = command("compare", "grid.toml")
    told = outcome.err.strip().splitlines()[-2:]
    assert outcome.code == 1 and "run.json cannot be read" in told[0]
    assert "epochs 1, and the grid asks for 2" in told[1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("models =", "modles ="), "modles"),
        (('"gan"]', '"gna"]'), "did you mean 'gan'?"),
        (('["mnist5k"]', '["mnist6k"]'), "did you mean 'mnist5k'?"),
        (("seeds = [0, 1]", "seeds = []"), "seeds is []"),
        (("seeds = [0, 1]", "seeds = [1, 1]"), "seeds is [1, 1]"),
        (("epochs = 2", "epochs = 0"), "--epochs is 0"),
        (("epochs = 2", "epoch = 2"), "no setting named 'epoch'"),
        (("epochs = 2", "seed = 2"), "seed is not allowed in [train]"),
        (("[train.gan]", "[train.lsgan]"), "[train.lsgan] belongs to no model of this grid"),
        (("lr = 2e-4", 'lr = "fast"'), "lr"),
        (('"kid"]', '"kdi"]'), "did you mean 'kid'?"),
        (("n = 200", "n = 1"), "2 or more images"),
        (("[score]", "[score"), "small.toml"),
        (("n = 200", 'n = "500"'), "n"),
        (("n = 200", "n = 5.5"), "n"),
        (('metrics = ["fid", "kid"]', "metrics = 5"), "--metrics is 5"),
        (('metrics = ["fid", "kid"]', 'metrics = ["fid", 3]'), "--metrics is ['fid', 3]"),
        (("n = 200", 'detector = "mnist-cn"'), "did you mean 'mnist-cnn'?"),
        (("n = 200", 'real = "mnits"'), "did you mean 'mnist'?"),
        (("lr = 2e-4", 'loss = "bernoulli"'), "bernoulli"),
        (("epochs = 2", "epochs = 2\nbatch_size = 6000"), "--batch-size 6000 is larger"),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_bad_grids(change, says, command) -> None:
    assert change[0] in GRID
    Path("small.toml").write_text(GRID.replace(*change))
    outcome = command("compare", "small.toml")
    line = outcome.err.strip().splitlines()[-1]
    assert outcome.code == 2 and outcome.out == "" and says in line and line.startswith("counterfeit: "), line
    assert not Path("runs").exists(), "nothing was trained"


def test_bad_sources(done, command, tmp_path: Path) -> None:
    home, _ = done
    Path("small.toml").write_text(GRID)
    unfinished = tmp_path / "unfinished"
    subprocess.run(["cp", "-r", str(home / "runs/small/vae-mnist5k-s0"), str(unfinished)], check=True)
    record = json.loads((unfinished / "run.json").read_text())
    (unfinished / "run.json").write_text(json.dumps(record | {"finished": None}))
    Path("latin.toml").write_bytes("models = ['vä']".encode("latin-1"))
    for words, code, says in (
        ([], 2, "nothing to compare"),
        (["latin.toml"], 2, "latin.toml"),
        (["small.toml", "--out", "small.toml"], 2, "small.toml is a file"),
        (["small.toml", "--rank-by", "C_T"], 2, "to rank by: FID"),
        (["nowhere.toml"], 2, "nowhere.toml cannot be read"),
        (["nowhere"], 2, "nowhere is not a run"),
        (["small.toml", "x"], 2, "must be the only argument"),
        (["small.toml", "--rank-by", "FDI"], 2, "--rank-by is 'FDI'"),
        ([home / "runs/small", "--rank-by", "IS", "--metrics", "fid"], 2, "not a score to rank by: FID"),
        ([unfinished, "-n", 100, "--metrics", "fid"], 1, f"counterfeit train vae --out {unfinished} --resume"),
    ):
        outcome = command("compare", *words)
        assert outcome.code == code and says in outcome.err.strip().splitlines()[-1], outcome.err


@pytest.mark.torture  # by default, test_engines.py kills a grid once
def test_killed_three_times_the_table_is_the_same(done, tmp_path: Path, test_cache: Path) -> None:
    """kill -9 after a random time; what was finished before a kill keeps its weights and is never trained again."""
    _, undisturbed = done
    (tmp_path / "small.toml").write_text(GRID)
    words = [sys.executable, "-m", "counterfeit", "compare", "small.toml"]
    environment = {**os.environ, "COUNTERFEIT_CACHE": str(test_cache)}
    runs = tmp_path / "runs/small"
    finished: dict[Path, bytes] = {}
    kills = 0
    rng = random.Random()
    while kills < 3:
        process = subprocess.Popen(words, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
        begun = len(list(runs.glob("*/run.json")))
        while process.poll() is None and len(list(runs.glob("*/run.json"))) == begun:
            time.sleep(0.02)  # until it has begun the next run
        time.sleep(rng.uniform(0, 1.5))
        assert process.poll() is None, "it ended before it could be killed: kill earlier"
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        for record in runs.glob("*/run.json"):
            if json.loads(record.read_bytes())["finished"]:
                finished.setdefault(record, record.read_bytes())
    subprocess.run(words, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert numbers(json.loads((runs / "comparison.json").read_text())) == numbers(json.loads(json.dumps(undisturbed)))
    assert all(record.read_bytes() == content for record, content in finished.items())


def test_a_run_that_is_there_twice_is_no_second_seed(done, monkeypatch) -> None:
    """Neither named twice, nor as a copy: it would be evidence out of nothing."""
    home, _ = done
    monkeypatch.chdir(home)
    if not Path("copy").exists():
        subprocess.run(["cp", "-r", "runs/small/vae-mnist5k-s0", "copy"], check=True)
    runs = ["runs/small", "runs/small/vae-mnist5k-s0", "copy"]
    found = cf.compare(runs, out="twice", n=200, metrics=["fid", "kid"])
    assert [(row["model"], row["seeds"]) for row in found["tables"][0]["rows"]] == [("vae", [0, 1]), ("gan", [0, 1])]
    (note,) = found["notes"]
    assert note.startswith("copy is left out: it has the same seed and settings as runs/small/vae-mnist5k-s0")


def test_a_detector_of_ones_own_is_asked_every_time(done, monkeypatch) -> None:
    home, _ = done
    monkeypatch.chdir(home)

    def value(scale: float) -> float:
        def own(images):
            return scale * images.flatten(1)[:, ::50].float()

        found = cf.compare("runs/small/vae-mnist5k-s0", out="own", n=100, metrics="fid", detector=own)
        return found["runs"][0]["score"]["metrics"]["FID[own()]"]["value"]

    assert value(2.0) == pytest.approx(4 * value(1.0))


def test_members_go_seed_by_seed(tmp_path: Path) -> None:
    Path("small.toml").write_text(GRID)
    grid = read_grid("small.toml")
    assert [(m.model, m.config.seed) for m in grid.members] == [("vae", 0), ("gan", 0), ("vae", 1), ("gan", 1)]
    assert grid.members[1].config.lr == 2e-4 and grid.members[0].config.lr == 1e-3
