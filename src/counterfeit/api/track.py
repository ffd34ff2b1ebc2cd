"""The command `track`: send a run that is there to a tracker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from counterfeit.errors import InputError, RunError
from counterfeit.hub import local
from counterfeit.run import Run
from counterfeit.runs import RunFolder
from counterfeit.system.arguments import checked
from counterfeit.system.text import reason
from counterfeit.tracking import Mirror, chosen


@checked
def track(run: Run | str | Path, to: str | Sequence[str]) -> dict[str, str]:
    """Send a run to trackers: settings, log, sample grids and stored scores. The Python form of `counterfeit track`.

    What a tracker has of the run already, from a training with `track` or an earlier call, is not sent again.

    Args:
        run: a Run or its folder.
        to: "tensorboard", "wandb" or "mlflow", or a list of them.

    Returns:
        For each tracker, how to look at the record: a command or an address.

    Raises:
        InputError: there is no run, a tracker is not installed, or it has failed.
    """
    names = chosen(to, "--to")
    folder = run.folder if isinstance(run, Run) else RunFolder(local(run))
    finished = folder.finished()
    if folder.is_held():
        raise RunError(f"another process is training in {folder}: wait for it, or train with --track")
    return {name: _sent(folder, name, "finished" if finished else "stopped") for name in names}


def _sent(folder: RunFolder, name: str, how: str) -> str:
    mirror = Mirror(folder, name)
    try:
        mirror.begin()
        mirror.catch_up()
        return mirror.end(how)
    except InputError:
        mirror.give_up()
        raise
    except Exception as error:  # of somebody else's program, which may raise anything
        mirror.give_up()
        raise RunError(f"{name} failed ({reason(error)}): the run is not affected; try again") from error
