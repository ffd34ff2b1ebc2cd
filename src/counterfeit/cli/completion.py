"""Shell completion: a script with all commands, options and choices, so that a shell asks nobody while one types.

Files complete wherever a word is no choice of ours.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from counterfeit import catalog
from counterfeit.cli import options
from counterfeit.cli.training import options_of
from counterfeit.models import MODELS, ModelSettings
from counterfeit.registry import Registry
from counterfeit.settings import option
from counterfeit.system.field_texts import text

NAMES: Mapping[str, tuple[str, ...]] = {  # of options whose choices no type says; what else fits is a file
    "data": tuple(catalog.DATA),
    "real": tuple(catalog.DATA),
    "detector": ("auto", *catalog.DETECTORS),
    "metrics": tuple(catalog.METRICS),
    "track": catalog.TRACKERS,
    "to": catalog.TRACKERS,
    "device": ("auto", "cpu", "cuda", "mps"),
}


@dataclass(frozen=True)
class Option:
    """An option: its spelling, the choices of its value (none for a file or a number), and what it is for."""

    word: str
    choices: tuple[str, ...]
    flag: bool
    about: str


def found(kind: Any, defaults: Any = None) -> list[Option]:
    """The options of a dataclass, with those of the dataclasses within; positional arguments are left out."""
    made = []
    for field in fields(kind):
        hint = get_type_hints(kind)[field.name]
        default = getattr(defaults, field.name, field.default)
        if is_dataclass(hint):
            made += found(hint if defaults is None else type(default), default if is_dataclass(default) else None)
        elif "Positional" not in str(get_type_hints(kind, include_extras=True)[field.name]) + str(field.type):
            flag = hint is bool
            word = f"--no-{option(field.name)[2:]}" if flag and default is True else option(field.name)
            about = (text(kind, field.name) or "").partition(". ")[0].rstrip(".")
            made.append(Option(word, _choices(hint) or NAMES.get(field.name, ()), flag, about))
    return made


def _choices(hint: Any) -> tuple[str, ...]:
    """The values of a Literal, or of one within a union."""
    if get_origin(hint) is Literal:
        return tuple(map(str, get_args(hint)))
    return tuple(choice for part in get_args(hint) for choice in _choices(part))


@dataclass(frozen=True)
class Words:
    """What can be typed after a verb, or after `train MODEL`."""

    options: list[Option]
    places: tuple[str, ...] = ()


def known(verbs: Mapping[str, str]) -> dict[str, Words]:
    """By verb, and by `train MODEL`."""
    help_ = Option("--help", (), True, "show the options of this command")
    kinds = {kind.__name__.lower(): kind for kind in vars(options).values() if isinstance(kind, type)}
    places = {"list": ("models", "data", "detectors", "metrics", "zoo"), "completion": tuple(SHELLS)}
    made = {verb: Words([*found(kinds[verb]), help_], places.get(verb, ())) for verb in verbs if verb != "train"}
    settings = {name: spec.settings for name, spec in MODELS.complete().items()}
    for name, own in {"": ModelSettings(), **settings}.items():  # "": what all models have
        typed = [*found(options_of(type(own))), *found(type(own), own)]
        made[f"train {name}".strip()] = Words([*_once(typed), help_], () if name else tuple(MODELS))
    return made


def _once(of: list[Option]) -> list[Option]:
    return list({one.word: one for one in of}.values())


SHELLS: Registry[Any] = Registry("shell")


@SHELLS.register("bash")
def bash(verbs: Mapping[str, str], known: Mapping[str, Words]) -> str:
    """For ~/.bashrc: eval "$(counterfeit completion bash)"."""
    cases, values = [], []
    for place, words in known.items():
        typed = " ".join([*words.places, *(one.word for one in words.options)])
        cases.append(f"    {shlex.quote(place)}) words={shlex.quote(typed)} ;;")
        for one in words.options:
            if not one.flag:
                pattern = shlex.quote(f"{place} {one.word}")
                values.append(f"    {pattern}) words={shlex.quote(' '.join(one.choices))} ;;")
    return _BASH.format(
        verbs=" ".join([*verbs, "--help", "--version"]),
        models="|".join(MODELS),
        cases="\n".join(cases),
        values="\n".join(values),
    )


@SHELLS.register("zsh")
def zsh(verbs: Mapping[str, str], known: Mapping[str, Words]) -> str:
    """For ~/.zshrc, after compinit: eval "$(counterfeit completion zsh)"."""
    return "autoload -Uz bashcompinit && bashcompinit\n" + bash(verbs, known)


@SHELLS.register("fish")
def fish(verbs: Mapping[str, str], known: Mapping[str, Words]) -> str:
    """For ~/.config/fish/completions/counterfeit.fish."""
    start = "complete -c counterfeit"
    lines = [f"{start} -n __fish_use_subcommand -f -a {verb} -d {shlex.quote(about)}" for verb, about in verbs.items()]
    for place, words in known.items():
        seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in place.split())
        if place == "train":
            seen += f"; and not __fish_seen_subcommand_from {' '.join(MODELS)}"
        condition = f"{start} -n {shlex.quote(seen)}"
        lines += [f"{condition} -f -a {shlex.quote(' '.join(words.places))}"] if words.places else []
        for one in words.options:
            value = "" if one.flag else f" -ra {shlex.quote(' '.join(one.choices))}" if one.choices else " -r"
            lines.append(f"{condition} -l {one.word[2:]}{value} -d {shlex.quote(one.about)}")
    return "\n".join(lines) + "\n"


_BASH = """\
_counterfeit() {{
  local cur="${{COMP_WORDS[COMP_CWORD]}}" prev="${{COMP_WORDS[COMP_CWORD-1]}}" verb="${{COMP_WORDS[1]}}" words="" word
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{verbs}" -- "$cur"))
    return
  fi
  if [ "$verb" = train ]; then
    for word in "${{COMP_WORDS[@]:2:COMP_CWORD-2}}"; do
      case "$word" in {models}) verb="train $word"; break ;; esac
    done
  fi
  case "$verb $prev" in
{values}
    *) case "$verb" in
{cases}
    esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -o default -o bashdefault -F _counterfeit counterfeit
"""
