"""The sample grids of a run, of the same noise at every epoch, one after the other: as a film, GIF or MP4."""

from __future__ import annotations

import io
import math
import shutil
import subprocess
import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from PIL import Image

from counterfeit.app.view import grid
from counterfeit.errors import InputError
from counterfeit.runs import RunFolder
from counterfeit.system import reading

MOST_FRAMES = 150
MOST_BYTES, MOST_SIDE = 64 << 20, 8400  # of a picture: a grid of 512-pixel images is 8210 wide
SHOWN_SIDE = 1100  # pixels, to which larger ones are shrunk: a grid of 64-pixel images is 1042 wide
PATIENCE = 60.0  # seconds to wait for another film
FRAME, LAST = 120, 1500  # milliseconds
_making = threading.Lock()  # one at a time, as each takes memory


def gif(folder: RunFolder, epochs: Sequence[int]) -> bytes:
    """An animated GIF of at most MOST_FRAMES sample grids, evenly spread. Raises InputError: it has none."""
    if not epochs:
        raise InputError("there are no sample grids yet")
    n = min(MOST_FRAMES, len(epochs))
    times = [FRAME] * (n - 1) + [LAST]
    with _alone():
        frames, buffer = _frames(folder, epochs), io.BytesIO()
        next(frames).save(buffer, "GIF", save_all=True, append_images=frames, duration=times, loop=0, disposal=1)
        return buffer.getvalue()


def mp4(folder: RunFolder, epochs: Sequence[int]) -> bytes:
    """The same as MP4, made by an installed ffmpeg. Raises InputError: it has no grids, or ffmpeg cannot make it."""
    program = ffmpeg()
    if not epochs or program is None:
        raise InputError("ffmpeg is not installed" if epochs else "there are no sample grids yet")
    with _alone(), tempfile.TemporaryDirectory() as place:
        file = Path(place) / "film.mp4"
        shown = (one.convert("RGB") for one in _frames(folder, epochs))
        first = next(shown)
        size = first.size
        # Browsers play H.264 of half the colors only, whose sides are even; the last picture stays for a while.
        after = f"pad=ceil(iw/2)*2:ceil(ih/2)*2,tpad=stop_mode=clone:stop_duration={LAST / 1000}"
        given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", f"{1000 / FRAME:.3f}"]
        made = ["-vf", after, "-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p", "-threads", "1"]
        words = [program, "-v", "error", *given, "-i", "-", *made, "-movflags", "+faststart", str(file)]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdin is not None and process.stderr is not None
            try:
                for one in chain([first], shown):
                    process.stdin.write(one.resize(size).tobytes())
                said = process.communicate(timeout=PATIENCE)[1]
            except (BrokenPipeError, subprocess.TimeoutExpired):
                process.kill()
                said = process.stderr.read()
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise InputError(f"ffmpeg could not make the film: {said.decode('utf-8', 'replace').strip()[-200:]}")
        return file.read_bytes()


def ffmpeg() -> str | None:
    """The installed program, by which films are also made as MP4; None without one."""
    return shutil.which("ffmpeg")


@contextmanager
def _alone() -> Iterator[None]:
    """One film at a time. Raises InputError: others take too long."""
    if not _making.acquire(timeout=PATIENCE):
        raise InputError("other films are being made: wait for them")
    try:
        yield
    finally:
        _making.release()


def _frames(folder: RunFolder, epochs: Sequence[int]) -> Iterator[Image.Image]:
    """At most MOST_FRAMES pictures, evenly spread over the epochs, each read when its turn comes."""
    n = min(MOST_FRAMES, len(epochs))
    chosen = (epochs[round(i * (len(epochs) - 1) / max(1, n - 1))] for i in range(n))
    return (frame(grid(folder, epoch)) for epoch in chosen)


def frame(path: Path) -> Image.Image:
    """A picture of a bounded size, with the colors that a GIF has. Raises InputError."""
    try:
        content = reading.content(path, MOST_BYTES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is looked at below
            with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
                if max(image.size) > MOST_SIDE:
                    raise ValueError(f"it is larger than {MOST_SIDE} pixels")
                shown = image.convert("L" if image.mode in ("1", "L") else "RGB")
        # By a whole number, so that pixels, which a grid has doubled, stay crisp as long as they can.
        return shown.reduce(math.ceil(max(shown.size) / SHOWN_SIDE)).quantize(128, dither=Image.Dither.NONE)
    except Exception as error:  # Pillow's parsers can raise anything on a malformed file
        raise InputError(f"{path.name} cannot be shown ({error})") from None
