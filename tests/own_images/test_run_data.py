"""The data that a run was trained on: moved, changed, gone, or another folder of that name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from own_images_cases import ASKED, QUICK, change_record, refused, write_folder

import counterfeit as cf
from counterfeit.runs import RunFolder


def test_run_json_keeps_the_absolute_path_beside_the_typed_one(home: Path) -> None:
    record = json.loads((home / "run" / "run.json").read_text())
    assert record["settings"]["run"]["data"] == record["data"]["name"] == "pics"
    assert record["data"]["kind"] == "folder" and record["data"]["path"] == str(home / "pics")


def test_another_folder_of_that_name_where_one_is_now_is_not_taken(home: Path, command, monkeypatch) -> None:
    """Used to print the FID against elsewhere/pics, which is noise, with exit code 0."""
    right = cf.score("run", **QUICK)["FID[fashion-cnn]"].value
    monkeypatch.chdir(home / "elsewhere")
    score = cf.score(home / "run", **QUICK)
    assert score["FID[fashion-cnn]"].value == right
    assert score.receipt["real"]["name"] == "pics"
    shutil.rmtree(home / "pics")  # now elsewhere/pics is what "pics" leads to, and it is refused by its digest
    refused(command("score", home / "run", *ASKED), "other images", "--real")


def everything_that_reads(run: Path) -> list[list[object]]:
    return [
        ["score", run, *ASKED],
        ["likelihood", run, "-k", 2, "--split", "train"],
        ["train", "vae", "--out", run, "--resume", "--epochs", 2],
    ]


def test_after_half_of_the_files_are_gone_nothing_uses_the_rest(home: Path, command) -> None:
    for path in sorted((home / "pics").iterdir())[::2]:
        path.unlink()
    for words in everything_that_reads(Path("run")):
        refused(command(*words), "run was trained on other images", "100 training images found, 200 recorded")
    compared = command("compare", "run", *ASKED)
    assert compared.code == 1 and "100 training images found, 200 recorded" in compared.err
    reported = command("report", "run", *ASKED)
    assert reported.code == 1 and "100 training images found, 200 recorded" in reported.err
    assert command("score", "run", "--real", "pics", *ASKED).code == 0, "what is named by --real is what is named"


def test_a_bad_file_that_came_later_can_be_skipped(home: Path, command) -> None:
    """The images are still those of the run: its digest says so."""
    (home / "pics" / "zzz.png").write_bytes(b"")
    for words in (["score", "run", *ASKED], ["train", "vae", "--out", "run", "--resume", "--epochs", 2]):
        refused(command(*words), "zzz.png", "--skip-bad")
        assert command(*words, "--skip-bad").code == 0


def test_images_of_equal_number_and_other_content_are_others(home: Path, command) -> None:
    shutil.rmtree(home / "pics")
    shutil.copytree(home / "elsewhere" / "pics", home / "pics")
    for words in everything_that_reads(Path("run")):
        refused(command(*words), "of other content")


def test_images_that_are_gone_are_said_to_be_gone(home: Path, command) -> None:
    (home / "pics").rename(home / "moved")
    for words in everything_that_reads(Path("run")):
        refused(command(*words), "do not exist any more", str(home / "pics"))


def test_a_data_set_that_has_moved_is_continued_and_its_new_place_kept(home: Path, command) -> None:
    (home / "pics").rename(home / "moved")
    refused(
        command("train", "vae", "--out", "run", "--resume", "--epochs", 2, "--data", "elsewhere/pics"), "other images"
    )
    went_on = command("train", "vae", "--out", "run", "--resume", "--epochs", 2, "--data", "moved")
    assert went_on.code == 0, went_on.err
    record = json.loads(Path("run/run.json").read_text())
    assert record["settings"]["run"]["data"] == record["data"]["name"] == "moved"
    assert record["data"]["path"] == str(home / "moved") and record["finished"]
    assert command("score", "run", *ASKED).code == 0


def test_moved_images_named_by_real_are_known_by_their_digest(home: Path) -> None:
    (home / "pics").rename(home / "moved")
    assert cf.score("run", "moved", **QUICK).receipt["real"]["digest"] == cf.load("run").data.digest


def test_a_project_that_moved_as_a_whole_is_found_from_where_one_is(home: Path, monkeypatch) -> None:
    home.rename(home.parent / "new")
    monkeypatch.chdir(home.parent / "new")
    assert cf.score("run", **QUICK).receipt["real"]["n"] == 200


def test_runs_from_before_there_were_kinds_can_be_read(home: Path) -> None:
    change_record(Path("run"), kind=..., path=...)
    record = RunFolder("run").read_record()
    assert record.data.kind == "folder" and record.data.path is None and record.config.holdout == 0
    assert cf.score("run", **QUICK).receipt["real"]["n"] == 200
    assert cf.train("vae", out="run", resume=True, epochs=2, quiet=True).data.path == str(home / "pics")


def test_a_grid_knows_its_run_by_the_place_of_its_data(home: Path, command) -> None:
    """`pics` from here, and the same folder by its absolute path, are one."""
    words = (
        "models = ['vae']\ndata = ['{}']\nout = 'grid'\ntrain = {{epochs = 1}}\nscore = {{metrics = 'fid', n = 50}}\n"
    )
    Path("grid").mkdir()
    shutil.copytree("run", "grid/vae-pics-s0")
    Path("grid.toml").write_text(words.format(home / "pics"))
    outcome = command("compare", "grid.toml")
    assert outcome.code == 0 and "trained already" in outcome.err, outcome.err
    Path("grid.toml").write_text(words.format(home / "elsewhere" / "pics"))
    outcome = command("compare", "grid.toml")
    assert outcome.code == 1 and "holds a run with data pics" in outcome.err


def test_two_spellings_of_one_folder_are_one_table(home: Path) -> None:
    shutil.copytree("run", "other")
    record = json.loads(Path("other/run.json").read_text())
    record["settings"]["run"]["data"] = record["data"]["name"] = str(home / "pics")
    record["settings"]["run"]["seed"] = 1
    Path("other/run.json").write_text(json.dumps(record))
    (table,) = cf.compare(["run", "other"], **QUICK)["tables"]
    assert table["rows"][0]["seeds"] == [0, 1]


def test_cas_holds_to_it_too(home: Path, command) -> None:
    write_folder(Path("labeled"), cf.load_data("pics").images, np.arange(200) % 2)
    cf.train("cvae", "labeled", out="conditional", epochs=1, quiet=True)
    next(Path("labeled/1").iterdir()).unlink()
    refused(command("cas", "conditional", "-n", 50), "conditional was trained on other images", "199 training images")


def test_a_report_of_stored_scores_shows_no_images_that_the_run_was_not_trained_on(home: Path, command) -> None:
    """The scores' receipts say which images they are of; pictures are of images that are read now."""
    assert command("score", "run", *ASKED).code == 0
    next((home / "pics").iterdir()).unlink()
    outcome = command("report", "run", "-n", 50)
    assert outcome.code == 0 and "1 run scored already" in outcome.err
    for kind in ("reconstructions", "nearest", "random", "real"):
        assert f"no picture of {kind}: run was trained on other images" in outcome.err
    assert {path.stem for path in Path("run/samples/report").glob("*.png")} == {"samples"}
