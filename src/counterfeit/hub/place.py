"""Where a run is on the hub, and the hub's client."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from counterfeit.errors import InputError, RunError
from counterfeit.system.arguments import shown

if TYPE_CHECKING:
    from huggingface_hub import HfApi

SCHEME = "hf://"
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?")
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")


@dataclass(frozen=True)
class Address:
    """A repository of the hub: owner/name, and a branch, tag or commit of it."""

    repository: str
    revision: str = "main"

    def __str__(self) -> str:
        return f"{SCHEME}{self.repository}" + ("" if self.revision == "main" else f"@{self.revision}")


def address(text: str) -> Address:
    """Read `owner/name`, with `hf://` before it or not, and with `@revision` after it or not. InputError for others."""
    repository, at, revision = text.removeprefix(SCHEME).partition("@")
    parts = repository.split("/")
    right = len(parts) == 2 and all(NAME.fullmatch(part) and ".." not in part and "--" not in part for part in parts)
    if not right or (at and (not REVISION.fullmatch(revision) or ".." in revision)):
        raise InputError(f"{shown(text)} is no place on the hub: write owner/name, or owner/name@revision")
    return Address(repository, revision or "main")


def client() -> HfApi:
    """The hub's client, for the hub that HF_ENDPOINT names. InputError where the package is missing."""
    try:
        from huggingface_hub import HfApi
    except ModuleNotFoundError:
        raise InputError("the hub needs huggingface_hub, which is missing: pip install 'counterfeit[hub]'") from None
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, library_name="counterfeit")


@contextmanager
def reaching(where: Address) -> Iterator[None]:
    """RunError, in one line, for whatever the client raises, which has many types. Its progress bars are off."""
    try:
        with _without_bars():
            yield
    except InputError:
        raise
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        kind, text = type(error).__name__, " ".join(str(error).split())[:160]
        if kind == "RevisionNotFoundError":
            raise RunError(f"{where.repository} has no revision {where.revision}: check its name") from None
        if status in (401, 403) or kind in ("RepositoryNotFoundError", "LocalTokenNotFoundError"):
            raise RunError(
                f"{where} cannot be used: check its name, and log in by `hf auth login` or HF_TOKEN if it is private "
                f"or yours ({kind})"
            ) from None
        raise RunError(f"{where} cannot be reached ({kind}: {text}): try again, or check HF_ENDPOINT") from None


@contextmanager
def _without_bars() -> Iterator[None]:
    """Without the client's progress bars, since ours is shown; whoever uses the client beside us has them again."""
    from huggingface_hub.constants import HF_HUB_DISABLE_PROGRESS_BARS as decided  # by a variable of that name
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    ours = decided is None and not are_progress_bars_disabled()
    if ours:
        disable_progress_bars()
    try:
        yield
    finally:
        if ours:
            enable_progress_bars()
