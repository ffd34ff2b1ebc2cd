"""Models from outside: those of Python files that the user names, and those of installed packages.

A run folder leads to no code: what is loaded here is what the user has passed or installed.
"""

from __future__ import annotations

import hashlib
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Annotated

import msgspec
from msgspec import Meta

from counterfeit.errors import InputError
from counterfeit.models.spec import MODELS
from counterfeit.system import paths, reading
from counterfeit.system.arguments import checked
from counterfeit.system.console import say

GROUP = "counterfeit.models"  # of entry points: each names a module that registers models
OURS = frozenset(MODELS)


class Plugin(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a model comes from: a file by its name and SHA-256, or an installed package by its name and version."""

    name: Annotated[str, Meta(max_length=paths.LONGEST_NAME)]
    sha256: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""
    version: Annotated[str, Meta(max_length=paths.LONGEST_NAME)] = ""

    def __str__(self) -> str:
        return f"{self.name} (SHA-256 {self.sha256})" if self.sha256 else f"{self.name} {self.version}"

    @property
    def identity(self) -> str:
        """What two plugins share if they are the same code; the name of a file says nothing of it."""
        return self.sha256 or str(self)

    @property
    def fix(self) -> str:
        """How to have it, as the end of a message."""
        how = "with --plugin, or in Python to cf.load_plugin"
        return f"pass that file {how}" if self.sha256 else f"install {self}"


_of_model: dict[str, Plugin] = {}
_files: dict[str, str] = {}  # path, links followed -> SHA-256
_given: dict[str, str] = {}  # path as it was given, absolute -> SHA-256


def plugin_of(model: str) -> Plugin | None:
    """The plugin that a registered model comes from; None for a model of ours, or of code that was only imported."""
    if model not in OURS and model not in _of_model:
        MODELS.complete()  # its package may have been imported before it was looked for
    return _of_model.get(model)


def code_of(plugin: Plugin | None) -> str | None:
    """The identity of a plugin; None for none."""
    return plugin.identity if plugin else None


def files() -> dict[str, str]:
    """The files that are loaded, in their order: path -> SHA-256."""
    return dict(_given)


@checked
def load_plugin(path: str | Path) -> None:
    """Run a Python file that registers models (`counterfeit.models.register`); once, however often it is loaded.

    Runs of these models keep the file's name and SHA-256. The file must be whole by itself: modules beside it are not
    found.

    Raises:
        InputError: the file cannot be read or fails, which names the line; it registers no model, or one whose name is
            taken; or it has changed since it was loaded.
    """
    shown, place = paths.typed(path), paths.absolute(path)
    if place.suffix != ".py":
        raise InputError(f"{shown} is not a Python file: pass a plugin whose name ends in .py")
    try:
        text = reading.content(place)
    except OSError as error:
        raise InputError(f"the plugin {shown} cannot be read ({reading.reason(error)}): check the path") from None
    digest, real = hashlib.sha256(text).hexdigest(), os.path.realpath(place)
    if _files.get(real, digest) != digest:
        raise InputError(f"the plugin {shown} has changed since it was loaded: start Python again to load it")
    if digest not in _files.values():
        _run(text, shown, place, Plugin(place.name, digest))
    _files[real] = _given[str(place)] = digest


def load_sent(sent: dict[str, str]) -> None:
    """Load the files of another process, see `files`. Raises InputError where they are missing here, or are others."""
    for path, digest in sent.items():
        load_plugin(path)
        found = _files[os.path.realpath(path)]
        if found != digest:
            raise InputError(f"the plugin {path} is another file here, SHA-256 {found}, and not {digest}")


def load_installed() -> None:
    """Import the modules that installed packages name; a line tells of each that fails, and it adds no model then."""
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP):
        plugin = Plugin(point.dist.name, version=point.dist.version or "") if point.dist else Plugin(point.module)
        package = point.module.partition(".")[0]
        try:
            with _adding(plugin):
                point.load()
        except (Exception, SystemExit) as error:
            say(f"{plugin} adds no models, since {point.value} cannot be imported ({_reason(error)})")
            continue
        for name, spec in MODELS.items():  # those of a package that had been imported before
            build = getattr(spec.build, "func", spec.build)
            if name not in OURS and getattr(build, "__module__", "").partition(".")[0] == package:
                _of_model.setdefault(name, plugin)


def _run(text: bytes, shown: str, place: Path, plugin: Plugin) -> None:
    """Run a file as a module of its own, which help texts and type hints find by its name."""
    module = ModuleType(f"counterfeit_plugin_{plugin.sha256[:16]}")
    module.__file__ = str(place)
    sys.modules[module.__name__] = module
    before = set(MODELS)
    try:
        with _adding(plugin):
            exec(compile(text, str(place), "exec", dont_inherit=True), module.__dict__)
            if set(MODELS) == before:
                raise InputError("it registers no model: call counterfeit.models.register(ModelSpec(...)) in it")
    except BaseException as error:
        del sys.modules[module.__name__]
        if not isinstance(error, Exception | SystemExit):
            raise
        raise InputError(f"the plugin {shown}{_line(error, str(place))}: {_reason(error)}") from error


@contextmanager
def _adding(plugin: Plugin) -> Iterator[None]:
    """What is registered within is the plugin's; an error takes it back."""
    before = set(MODELS)
    try:
        yield
    except BaseException:
        for name in set(MODELS) - before:
            MODELS.remove(name)
            _of_model.pop(name, None)
        raise
    for name in set(MODELS) - before:
        _of_model.setdefault(name, plugin)


def blamed(error: BaseException) -> str:
    """What failed, with the last place of it that is in a plugin's file: `TypeError: … (my_model.py, line 12)`."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if os.path.realpath(f.filename) in _files]
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{_reason(error)}{where}"


def _line(error: BaseException, file: str) -> str:
    """`, line 12`: where a file failed; nothing where that is nowhere in it."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return f", line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f", line {lines[-1]}" if lines else ""


def _reason(error: BaseException) -> str:
    if isinstance(error, InputError):
        return str(error)
    text = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300]
