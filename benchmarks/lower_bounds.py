"""Print the oldest version of each dependency that pyproject.toml allows, a line each, as pip takes them.

    python benchmarks/lower_bounds.py [--extras onnx] [--without torch] > oldest.txt

`make compat` installs exactly these, so that a lower bound which does not work is found. There is no second list.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BOUND = re.compile(r"(?P<name>[\w-]+)>=(?P<version>[\d.]+)(?P<marker> *;.*)?")


def lower_bounds(requirements: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(name, requirement of exactly its lower bound) of each. Raises ValueError for one that has no such bound."""
    for requirement in requirements:
        found = BOUND.fullmatch(requirement)
        if found is None:
            raise ValueError(f"{requirement!r} has no lower bound")
        yield found["name"], f"{found['name']}=={found['version']}{found['marker'] or ''}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extras", nargs="*", default=[])
    parser.add_argument("--without", nargs="*", default=[])
    args = parser.parse_args()
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [each for extra in args.extras for each in project["optional-dependencies"][extra]]
    for name, line in lower_bounds([*project["dependencies"], *extras]):
        if name not in args.without:
            print(line)


if __name__ == "__main__":
    main()
