"""What was named is what is used: the images of a run, names beside things, runs beside folders, paths, splits."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import counterfeit as cf
from counterfeit import binarise, detectors
from counterfeit import data as datasets
from counterfeit.config import ScoreConfig
from counterfeit.data.own import held_out_rows
from counterfeit.data.rows import Rows, is_stored, take
from counterfeit.errors import DataError, InputError
from counterfeit.runs import RunFolder
from counterfeit.scoring import judge

QUICK = {"metrics": "fid", "n": 50, "device": "cpu"}
ASKED = ["--metrics", "fid", "-n", 50]


def write_folder(folder: Path, images: np.ndarray, labels: np.ndarray | None = None) -> Path:
    """uint8 (N, 1, H, W) as PNG files, in a subfolder a class where there are labels."""
    for i, image in enumerate(images):
        path = folder / ("" if labels is None else str(labels[i])) / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(path)
    return folder


@pytest.fixture(scope="module")
def real(test_cache) -> tuple[np.ndarray, np.ndarray]:
    """400 digits and their labels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        whole = cf.load_data("mnist5k")
    return whole.images[::12][:400], whole.labels[::12][:400]


@pytest.fixture(scope="module")
def made(tmp_path_factory, test_cache, real) -> Path:
    """A home with the folder pics, trained on as `--data pics`, and elsewhere/pics, a folder of noise."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        patch.chdir(home)
        write_folder(Path("pics"), real[0][:200])
        noise = np.random.default_rng(0).integers(0, 256, (200, 1, 28, 28), np.uint8)
        write_folder(Path("elsewhere/pics"), noise)
        cf.train("vae", "pics", out="run", epochs=1, quiet=True)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch) -> Path:
    """A copy of that home, which the test may spoil, and the folder that it is in; the run knows its new place."""
    copy = tmp_path / "home"
    shutil.copytree(made, copy)
    change_record(copy / "run", path=str(copy / "pics"))
    monkeypatch.chdir(copy)
    return copy


def change_record(run: Path, **data) -> None:
    record = json.loads((run / "run.json").read_text())
    record["data"].update(data)
    for name in [name for name, value in data.items() if value is ...]:
        del record["data"][name]
    (run / "run.json").write_text(json.dumps(record))


def refused(outcome, *says: str) -> None:
    """Exit code 2, and one line at the end with all of `says`."""
    assert outcome.code == 2 and outcome.out == "" and "Traceback" not in outcome.err, outcome
    line = outcome.err.strip().splitlines()[-1]
    for words in says:
        assert words in line, f"{words!r} is not in {line!r}"


# --- the data of a run ---


def test_run_json_keeps_the_absolute_path_beside_the_typed_one(home: Path) -> None:
    record = json.loads((home / "run" / "run.json").read_text())
    assert record["config"]["data"] == record["data"]["name"] == "pics"
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
        refused(command(*words), "are gone", str(home / "pics"))


def test_a_data_set_that_has_moved_is_continued_and_its_new_place_kept(home: Path, command) -> None:
    (home / "pics").rename(home / "moved")
    refused(
        command("train", "vae", "--out", "run", "--resume", "--epochs", 2, "--data", "elsewhere/pics"), "other images"
    )
    went_on = command("train", "vae", "--out", "run", "--resume", "--epochs", 2, "--data", "moved")
    assert went_on.code == 0, went_on.err
    record = json.loads(Path("run/run.json").read_text())
    assert record["config"]["data"] == record["data"]["name"] == "moved"
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
    record["config"]["data"] = record["data"]["name"] = str(home / "pics")
    record["config"]["seed"] = 1
    Path("other/run.json").write_text(json.dumps(record))
    (table,) = cf.compare(["run", "other"], **QUICK)["tables"]
    assert table["rows"][0]["seeds"] == [0, 1]


# --- a name is not a thing ---


def test_own_photos_in_a_folder_called_as_a_data_set_are_not_that_data_set(home: Path, command) -> None:
    classes = np.arange(200) % 2
    write_folder(Path("mnist5k"), cf.load_data("pics").images, classes)
    outcome = command("train", "vae", "--data", "./mnist5k", "--epochs", 1)
    assert outcome.code == 0, outcome.err
    assert "./mnist5k: the folder is taken" in outcome.err and "mnist5k" in outcome.out
    run = cf.load("runs/vae-mnist5k-folder-s0")
    assert (run.data.kind, run.data.name, run.data.n) == ("folder", "./mnist5k", 200)
    scored = command("score", run.path, "-n", 50, "--json")
    assert "it was trained on" not in scored.err
    printed = json.loads(scored.out)
    assert printed["receipt"]["detector"]["name"] == "fashion-cnn" and printed["receipt"]["real"]["name"] == "./mnist5k"
    conditional = cf.train("cvae", "./mnist5k", out="c", epochs=1, batch_size=50, quiet=True)
    for real in ("./mnist5k", "mnist5k"):  # its classes are none of the detector's, whichever images it is held against
        score = conditional.score(real, detector="mnist-cnn", n=50)
        assert "IS[mnist-cnn]" in score and not [name for name in score if name.startswith("Label-accuracy")]
    with pytest.raises(cf.InputError, match="the classes of c, 0, 1, which mnist-cnn does not tell apart"):
        conditional.score("mnist5k", metrics="fid,label-accuracy", n=50)


def test_where_a_folder_and_a_data_set_share_a_name_a_line_says_which_was_taken(home: Path, capsys) -> None:
    write_folder(Path("mnist5k"), cf.load_data("pics").images[:20])
    assert cf.load_data("mnist5k").kind == "dataset"
    assert "mnist5k: the data set is taken; the folder of that name here is ./mnist5k" in capsys.readouterr().err
    assert cf.load_data(Path("mnist5k")).kind == "folder", "a Path is never a name"
    assert "the folder is taken; the data set of that name is mnist5k" in capsys.readouterr().err


def test_a_path_object_is_never_a_name_wherever_it_is_given(home: Path, command) -> None:
    own = cf.load_data("pics").images[:60]
    write_folder(Path("mnist5k"), own)
    score = cf.score(own, Path("mnist5k"), metrics=["fid"], n=60)
    assert (score.receipt["real"]["name"], score.receipt["real"]["n"]) == ("./mnist5k", 60)
    run = cf.train("ae", Path("mnist5k"), out="r", epochs=1, batch_size=20, quiet=True)
    assert (run.data.kind, run.data.name, run.data.n) == ("folder", "./mnist5k", 60)
    assert cf.train("ae", Path("pics"), out="s", epochs=1, quiet=True).data.name == "pics"


def test_every_source_has_its_kind_and_only_a_data_set_its_name(home: Path, real) -> None:
    np.savez("mnist.npz", images=real[0])
    write_folder(Path("cifar10"), real[0][:20])
    kinds = {
        "dataset": cf.load_data("mnist5k"),
        "folder": cf.load_data("./cifar10"),
        "npz": cf.load_data("mnist.npz"),
        "array": cf.load_data(real[0]),
    }
    assert {kind: images.kind for kind, images in kinds.items()} == {kind: kind for kind in kinds}
    assert [images.dataset for images in kinds.values()] == ["mnist5k", "", "", ""]
    assert detectors.auto(kinds["folder"].dataset, (1, 28, 28))[0] != "mnist-cnn"


@pytest.mark.parametrize(
    ("data", "label"),
    [
        ("mnist", "mnist"),
        ("./mnist", "mnist-folder"),
        ("my/mnist.npz", "mnist-npz"),
        ("my/photos.v2", "photos.v2"),
        ("array", "array"),
        ("my/array", "array-folder"),
        ("digits.npz", "digits"),
    ],
)
def test_run_folders_are_named_after_the_thing(data: str, label: str) -> None:
    assert datasets.label(data) == label
    assert datasets.label(".") == Path.cwd().name


# --- runs are not folders of images ---


@pytest.mark.parametrize("wrong", ["runs", "runs/vae/samples", "runs/vae/samples/report", "photos"])
def test_a_run_is_not_a_folder_of_images(wrong: str, home: Path, command) -> None:
    """Used to score curves.png and the sample grids, with exit code 0; photos holds a run deep below."""
    shutil.copytree("run", "runs/vae")
    shutil.copytree("run/samples", "runs/vae/samples/report")
    write_folder(Path("photos"), cf.load_data("pics").images[:20])
    shutil.copytree("run", "photos/a/b/vae")
    run = "photos/a/b/vae" if wrong == "photos" else "runs/vae"
    np.savez("fakes.npz", images=cf.load_data("pics").images)
    for words in (
        ["score", wrong, "--real", "pics", *ASKED],
        ["score", "fakes.npz", "--real", wrong, *ASKED],
        ["cas", wrong, "--real", "mnist5k"],
        ["train", "vae", "--data", wrong, "--out", "new"],
    ):
        refused(command(*words), run, "counterfeit score")
    assert not Path("new").exists()


def test_a_run_given_as_real_images_is_named(home: Path, command) -> None:
    refused(command("score", "pics", "--real", "run", *ASKED), "run is a run", "counterfeit score run")
    refused(command("train", "vae", "--data", "run", "--out", "new"), "run is a run")


def test_a_tilde_is_expanded_for_every_path(home: Path, command, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home / "elsewhere")
    right = cf.score(home / "run", **QUICK)["FID[fashion-cnn]"].value
    scored = command("score", "~/run", "--json", *ASKED)
    assert json.loads(scored.out)["metrics"]["FID[fashion-cnn]"]["value"] == right
    explicit = command("score", "~/run", "--real", "~/pics", "--json", *ASKED)
    assert json.loads(explicit.out)["metrics"]["FID[fashion-cnn]"]["value"] == right
    fixed = command("score", "~/pics", "--real", "~/pics", "--json", *ASKED)
    assert json.loads(fixed.out)["receipt"]["generated"]["name"] == str(home / "pics")
    trained = command("train", "vae", "--data", "~/pics", "--epochs", 1, "--out", "~/two")
    assert trained.code == 0 and cf.load("~/two").data.path == str(home / "pics")
    assert command("sample", "~/two", "-n", 4, "--out", "~/grid.png").code == 0 and (home / "grid.png").exists()
    assert command("report", "~/two", "--out", "~/page.html", *ASKED).code == 0 and (home / "page.html").exists()
    assert command("compare", "~/two", "--out", "~/table", *ASKED).code == 0
    assert (home / "table" / "comparison.json").exists()
    refused(command("score", "~/two", "--weights", "~/none.pt", "--detector", "inception"), str(home / "none.pt"))
    refused(command("score", "~/two", "--detector", "~/none.onnx"), str(home / "none.onnx"))
    assert not (home / "elsewhere" / "~").exists()


def test_an_opened_run_stays_where_it_is_when_the_process_goes_on(home: Path, monkeypatch) -> None:
    """The weights are read on first use: from another folder that also holds `run`, they would be another's."""
    run = cf.load("run")
    expected = cf.load("run").sample(4)
    shutil.copytree("run", "elsewhere/run")
    for path in Path("elsewhere/run/checkpoint").iterdir():
        path.unlink()
    monkeypatch.chdir("elsewhere")
    assert np.array_equal(run.sample(4), expected) and run.name == "run"


# --- splits of own images ---


def test_train_and_test_folders_are_two_splits(tmp_path: Path, real) -> None:
    images, labels = real
    write_folder(tmp_path / "own" / "train", images[:300], labels[:300] % 3)
    write_folder(tmp_path / "own" / "Test", images[300:], labels[300:] % 3)
    (tmp_path / "own" / ".hidden").mkdir()
    (tmp_path / "own" / "README.txt").write_text("not an image")
    assert datasets.splits(tmp_path / "own") == ("train", "test")
    train, test = (cf.load_data(tmp_path / "own", split) for split in ("train", "test"))
    assert (len(train), len(test), train.classes, test.classes) == (300, 100, ("0", "1", "2"), ("0", "1", "2"))
    assert (train.split, test.split) == ("train", "test") and train.name == test.name == str(tmp_path / "own")
    with pytest.raises(DataError, match="test split of its own"):
        cf.load_data(tmp_path / "own", holdout=0.1)


def test_test_images_that_are_smaller_than_the_training_size_are_enlarged_with_a_line(tmp_path: Path, capsys) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 1, 40, 40), np.uint8)
    write_folder(tmp_path / "own" / "train", pixels)
    write_folder(tmp_path / "own" / "test", pixels[:, :, :24, :24])
    assert cf.load_data(tmp_path / "own", "test").shape == (1, 40, 40)
    assert "images in test/, down to 24 pixels, are enlarged to the 40" in capsys.readouterr().err
    assert cf.load_data(tmp_path / "own", "test", size=24).shape == (1, 24, 24)
    assert "enlarged" not in capsys.readouterr().err


def test_of_generated_images_in_splits_a_line_says_which_are_scored(tmp_path: Path, real, capsys) -> None:
    np.savez(tmp_path / "both.npz", x_train=real[0][:200], x_test=real[0][200:])
    score = cf.score(tmp_path / "both.npz", real[0], metrics=["fid"], detector="mnist-cnn", n=200)
    assert score.receipt["generated"]["n"] == 200
    assert "both.npz: it has several splits, of which train is taken for the generated" in capsys.readouterr().err


def test_splits_that_do_not_fit_each_other_are_refused(tmp_path: Path, real) -> None:
    images, labels = real[0], np.arange(30)
    write_folder(tmp_path / "own" / "train", images[:30], labels % 3)
    write_folder(tmp_path / "own" / "test", images[:30], labels % 2)
    with pytest.raises(DataError, match="class '2' is in train/ only"):
        cf.load_data(tmp_path / "own", "test")
    write_folder(tmp_path / "one" / "train", images[:30], labels % 2)
    write_folder(tmp_path / "one" / "test", images[:30], labels * 0)
    with pytest.raises(DataError, match="train/ has classes and test/ has none, which takes two subfolders or more"):
        cf.load_data(tmp_path / "one", "test")
    write_folder(tmp_path / "grey" / "train", images[:30])
    Image.new("RGB", (28, 28), (1, 2, 3)).save(tmp_path / "grey" / "train" / "red.png")
    write_folder(tmp_path / "grey" / "test", images[:30])
    with pytest.raises(DataError, match="all images in test/ are grey"):
        cf.load_data(tmp_path / "grey", "test")


@pytest.mark.parametrize("beside", ["val", "train/../image.png", "other"])
def test_what_looks_like_splits_and_is_not_quite_is_refused(beside: str, tmp_path: Path, real) -> None:
    for split in ("train", "test"):
        write_folder(tmp_path / "own" / split, real[0][:10])
    if beside.endswith(".png"):
        Image.fromarray(real[0][0, 0]).save(tmp_path / "own" / beside)
    else:
        write_folder(tmp_path / "own" / beside, real[0][:10])
    with pytest.raises(DataError, match="looks like splits"):
        cf.load_data(tmp_path / "own")
    shutil.rmtree(tmp_path / "own" / "test")
    if beside == "val":
        with pytest.raises(DataError, match="looks like splits, but holds train, val"):
            cf.load_data(tmp_path / "own")


def test_an_npz_file_may_hold_two_splits(tmp_path: Path, real) -> None:
    images, labels = real
    for names in (("x_{}", "y_{}"), ("{}_images", "{}_labels")):
        arrays = {}
        for split, rows in (("train", slice(0, 300)), ("test", slice(300, 400))):
            arrays[names[0].format(split)] = images[rows, 0]
            arrays[names[1].format(split)] = np.minimum(labels[rows], 9 if split == "test" else 7)[:, None]
        np.savez(tmp_path / "own.npz", **arrays)
        train, test = (cf.load_data(tmp_path / "own.npz", split) for split in ("train", "test"))
        assert (len(train), len(test)) == (300, 100) and train.classes == test.classes == tuple(map(str, range(10)))
        assert np.array_equal(test.images, images[300:]) and np.array_equal(test.labels, labels[300:])
        assert test.split == "test" and test.kind == "npz"


def test_the_held_out_part_is_a_choice_that_depends_on_the_number_only() -> None:
    rows = held_out_rows(1000, 0.1)
    assert len(rows["test"]) == 100 and sorted([*rows["train"], *rows["test"]]) == list(range(1000))
    assert np.array_equal(held_out_rows(1000, 0.1)["test"], rows["test"])
    assert rows["test"][:5].tolist() == FIRST, "published scores of held-out parts stand on this choice"


FIRST = [4, 10, 11, 15, 23]


def test_a_held_out_part_of_a_folder_stays_on_the_disk_and_is_what_its_rows_are(home: Path) -> None:
    whole = cf.load_data("pics")
    rows = held_out_rows(200, 0.25)
    for split, images in datasets.load_splits("pics", holdout=0.25).items():
        assert isinstance(images.images, Rows) and is_stored(images.images)
        assert np.array_equal(np.asarray(images.images), whole.images[rows[split]])
        assert np.array_equal(images.images[3:7], whole.images[rows[split]][3:7])
        assert np.array_equal(images.images[5], whole.images[rows[split]][5])
        assert np.array_equal(take(images.images, np.array([4, 1])), whole.images[rows[split]][[4, 1]])
        assert np.array_equal(binarise.fixed(images.images, split), binarise.fixed(whole.images[rows[split]], split))
        in_memory = cf.load_data(np.array(images.images))
        assert images.digest == in_memory.digest and images.shape == (1, 28, 28), "the digest of the part's content"


@pytest.fixture(params=["folder", "npz", "array", "dataset"])
def held(request, tmp_path: Path, real) -> tuple[cf.Run, object]:
    """A run with --holdout 0.2, and its images."""
    images, labels = real
    source: object = images
    if request.param == "folder":
        source = write_folder(tmp_path / "own", images, labels)
    elif request.param == "npz":
        source = tmp_path / "own.npz"
        np.savez(source, images=images, labels=labels)
    elif request.param == "dataset":
        source = "mnist5k"
    return cf.train("vae", source, out=tmp_path / "run", epochs=1, holdout=0.2, quiet=True), source


def test_own_images_get_the_whole_measurement_by_holdout(held, tmp_path: Path) -> None:
    """A test loss, a baseline and memorisation, none of which there was for own images."""
    run, source = held
    n = 4000 if run.data.kind == "dataset" else 320
    assert run.config.holdout == 0.2 and run.data.n == n and "test_loss" in run.log[-1]
    assert json.loads((run.path / "run.json").read_text())["config"]["holdout"] == 0.2
    given = source if isinstance(source, np.ndarray) else None
    score = run.score(given, metrics="fid,near-copies", n=50)
    assert score.receipt["real"]["split"] == "test" and score.receipt["real"]["n"] == n // 4
    assert score.receipt["train"]["digest"] == run.data.digest and score.receipt["floor"]["digest"] == run.data.digest
    fid = next(score[name] for name in score if name.startswith("FID"))
    assert fid.floor is not None and any(name.startswith("Near-copies") for name in score)
    if given is None:
        assert run.likelihood(k=2, n=10).receipt["real"]["split"] == "test"
        by_name = run.score(source, metrics="fid", n=50)
        assert by_name.receipt["real"]["digest"] == score.receipt["real"]["digest"], "named or not, it is its own data"
    with pytest.raises(InputError, match="--holdout 0.2, not 0.1"):
        cf.train("vae", source, out=run.path, resume=True, holdout=0.1, epochs=2, quiet=True)
    again = cf.train("vae", source, out=run.path, resume=True, epochs=2, quiet=True)
    assert again.data.digest == run.data.digest and again.record.finished


def test_a_loaded_set_is_given_again_as_an_array_is(home: Path) -> None:
    """Where its files are is not known: run.json held the path of a folder called `array` where one happened to be."""
    pics, settings = cf.load_data("pics"), {"out": "loaded", "batch_size": 20, "quiet": True}
    run = cf.train("ae", pics, epochs=1, **settings)
    assert (run.data.kind, run.data.path, run.data.digest) == ("array", None, pics.digest)
    with pytest.raises(DataError, match="was trained on an array"):
        run.score(n=20, metrics=["fid"])
    assert run.score(pics, n=20, metrics=["fid"], detector="fashion-cnn")["FID[fashion-cnn]"].value > 0
    assert cf.train("ae", pics, epochs=2, resume=True, **settings).log[-1]["epoch"] == 2


def test_a_runs_own_images_as_a_loaded_set_are_brought_to_a_size(home: Path) -> None:
    """They have no files to be read again from."""
    score = cf.load("run").score(cf.load_data("pics"), size=14, n=20, metrics=["fid"], detector="fashion-cnn")
    assert score.receipt["real"]["form"]["compared"]["size"] == [14, 14]


def test_an_array_with_labels_is_given_again_with_its_labels(tmp_path: Path, real) -> None:
    images, labels = real
    run = cf.train("cvae", images, labels=labels, out=tmp_path / "run", epochs=1, holdout=0.2, quiet=True)
    with pytest.raises(InputError, match="a run does not keep the array"):
        run.score(**QUICK)
    score = run.score(cf.load_data(images, labels=labels), metrics="fid", n=50)
    assert score.receipt["real"]["split"] == "test" and score.receipt["floor"]["digest"] == run.data.digest


def test_other_real_images_than_a_runs_own_have_no_memorisation(home: Path) -> None:
    run = cf.load("run")
    other = cf.load_data("mnist5k").images[1:400:2]
    score = run.score(other, metrics="fid", n=50)
    assert score.receipt["train"] is None and score.receipt["real"]["n"] == len(other)


def test_seeds_compare_on_the_same_split(tmp_path: Path, real) -> None:
    runs = [
        cf.train("vae", real[0], out=tmp_path / f"s{seed}", seed=seed, epochs=1, holdout=0.2, quiet=True)
        for seed in (0, 1)
    ]
    assert runs[0].data.digest == runs[1].data.digest


def test_training_on_a_held_out_folder_is_training_on_that_part(home: Path) -> None:
    """Bit for bit the run on the part as an array, though the folder's images are read as the steps go."""
    part = np.asarray(datasets.load("pics", holdout=0.25).images)
    by_rows = cf.train("vae", "pics", out="by-rows", epochs=2, batch_size=50, holdout=0.25, quiet=True)
    plain = cf.train("vae", part, out="plain", epochs=2, batch_size=50, quiet=True)
    assert by_rows.weights_sha256 == plain.weights_sha256


def test_a_run_on_split_folders_is_scored_against_its_test_folder(tmp_path: Path, real, command) -> None:
    images, labels = real
    write_folder(tmp_path / "own" / "train", images[:300], labels[:300] % 2)
    write_folder(tmp_path / "own" / "test", images[300:], labels[300:] % 2)
    run = cf.train("cvae", "own", out="run", epochs=1, quiet=True)
    assert run.data.n == 300 and run.data.classes == ("0", "1") and "test_loss" in run.log[-1]
    score = run.score(metrics="fid,near-copies", n=50)
    assert score.receipt["real"]["split"] == "test" and score.receipt["train"]["n"] == 300
    test, train, _ = judge.real_images(ScoreConfig(), run.record)  # as cas takes them, too
    assert train is not None and (test.split, train.split) == ("test", "train")
    by_split = command("score", "run", "--real", "own:train", "--json", *ASKED)
    assert json.loads(by_split.out)["receipt"]["real"]["split"] == "train"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--data", "mnist5k", "--holdout", 1], "--holdout is 1"),
        (["--data", "mnist5k", "--holdout", "nan"], "--holdout is nan"),
        (["--data", "mnist", "--holdout", 0.1], "mnist has a test split of its own"),
        (["--data", "few.npz", "--holdout", 0.01], "leaves a split empty"),
    ],
)
def test_a_holdout_that_cannot_be(words, says: str, command, tmp_path: Path) -> None:
    np.savez("few.npz", images=np.zeros((12, 8, 8), np.uint8))
    refused(command("train", "vae", *words, "--out", "new"), says)
    assert not os.path.exists("new")


def test_a_folder_of_runs_is_named_before_the_real_images_are_missed(home: Path, command) -> None:
    refused(command("score", "."), "holds the run", "run")
    refused(command("score", "run/samples"), "sample grids of the run")
    refused(command("score", "pics"), "--real is missing")
    refused(command("score", "pics", "--real", "pics", "--metrics", "fid, kidd"), "did you mean 'kid'")
