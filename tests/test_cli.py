"""Help, version and lists, and what they cost."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

import counterfeit as cf
from counterfeit import catalog
from counterfeit.api.list import LISTS
from counterfeit.cli import options, training
from counterfeit.cli.dispatch import VERBS
from counterfeit.data import DATASETS
from counterfeit.detectors import DETECTORS
from counterfeit.metrics import METRICS
from counterfeit.models import MODELS, ModelSettings
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
    texts = texts_of_options(shown.out)
    assert texts.keys() == options_of(getattr(options, verb.capitalize())) | {"--help"}
    without = [option for option, text in texts.items() if len(re.sub(r"\(default: .*\)", "", text).split()) < 3]
    assert not without


def texts_of_options(page: str) -> dict[str, str]:
    """What the boxes of a help page say beside or below each option."""
    lines = [line.strip("│").removeprefix(" ").rstrip() for line in page.splitlines() if line.startswith("│")]
    found: dict[str, str] = {}
    names: list[str] = []
    for line in lines:
        if line.startswith("-"):
            invocation, _, line = line.partition("  ")
            names = re.findall(r"--[a-z][a-z-]*", invocation)
            found |= dict.fromkeys(names, "")
        elif not line.startswith(" "):  # what a box is about, and a positional argument
            names = []
        for name in names:
            found[name] += f" {line.strip()}"
    return found


def options_of(kind: Any) -> set[str]:
    """Those that a dataclass of options has, as they are typed; what is on by default can be turned off."""
    found = set()
    for field in fields(kind):
        if field.name == "training":  # of train without a model, what all models have
            found |= options_of(ModelSettings)
        elif is_dataclass(field.default_factory):
            found |= options_of(field.default_factory)
        elif "Positional" not in str(field.type):
            found.add(f"--{'no-' if field.default is True else ''}{field.name.replace('_', '-')}")
    return found


@pytest.mark.parametrize("name", list(MODELS))
def test_the_help_of_a_model_shows_its_own_settings_and_no_others(name: str, command) -> None:
    page = command("train", name, "--help").out
    shown, settings = " ".join(page.replace("│", " ").split()), MODELS[name].settings.to_dict()
    for value in settings.values():
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            assert f"(default: {value})" in shown
    # What is on can be turned off.
    own = {f"--{'no-' if value is True else ''}{key.replace('_', '-')}" for key, value in settings.items()}
    assert texts_of_options(page).keys() == own | {"--help", "--out", "--resume", "--plugin", "--threads", "--track"}


@pytest.mark.parametrize("name", list(MODELS))
def test_a_model_takes_every_option_that_its_help_names(name: str, command) -> None:
    """Each with its default, as it is typed; what is on or off by default is turned."""
    settings, words, turned = MODELS[name].settings, [name], {}
    for key, value in settings.to_dict().items():
        if isinstance(value, bool):
            words.append(f"--{'no-' if value else ''}{key.replace('_', '-')}")
            turned[key] = not value
        elif value is not None:
            words += [f"--{key.replace('_', '-')}", *map(str, value if isinstance(value, list) else [value])]
    assert {word for word in words if word.startswith("--")} <= texts_of_options(
        command("train", name, "--help").out
    ).keys()
    assert training.parsed(words).training == settings.replace(turned)


def test_lists_name_what_the_registries_hold_and_nothing_else(command) -> None:
    names = [f"zoo:{name}" for name in catalog.zoo()]
    of = {"models": MODELS, "data": DATASETS, "detectors": DETECTORS, "metrics": METRICS, "zoo": names}
    assert list(LISTS) == list(of)
    for what, registry in of.items():
        rows = command("list", what).out.splitlines()[2:]  # below the title and the columns' names
        rows = rows[: next((i for i, row in enumerate(rows) if row.startswith(("A folder", "min:", "Sample,"))), None)]
        listed = [row.split("  ")[0] for row in rows if not row.startswith(" ")]
        assert listed == list(registry), what
    everything = command("list").out
    assert all(command("list", what).out in everything for what in of)
    only = command("list", "data").out
    assert "mnist5k" in only and "lsgan" not in only
    assert "no list named 'modles'; did you mean 'models'?" in command("list", "modles").err


def test_minutes_are_said_of_the_models_whose_training_was_timed(command) -> None:
    (row,) = (row for row in command("list", "models").out.splitlines() if row.startswith("lsgan "))
    on_digits, on_photos = (float(word) for word in row.split("  ")[-1].split(", "))
    assert 0 < on_digits < on_photos < 60
    told = " ".join(command("train", "lsgan", "--help").out.split())
    assert f"lsgan takes these minutes on 2 cores: {on_digits} on mnist and {on_photos} on cifar10." in told
    assert "takes these minutes" not in command("train", "flow", "--help").out


@pytest.mark.parametrize("width", [60, 80, 120])
def test_lists_fit_the_terminal_and_are_not_cut(width: int, command, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    shown = command("list").out
    assert max(map(len, shown.splitlines())) <= width
    whole = {word for metric in METRICS.values() for label in metric.labels for word in label.split()}
    assert whole | {*MODELS, *DATASETS, "50,000"} <= {word.strip(",") for word in shown.split()}


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["train", "--help"], ["train", "dcgan", "--help"], ["sample", "-h"], ["list"]],
    ids=" ".join,
)
def test_help_and_lists_import_nothing_heavy(words: list[str]) -> None:
    """This, and not a time, is what keeps them quick."""
    code = (
        "import sys\nfrom counterfeit.cli.dispatch import main\n"
        f"try: main({words!r})\nexcept SystemExit as end: assert not end.code\n"
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


def test_options_may_come_before_the_model(command, monkeypatch) -> None:
    """The defaults are still those of the model that was named."""
    asked = []

    def fit(model: str, config: ModelSettings, **_: object) -> None:
        asked.append((model, config))
        raise cf.InputError("that is enough")

    monkeypatch.setattr("counterfeit.api.train.fit", fit)
    assert MODELS["dcgan"].settings != MODELS["vae"].settings
    for words in (["--epochs", 1, "dcgan", "--seed", 3], ["dcgan", "--epochs", 1, "--seed", 3]):
        assert "that is enough" in command("train", *words).err
        assert asked.pop() == ("dcgan", MODELS["dcgan"].settings.replace({"epochs": 1, "seed": 3}))


def test_a_fault_of_ours_keeps_its_traceback(tmp_path) -> None:
    """Exit code 1 and a traceback: what a bug report needs."""
    code = (
        "from counterfeit.cli.dispatch import VERBS, main\n"
        "def broken(argv): raise KeyError('a fault of ours')\n"
        "VERBS.add('broken', broken)\nmain(['broken'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" in done.stderr
    assert done.stderr.endswith("KeyError: 'a fault of ours'\n")


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
