"""The images of a run for the report; noise seed, real images and layout are the same for all runs, to compare them.

They are in RUN/samples/report, where one pixel of an image is one pixel of the PNG; pictures.json records the weights
from which they were made, so that they are drawn only once.
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
from counterfeit.hub import local
from counterfeit.report.records import Comparison
from counterfeit.run import Run
from counterfeit.runs.shared import Copy, Local, opened
from counterfeit.system import reading
from counterfeit.system.arguments import shown
from counterfeit.system.console import say
from counterfeit.system.files import write_json
from counterfeit.system.text import reason

LAYOUT = 1  # increase it when the drawings change, so that old ones are drawn again
GRAY = 128  # between images: visible beside black and white images, on light and dark pages


class Drawn(msgspec.Struct, frozen=True):
    """What was drawn of a run: the content of pictures.json.

    Attributes:
        weights_sha256: SHA-256 (hex) of the weights from which the images were made.
        layout: LAYOUT of the version that drew them.
        files: kind of drawing -> file name in RUN/samples/report.
        left_out: a sentence for each kind that could not be drawn.
    """

    weights_sha256: str
    layout: int
    files: dict[str, str]
    left_out: list[str]


def folder(run: Run) -> Path:
    return run.folder.samples / "report"


def draw(run: Run, place: Path | None = None) -> Drawn:
    """Draw the kinds of images that the run supports, unless they have been drawn before.

    `samples`: with seed 0. `interpolation`: along lines between latent vectors. `classes`: each row has the same noise,
    each column the same class. `reconstructions`: pairs of rows, with images above their reconstructions. `nearest`:
    pairs of rows, with the samples nearest to training images above those; `random`: the same for the first samples,
    which were not selected. `real`: real images in the layout of the samples, for comparison.

    Kinds that cannot be drawn, for example because real images cannot be read, are left out, with a message on stderr.

    Args:
        run: the run.
        place: the folder to draw into, instead of the run's own.

    Raises:
        RunError: the run is damaged, or the folder cannot be written to.
    """
    place = place or folder(run)
    if place == folder(run) and not reading.within(run.path, place):  # it may contain files of others
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
                sheet = pixels.grid(batch, columns, gap=1, paper=GRAY)
            except Exception as error:  # a failure of one kind must not cost the others
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
    """Draw the images of the first seed of every row.

    Yields:
        Files by run path and kind, and a sentence for each kind that could not be drawn. Files of runs at a URL exist
        only while the block runs.
    """
    found: dict[str, dict[str, Path]] = {}
    notes: list[str] = []
    scored = {run.path: run.score.receipt["generated"].get("digest") for run in comparison.runs}
    with ExitStack() as places:
        for path in _firsts(comparison):
            try:
                place = places.enter_context(opened(str(local(path))))
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
            except Exception as error:  # one run without images must not cost the report
                notes.append(f"{path}: no images: {reason(error)}")
        yield found, notes


def _place(run: Run, places: ExitStack) -> Path:
    """The folder for the run's images: in the run, or if that is read-only, a temporary one until `places` ends."""
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
    """Upload the images of a run at a URL, if that is writable; the report contains them in any case."""
    try:
        place.publish()
    except RunError as error:
        say(f"{path}: its images are not saved: {error}")


def paths(run: Run, drawn: Drawn, place: Path | None = None) -> dict[str, Path]:
    return {kind: (place or folder(run)) / name for kind, name in drawn.files.items()}


def _firsts(comparison: Comparison) -> Iterable[str]:
    """Paths of the first run of every row, without duplicates."""
    return dict.fromkeys(row.runs[0] for table in comparison.tables for row in table.rows if row.runs)


def _drawn_already(run: Run, place: Path) -> Drawn | None:
    """The drawings in a folder, if they are complete and were made from the run's present weights; else None."""
    known = _known(run, place)
    if known is None or (known.weights_sha256, known.layout) != (run.weights_sha256, LAYOUT) or known.left_out:
        return None
    return known if all((place / name).exists() for name in known.files.values()) else None


def _known(run: Run, place: Path) -> Drawn | None:
    """The content of pictures.json if it names only files that `draw` writes, inside the folder; else None.

    This is checked because a page will show these files.
    """
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
