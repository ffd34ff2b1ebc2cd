"""Models from outside: a file that --plugin names, and installed packages; which code a run and a score are of."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import counterfeit as cf
from counterfeit.comparison.engines import cluster
from counterfeit.comparison.work import Order, message
from counterfeit.models import MODELS, plugins
from counterfeit.models.plugins import plugin_of
from counterfeit.runs import RunFolder
from counterfeit.settings import ScoreConfig
from test_readme import ROOT, blocks, smaller

PAGE = ROOT / "docs/models/own.md"
SOURCE, IN_PYTHON, CHECKED = blocks(PAGE, "py")
SMALL = ["--epochs", "1", "--batch-size", "20", "--width", "8", "--device", "cpu"]
DRAWN = ["-n", "30", "--metrics", "fid", "--detector", "mnist-cnn", "--device", "cpu"]
REGISTER = """
from dataclasses import replace
from counterfeit.models import MODELS, register
register(replace(MODELS["vae"], name="{name}", based_on=None))
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """The file of the page, in the folder that we are in."""
    (tmp_path / "my_model.py").write_text(SOURCE)
    return tmp_path / "my_model.py"


@pytest.fixture
def data(tmp_path: Path, digits: tuple[np.ndarray, np.ndarray]) -> list[str]:
    """Options of `train`: a hundred digits."""
    np.savez(tmp_path / "digits.npz", images=digits[0][:100], test_images=digits[0][100:200])
    return ["--data", "digits.npz"]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def process(*words: object, code: int = 0, before: list[str] | None = None, path: str = "") -> str:
    """What `counterfeit …` says on stderr, in a process of its own.

    Args:
        before: what starts it in place of Python, such as torchrun.
        path: a folder where Python finds modules too.
    """
    found = os.pathsep.join([*filter(None, [path, os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [*(before or [sys.executable]), "-m", "counterfeit", *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": found, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == code, done.stderr
    return done.stderr


@pytest.fixture
def anew(command: Callable, forget_plugins: Callable[[], None]) -> Callable[..., str]:
    """What `counterfeit …` says on stderr, in this process, which forgets what plugins it had: as a new one begins."""

    def run(*words: object, code: int = 0) -> str:
        forget_plugins()
        shown = command(*words)
        assert shown.code == code, shown.err
        return shown.err

    return run


def record(run: str | Path) -> dict[str, object]:
    return json.loads((Path(run) / "run.json").read_text())


# --- a file ----------------------------------------------------------------------------------------------------------


def test_the_page_is_true(plugin: Path, command: Callable) -> None:
    """Its commands, in order, and its Python."""
    lines = [line for block in blocks(PAGE, "console") for line in smaller(block).splitlines()]
    assert len(lines) == 4
    for line in lines:
        shown = command(*shlex.split(line)[1:])
        assert shown.code == 0, f"{line}\n{shown.err}"
        if "--help" in line:
            assert "--width INT" in shown.out and "Units per hidden layer. (default: 512)" in shown.out
    made_by = record("runs/my-flow-mnist5k-s0")["made_by"]
    assert made_by["plugin"] == {"name": "my_model.py", "sha256": sha256(plugin)}
    exec(smaller(IN_PYTHON).replace("epochs=1", 'epochs=1, out="again"'), names := {})
    assert names["images"].shape == (64, 1, 28, 28)


def test_the_model_of_the_page_keeps_the_rules(plugin: Path) -> None:
    exec(CHECKED, {})


def test_it_learns(plugin: Path) -> None:
    """The example has a real objective: it gets below the least loss of a network that sees neither image nor noise.

    That one says the mean of x - z, whose variance is that of a pixel and 1, that of the noise.
    """
    cf.load_plugin(plugin)
    run = cf.train("my-flow", "mnist5k", epochs=3, quiet=True, log_every=10)
    losses = [row["loss"] for row in run.folder.read_log() if "loss" in row]
    nothing = 1 + (cf.load_data("mnist5k").images / 127.5 - 1).var(axis=0).mean()
    assert losses[-1] < nothing < losses[0]


@pytest.mark.parametrize("place", range(4))
def test_the_option_may_stand_anywhere(place: int, plugin: Path, data: list[str], command: Callable) -> None:
    words = ["my-flow", *data, *SMALL]
    between = [0, *(i for i, word in enumerate(words) if word.startswith("--")), len(words)]  # no option and its value
    where = between[[0, 1, 3, -1][place]]
    words[where:where] = ["--plugin=my_model.py"] if place == 1 else ["--plugin", "my_model.py"]
    shown = command("train", *words)
    assert shown.code == 0, shown.err
    assert "--plugin my_model.py" in shown.out.splitlines()[-1], "the next command needs it too"


def test_several_files(plugin: Path, tmp_path: Path, command: Callable) -> None:
    (tmp_path / "other.py").write_text(REGISTER.format(name="other"))
    shown = command("list", "--plugin", "my_model.py", "models", "--plugin", "other.py").out
    assert "\nmy-flow " in shown and "\nother " in shown
    assert "did you mean 'my-flow'?" in command("train", "my_flow", "--plugin", plugin).err


def test_only_commands_that_open_runs_have_it(plugin: Path, command: Callable) -> None:
    shown = command("stats", "mnist5k", "--out", "x.npz", "--plugin", plugin)
    assert shown.code == 2 and "--plugin" in shown.err
    assert "my-flow" not in MODELS


FAULTS = {
    "syntax.py": ("x = 1\ndef f(:\n", ", line 2: SyntaxError: "),
    "name.py": ("import os\n\nfoo\n", ", line 3: NameError: name 'foo' is not defined"),
    "deep.py": ("import json\njson.loads('{')\n", ", line 2: JSONDecodeError: "),
    "beside.py": ("import my_model\n", ", line 1: ModuleNotFoundError: No module named 'my_model'"),
    "leaves.py": ("\nimport sys\nsys.exit(0)\n", ", line 3: SystemExit: 0"),
    "nothing.py": ("x = 1\n", ": it registers no model: call counterfeit.models.register"),
    "nul.py": ("x = '\0'\n", "null bytes"),
    "taken.py": (REGISTER.format(name="vae"), ", line 4: a model named 'vae' is registered already: choose another"),
    "half.py": (REGISTER.format(name="half") + "1 / 0\n", ", line 5: ZeroDivisionError: division by zero"),
    "several\nlines.py": ("raise ValueError('one\\ntwo')\n", "line 1: ValueError: one two"),
    "wrong.txt": (SOURCE, "wrong.txt is not a Python file: pass a plugin whose name ends in .py"),
    "missing.py": (None, "the plugin missing.py cannot be read (No such file or directory): check the path"),
    "folder.py": ("", "the plugin folder.py cannot be read (it is a folder): check the path"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_file_is_one_line_with_the_place(name: str, plugin: Path, command: Callable) -> None:
    text, told = FAULTS[name]
    if name == "folder.py":
        Path(name).mkdir()
    elif text is not None:
        Path(name).write_text(text)
    before = list(MODELS)
    for verb in (["list"], ["train", "vae"], ["sample", "x"], ["compare", "x"]):
        shown = command(*verb, "--plugin", name)
        assert shown.code == 2 and told in shown.err and shown.err.count("\n") == 1 and not shown.out, shown.err
        assert name.partition("\n")[0] in shown.err
    assert list(MODELS) == before, "nothing of it stays"
    assert not [module for module in sys.modules if module.startswith("counterfeit_plugin")]


@pytest.mark.parametrize(("words", "told"), [(["--plugin", ""], "--plugin is empty"), (["--plugin"], "--plugin")])
def test_the_option_needs_a_file(words: list[str], told: str, command: Callable) -> None:
    shown = command("list", *words)
    assert shown.code == 2 and told in shown.err and shown.err.count("\n") == 1


def test_a_model_that_cannot_be_built_is_blamed_on_its_file(tmp_path: Path, command: Callable, data: list[str]) -> None:
    """And not on sizes, of which a model of ours can have too large ones only."""
    (tmp_path / "mine.py").write_text(
        "from dataclasses import replace\n"
        "from counterfeit.models import MODELS, register\n"
        "def build(settings, shape, classes):\n"
        "    return 1 + 'x'\n"
        "register(replace(MODELS['vae'], name='mine', build=build))\n"
    )
    shown = command("train", "mine", "--plugin", "mine.py", *data, "--batch-size", "20")
    assert shown.code == 2 and "mine cannot be built: TypeError: unsupported operand" in shown.err, shown.err
    assert "(mine.py, line 4)" in shown.err


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        (
            "{'error': x.square().mean()}",
            "terms() of mine gives of 2 images error (); each must be one number per image",
        ),
        ("{}", "terms() of mine gives of 2 images none"),
        ("1 + 'x'", "the terms of mine's loss cannot be had: TypeError: unsupported operand"),
    ],
)
def test_terms_that_are_no_numbers_of_images_are_refused_before_a_training(
    terms: str, told: str, tmp_path: Path, command: Callable, data: list[str]
) -> None:
    (tmp_path / "mine.py").write_text(
        "from dataclasses import replace\n"
        "from counterfeit.models import MODELS, register\n"
        "def build(settings, shape, classes):\n"
        "    model = MODELS['ae'].build(settings, shape, classes)\n"
        f"    model.__class__ = type('Mine', (type(model),), {{'terms': lambda self, x, y, rng: {terms}}})\n"
        "    return model\n"
        "register(replace(MODELS['ae'], name='mine', build=build))\n"
    )
    shown = command("train", "mine", "--plugin", "mine.py", *data, "--batch-size", "20", "--out", "run")
    assert shown.code == 2 and told in shown.err and not (tmp_path / "run").exists(), shown.err


def test_settings_that_are_no_dataclass_are_refused(tmp_path: Path, command: Callable) -> None:
    (tmp_path / "mine.py").write_text(
        "from dataclasses import replace\n"
        "from counterfeit.models import MODELS, register\n"
        "class Mine(type(MODELS['vae'].settings)):\n"
        "    depth: int = 3\n"
        "register(replace(MODELS['vae'], name='mine', settings=Mine()))\n"
    )
    shown = command("list", "models", "--plugin", "mine.py")
    assert shown.code == 2 and "line 5: Mine has no field 'depth': write @dataclass(frozen=True) above" in shown.err


def test_a_file_is_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = REGISTER.format(name="mine") + "print('run')\nwith open('times', 'a') as file:\n    file.write('x')\n"
    (tmp_path / "mine.py").write_text(text)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/copy.py").write_text(text)
    (tmp_path / "link.py").symlink_to("mine.py")
    for path in ("mine.py", tmp_path / "mine.py", "folder/copy.py", "link.py", "./folder/../mine.py"):
        cf.load_plugin(path)
    assert Path("times").read_text() == "x"
    assert str(plugin_of("mine")) == f"mine.py (SHA-256 {sha256(tmp_path / 'mine.py')})"
    assert plugin_of("vae") is None
    (tmp_path / "mine.py").write_text(text + "\n")
    for path in ("mine.py", "link.py"):
        with pytest.raises(cf.InputError, match=f"the plugin {path} has changed since it was loaded: start Python"):
            cf.load_plugin(path)


def test_a_file_that_failed_can_be_mended(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(REGISTER.format(name="mine") + "oops\n")
    with pytest.raises(cf.InputError, match=r"line 5: NameError") as error:
        cf.load_plugin("mine.py")
    assert isinstance(error.value.__cause__, NameError), "Python has the whole traceback"
    (tmp_path / "mine.py").write_text(REGISTER.format(name="mine"))
    cf.load_plugin("mine.py")
    assert "mine" in MODELS


# --- which code a run is of ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, test_cache: Path) -> Path:
    """A run of the file, trained by a process that has ended."""
    home = tmp_path_factory.mktemp("trained")
    (home / "my_model.py").write_text(SOURCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        digits = cf.load_data("mnist5k").images
        np.savez("digits.npz", images=digits[:100], test_images=digits[100:200])
        process("train", "my-flow", "--plugin", "my_model.py", "--data", "digits.npz", *SMALL, "--out", "run")
    return home / "run"


@pytest.fixture
def run(trained: Path, plugin: Path, data: list[str]) -> Path:
    """A copy of that run, beside the file and the data."""
    shutil.copytree(trained, "run")
    shutil.copy(trained.parent / "digits.npz", "digits.npz")
    return Path("run").absolute()


def test_a_run_folder_loads_no_code(run: Path, plugin: Path, command: Callable) -> None:
    digest = sha256(plugin)
    (run / "my_model.py").write_text(SOURCE)
    told = f"run is a run of my-flow, a model of my_model.py (SHA-256 {digest}), which is not loaded: pass that file"
    for words in (["sample", "run"], ["score", "run"], ["likelihood", "run"], ["report", "run"], ["compare", "run"]):
        shown = command(*words)
        assert shown.code == 2 and told in shown.err and shown.err.count("\n") == 1, shown.err
    shown = command("train", "my-flow", "--resume", "--out", "run", "--epochs", "2")
    assert shown.code == 2 and told in shown.err
    with pytest.raises(cf.InputError, match="cf.load_plugin"):
        cf.load(run)
    assert "my-flow" not in MODELS
    cf.load_plugin(plugin)
    assert cf.load(run).sample(2).shape == (2, 1, 28, 28)


def test_it_is_continued_with_the_same_file_only(run: Path, plugin: Path, data: list[str], anew: Callable) -> None:
    whole = ["train", "my-flow", "--plugin", plugin, *data, *SMALL, "--epochs", "2"]
    anew(*whole, "--out", "whole")
    plugin.rename("elsewhere.py")  # the name says nothing of the code
    shown = anew("train", "my-flow", "--plugin", "elsewhere.py", "--out", "run", "--resume", "--width", "9", code=2)
    assert "was trained with --width 8, not 9" in shown
    anew("train", "my-flow", "--plugin", "elsewhere.py", "--out", "run", "--resume", "--epochs", "2")
    (resumed,) = record(run)["resumed_by"]
    assert resumed["plugin"] == {"name": "elsewhere.py", "sha256": sha256(Path("elsewhere.py"))}
    cf.load_plugin("elsewhere.py")
    assert cf.load(run).weights_sha256 == cf.load("whole").weights_sha256

    plugin.write_text(SOURCE + "# another\n")
    shown = anew("train", "my-flow", "--plugin", plugin, "--out", "run", "--resume", "--epochs", "3", code=2)
    assert shown.count("\n") == 1 and f"my-flow is now of my_model.py (SHA-256 {sha256(plugin)}), so it" in shown
    assert "cannot be continued exactly: pass that file with --plugin" in shown


@pytest.mark.processes
def test_samples_of_another_file_are_other_measurements(run: Path, plugin: Path) -> None:
    first = sha256(plugin)
    process("score", "run", "--plugin", plugin, *DRAWN)
    (path,) = (run / "scores").iterdir()
    of_first = json.loads(path.read_text())["receipt"]["generated"]["plugin"]
    assert of_first == {"trained_by": first, "drawn_by": first}
    process("compare", "run", "--plugin", plugin, *DRAWN)
    assert list((run / "scores").iterdir()) == [path], "the same measurement is not made again"

    plugin.write_text(SOURCE + "# another\n")
    shown = process("compare", "run", "--plugin", plugin, *DRAWN)
    assert f"run was trained with my_model.py (SHA-256 {first}), and my-flow is now of my_model.py" in shown
    (other,) = set((run / "scores").iterdir()) - {path}
    of_other = json.loads(other.read_text())["receipt"]["generated"]["plugin"]
    assert of_other == {"trained_by": first, "drawn_by": sha256(plugin)}
    shown = process("report", "run", "--plugin", plugin)
    assert "1 run scored already" in shown, "by this file"
    other.unlink()
    shown = process("report", "run", "--plugin", plugin, *DRAWN)
    assert "scored already" not in shown


def test_settings_of_another_file_are_told_from_a_damaged_run(run: Path, plugin: Path, anew: Callable) -> None:
    first = sha256(plugin)
    other = SOURCE.replace("width: int = 512", "width: str = 'wide'").replace("shape, width", "shape, _")
    plugin.write_text(other.replace('check_count(self.width, "--width")', "pass"))
    shown = anew("sample", "run", "--plugin", plugin, code=2)
    assert f"run is a run of my-flow from my_model.py (SHA-256 {first}), and its settings are not those of" in shown


@pytest.mark.parametrize("value", ["my_model.py", {"name": 5}, {"name": "x", "sha256": "short"}, {}])
def test_a_strangers_record_of_it_is_refused(value: object, run: Path, plugin: Path, command: Callable) -> None:
    found = record(run)
    (run / "run.json").write_text(json.dumps({**found, "made_by": {**found["made_by"], "plugin": value}}))
    shown = command("sample", "run", "--plugin", plugin)
    assert shown.code == 2 and "plugin" in shown.err and shown.err.count("\n") == 1


def test_runs_of_different_files_are_in_separate_rows(run: Path, plugin: Path, data: list[str], anew: Callable) -> None:
    first = sha256(plugin)
    plugin.write_text(SOURCE + "# another\n")
    anew("train", "my-flow", "--plugin", plugin, *data, *SMALL, "--seed", "1", "--out", "other")
    anew("train", "my-flow", "--plugin", plugin, *data, *SMALL, "--out", "third")
    cf.load_plugin(plugin)
    found = cf.compare(["run", "other", "third"], n=30, metrics="fid", detector="mnist-cnn", device="cpu")
    (table,) = found["tables"]
    assert {row["label"]: len(row["runs"]) for row in table["rows"]} == {
        f"my-flow, plugin {first[:8]}": 1,
        f"my-flow, plugin {sha256(plugin)[:8]}": 2,
    }
    assert any("trained with different plugins" in note for note in found["notes"])


# --- in other processes ----------------------------------------------------------------------------------------------

GRID = """
models = ["my-flow", "vae"]
data = ["digits.npz"]
out = "runs/grid"
[train]
epochs = 1
batch_size = 20
[train.my-flow]
width = 8
[train.vae]
encoder_width = 8
decoder_width = 8
[score]
n = 30
metrics = ["fid"]
detector = "mnist-cnn"
"""


@pytest.mark.processes
def test_workers_of_a_grid_load_it(plugin: Path, data: list[str]) -> None:
    Path("grid.toml").write_text(GRID)
    process("compare", "grid.toml", "--workers", "2", "--plugin", "my_model.py")
    found = json.loads(Path("runs/grid/comparison.json").read_text())
    assert not found["failures"]
    labels = sorted(row["label"].partition(",")[0] for row in found["tables"][0]["rows"])
    assert labels == ["my-flow", "vae"]
    assert record("runs/grid/my-flow-digits-s0")["made_by"]["plugin"]["sha256"] == sha256(plugin)
    assert "plugin" not in record("runs/grid/vae-digits-s0")["made_by"]


@pytest.mark.parametrize(
    ("file", "digest", "told"),
    [
        ("/nowhere/mine.py", "0" * 64, "the plugin /nowhere/mine.py cannot be read (No such file or directory)"),
        ("my_model.py", "0" * 64, f"the plugin my_model.py is another file here, SHA-256 FOUND, and not {'0' * 64}"),
    ],
)
def test_a_node_without_the_file_says_so(file: str, digest: str, told: str, plugin: Path, monkeypatch) -> None:
    """What Ray runs on a node; the last line of its error is that of the run's failure."""
    monkeypatch.setattr(cluster, "keep_freed_memory", lambda: None)  # it is for a whole process
    monkeypatch.setattr(sys, "argv", sys.argv)
    order = message(Order(ScoreConfig(), False, plugins={file: digest}))
    with pytest.raises(cf.InputError) as error:
        cluster._work(order, b"{}", ".")
    assert told.replace("FOUND", sha256(plugin)) in str(error.value) and "\n" not in str(error.value)


def test_a_worker_whose_file_has_changed_says_so(plugin: Path) -> None:
    order = message(Order(ScoreConfig(), False, plugins={str(plugin): "0" * 64}))
    code = "from counterfeit.comparison.member import main; main()"
    done = subprocess.run([sys.executable, "-c", code], input=order + b"\n", capture_output=True)
    # The end of stdin stops it, too, if it comes first.
    assert done.returncode in (2, 130)
    assert done.returncode == 130 or done.stderr.startswith(f"the plugin {plugin} is another file here".encode())


@pytest.mark.processes
def test_each_process_of_a_job_loads_it(plugin: Path, data: list[str]) -> None:
    words = ["train", "my-flow", "--plugin", "my_model.py", *data, *SMALL]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    process(*words, "--out", "two", before=torchrun)
    assert record("two")["made_by"]["plugin"]["sha256"] == sha256(plugin)
    plugin.write_text("oops\n")
    shown = process(*words, "--out", "none", before=torchrun, code=1)
    assert shown.count("line 1: NameError") == 1


# --- installed packages ----------------------------------------------------------------------------------------------


def install(site: Path, name: str, version: str, text: str) -> None:
    """A package with an entry point, as an installer leaves it."""
    module = name.replace("-", "_")
    for old in site.glob(f"{module}-*.dist-info"):
        (old / "METADATA").unlink()
        (old / "entry_points.txt").unlink()
        old.rmdir()
    info = site / f"{module}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[counterfeit.models]\nmine = {module}\n")
    (site / f"{module}.py").write_text(text)


@pytest.fixture
def site(tmp_path: Path) -> str:
    """Where a package with the page's model and a broken one are installed."""
    install(tmp_path / "site", "my-package", "1.2", SOURCE + "open('imported', 'w').close()\n")
    install(tmp_path / "site", "broken", "0.1", REGISTER.format(name="half") + "raise OSError('no\\nluck')\n")
    return str(tmp_path / "site")


BROKEN = "broken 0.1 adds no models, since broken cannot be imported (OSError: no luck)\n"


@pytest.mark.processes
def test_a_package_adds_its_models(site: str, data: list[str]) -> None:
    process("train", "--own-flag", "vae", "--help", path=site)
    for words in (
        ["train", "vae", "--help"],
        ["train", "vae", *data, "--epochs", "1", "--batch-size", "20", "--out", "v"],
        ["list", "data"],
    ):
        assert "broken" not in process(*words, path=site)
        assert not Path("imported").exists(), "nothing of it is needed"
    shown = process("train", "my-flow", *data, *SMALL, "--out", "run", path=site)
    assert shown.startswith(BROKEN) and shown.count("broken") == 2, "once"
    assert record("run")["made_by"]["plugin"] == {"name": "my-package", "version": "1.2"}
    assert process("sample", "run", path=site) == BROKEN
    assert "did you mean 'my-flow'?" in process("train", "myflow", path=site, code=2)
    process("score", "run", *DRAWN, path=site)
    (score,) = Path("run/scores").iterdir()
    generated = json.loads(score.read_text())["receipt"]["generated"]
    assert generated["plugin"] == {"trained_by": "my-package 1.2", "drawn_by": "my-package 1.2"}
    assert "a model of my-package 1.2, which is not loaded: install my-package 1.2" in process("sample", "run", code=2)

    install(Path(site), "my-package", "1.3", SOURCE)
    assert "was trained with my-package 1.2, and my-flow is now of my-package 1.3" in process(
        "sample", "run", path=site
    )
    shown = process("train", "my-flow", "--out", "run", "--resume", "--epochs", "2", path=site, code=2)
    assert "cannot be continued exactly: install my-package 1.2" in shown


def test_lists_have_the_models_of_packages(site: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "counterfeit", "list", "models"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
    )
    assert re.search("^my-flow +flow matching", done.stdout, re.M) and "half" not in done.stdout
    assert done.stderr == BROKEN and done.returncode == 0


def test_a_flag_of_a_package_may_stand_before_its_model(site: str, data: list[str]) -> None:
    text = SOURCE.replace("    width: int", '    odd: bool = False\n    """A flag of its own."""\n    width: int')
    install(Path(site), "my-package", "1.2", text)
    process("train", "--odd", "my-flow", *data, *SMALL, "--out", "run", path=site)
    assert record("run")["settings"]["model"]["odd"] is True


def test_names_that_are_taken_are_refused(site: str, plugin: Path) -> None:
    install(Path(site), "your-package", "2.0", SOURCE)
    install(Path(site), "vain", "3.0", REGISTER.format(name="vae"))
    shown = process("train", "nothing", path=site, code=2).splitlines()
    assert len(shown) == 4  # broken, vain, one of the two, and that there is no such model
    assert any("vain 3.0 adds no models, since vain" in line and "a model named 'vae' is" in line for line in shown)
    assert sum("a model named 'my-flow' is registered already" in line for line in shown) == 1


def test_a_package_that_was_imported_before_is_known_too(site: str, data: list[str]) -> None:
    code = (
        "import my_package, counterfeit as cf\n"
        "cf.train('my-flow', 'digits.npz', epochs=1, batch_size=20, width=8, out='run', quiet=True)"
    )
    found = f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": found})
    assert record("run")["made_by"]["plugin"] == {"name": "my-package", "version": "1.2"}
    assert RunFolder("run").holds_run()


def test_a_link_to_a_file_of_another_name_is_loaded_by_workers_too(plugin: Path) -> None:
    Path("store").mkdir()
    plugin.rename("store/abc123")
    Path("link.py").symlink_to("store/abc123")
    cf.load_plugin("link.py")
    assert list(plugins.files()) == [str(Path("link.py").absolute())]
    plugins.load_sent(plugins.files())


def test_an_option_of_sampling_that_is_on_or_off_may_stand_before_the_run(command: Callable, data: list[str]) -> None:
    text = SOURCE.replace(
        "    steps: int = 20\n", '    churn: bool = False\n    """More noise."""\n    steps: int = 20\n'
    )
    Path("my_model.py").write_text(text)
    assert command("train", "my-flow", "--plugin", "my_model.py", *data, *SMALL, "--out", "run").code == 0
    shown = command("sample", "--churn", "run", "--plugin", "my_model.py", "-n", "2", "--out", "x.npy")
    assert shown.code == 0, shown.err
