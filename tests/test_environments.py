"""The same commands wherever they are started: locales, encodings, notebooks, homes, leftovers of other programs."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

import counterfeit as cf
from counterfeit.system.console import settle_streams
from counterfeit.system.distributed import check_address, check_environment, job_size
from environment_cases import JOBS, MORE, NO_HOME, QUICK, WORDS, Environment

# Runs several commands in one process, which imports torch once; their exit codes go into a file.
SEVERAL = """
import sys
{before}
from counterfeit.cli.dispatch import main
words, codes = [], []
for word in [*sys.argv[2:], "--then"]:
    if word != "--then":
        words.append(word)
        continue
    try:
        main(words)
    except SystemExit as end:
        codes.append(str(end.code))
    words = []
open(sys.argv[1], "w", encoding="utf-8").write(" ".join(codes))
"""


UNKNOWN = "import pwd\ndef nobody(uid): raise KeyError(uid)\npwd.getpwuid = nobody"


def drop_rights_of_root() -> None:
    """Where tests run as root: chmod means to this process what it means to any other user."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH; 24 is PR_CAPBSET_DROP
        libc.prctl(24, capability, 0, 0, 0)


def started(
    commands: Sequence[Sequence[str | Path]], home: Path, environment: Mapping[str, str | None], before: str = ""
) -> tuple[list[str], bytes, str]:
    """Exit codes of commands in a process of this environment, and what it wrote on stdout and stderr."""
    env: dict[str, str] = {**os.environ, "PYTHONFAULTHANDLER": "1"}
    for name, value in environment.items():
        env.pop(name, None)
        if value is not None:
            env[name] = value.format(tmp=home, rc=home / "matplotlibrc", noise=home / "noise")
    words = [str(word) for words in commands for word in (*words, "--then")][:-1]
    codes = home / f"codes-{time.monotonic_ns()}"
    codes.touch()  # the process may have no right to make it
    done = subprocess.run(
        [sys.executable, "-c", SEVERAL.format(before=before), str(codes), *words],
        env=env,
        cwd=home,
        capture_output=True,
        preexec_fn=drop_rights_of_root,
        timeout=300,
    )
    return codes.read_text().split(), done.stdout, done.stderr.decode("utf-8", "replace")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, test_cache: Path) -> Path:
    """A finished run whose names no code page has, images to score it against, and settings of matplotlib."""
    home = tmp_path_factory.mktemp("world")
    (home / "matplotlibrc").write_text("text.usetex: True\nbackend: TkAgg\nfont.family: NoSuchFont\nsavefig.dpi: 9\n")
    (home / "noise").write_bytes(b"\xff\xfe\x00 no settings \x80" * 9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        patch.chdir(home)
        data = cf.load_data("mnist5k")
        rows = np.arange(0, 5000, 20)
        np.savez(home / "größe $x_.npz", images=data.images[rows], labels=data.labels[rows])
        cf.train("vae", "größe $x_.npz", epochs=1, out="läufe-日本", quiet=True)
    return home


def commands(out: str) -> list[list[str]]:
    scored = ["--real", "größe $x_.npz", "-n", "100", "--metrics", "fid", "--detector", "mnist-cnn"]
    return [
        ["list"],
        ["score", "läufe-日本", *scored],
        ["score", "läufe-日本", *scored, "--json"],
        ["compare", "läufe-日本", *scored, "--out", out],
        ["report", "läufe-日本", *scored, "--out", f"{out}/seite.html"],
        ["sample", "läufe-日本", "-n", "4", "--out", f"{out}/bild-é.png"],
        ["train", "vae", "--data", "größe $x_.npz", "--epochs", "1", "--out", f"{out}/neu-±"],
        ["train", "--help"],
        ["sample", "nirgends-日本"],
    ]


def check(home: Path, environment: Environment, out: str, before: str = "") -> None:
    codes, stdout, stderr = started(commands(out), home, environment, before)
    assert codes == ["0"] * 8 + ["2"], f"{codes}\n{stderr}"
    assert "Traceback" not in stderr and ("\x1b" not in stderr or "FORCE_COLOR" in environment)
    encoding = (environment.get("PYTHONIOENCODING") or "utf-8").split(":")[0]
    text = stdout.decode(encoding)
    assert "\x1b" not in text and "mnist5k" in text and "FID[mnist-cnn]" in text
    run = json.loads((home / out / "neu-±" / "run.json").read_bytes())
    assert run["finished"] and (home / out / "neu-±" / "curves.png").stat().st_size > 1000
    page = (home / out / "seite.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 4 and page.count("data:image/png") >= 2
    assert "cannot be drawn" not in stderr


@pytest.mark.parametrize(
    "name", [name if i == 0 else pytest.param(name, marks=pytest.mark.torture) for i, name in enumerate(QUICK)]
)
def test_every_command_ends_well_in(name: str, home: Path, tmp_path: Path) -> None:
    check(home, QUICK[name], f"in-{list(QUICK).index(name)}")


@pytest.mark.torture
@pytest.mark.parametrize("name", MORE)
def test_every_command_ends_well_in_more_environments(name: str, home: Path) -> None:
    check(home, MORE[name], f"more-{list(MORE).index(name)}")


def test_without_a_home_and_a_user_that_nobody_knows_and_a_cache_to_be_read_only(home: Path, test_cache: Path) -> None:
    """Cache and home cannot be written to; what the cache has is taken, and what it has not is made for the process."""
    read_only = home / "cache"
    if not read_only.exists():
        (read_only / "mnist5k").mkdir(parents=True)
        for file in (test_cache / "mnist5k").iterdir():
            if file.is_file():
                (read_only / "mnist5k" / file.name).write_bytes(file.read_bytes())
    for folder in (read_only, read_only / "mnist5k"):
        folder.chmod(0o555)
    try:
        check(home, {**NO_HOME, "COUNTERFEIT_CACHE": str(read_only)}, "no-home", UNKNOWN)
        assert sorted(path.name for path in read_only.iterdir()) == ["mnist5k"]
        assert not (home / "~").exists(), "a folder called ~ is no home"
    finally:
        for folder in (read_only, read_only / "mnist5k"):
            folder.chmod(0o755)


@pytest.mark.torture
def test_without_a_home_and_a_cache(home: Path) -> None:
    check(home, {**NO_HOME, "COUNTERFEIT_CACHE": None}, "no-cache", UNKNOWN)
    assert not (home / "~").exists(), "a folder called ~ is no home"


def test_a_run_that_can_only_be_read_is_sampled_scored_compared_and_reported(home: Path) -> None:
    run = home / "läufe-日本"
    made = sorted(path.relative_to(run) for path in run.rglob("*"))
    folders = [run, *(path for path in run.rglob("*") if path.is_dir())]
    files = [path for path in run.rglob("*") if path.is_file()]
    for path in (*folders, *files):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        asked = [words for words in commands("read-only") if words[0] not in ("train", "list")]
        asked += [["sample", "läufe-日本", "-n", "4"], ["train", "vae", "--resume", "--out", "läufe-日本"]]
        codes, _, stderr = started(asked, home, {})
    finally:
        for path in (*folders, *files):
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert codes == ["0"] * 5 + ["2"] * 3, f"{codes}\n{stderr}"
    assert "Traceback" not in stderr
    assert "this score is not saved" in stderr
    page = (home / "read-only" / "seite.html").read_text(encoding="utf-8")
    assert page.count("data:image/png") >= 2
    assert sorted(path.relative_to(run) for path in run.rglob("*")) == made


@pytest.mark.parametrize("environment, words", JOBS, ids=lambda case: case if isinstance(case, str) else "")
def test_variables_of_torchrun_that_are_of_no_job(environment: Environment, words: str, monkeypatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value or "")
    with pytest.raises(cf.InputError, match=words):
        check_environment(job_size())
        check_address()


@pytest.mark.parametrize("words, says", WORDS, ids=lambda case: case[:20] if isinstance(case, str) else "")
def test_words_that_are_no_path(words: list[str], says: str, command, tmp_path: Path) -> None:
    outcome = command(*words)
    assert outcome.code == 2 and says in outcome.err and len(outcome.err.splitlines()) == 1
    assert not any(tmp_path.iterdir())


FULL = [
    (words, redirected)
    for words in ("list", "--help", "train --help", "--version")
    for redirected in (">/dev/full", ">&-", ">&- 2>&-", ">/dev/full 2>/dev/full")
]


@pytest.mark.parametrize(("words", "redirected"), FULL)
def test_a_stdout_that_is_full_or_closed(words: str, redirected: str) -> None:
    line = f'"{sys.executable}" -m counterfeit {words} {redirected}'
    done = subprocess.run(["sh", "-c", line], capture_output=True, timeout=120)
    assert done.returncode == 1 and done.stdout == b""
    lines = done.stderr.decode().splitlines()
    assert [line for line in lines if "cannot write to standard output" in line] == lines
    assert len(lines) == (0 if "2>" in redirected else 1)


def test_no_file_gets_what_is_printed_where_stdout_is_closed() -> None:
    """Else the first file that is opened has number 1, and is written into by whatever prints."""
    code = (
        "import os\nfrom counterfeit.system.console import settle_streams\nsettle_streams()\n"
        "fd = os.open('/dev/null', os.O_RDONLY)\nos._exit(0 if fd > 2 else 7)"
    )
    line = f"exec \"{sys.executable}\" -c '{code.replace(chr(39), chr(34))}' <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", line], timeout=60).returncode == 0
    settle_streams()  # and where all is well it changes nothing
