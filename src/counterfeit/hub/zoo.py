"""Trained generators to start from, `zoo:NAME`: run folders in a package beside this one, with weights in float16.

This package knows the SHA-256 of each (`catalog.zoo`): what the other one holds is read, and none of it is run.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from counterfeit.catalog import ZOO, ZooFacts, zoo
from counterfeit.data.cache import cache_dir
from counterfeit.errors import InputError, RunError
from counterfeit.hub import copies
from counterfeit.hub.files import LIST, digest, is_ours
from counterfeit.registry import nearest
from counterfeit.system.arguments import shown

PACKAGE = "counterfeit_zoo"
FIX = "pip install ./zoo in a checkout of this version, or its counterfeit-zoo wheel"


def named(text: str) -> ZooFacts:
    """What is known of `zoo:NAME`. InputError for a name that is none."""
    name, known = text.removeprefix(ZOO), zoo()
    if name not in known:
        raise InputError(f"no generator of the zoo is named {shown(name)}; {nearest(name, known)}")
    return known[name]


def fetched(text: str) -> Path:
    """The folder of `zoo:NAME`: a copy in the cache, checked, where scores and samplers of it can be kept.

    Raises:
        InputError: there is none of this name, or the package with the weights is not installed.
        RunError: its files are not those that this version knows.
    """
    facts = named(text)
    place = cache_dir() / "zoo" / facts.sha256[:40] / facts.name
    return place if place.is_dir() else copies.copied(place, text, lambda folder: _copy(text, facts, folder))


def _copy(text: str, facts: ZooFacts, folder: Path) -> None:
    there = _home() / facts.name
    if not (there / LIST).is_file() or digest(there / LIST) != facts.sha256:
        raise RunError(f"{text}: what is in {there} is not of this version of counterfeit: {FIX}")
    names = [name for name in copies.listed(there, text) if is_ours(name) and (there / name).is_file()]
    for name in (LIST, *names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(there / name, folder / name)
    copies.check(text, folder, names)


def _home() -> Path:
    """The folder of the package with the weights, which is not imported. InputError where there is none."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise InputError(f"the zoo's weights are a package of their own, which is missing: {FIX}")
    return Path(next(iter(found.submodule_search_locations)))
