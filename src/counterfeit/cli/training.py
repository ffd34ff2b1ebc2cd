"""The options of `train`, which are those of the model that is named."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tyro import MISSING
from tyro.conf import OmitArgPrefixes

from counterfeit import catalog
from counterfeit.cli.options import Train
from counterfeit.cli.parsing import HELP, parse, positional
from counterfeit.models import MODELS, ModelSettings
from counterfeit.settings import ALIASES, having, option, spelled_here


def parsed(argv: Sequence[str]) -> Train:
    """The options as typed, over the model's own settings. Without a model, --help shows what all models have."""
    model = named(argv)
    if model is None and HELP & set(argv):
        return parse(
            options_of(ModelSettings), ["--help"], options_of(ModelSettings)(MISSING, training=ModelSettings())
        )
    if model is None:
        model = "vae"  # whose options find what is wrong with the words
    check_owned(model, argv)
    if HELP & set(argv):
        argv = ["--help"]  # whatever else was typed; tyro's help leaves out a positional that has been given
    settings = MODELS[model].settings
    options = options_of(type(settings))
    options.__doc__ = f"{Train.__doc__}{how_long(model)}"
    asked = parse(options, argv, options(MISSING, training=settings))
    if asked.resume and asked.out and asked.model not in MODELS:
        from counterfeit.runs import RunFolder

        RunFolder(asked.out).read_record()  # which says where its model is
    MODELS[asked.model]  # did you mean …
    return asked


def options_of(settings: type[ModelSettings]) -> type[Train]:
    """The options of `train` with the settings of a model."""
    # mypy takes this for an annotation.
    field = ("training", OmitArgPrefixes[settings], dataclasses.field(default=MISSING))  # type: ignore[misc,valid-type]
    made = dataclasses.make_dataclass("Train", [field], bases=(Train,), frozen=True)
    made.__doc__ = Train.__doc__
    return made


def how_long(model: str) -> str:
    """A sentence on the minutes that a model trains; "" where they were not measured."""
    found = " and ".join(f"{minutes} on {data}" for data, minutes in catalog.minutes(model).items())
    return f" With its defaults, {model} takes these minutes on 2 cores: {found}." if found else ""


def named(argv: Sequence[str]) -> str | None:
    """The first word that is a model's name and no option's value; None where there is none.

    It is looked for among the models of installed packages, and their options, where it is none that is known already.
    """
    found = _named(argv)
    if found is None and not HELP & set(argv):
        MODELS.complete()
        found = _named(argv)
    return found


def _named(argv: Sequence[str]) -> str | None:
    return positional(argv, [Train, *(type(spec.settings) for spec in MODELS.values())], lambda word: word in MODELS)


def check_owned(model: str, argv: Sequence[str]) -> None:
    """InputError where an option is another model's."""
    others = {field.name for field in _all_fields()} - having(MODELS[model].settings)
    for word in argv:
        name = word.partition("=")[0].removeprefix("--").replace("-", "_")
        if word.startswith("--") and name in others:
            MODELS[model].changed(MODELS[model].settings, {name: None})


def today(word: str) -> str:
    """A former spelling of an option, or what papers call it, as today's; any other word as it is."""
    name, is_value, value = word.partition("=")
    field = name.removeprefix("--").replace("-", "_")
    if not name.startswith("--") or field not in ALIASES:
        return word
    (known,) = spelled_here({field: None}, {own.name for own in _all_fields()})
    return f"{option(known)}{is_value}{value}"


def _all_fields() -> list[dataclasses.Field[object]]:
    """The fields of all models' settings."""
    return [field for spec in MODELS.values() for field in dataclasses.fields(spec.settings)]
