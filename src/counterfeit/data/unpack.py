"""Read archives without trusting them: only named members, as a stream, and never more than a limit."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from counterfeit.errors import DataError

LIMIT = 1 << 28  # bytes: the raw files of data sets are far below 256 MiB; a gzip bomb is not


def gunzip(source: Path | IO[bytes]) -> bytes:
    """The content of a gzip file. Raises DataError if it has more than LIMIT bytes."""
    with gzip.open(source) as packed:
        content = packed.read(LIMIT + 1)
    if len(content) > LIMIT:
        raise DataError(f"the gzip file unpacks to more than {LIMIT:,} bytes")
    return content


def tar_members(path: Path, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of the named regular files in a .tar.gz, in the order of the archive.

    Raises DataError if one is missing or larger than LIMIT bytes, and the exceptions of tarfile for a damaged archive.
    """
    missing = set(names)
    with tarfile.open(path, "r|gz") as archive:
        for member in archive:
            if member.name not in missing or not member.isreg():
                continue
            if member.size > LIMIT:
                raise DataError(f"{member.name} in {path.name} has {member.size:,} bytes")
            file = archive.extractfile(member)
            assert file is not None  # a regular file has content
            missing.remove(member.name)
            yield member.name, file.read()
    if missing:
        raise DataError(f"{path.name} holds no {', '.join(sorted(missing))}")
