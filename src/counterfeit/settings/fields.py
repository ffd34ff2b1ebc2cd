"""What settings are made of: fields that say their effect, their checks, and how they are spelled."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import msgspec

from counterfeit.errors import InputError
from counterfeit.registry import nearest
from counterfeit.system.arguments import MOST, fields_of, fitted, shown

if TYPE_CHECKING:
    from typing_extensions import Self

MOST_COUNTED = 2**31 - 1  # epochs, images, units: more than any disk holds, and what PyTorch's sizes can be


def setting(default: Any, *, computes: bool = True, may_change: bool | None = None) -> Any:
    """A field of settings that says its own effect.

    Args:
        computes: it decides what a run computes: another value is another run, and another row of a table.
        may_change: a continued run may have another value; by default what computes nothing may.
    """
    may_change = not computes if may_change is None else may_change
    return dataclasses.field(default=default, metadata={"computes": computes, "may_change": may_change})


PLAIN = {"computes": True, "may_change": False}  # effects of a field that says none, as those of a plugin may


def unless_set(words: str) -> Callable[[str], str]:
    """How --help tells the default of an option that is None: in words, where no model has set it."""
    return lambda default: f"(default: {words if default == 'None' else default})"


FORMER = {"binarise": "binarize"}  # spellings of settings that older runs and scripts have
ALIASES = FORMER | {"beta": "kl_weight"}  # what users may call a setting, as some papers do


def spelled_today(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings, with former spellings of their names as today's."""
    return {FORMER.get(name, name): value for name, value in settings.items()}


def spelled_here(settings: Mapping[str, Any], own: Collection[str]) -> dict[str, Any]:
    """The same settings as of today, for what users may call them; a name in `own`, such as a plugin's, stays."""
    return {name if name in own else ALIASES.get(name, name): value for name, value in settings.items()}


def having(settings: Any, effect: str | None = None) -> set[str]:
    """The fields of settings, an instance or a class; those with an effect, `computes` or `may_change`."""
    fields = dataclasses.fields(settings)
    found = {field.name for field in fields if effect is None or field.metadata.get(effect, PLAIN[effect])}
    if effect is not None and getattr(settings, "keep", "") == "best":  # then the scores choose the weights
        found = found | {"score_every"} if effect == "computes" else found - {"score_every"}
    return found


@dataclass(frozen=True)
class Settings:
    """Fields that users set. A value of a wrong type or out of range raises InputError."""

    def __post_init__(self) -> None:
        fit_fields(self)

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain types."""
        # By json, which takes the name of a file that is not UTF-8, as msgspec's own JSON does not.
        return cast(dict[str, Any], json.loads(json.dumps(msgspec.to_builtins(self))))

    def replace(self, changes: Mapping[str, Any]) -> Self:
        """A copy with some fields changed; an unknown field or a value of a wrong type raises InputError."""
        changes = spelled_here(changes, having(self))
        check_names(type(self), changes)
        return dataclasses.replace(self, **changes)


def fit_fields(config: Any) -> None:
    """Bring the fields of a frozen dataclass to their types: see `arguments.fitted`."""
    for name, kind in fields_of(type(config)).items():
        object.__setattr__(config, name, fitted(getattr(config, name), kind, option(name)))


def check_names(kind: type[Any], settings: Mapping[str, Any]) -> None:
    """InputError where a keyword is no field of a dataclass of settings."""
    check_known(settings, [field.name for field in dataclasses.fields(kind)])


def check_known(settings: Mapping[str, Any], known: Collection[str]) -> None:
    """InputError where a keyword is none of those that are known."""
    for name in settings:
        if name not in known:
            raise InputError(f"no setting named {shown(name)}; {nearest(str(name), known)}")


def check_count(value: int, what: str, least: int = 1) -> None:
    """InputError where a number of things is too small, or larger than anything that could be counted."""
    if not least <= value <= MOST_COUNTED:
        raise InputError(f"{what} is {value}; it must be {least} or more, and at most 2^31 - 1")


def check_seed(seed: int, draws: int = 1) -> None:
    """InputError where a seed is out of the one range that all seeds have; `draws` take it and the next ones."""
    if not 0 <= seed <= MOST - (draws - 1):
        raise InputError(f"--seed is {seed}; it must be between 0 and 2^63 - {draws}")


def option(field: str) -> str:
    """The command line's spelling of a field."""
    return "--" + field.replace("_", "-")
