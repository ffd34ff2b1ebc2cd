"""Pictures of a run for the report: the same noise seed, images and layout for every run, so that they compare.

They lie in RUN/samples/report, one pixel of an image being one pixel of the PNG; pictures.json says of which weights
they are, so that they are drawn once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from counterfeit.comparison.sheets import Sheets
from counterfeit.data import pixels
from counterfeit.errors import RunError
from counterfeit.report.records import Comparison
from counterfeit.run import Run
from counterfeit.runs.shared import Copy, Local, opened
from counterfeit.system import reading
from counterfeit.system.arguments import shown
from counterfeit.system.console import say
from counterfeit.system.files import write_json
from counterfeit.system.text import reason

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


def draw(run: Run, place: Path | None = None) -> Drawn:
    """Draw what suits the run, or find it drawn already.

    `samples`: of seed 0. `interpolation`: along lines between latent vectors. `classes`: a row the same noise, a column
    the same class. `reconstructions`: rows in pairs, images over what comes back. `nearest`: rows in pairs, the samples
    that come nearest to training images over those; `random`: the same for the first samples, which nobody chose.
    `real`: real images in the layout of the samples, to look at beside them.

    What cannot be drawn, such as real images that cannot be read again, is left out and said on stderr.

    Args:
        place: the folder to draw into, in place of the run's own.

    Raises RunError: the run is damaged, or the folder cannot be written to.
    """
    place = place or folder(run)
    if place == folder(run) and not reading.within(run.path, place):  # files of others may lie there
        raise RunError(f"{place} is a link to a place outside the run: replace it by a folder")
    index = place / "pictures.json"
    known = _drawn_already(run, place)
    if known:
        return known
    say(f"{run.name}: drawing its images")
    sheets, left_out = Sheets(run), []
    files = {}
    try:
        place.mkdir(parents=True, exist_ok=True)
        for kind, make in sheets.kinds().items():
            try:
                batch, columns = make()
                sheet = pixels.grid(batch, columns, gap=1, paper=GREY)
            except Exception as error:  # one picture, for whatever reason, must not cost the others
                left_out.append(f"{run.name}: no picture of {kind}: {reason(error)}")
                say(left_out[-1])
                continue
            pixels.save_png(place / f"{kind}.png", sheet)
            files[kind] = f"{kind}.png"
        drawn = Drawn(run.weights_sha256, LAYOUT, files, left_out)
        write_json(index, msgspec.to_builtins(drawn))
    except OSError as error:
        raise RunError(
            f"cannot write to {place} ({error.strerror or error}): free some space, or change its permissions"
        ) from None
    return drawn


@contextmanager
def of_comparison(
    comparison: Comparison, device: str = "auto"
) -> Iterator[tuple[dict[str, dict[str, Path]], list[str]]]:
    """Pictures of the first seed of every row, by the run's path, and a sentence on each that could not be drawn.

    The files of runs at a URL are there while the block runs.
    """
    found: dict[str, dict[str, Path]] = {}
    notes: list[str] = []
    scored = {run.path: run.score.receipt["generated"].get("digest") for run in comparison.runs}
    with ExitStack() as places:
        for path in _firsts(comparison):
            try:
                place = places.enter_context(opened(path))
                run = Run(place.folder.path, device, path)
                where = _place(run, places)
                drawn = draw(run, where)
                found[path] = paths(run, drawn, where)
                _publish(place, path)
                notes += drawn.left_out
                if scored.get(path) not in (None, drawn.weights_sha256):
                    notes.append(
                        f"{path}: its images are of later weights than its scores, since it was trained further"
                    )
            except Exception as error:  # one run without pictures must not cost the report
                notes.append(f"{path}: no images: {reason(error)}")
        yield found, notes


def _place(run: Run, places: ExitStack) -> Path:
    """Where the run's pictures are drawn: its own folder; of a run that can only be read, one until `places` ends."""
    own = folder(run)
    try:
        own.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=own):
            return own
    except OSError as error:
        if not _drawn_already(run, own):
            say(f"{run.name}: its images are drawn for this report only: {own} cannot be written to ({reason(error)})")
            return Path(places.enter_context(tempfile.TemporaryDirectory(prefix="counterfeit-")))
    return own


def _publish(place: Local | Copy, path: str) -> None:
    """The pictures beside a run at a URL, where that can be written to; the report has them either way."""
    try:
        place.publish()
    except RunError as error:
        say(f"{path}: its images are not saved: {error}")


def paths(run: Run, drawn: Drawn, place: Path | None = None) -> dict[str, Path]:
    return {kind: (place or folder(run)) / name for kind, name in drawn.files.items()}


def _firsts(comparison: Comparison) -> Iterable[str]:
    """Paths of the first run of every row, each once."""
    return dict.fromkeys(row.runs[0] for table in comparison.tables for row in table.rows if row.runs)


def _drawn_already(run: Run, place: Path) -> Drawn | None:
    """What a folder has, if it is all of the run's pictures, of its present weights."""
    known = _known(run, place)
    if known is None or (known.weights_sha256, known.layout) != (run.weights_sha256, LAYOUT) or known.left_out:
        return None
    return known if all((place / name).exists() for name in known.files.values()) else None


def _known(run: Run, place: Path) -> Drawn | None:
    """What pictures.json says, if it is of files that `draw` writes, and they lie there: a page will show them."""
    index = place / "pictures.json"
    try:
        drawn, kinds = reading.record(reading.content(index), Drawn), Sheets(run).kinds()
        for kind, name in drawn.files.items():
            if kind not in kinds or name != f"{kind}.png":
                raise reading.Malformed(f"it names {shown(name)} as the picture of {shown(kind)}")
            if not reading.within(place, place / name):
                raise reading.Malformed(f"{name} is a link that leads elsewhere")
        return drawn
    except FileNotFoundError:
        return None
    except (OSError, reading.Malformed) as error:
        say(f"{index} is not used ({reason(error)}): the images are drawn again")
        return None
