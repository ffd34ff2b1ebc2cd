"""Text on its way to a terminal, a log or a file: nothing in it is obeyed, and nothing of it stops us."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from counterfeit.comparison.render import terminal
from counterfeit.errors import InputError, OutputError
from counterfeit.system import console, paths
from counterfeit.system.console import say
from counterfeit.system.text import PLAIN, encodable, harmless, utf8
from environment_cases import NAMES
from report_cases import comparison, read


@pytest.mark.parametrize("name, shown", NAMES)
def test_names_are_shown_and_not_obeyed(name: str, shown: str, capsys, command, tmp_path: Path) -> None:
    assert harmless(name) == shown
    say(f"{name}: a message")
    assert capsys.readouterr().err == f"{shown}: a message\n"
    if "\ud83d" not in name:  # no file can be called so
        outcome = command("sample", f"{tmp_path}/{name}")
        assert outcome.code == 2 and outcome.err.count("\n") == 1
        assert not set(outcome.err) & set("\x1b\r\x9b\x07\u202e\u2028")
    found = comparison(data=(name,))
    found["tables"][0]["rows"][0]["label"] = name
    found["notes"] = [f"{name} is a note"]
    table = terminal(read(found))
    assert shown in table and (shown == name or name not in table)


def test_every_control_character_is_escaped() -> None:
    codes = [*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000)]
    for code in codes:
        assert harmless(chr(code)).startswith("\\") and harmless(chr(code)).isascii()
    assert harmless("a\nb\x1b", keep="\n") == "a\nb\\x1b"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "gbk", "cp437", "koi8-r", "utf-16", "utf-8"])
def test_what_we_print_can_be_written_in_every_encoding(encoding: str) -> None:
    for text in ("131.3 ± 1.8 – … × → ≤ ╭─╮│", "läufe-日本-👩‍🔬", "\udcff\ud83d"):
        text.encode(encoding, PLAIN)
    assert "131.3 ± 1.8 –".encode("ascii", PLAIN) == b"131.3 +- 1.8 -"
    assert encodable("±é", "no such encoding") == "+-\\xe9"


def test_a_file_is_utf8_whatever_is_in_it() -> None:
    assert utf8("größe ±") == "größe ±".encode()
    assert utf8("größe".encode().decode("ascii", "surrogateescape")) == "größe".encode(), "read under a code page"
    assert utf8("\udcff\ud83d").decode() == "\\xff\\ud83d"


class Broken(io.StringIO):
    """A stream that fails in one way or another."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


@pytest.mark.parametrize(
    "error", [BrokenPipeError(), OSError(28, "No space left on device"), ValueError("I/O operation on closed file")]
)
def test_a_message_that_cannot_be_said_is_no_error(error: Exception, monkeypatch) -> None:
    for stream in (Broken(error), None):
        monkeypatch.setattr(sys, "stderr", stream)
        say("a message")
        with console.progress("a bar", 3) as advance:
            advance(1)


def test_a_message_on_a_stderr_without_the_letters(monkeypatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding="ascii", errors="strict"))
    say("131.3 ± 1.8, größe")
    assert raw.getvalue() == b"131.3 +- 1.8, gr\\xf6\\xdfe\n"


def test_a_result_that_cannot_be_printed(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdout", Broken(OSError(28, "No space left on device")))
    with pytest.raises(OutputError, match="No space left on device"):
        console.result("a table")
    monkeypatch.setattr(sys, "stdout", Broken(BrokenPipeError()))
    with pytest.raises(BrokenPipeError):
        console.result("a table")


@pytest.mark.parametrize(
    "path", ["", "x" * 256, "ü" * 128, "a\0b", "y/" * 2100, "~nosuchuser", "~nosuchuser/x", "\ud83d"]
)
def test_paths_that_are_none(path: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        paths.typed(path)
    assert len(str(caught.value)) < 300
    paths.typed("x" * 255), paths.typed(Path("ü" * 127))


def test_a_home_that_is_not_known(monkeypatch) -> None:
    """Else a folder called ~ is made."""
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(InputError, match="HOME is not set"):
        paths.typed("~/runs")
    Path("~$thesis").touch()  # as editors leave beside an open file
    assert paths.typed("~$thesis") == "~$thesis"


def test_a_folder_that_is_gone_while_one_is_in_it(monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(InputError, match="does not exist any more"):
        paths.absolute("runs")
    monkeypatch.chdir(tmp_path)
