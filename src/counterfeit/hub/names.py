"""Runs by name in place of a folder: hf://owner/name on the Hugging Face hub, and zoo:NAME."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from counterfeit.catalog import ZOO
from counterfeit.hub import fetch, zoo
from counterfeit.hub.place import SCHEME, address

T = TypeVar("T")


def is_address(path: object) -> bool:
    """Whether it names a run that is fetched, as hf://owner/name and zoo:NAME do."""
    return isinstance(path, str) and path.startswith((SCHEME, ZOO))


def fetched(text: str) -> Path:
    """The folder of a run that is named so: a copy in the cache. Raises InputError and RunError."""
    return (zoo if text.startswith(ZOO) else fetch).fetched(text)


def last(text: str) -> str:
    """The name alone: `vae` of hf://me/vae@v1 and of zoo:vae."""
    return text.removeprefix(ZOO) if text.startswith(ZOO) else address(text).repository.partition("/")[2]


def local(path: T) -> T | Path:
    """A path as it is; of a run that is fetched, its folder."""
    return fetched(str(path)) if is_address(path) else path
