"""Image files as a data set: converted once to a uint8 array in the cache, and memory-mapped from then on.

The content is the identity. A conversion is stored under a digest of the names and contents of all files, the settings,
and the decoder's versions. A second file beside it records which content a tree with this fingerprint (see `walk`) was
found to have, so that an unchanged one is opened without reading its files.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from counterfeit.data.cache import cache_dir, locked, sealed, unsealed
from counterfeit.data.class_names import in_order
from counterfeit.data.convert import NAMED, NATIVE, Converted, Size, Survey, changed, convert, some, survey
from counterfeit.data.image_set import ImageSet, content_digest
from counterfeit.data.picture import DECODER, OBLONG, RULES
from counterfeit.data.stored import open_stored
from counterfeit.data.tree import Tree
from counterfeit.data.walk import Glance, skipped
from counterfeit.errors import DataError
from counterfeit.system import reading
from counterfeit.system.console import say
from counterfeit.system.files import write_atomic
from counterfeit.system.sides import sides, spelled
from counterfeit.system.words import first_few

VERSION = 4  # version of the conversion: increase it when the same files give another result

MOST_ABOUT = 256 << 20  # bytes of about.json, which lists the sizes of all images
UNSCALED = ("crop", "filter", "jpeg")  # rules that do not apply to images that are not resized
DAMAGED = (OSError, ValueError, EOFError, LookupError, TypeError, AttributeError)  # raised by reading from the cache


def load_files(tree: Tree, *, size: Size = None, skip_bad: bool = False) -> ImageSet:
    """Load every image in `tree`, in the order of paths; the centered square of each is scaled to `size`.

    Files may be nested, and of mixed sizes and modes. Hidden files are ignored; files without an image extension are
    left out, and a message counts them. The images are grayscale if all files are, else RGB. If every image is in one
    of at least two subfolders of `tree`, these are the classes, unless the tree has labels of its own. The result is
    cached by the names and contents of the files, which are read again unless the file system guarantees that they are
    unchanged.

    Args:
        tree: the files.
        size: height and width in pixels, 8 to 1024, or "HxW" if they differ; by default 64, or the smallest image's
            shorter side if that is less. NATIVE keeps the images as they are, square or not; all must have the same
            size.
        skip_bad: leave out unusable files, and report them, instead of refusing the folder.

    Raises:
        InputError: `size` is out of range.
        DataError: there are no images, or several sizes with NATIVE, or a bad file: damaged, empty, a shorter side
            under 8 pixels, a longer side over 8 times the shorter, more than 89 million pixels, or pixels of unknown
            range.
    """
    if size not in (None, NATIVE):
        size = spelled(*sides(size))
    settings = json.dumps([VERSION, size, skip_bad, DECODER])
    seen = tree.glance(settings)
    if seen.left_out:
        say(f"{tree}: {skipped(seen.left_out)}")
    home = cache_dir() / "folders"
    known = home / "known" / seen.fingerprint
    try:
        return _open(home / _key(known), tree)
    except DAMAGED:
        pass  # checked again under the lock: another process may be creating it
    with locked(known.with_suffix(".lock"), str(tree)) as folder:
        known = folder / known.name
        try:
            return _open(folder.parent / _key(known), tree)
        except DAMAGED:
            with closing(tree):
                return _read(tree, seen, known, settings, size, skip_bad)


def _read(tree: Tree, seen: Glance, known: Path, settings: str, size: Size, skip_bad: bool) -> ImageSet:
    """Read the folder's files; use an earlier conversion of the same content, or convert them."""
    bad: dict[str, str] | None = {} if skip_bad else None
    begun = time.time_ns()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about metadata, and about sizes that `examine` refuses itself
        found = survey(tree, bad)
        classes = json.dumps(tree.classes) if tree.classes else ""
        key = hashlib.sha256(f"{settings}{found.content.hex()}{classes}".encode()).hexdigest()[:32]
        with locked(known.parent.parent / f"{key}.lock", str(tree)) as home:
            images = _made(key, home, tree)
            if images is None:
                again = time.time_ns()
                _make(home / key, tree, seen, found, settings, size, bad)
                images = _open(home / key, tree)
                if not bad:  # every file was read once more, and was the same
                    begun = again
    if not found.unread and seen.vouches_since(begun) and tree.glance(settings) == seen:
        write_atomic(known, key.encode())
    return images


def _made(key: str, home: Path, tree: Tree) -> ImageSet | None:
    """An earlier conversion of this content, in the cache or in `home`, its stand-in; None if there is none."""
    for place in dict.fromkeys((cache_dir() / "folders", home)):
        try:
            return _open(place / key, tree)
        except FileNotFoundError:
            continue
        except DAMAGED as error:
            say(f"{place / key} is damaged ({error}); creating it again")
    return None


def _key(known: Path) -> str:
    """The key of the content that a folder was found to have. Raises one of DAMAGED."""
    key = known.read_text(encoding="ascii")
    if len(key) != 32 or not key.isalnum():
        raise ValueError("it holds no key")
    return key


def _open(made: Path, tree: Tree) -> ImageSet:
    """Open a conversion in the cache, checked; print its notes. Raises one of DAMAGED."""
    about = unsealed(reading.content(made / "about.json", MOST_ABOUT))
    if about["key"] != made.name:
        raise ValueError(f"it is the conversion {about['key']}")
    arrays = {name: open_stored(made / f"{name}.npy", sha256) for name, sha256 in about["files"].items()}
    labels = np.array(arrays["labels"]) if "labels" in arrays else None
    for note in about["notes"]:
        say(f"{tree}: {note}")
    found = ImageSet(str(tree), "train", arrays["images"], labels, tuple(about["classes"]), about["digest"])
    sizes = tuple((height, width) for height, width in about["sizes"])
    return replace(found, conversion=about["conversion"], sizes=sizes)


def _make(
    made: Path,
    tree: Tree,
    seen: Glance,
    found: Survey,
    settings: str,
    size: Size,
    bad: dict[str, str] | None,
) -> None:
    """Convert the files, and move the complete result to `made`."""
    work = made.with_suffix(".making")
    shutil.rmtree(work, ignore_errors=True)  # left by a killed process
    work.mkdir()
    try:
        used, converted = convert(work / "images.npy", tree, found, size, bad)
        if tree.glance(settings) != seen:
            raise DataError(changed(tree))
        labels, classes = _labels(converted.groups, tree.classes)
        images, files = open_stored(work / "images.npy", converted.sha256), {"images": converted.sha256}
        if labels is not None:
            np.save(work / "labels.npy", labels)
            files["labels"] = hashlib.sha256((work / "labels.npy").read_bytes()).hexdigest()
        about = {
            "key": made.name,
            "digest": content_digest(images, labels),
            "files": files,
            "classes": classes,
            "notes": _notes(converted, bad or {}),
            "conversion": _conversion(used, converted, size),
            "sizes": used.sizes,
        }
        (work / "about.json").write_text(sealed(about), encoding="utf-8")
        shutil.rmtree(made, ignore_errors=True)  # if it was damaged
        os.replace(work, made)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    _say_what(tree, converted, classes, used.several)


def _say_what(tree: Tree, made: Converted, classes: list[str], several: int) -> None:
    n, channels, height, width = made.shape
    kind = f"{height}x{width} {'gray' if channels == 1 else 'RGB'}"
    of_classes = f"{len(classes):,} classes: {first_few(classes)}" if classes else "no classes"
    say(f"{tree}: {n:,} images, {kind}, {of_classes}")
    if several:
        say(f"{tree}: files with several frames: {several:,}; the first frame of each is used")


def _notes(made: Converted, bad: Mapping[str, str]) -> list[str]:
    """Notes about what may differ from what the user intended, one line each."""
    notes = []
    if bad:
        notes.append(f"bad files skipped: {len(bad):,}: {some(bad)}")
    strays = made.groups.count("")
    if strays and len(set(made.groups)) > 2:
        names = ", ".join(made.strays[:NAMED]) + (", …" if strays > NAMED else "")
        notes.append(f"no classes, because image files lie beside the subfolders: {strays:,}: {names}; move them")
    low, high = made.values
    if made.deep and high - low < 65535 // 2:
        levels = round(high / 257) - round(low / 257) + 1
        notes.append(
            f"16-bit files: {made.deep:,}, whose values are {low:,} to {high:,} of 0 to 65,535: after division by 257 "
            f"they use {levels} of 256 levels; if that is too dark, or too flat, stretch the files to the whole range"
        )
    return notes


def _conversion(used: Survey, made: Converted, size: Size) -> dict[str, str | int]:
    """How the files were converted to a common form."""
    least, most = used.shorter
    stored = {0: "RGB", used.n: "gray"}.get(used.gray, "gray and RGB")
    sides = f"{least} to {most}"
    as_they_are = {"size": NATIVE, **dict.fromkeys(UNSCALED, "none")} if size == NATIVE else {}
    of_files: dict[str, str | int] = {
        "size": spelled(*made.shape[2:]),
        "shorter_sides": sides,
        "stored": stored,
        "deep": made.deep,
    }
    oblong = {"crop": OBLONG} if made.shape[2] != made.shape[3] else {}
    return {**of_files, **RULES, **DECODER, **oblong, **as_they_are}


def _labels(groups: list[str], known: Sequence[str]) -> tuple[np.ndarray | None, list[str]]:
    """int64 (N,) labels and the class names: those that are known, or else the groups; (None, []) for less than two."""
    classes = list(known) or in_order(set(groups))
    if "" in classes or len(classes) < 2:
        return None, []
    numbers = {name: number for number, name in enumerate(classes)}
    return np.fromiter((numbers[name] for name in groups), np.int64, len(groups)), classes
