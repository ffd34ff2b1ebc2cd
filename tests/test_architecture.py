"""Imports point down only; the tree is what design and README say it is."""

from __future__ import annotations

import ast
from pathlib import Path

import counterfeit

PACKAGE = Path(counterfeit.__file__).parent

# From the bottom up: a module or package may import from the lines above its own, and from itself.
LAYERS = [
    ["errors", "version", "source", "signals", "text"],
    ["arguments"],
    ["paths"],
    [
        "registry",
        "isolation",
        "console",
        "files",
        "reading",
        "words",
        "noise",
        "adam",
        "allocator",
        "capture",
        "precision",
        "room",
        "drawing",
    ],
    ["config", "images", "binarise", "device"],
    ["processes"],
    ["recipes", "options", "nets", "losses", "metrics"],
    ["models", "data"],
    ["generate", "runs", "state", "detectors"],
    ["loop", "snapshots"],
    ["scoring", "setting_out"],
    ["likelihood"],
    ["run", "training"],
    ["display"],
    ["fitting"],
    ["comparison", "report"],
    ["verbs"],
    ["cli"],
    ["__main__"],
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def top_level_name(module: str) -> str:
    return module.split(".")[1]


def imports(path: Path) -> set[str]:
    """Names of our modules that this file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "counterfeit":
            # `from counterfeit import data` imports a module, `from counterfeit.data import load` one of its names
            found |= {top_level_name(node.module)} if "." in node.module else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {top_level_name(a.name) for a in node.names if a.name.startswith("counterfeit.")}
    return found


def test_every_module_has_a_layer_and_every_layer_a_module() -> None:
    modules = {p.stem if p.is_file() else p.name for p in PACKAGE.iterdir() if p.suffix == ".py" or p.is_dir()}
    assert modules - {"__init__", "__pycache__"} == LEVEL.keys()


def test_imports_point_down() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        here = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if here == "__init__":
            continue  # the public names, imported lazily from everywhere
        for name in imports(path):
            if name != here and LEVEL[name] >= LEVEL[here]:
                wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert not wrong


def test_models_do_not_see_data_nor_reports_tensors() -> None:
    for path in (PACKAGE / "models").glob("*.py"):
        assert not imports(path) & {"data", "runs"}
    for name in ("recipes.py", "config.py", "registry.py", "errors.py", "console.py", "options.py", "cli.py"):
        top = ast.parse((PACKAGE / name).read_text()).body
        loaded = {a.name for n in top if isinstance(n, ast.Import) for a in n.names}
        assert "torch" not in loaded and "numpy" not in loaded, f"{name} is read by --help, which is to be quick"
