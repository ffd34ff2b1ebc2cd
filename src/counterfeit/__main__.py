"""The command `counterfeit`, and `python -m counterfeit`: what has to be settled before all else is imported."""

import gc
import os
import sys


def main() -> None:
    """Run the command line; see `cli.main`."""
    _take_closed_numbers()
    # PyTorch's modules are more than a hundred thousand objects. Looking through them for garbage, again and again
    # while they are imported and a last time before the end, would take a third of the time of a short command.
    gc.set_threshold(10_000, 20, 100)
    from counterfeit.system import openmp, signals

    signals.obey()  # while all else is imported, too
    openmp.prepare(os.environ, sys.argv[1:])
    try:
        from counterfeit.cli.dispatch import main as run

        with signals.working():
            run()
    except KeyboardInterrupt:  # between two statements of those
        signals.leave()
    except SystemExit as end:
        if end.code == signals.STOPPED:
            signals.leave()
        raise
    finally:
        gc.freeze()


def _take_closed_numbers() -> None:
    """Where stdin, stdout or stderr is closed, no file that is opened later may get its number, and what is printed."""
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        os.set_inheritable(number, True)
    os.close(number)


if __name__ == "__main__":
    # `python -m` looks for modules in the folder that it is started in: a numpy.py that lies there would be run.
    if not getattr(sys.flags, "safe_path", False) and sys.path[:1] == [os.getcwd()]:
        del sys.path[0]
    main()
