"""The wheel and the sdist: what is in them, and that the wheel alone does what the README promises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import counterfeit

pytestmark = pytest.mark.package
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The two, built from what git would check out and not from what else lies here."""
    home = tmp_path_factory.mktemp("built")
    subprocess.run([sys.executable, "-m", "build", "--outdir", home / "dist", ROOT], check=True, capture_output=True)
    (wheel,), (sdist,) = (list((home / "dist").glob(pattern)) for pattern in ("*.whl", "*.tar.gz"))
    zoo = [sys.executable, "-m", "build", "--outdir", home / "zoo", ROOT / "zoo"]
    subprocess.run(zoo, check=True, capture_output=True)
    (weights,) = (home / "zoo").glob("*.whl")
    return {"wheel": wheel, "sdist": sdist, "zoo": weights}


def sources(home: str = "src", package: str = "counterfeit") -> set[str]:
    """Every file of the package that is in git's tree, or would be."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", f"{home}/{package}"]
    listed = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return {path.removeprefix(f"{home}/") for path in listed if (ROOT / path).exists()}


def test_the_wheel_holds_the_package_and_nothing_else(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built["wheel"]) as wheel:
        names = set(wheel.namelist())
        (meta,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        facts = Parser().parsestr(wheel.read(meta).decode())
        entry = wheel.read(meta.replace("METADATA", "entry_points.txt")).decode()
    inside = {name for name in names if ".dist-info/" not in name}
    assert inside == sources()
    assert "counterfeit = counterfeit.__main__:main" in entry
    assert (facts["Version"], facts["License-Expression"]) == (counterfeit.__version__, "MIT")
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert built["wheel"].stat().st_size < 12 << 20


def test_the_zoo_is_a_wheel_of_its_own(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built["zoo"]) as wheel:
        inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert inside == sources("zoo", "counterfeit_zoo")
    assert built["zoo"].stat().st_size < 7 << 20


def test_the_sdist_builds_the_same_wheel(built: dict[str, Path], tmp_path: Path) -> None:
    with tarfile.open(built["sdist"]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
        sdist.extractall(tmp_path, filter="data")
    assert {"pyproject.toml", "README.md", "LICENSE", *(f"src/{name}" for name in sources())} <= names
    (folder,) = tmp_path.iterdir()
    words = [sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path / "again", folder]
    subprocess.run(words, check=True, capture_output=True)
    (again,) = (tmp_path / "again").glob("*.whl")
    with zipfile.ZipFile(again) as a, zipfile.ZipFile(built["wheel"]) as b:
        assert {i.filename: i.CRC for i in a.infolist()} == {i.filename: i.CRC for i in b.infolist()}


def test_the_wheel_alone_trains_samples_scores_and_reports(
    built: dict[str, Path], tmp_path: Path, test_cache: Path
) -> None:
    """In an empty environment, outside the checkout."""
    home, scripts = tmp_path / "home", tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    home.mkdir()
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    pip = [scripts / "python", "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt"]
    subprocess.run([*pip, built["wheel"]], check=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment = {**kept, "COUNTERFEIT_CACHE": str(test_cache.absolute())}

    def command(*words: str) -> str:
        done = subprocess.run(
            [scripts / "counterfeit", *words], cwd=home, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert command("--version").split() == ["counterfeit", counterfeit.__version__]
    assert "dcgan" in command("list")
    assert "complete" in command("completion", "bash")
    command("train", "vae", "--data", "mnist5k", "--epochs", "1", "--out", "vae")
    command("sample", "vae", "-n", "16", "--out", "grid.png")
    score = json.loads(command("score", "vae", "-n", "300", "--metrics", "fid", "--json"))
    assert score["metrics"]["FID[mnist-cnn]"]["value"] > 0
    command("report", "vae", "-n", "300", "--metrics", "fid", "--out", "report.html")
    assert (home / "grid.png").exists() and (home / "report.html").stat().st_size > 50_000
    empty = {**environment, "COUNTERFEIT_CACHE": str(tmp_path / "cache")}  # the tests' one keeps what was drawn from
    refused = subprocess.run([scripts / "counterfeit", "sample", "zoo:vae-mnist"], cwd=home, env=empty)
    assert refused.returncode == 2, "the zoo is another package"
    subprocess.run([*pip, built["zoo"]], check=True)
    assert Path(home, command("sample", "zoo:vae-mnist", "-n", "16").strip()).stat().st_size > 1000
    where = "import counterfeit; print(counterfeit.__file__)"
    found = subprocess.run([scripts / "python", "-c", where], cwd=home, env=environment, capture_output=True, text=True)
    assert Path(found.stdout.strip()).is_relative_to(tmp_path / "venv")
