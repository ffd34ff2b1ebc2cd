"""Help, version and lists, and what they cost."""

from __future__ import annotations

import subprocess
import sys

import pytest

import counterfeit as cf
from counterfeit.cli.dispatch import VERBS
from counterfeit.data import DATASETS
from counterfeit.metrics import METRICS
from counterfeit.models.recipes import RECIPES
from counterfeit.settings import Config
from counterfeit.system.console import say


def test_version(command) -> None:
    assert command("--version").out == f"counterfeit {cf.__version__}\n"


def test_the_overview_names_every_verb(command) -> None:
    for words in ([], ["--help"], ["-h"]):
        shown = command(*words)
        assert shown.code == 0
        assert all(f"  {verb} " in shown.out for verb in VERBS)


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_has_help_with_a_text_for_every_option(verb: str, command) -> None:
    shown = command(verb, "--help")
    assert shown.code == 0 and f"usage: counterfeit {verb}" in shown.out


@pytest.mark.parametrize("name", list(RECIPES))
def test_the_help_of_a_model_shows_its_own_defaults(name: str, command) -> None:
    shown = " ".join(command("train", name, "--help").out.replace("│", " ").split())
    config = RECIPES[name].config
    assert f"(default: {config.latent})" in shown and f"(default: {config.loss})" in shown
    for field, value in Config().to_dict().items():
        no = "no-" if value is True else ""  # what is on can be turned off
        assert f"--{no}{field.replace('_', '-')}" in shown


def test_lists_come_from_the_registries(command) -> None:
    everything = command("list").out
    assert all(name in everything for name in [*RECIPES, *DATASETS])
    only = command("list", "data").out
    assert "mnist5k" in only and "lsgan" not in only
    assert "no list named 'modles'; did you mean 'models'?" in command("list", "modles").err


@pytest.mark.parametrize("width", [60, 80, 120])
def test_lists_fit_the_terminal_and_are_not_cut(width: int, command, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    shown = command("list").out
    assert max(map(len, shown.splitlines())) <= width
    whole = {word for metric in METRICS.values() for label in metric.labels for word in label.split()}
    assert whole | {*RECIPES, *DATASETS, "50,000"} <= {word.strip(",") for word in shown.split()}


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["train", "--help"], ["train", "dcgan", "--help"], ["sample", "-h"]]
)
def test_help_does_not_import_torch(words: list[str]) -> None:
    """This, and not a time, is what keeps help quick."""
    code = (
        "import sys\nfrom counterfeit.cli.dispatch import main\n"
        f"try: main({words!r})\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'matplotlib', 'PIL', 'requests'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, counterfeit; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert set(cf.__all__) - {"__version__"} == set(cf._HOMES)
    assert all(getattr(cf, name) is not None for name in cf.__all__)


def test_options_may_come_before_the_model(command, tmp_path) -> None:
    """The defaults are still those of the model that was named."""
    shown = command("train", "--epochs", 1, "dcgan", "--data", tmp_path / "nowhere.npz")
    assert shown.code == 2 and "nowhere.npz" in shown.err


def test_a_fault_of_ours_keeps_its_traceback(tmp_path) -> None:
    """Exit code 1 and a traceback: what a bug report needs."""
    code = (
        "from counterfeit import cli\n"
        "def broken(argv): raise KeyError('a fault of ours')\n"
        "cli.VERBS.add('broken', broken)\ncli.main(['broken'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" in done.stderr


def test_messages_are_printed_to_the_letter(capsys) -> None:
    """A name such as mnist:train:… is no emoji, and [brackets] are no markup."""
    say("mnist:train:train [bold]x[/bold]")
    assert capsys.readouterr().err == "mnist:train:train [bold]x[/bold]\n"


@pytest.mark.parametrize("words", [["train", "--help"], ["list", "models"]], ids=" ".join)
def test_a_reader_that_has_seen_enough_is_no_fault(words: list[str]) -> None:
    """`counterfeit list | head -1`: no traceback."""
    process = subprocess.Popen(
        [sys.executable, "-m", "counterfeit", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0
