"""The human tests of the app: one file each in its own folder, known by the code that raters join with."""

from __future__ import annotations

import ipaddress
import re
import secrets
import threading
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import Request

from counterfeit.app.address import in_link, is_name, own_address
from counterfeit.app.limits import Rate
from counterfeit.errors import InputError
from counterfeit.human.store import Store

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # without those that look alike
LONG = 6  # characters of a code: 10^9 of them, see GUESSES
JOINS = 0.2, 120  # new raters from one address per second, in the long run and at once: a class may share one
GUESSES = 0.05, 20  # wrong codes from one address
CODE = re.compile("[A-Za-z0-9-]{4,32}")


class HumanTests:
    """The tests in a folder, opened when asked for, and closed with `close`.

    Attributes:
        joins, guesses: how often an address may join, and be wrong about a code.
    """

    def __init__(self, folder: Path, code: str | None = None) -> None:
        """`code` is that of the next test, instead of one drawn by lot; InputError if it cannot be one."""
        if code is not None and not CODE.fullmatch(code):
            raise InputError(f"--code is {code!r}; it must be 4 to 32 letters, digits and hyphens")
        self.folder, self._code = folder, code
        self.joins, self.guesses = Rate(*JOINS), Rate(*GUESSES)
        self._open: dict[str, Store] = {}
        self._lock = threading.Lock()

    def codes(self) -> list[str]:
        """The codes of all tests, the newest first."""
        try:
            found = [path for path in self.folder.glob("*.sqlite") if CODE.fullmatch(path.stem)]
            return [path.stem for path in sorted(found, key=lambda path: (-path.stat().st_ctime, path.stem))]
        except OSError:
            return []

    def test(self, code: str) -> Store:
        """The test with this code. Raises InputError if there is none, or its file has been deleted."""
        with self._lock:
            path = self.folder / f"{code}.sqlite"
            if not CODE.fullmatch(code) or not path.is_file():
                if gone := self._open.pop(code, None):
                    gone.close()
                raise InputError("there is no test with this code: check the link")
            if code not in self._open:
                self._open[code] = Store(path)
            return self._open[code]

    def new(self) -> tuple[str, Path]:
        """The code of a new test, and where it will be."""
        first = [self._code, *(f"{self._code}-{n}" for n in range(2, 1000))] if self._code else []
        drawn = ("".join(secrets.choice(LETTERS) for _ in range(LONG)) for _ in range(1000))
        code = next(one for one in (*first, *drawn) if not (self.folder / f"{one}.sqlite").exists())
        return code, self.folder / f"{code}.sqlite"

    def close(self) -> None:
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()


def tests(request: Request) -> HumanTests:
    """The tests of this app."""
    found: HumanTests = request.app.state.tests
    return found


def link(request: Request, code: str) -> str:
    """The address at which raters join: by the name that the app was started with, otherwise in numbers.

    A phone does not know the name of this machine, unless its owner says so with --host.
    """
    base, state = urlsplit(str(request.base_url).rstrip("/")), request.app.state
    if state.shared and is_name(state.host):
        base = base._replace(netloc=in_link(state.host, base.port))
    elif state.shared and not _reached_by_others(base.hostname or ""):
        base = base._replace(netloc=in_link(own_address(), base.port))
    return f"{base.geturl()}/rate/{code}"


def _reached_by_others(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
