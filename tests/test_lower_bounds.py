"""The oldest versions that pyproject.toml allows: `make compat` installs them, and Python 3.10 reads our source."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "benchmarks"))
import lower_bounds  # noqa: E402


def test_every_dependency_has_a_lower_bound(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["lower_bounds.py", "--extras", "onnx", "--without", "torch"])
    lower_bounds.main()
    lines = capsys.readouterr().out.splitlines()
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert len(lines) >= 13 and not any(line.startswith("torch==") for line in lines)
    assert all(f'"{line.replace("==", ">=")}"' in text for line in lines)
    assert "tomli==2; python_version < '3.11'" in lines


@pytest.mark.parametrize("requirement", ["torch", "torch<3", "torch>=2,<3", "torch[all]>=2"])
def test_one_without_a_plain_bound_is_refused(requirement):
    with pytest.raises(ValueError, match="has no lower bound"):
        list(lower_bounds.lower_bounds([requirement]))


def test_the_core_of_the_tests_is_there():
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", "")
    (core,) = [line for line in text.splitlines() if line.startswith("CORE :=")]
    assert all((ROOT / f"tests/test_{name}.py").exists() for name in core.removeprefix("CORE :=").split())


def test_nothing_is_written_that_the_oldest_python_refuses() -> None:
    """Grammar, and what it says of a class when it is made: a named tuple had no second base before Python 3.11."""
    (major, minor) = re.search(r'requires-python = ">=(\d)\.(\d+)"', (ROOT / "pyproject.toml").read_text()).groups()
    for path in (ROOT / "src").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(int(major), int(minor)))
        for one in ast.walk(tree):
            bases = [ast.unparse(base) for base in one.bases] if isinstance(one, ast.ClassDef) else []
            assert "NamedTuple" not in bases or len(bases) == 1, f"{path}:{one.lineno}"
