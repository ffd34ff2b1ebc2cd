"""Environments in which people start us, as plain data: what is set (None: unset) beside what the tests set.

`{tmp}` in a value is a folder of the test's; `{rc}` is a matplotlib settings file with LaTeX, another backend and
fonts that nobody has; `{noise}` is one that is no settings file.
"""

from __future__ import annotations

Environment = dict[str, str | None]

# The C locale as it was before Python 3.7: file names and files without an encoding are ASCII, as under any code page
# they are something else than UTF-8.
CODE_PAGE: Environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
NO_HOME: Environment = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "USER", "LOGNAME"))

JOB: Environment = {"RANK": "3", "LOCAL_RANK": "3", "LOCAL_WORLD_SIZE": "4", "MASTER_ADDR": "nobody"}
NOTEBOOK: Environment = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "MATPLOTLIBRC": "{rc}"}
NO_BACKEND: Environment = {"MPLBACKEND": "no-such-backend", "MATPLOTLIBRC": "{noise}", "MPLCONFIGDIR": "/proc/1"}
ASCII: Environment = {"PYTHONIOENCODING": "ascii:strict"}
GBK: Environment = {"PYTHONIOENCODING": "gbk:strict", "COLUMNS": "20", "FORCE_COLOR": "1"}

# A process each in the normal suite, and every one imports torch: so two that do not touch each other are one.
QUICK: dict[str, Environment] = {
    "gbk, left over from torchrun": {**GBK, **JOB},
    "a code page, a notebook": {**CODE_PAGE, **NOTEBOOK},
    "an ascii stdout, no such backend": {**ASCII, **NO_BACKEND},
}
# Under the marker `torture`.
MORE: dict[str, Environment] = {
    "gbk": GBK,
    "left over from torchrun": JOB,
    "a code page": CODE_PAGE,
    "a notebook": NOTEBOOK,
    "an ascii stdout": ASCII,
    "no such backend": NO_BACKEND,
    "latin-1": {"PYTHONIOENCODING": "latin-1:strict"},
    "cp1252": {"PYTHONIOENCODING": "cp1252:strict", "PYTHONLEGACYWINDOWSSTDIO": "1"},
    "shift-jis": {"PYTHONIOENCODING": "shift_jis:strict"},
    "utf-16": {"PYTHONIOENCODING": "utf-16:strict"},
    "koi8-r": {"PYTHONIOENCODING": "koi8-r:strict"},
    "a locale that is not installed": {"LC_ALL": "tr_TR.ISO-8859-9", "LANG": "xx_YY"},
    "twenty columns": {"COLUMNS": "20", "LINES": "3"},
    "no columns": {"COLUMNS": "0", "LINES": "0"},
    "columns of words": {"COLUMNS": "many", "LINES": "-1"},
    "no terminal": {"TERM": None, "NO_COLOR": "1"},
    "colors everywhere": {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TTY_COMPATIBLE": "1"},
    "jupyter's variables": {"JPY_PARENT_PID": "1", "COLAB_RELEASE_TAG": "x", "MPLBACKEND": "inline"},
    "an empty backend": {"MPLBACKEND": ""},
    "home is a file": {"HOME": "/dev/null", "MPLCONFIGDIR": "/dev/null"},
    "home is nowhere": {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent/cache"},
    "no path": {"PATH": ""},
    "asserts away": {"PYTHONOPTIMIZE": "2"},
    "every warning an error": {
        "PYTHONWARNINGS": "error::EncodingWarning:counterfeit",
        "PYTHONWARNDEFAULTENCODING": "1",
    },
    "nothing is random": {"PYTHONHASHSEED": "0"},
    "no bytecode": {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONNODEBUGRANGES": "1"},
    "unbuffered": {"PYTHONUNBUFFERED": "1"},
    "a job of one": {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"},
    "an empty job": {"WORLD_SIZE": "", "RANK": ""},
}

# Variables of torchrun that are of no job: what is set, and a word of the line that says so.
JOBS: list[tuple[Environment, str]] = [
    ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two'"),
    ({"WORLD_SIZE": "0"}, "WORLD_SIZE is '0'"),
    ({"WORLD_SIZE": "-2", "RANK": "1"}, "WORLD_SIZE is '-2'"),
    ({"WORLD_SIZE": "9" * 40}, "WORLD_SIZE is"),
    ({"WORLD_SIZE": "2"}, "RANK is not set"),
    ({"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}, "LOCAL_WORLD_SIZE is not set"),
    ({"WORLD_SIZE": "2", "RANK": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}, "RANK is '2'"),
    ({"WORLD_SIZE": "2", "RANK": "x", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}, "RANK is 'x'"),
    ({"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "0"}, "LOCAL_WORLD_SIZE is '0'"),
    ({"WORLD_SIZE": "4", "RANK": "1", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "3"}, "do not belong to one job"),
    ({"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}, "MASTER_ADDR"),
    (
        {
            **{"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"},
            **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "9", "TORCHELASTIC_USE_AGENT_STORE": "True"},
        },
        "its job has ended",
    ),
]

# Words of a command that can be no path or value, and a word of the line that says so.
WORDS: list[tuple[list[str], str]] = [
    (["train", "vae", "--out", ""], "--out is empty"),
    (["train", "vae", "--out="], "--out is empty"),
    (["train", "vae", "--data", " "], "--data is empty"),
    (["train", "vae", "--device", ""], "--device is empty"),
    (["score", ""], "an argument is empty"),
    (["sample", "", "--out", "x.png"], "an argument is empty"),
    (["compare", "a", ""], "an argument is empty"),
    (["report", "a", "--out", ""], "--out is empty"),
    (["train", "vae", "--out", "~nosuchuser/run"], "no user nosuchuser"),
    (["train", "vae", "--data", "~nosuchuser"], "no user nosuchuser"),
    (["sample", "~nosuchuser/run"], "no user nosuchuser"),
    (["score", "~nosuchuser/run", "--real", "mnist5k"], "no user nosuchuser"),
    (["compare", "~nosuchuser/run"], "no user nosuchuser"),
    (["report", "~nosuchuser/run"], "no user nosuchuser"),
    (["stats", "mnist5k", "--out", "~nosuchuser/x.npz"], "no user nosuchuser"),
    (["train", "vae", "--out", "x" * 300], "longer than"),
    (["train", "vae", "--data", "x" * 300], "longer than"),
    (["sample", "y/" * 3000], "longer than"),
    (["score", "ü" * 130, "--real", "mnist5k"], "longer than"),
    (["compare", "x" * 300], "longer than"),
    (["report", "x" * 300], "longer than"),
]

# Names of files, of classes or of data sets, and how a terminal is shown them.
NAMES: list[tuple[str, str]] = [
    ("red\x1b[31m", "red\\x1b[31m"),
    ("over\rwritten", "over\\rwritten"),
    ("two\nlines", "two\\nlines"),
    ("right\u202eleft", "right\\u202eleft"),
    ("c1 \x9b31m", "c1 \\x9b31m"),
    ("bell\x07", "bell\\x07"),
    ("not utf-8 \udcff\udcfe", "not utf-8 \\xff\\xfe"),
    ("half a pair \ud83d", "half a pair \\ud83d"),
    ("line\u2028line", "line\\u2028line"),
    ("läufe ± 日本 👩‍🔬", "läufe ± 日本 👩‍🔬"),  # what is only foreign stays, joiners too
]
