"""Pictures of a run for the report: the same noise seed, images and layout for every run, so that they compare.

They lie in RUN/samples/report, one pixel of an image being one pixel of the PNG; pictures.json says of which weights
they are, so that they are drawn once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from counterfeit import images, reading
from counterfeit.comparison.sheets import Sheets
from counterfeit.console import say
from counterfeit.errors import InputError, RunError
from counterfeit.files import write_json
from counterfeit.run import Run
from counterfeit.runs.shared import opened

LAYOUT = 1  # goes up when the pictures change, so that old ones are drawn again
GREY = 128  # between images: seen beside black and beside white ones, on a light page and on a dark one


class Drawn(msgspec.Struct, frozen=True):
    """What was drawn of a run; as pictures.json keeps it.

    Attributes:
        weights_sha256: of the weights that the pictures are of.
        layout: LAYOUT of the version that drew them.
        files: kind of picture -> file name in RUN/samples/report.
        left_out: a sentence a kind of picture that could not be drawn.
    """

    weights_sha256: str
    layout: int
    files: dict[str, str]
    left_out: list[str]


def folder(run: Run) -> Path:
    return run.folder.samples / "report"


def draw(run: Run) -> Drawn:
    """Draw what suits the run, or find it drawn already.

    `samples`: of seed 0. `interpolation`: along lines between latent vectors. `classes`: a row the same noise, a column
    the same class. `reconstructions`: rows in pairs, images over what comes back. `nearest`: rows in pairs, the samples
    that come nearest to training images over those; `random`: the same for the first samples, which nobody chose.
    `real`: real images in the layout of the samples, to look at beside them.

    What cannot be drawn, such as real images that cannot be read again, is left out and said on stderr.
    Raises RunError: the run is damaged, or its folder cannot be written to.
    """
    index = folder(run) / "pictures.json"
    if not reading.within(run.path, folder(run)):  # files of others may lie there
        raise RunError(f"{folder(run)} is a link that leads out of the run: put a folder in its place")
    known = _known(run, index)
    if known and (known.weights_sha256, known.layout) == (run.weights_sha256, LAYOUT) and not known.left_out:
        if all((folder(run) / name).exists() for name in known.files.values()):
            return known
    say(f"{run.name}: drawing its pictures")
    sheets, left_out = Sheets(run), []
    files = {}
    try:
        folder(run).mkdir(parents=True, exist_ok=True)
        for kind, make in sheets.kinds().items():
            try:
                batch, columns = make()
            except InputError as error:
                left_out.append(f"{run.name}: no picture of {kind}: {error}")
                say(left_out[-1])
                continue
            images.save_png(folder(run) / f"{kind}.png", images.grid(batch, columns, gap=1, paper=GREY))
            files[kind] = f"{kind}.png"
        drawn = Drawn(run.weights_sha256, LAYOUT, files, left_out)
        write_json(index, msgspec.to_builtins(drawn))
    except OSError as error:
        raise RunError(f"cannot write to {folder(run)} ({error.strerror or error}): make room, or allow it") from None
    return drawn


@contextmanager
def of_comparison(
    comparison: Mapping[str, Any], device: str = "auto"
) -> Iterator[tuple[dict[str, dict[str, Path]], list[str]]]:
    """Pictures of the first seed of every row, by the run's path, and a sentence on each that could not be drawn.

    The files of runs at a URL are there while the block runs.
    """
    found: dict[str, dict[str, Path]] = {}
    notes: list[str] = []
    scored = {run["path"]: run["score"]["receipt"]["generated"].get("digest") for run in comparison["runs"]}
    with ExitStack() as places:
        for path in _firsts(comparison):
            try:
                place = places.enter_context(opened(path))
                run = Run(place.folder.path, device, path)
                drawn = draw(run)
                place.publish()
                found[path] = paths(run, drawn)
                notes += drawn.left_out
                if scored.get(path) not in (None, drawn.weights_sha256):
                    notes.append(f"{path}: its pictures are of other weights than its scores: it has been trained on")
            except InputError as error:  # one run without pictures must not cost the report
                notes.append(f"{path}: no pictures: {error}")
        yield found, notes


def paths(run: Run, drawn: Drawn) -> dict[str, Path]:
    return {kind: folder(run) / name for kind, name in drawn.files.items()}


def _firsts(comparison: Mapping[str, Any]) -> Iterable[str]:
    """Paths of the first run of every row, each once."""
    return dict.fromkeys(row["runs"][0] for table in comparison["tables"] for row in table["rows"] if row["runs"])


def _known(run: Run, index: Path) -> Drawn | None:
    """What pictures.json says, if it is of files that `draw` writes, and they lie in the run: a page will show them."""
    try:
        drawn, kinds = reading.record(reading.content(index), Drawn), Sheets(run).kinds()
        for kind, name in drawn.files.items():
            if kind not in kinds or name != f"{kind}.png":
                raise reading.Malformed(f"it names {reading.quoted(name)} as the picture of {reading.quoted(kind)}")
            if not reading.within(run.path, folder(run) / name):
                raise reading.Malformed(f"{name} is a link that leads out of the run")
        return drawn
    except FileNotFoundError:
        return None
    except (OSError, reading.Malformed) as error:
        say(f"{index} is not used ({reading.reason(error)}): the pictures are drawn again")
        return None
