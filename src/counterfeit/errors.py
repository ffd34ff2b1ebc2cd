"""The errors that are the user's to fix."""


class InputError(ValueError):
    """The user's input is wrong: the message says in one line what, where and how to fix it.

    The command line prints the message and exits with code 2; any other exception is a fault of ours (code 1).
    """

    def __str__(self) -> str:
        return " ".join(BaseException.__str__(self).splitlines())  # a path may hold a line break

    def _render_traceback_(self) -> list[str]:
        """What a notebook prints: the line, and not the way to it."""
        return [f"{type(self).__name__}: {self}"]


class DataError(InputError):
    """A data set, folder, file or array cannot be used as it is, or cannot be had."""


class RunError(InputError):
    """A run folder or checkpoint cannot be read, written or continued."""


class NonFiniteError(InputError):
    """Training reached a loss or weight that is not a finite number; the last good checkpoint is kept."""


class ReportedElsewhere(InputError):
    """The error of another process of this job, which tells the user of it."""


class Abandoned(InputError):
    """Another process of this job has ended, and this one cannot go on without it."""


class OutputError(Exception):
    """What a command was asked for cannot be printed, since stdout is closed or full (code 1)."""
