"""The form that starts a training: its fields from the settings of a model, and what was typed into them."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from counterfeit import catalog, data
from counterfeit.app.shelf import Shelf
from counterfeit.errors import InputError
from counterfeit.models import MODELS, ModelSettings, ModelSpec
from counterfeit.settings import LENGTHS, RunSettings, option
from counterfeit.system.arguments import UNIONS, fields_of, fitted
from counterfeit.system.field_texts import text

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}", re.ASCII)
SPELLED = {"lr": "learning rate", "kl": "KL", "ema": "EMA", "cuda": "CUDA"}  # words of names, in labels
FIRST = ("epochs", "budget", "seed", "batch_size", "score_every", "lr")  # what is open at first, beside model and data


@dataclass(frozen=True)
class Field:
    """A setting in the form.

    Attributes:
        name: of the setting.
        help: what --help says.
        kind: "choice", "flag", "number" or "text".
        value: its default as it is typed.
        choices: of a choice.
        optional: whether it may be left empty.
        own: whether it is the model's own, and not one that every run has.
    """

    name: str
    help: str
    kind: str
    value: str
    choices: tuple[str, ...] = ()
    optional: bool = False
    own: bool = False

    @property
    def label(self) -> str:
        return " ".join(SPELLED.get(word, word) for word in self.name.split("_"))

    @property
    def first(self) -> bool:
        return self.name in FIRST


class Wrong(InputError):
    """What is wrong with the form.

    Attributes:
        faults: field -> what is wrong with it; "" for what is about none.
    """

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__(" ".join(faults.values()))
        self.faults = dict(faults)


def form_of(model: str) -> list[Field]:
    """The fields of a model's settings, except the data. Raises InputError: there is no such model."""
    spec = MODELS[model]
    kinds, of_runs = fields_of(type(spec.settings)), {field.name for field in fields(RunSettings)}
    return [
        _field(spec, name, kinds[name], name not in of_runs)
        for name in (field.name for field in fields(spec.settings))
        if name != "data"
    ]


def _field(spec: ModelSpec[Any], name: str, kind: Any, own: bool) -> Field:
    kind, optional = _plain(kind)
    value = getattr(spec.settings, name)
    choices = tuple(map(str, typing.get_args(kind))) if typing.get_origin(kind) is typing.Literal else ()
    what = "choice" if choices else "flag" if kind is bool else "number" if kind in (int, float) else "text"
    return Field(name, text(type(spec.settings), name) or "", what, typed(value), choices, optional, own)


def _plain(kind: Any) -> tuple[Any, bool]:
    """A type without its notes and without None, and whether None is one of its values."""
    while typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    inside = typing.get_args(kind)
    if typing.get_origin(kind) in UNIONS and type(None) in inside:
        others = [one for one in inside if one is not type(None)]
        return (_plain(others[0])[0] if len(others) == 1 else typing.Union[tuple(others)]), True  # noqa: UP007
    return kind, False


def typed(value: Any) -> str:
    """A value as one types it: `0.5 0.9` of a tuple, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else ""
    return " ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def sources(shelf: Shelf) -> list[tuple[str, str]]:
    """The data that can be chosen, with words: data sets, and the folders and files that runs here were trained on."""
    found = {name: f"{name}: {facts.summary}" for name, facts in catalog.DATA.items()}
    for run in shelf.runs():
        try:
            record = run.folder.read_record()
        except InputError:
            continue
        if record.data.path is not None:
            found.setdefault(record.data.path, f"{record.data.name}, as in {run.folder.path.name}")
    return list(found.items())


def settings_of(shelf: Shelf, posted: Mapping[str, Any]) -> tuple[str, ModelSettings, str]:
    """Model, settings and name of the run that was asked for, by the rules of the command line. Raises Wrong."""
    values = {name: value for name, value in posted.items() if isinstance(value, str)}
    model = values.pop("model", "")
    name = values.pop("name", "").strip()
    if model not in MODELS:
        raise Wrong({"model": "choose a model"})
    if values.get("data") not in dict(sources(shelf)):
        raise Wrong({"data": "choose one of these"})
    if name and not NAME.fullmatch(name):
        raise Wrong({"name": "take letters, digits and - _ . in it"})
    spec = MODELS[model]
    changes = dict(_changes(spec, values))
    faults = dict(_misfits(spec, changes))
    if faults:
        raise Wrong(faults)
    try:
        settings = spec.changed(spec.settings, changes)
        data.splits(settings.data)
    except InputError as error:
        raise Wrong({_about(str(error), changes): str(error)}) from None
    return model, settings, name or f"{model}-{data.label(settings.data)}-s{settings.seed}"


def _changes(spec: ModelSpec[Any], values: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """The settings that are not as the model has them; a text that is no value of its type stays a text."""
    for name, kind in fields_of(type(spec.settings)).items():
        default = getattr(spec.settings, name)
        if name in values and values[name].strip() != typed(default):
            yield name, _value(values[name].strip(), kind)


def _value(word: str, kind: Any) -> Any:
    kind, optional = _plain(kind)
    if not word and optional:
        return None
    try:
        if typing.get_origin(kind) in UNIONS:  # a number, or a text
            return int(word)
        if kind is bool:
            return word == "on"
        if kind in (int, float):
            return kind(word)
        if typing.get_origin(kind) is tuple:
            return tuple(float(part) if "." in part or "e" in part else int(part) for part in re.split("[ ,]+", word))
    except (ValueError, OverflowError):
        pass
    return word


def _misfits(spec: ModelSpec[Any], changes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is of a wrong type, all of it at once."""
    kinds = fields_of(type(spec.settings))
    for name, value in changes.items():
        try:
            fitted(value, kinds[name], option(name))
        except InputError as error:
            yield name, str(error)


def _about(message: str, changes: Mapping[str, Any]) -> str:
    """The changed field that a message names first; else the data, which is looked at last, or "" for none."""
    places = {name: re.search(rf"{option(name)}(?![\w-])", message) for name in changes}
    named = {name: found.start() for name, found in places.items() if found}
    return min(named, key=named.__getitem__) if named else ""


def arguments(model: str, settings: ModelSettings) -> list[str]:
    """What the command `train` takes for these settings: those that are not the model's own."""
    words = ["train", model]
    follow = {*LENGTHS} - {settings.length[0]}  # from the length that was asked for
    for name, value in vars(settings).items():
        if value == getattr(MODELS[model].settings, name) or name in follow:
            continue
        if isinstance(value, bool):
            words.append(option(name) if value else f"--no-{option(name)[2:]}")
        elif isinstance(value, tuple):
            words += [option(name), *map(str, value)]
        else:
            words.append(f"{option(name)}={value}")
    return words
