"""What a run folder may hold before a training: states that a kill leaves, and things of somebody else's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

# Made in the folder of a run that was killed in its second epoch, the first one's checkpoint having been written.
# Each is a state that a kill can leave earlier, of this version or of 0.1.
LEFT: dict[str, Callable[[Path], None]] = {}
# Made in an empty folder: a training must refuse it, and leave it as it is.
NOT_OURS: dict[str, Callable[[Path], None]] = {}

Make = Callable[[Path], None]


def keep(folder: Path, *names: str) -> None:
    """Remove all files but these, given by their ends, and the folders that are empty then."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()) and path.name not in names:
                path.rmdir()
        elif not path.name.endswith(names):
            path.unlink()


def left(name: str) -> Callable[[Make], Make]:
    def add(make: Make) -> Make:
        LEFT[name] = make
        return make

    return add


def not_ours(name: str) -> Callable[[Make], Make]:
    def add(make: Make) -> Make:
        NOT_OURS[name] = make
        return make

    return add


@left("an empty folder")
def _(folder: Path) -> None:
    keep(folder, "nothing")


@left("the lock")
def _(folder: Path) -> None:
    keep(folder, ".lock")


@left("the lock and an unfinished run.json")
def _(folder: Path) -> None:
    (folder / "run.json").rename(folder / ".run.json.0123456789abcdef.part")
    keep(folder, ".lock", ".part")


@left("of 0.1: lock, samples and an unfinished run.json")
def _(folder: Path) -> None:
    (folder / "run.json").rename(folder / ".run.json.x_9abcde.part")
    for path in folder.glob("samples/*"):
        path.unlink()
    keep(folder, ".lock", ".part", "samples")


@left("run.json only")
def _(folder: Path) -> None:
    keep(folder, ".lock", "run.json")


@left("run.json and rows of the first epoch, the last one cut")
def _(folder: Path) -> None:
    keep(folder, ".lock", "run.json", "log.jsonl")
    log = folder / "log.jsonl"
    log.write_bytes(log.read_bytes()[:-20])


@left("pictures of the first epoch, one of them unfinished")
def _(folder: Path) -> None:
    keep(folder, ".lock", "run.json", "log.jsonl", "epoch-0001.png")
    (folder / "samples" / ".reconstruction-0001.png.0123456789abcdef.part").write_bytes(b"half")


@left("tensors that no checkpoint.json names")
def _(folder: Path) -> None:
    keep(folder, ".lock", "run.json", "log.jsonl", ".png", ".safetensors")
    (folder / "checkpoint" / ".checkpoint.json.0123456789abcdef.part").write_bytes(b"half")


@left("a checkpoint")
def _(folder: Path) -> None:
    pass


@left("a checkpoint, tensors of a later one, and an unfinished log")
def _(folder: Path) -> None:
    tensors = next((folder / "checkpoint").glob("model-*.safetensors"))
    tensors.with_name("model-0009999.safetensors").write_bytes(tensors.read_bytes()[:1000])
    (folder / "checkpoint" / ".training-0009999.safetensors.0123456789abcdef.part").write_bytes(b"half")
    (folder / ".log.jsonl.0123456789abcdef.part").write_bytes(b"half")


@not_ours("a note")
def _(folder: Path) -> None:
    (folder / "notes.txt").write_text("of years of work\n")


@not_ours("a run.json of another program")
def _(folder: Path) -> None:
    (folder / "run.json").write_text('{"name": "mine"}')


@not_ours("samples that hold something")
def _(folder: Path) -> None:
    (folder / "samples").mkdir()
    (folder / "samples" / "voice.wav").write_bytes(b"RIFF")


@not_ours("a link where run.json would be")
def _(folder: Path) -> None:
    (folder / "run.json").symlink_to(folder / "gone.json")
