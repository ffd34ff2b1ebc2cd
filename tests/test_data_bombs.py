"""Folders of strangers: deep, wide, huge, of pipes and of files that are left out; what they cost is bounded."""

import io
import os
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from bomb_cases import HUGE, deep_tree, huge, many_classes
from counterfeit import data
from counterfeit.data import convert, picture
from counterfeit.data.tree import Folder
from folder_cases import NOISE, plain, put, refused


def test_a_deep_tree(root):
    """Deeper than Python may call, and than a path of the system may be long."""
    deep_tree(root, 1500)
    put(root / "z.png", plain((1, 1, 1)))
    try:
        assert len(data.load(root)) == 2
    finally:
        subprocess.run(["rm", "-rf", root], check=True)  # pytest's own way is not for trees so deep


def test_a_path_that_is_too_long_is_named(root):
    here = os.open(root, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    refused(root, "File name too long", "…")


def test_many_classes(root):
    loaded = data.load(many_classes(root, 2000))
    assert len(loaded.classes) == 2000 and loaded.labels.tolist() == list(range(2000))


def test_pipes_and_devices_are_not_waited_for(root, capsys):
    put(root / "a.png")
    os.mkfifo(root / "pipe.png")
    (root / "zero.png").symlink_to("/dev/zero")
    refused(root, root / "pipe.png", "it is not a file")
    assert len(data.load(root, skip_bad=True)) == 1
    assert "bad files skipped: 2: pipe.png (it is not a file), zero.png (it is not a file)" in capsys.readouterr().err


def test_loops_of_links(root):
    put(root / "a" / "1.png")
    put(root / "b" / "1.png", plain((1, 1, 1)))
    (root / "a" / "up").symlink_to("..")
    (root / "b" / "a").symlink_to("../a")
    (root / "self").symlink_to("self")
    (root / "one").symlink_to("other")
    (root / "other").symlink_to("one")
    assert len(data.load(root)) == 2


# --- endings


READ = {".jfif": "JPEG", ".jpe": "JPEG", ".apng": "PNG", ".dib": "DIB", ".pnm": "PPM"}
READ |= {".avif": "AVIF"} if "AVIF" in picture.FORMATS else {}
READ |= {".jp2": "JPEG2000"} if "JPEG2000" in picture.FORMATS else {}


@pytest.mark.parametrize("ending", READ)
def test_what_pillow_reads_is_read(root, ending, capsys):
    put(root / f"a{ending}", plain((200, 100, 50)), format=READ[ending])
    assert np.abs(data.load(root).images[0, :, 0, 0].astype(int) - (200, 100, 50)).max() <= 3  # the lossy ones
    assert "left out" not in capsys.readouterr().err


def test_formats_are_those_that_this_pillow_has():
    assert ("JPEG2000" in picture.FORMATS) == bool(features.check("jpg_2000"))
    for name in picture.FORMATS:  # a format that Pillow does not know would be a KeyError at every file
        with pytest.raises(picture.BadPicture, match="not an image"), pytest.MonkeyPatch.context() as patch:
            patch.setattr(picture, "FORMATS", (name,))
            picture.examine(b"no image at all")


def test_files_left_out_by_their_ending_are_counted(root, capsys):
    put(root / "a.png")
    for name in ("1.heic", "2.HEIC", "b/3.heic", "x.svg", "IMG_0001", "a.0001", ".hidden.heic", "labels.csv"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("hello")
    line = "skipped files with other endings than those of images: 3 .heic, 2 without a known ending"
    for _ in range(2):  # from the cache as well
        data.load(root)
        assert f"{line}, 1 .csv, 1 .svg\n" in capsys.readouterr().err
    (root / "5.heic").write_text("hello")  # the images are the same, and the cache's
    data.load(root)
    said = capsys.readouterr().err
    assert "4 .heic" in said and "converting" not in said


def test_a_folder_of_other_files_only(root):
    for name in ("1.heic", "2.heic", "x.svg"):
        (root / name).write_text("hello")
    refused(root, "no images", ".png", "it has 2 .heic, 1 .svg")


# --- what decoding takes


def jpeg(pixels: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=92, **options)
    return file.getvalue()


def photo(height: int, width: int) -> np.ndarray:
    """Something like a photo: noise at all scales, as natural images have it (amplitude 1/f), in three channels."""
    rng = np.random.default_rng(0)
    f = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    f[0, 0] = 1
    waves = (rng.normal(size=(3, *f.shape)) + 1j * rng.normal(size=(3, *f.shape))) / f
    pixels = np.fft.irfft2(waves, s=(height, width)).transpose(1, 2, 0)
    return (pixels / pixels.std() * 55 + 120).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("orientation", [1, 6, 7])
@pytest.mark.parametrize("shape", [(600, 800), (605, 813)])  # multiples of 8, and neither
def test_a_jpeg_at_a_part_of_its_size_is_nearly_that_of_the_whole(shape, orientation, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = jpeg(photo(*shape), exif=exif)
    sizes = []
    flat = picture._flat
    monkeypatch.setattr(picture, "_flat", lambda image, *rest: (sizes.append(image.size), flat(image, *rest))[1])
    part = picture.decode(content, (16, 16), 3).pixels.astype(int)
    monkeypatch.setattr(picture, "ENOUGH", 100)
    whole = picture.decode(content, (16, 16), 3).pixels.astype(int)
    assert sizes == [tuple(-(-side // 8) for side in shape[::-1]), shape[::-1]]
    # Measured 0.2 on average and 5 at most over photos of up to 12 megapixels; a square that is cut half a pixel beside
    # its place makes 2 on average.
    assert np.abs(part - whole).mean() < 0.5 and np.abs(part - whole).max() <= 6


@pytest.mark.parametrize(("side", "part"), [(127, 127), (128, 64), (255, 128), (256, 64), (512, 64), (4096, 512)])
def test_at_least_four_times_the_size_is_left(side, part, monkeypatch):
    sizes = []
    flat = picture._flat
    monkeypatch.setattr(picture, "_flat", lambda image, *rest: (sizes.append(image.size), flat(image, *rest))[1])
    picture.decode(jpeg(np.zeros((side, side), np.uint8)), (16, 16), 1)
    assert sizes == [(part, part)]


@pytest.mark.parametrize(("options", "side"), [({}, 512 // 8), ({"progressive": True}, 512)])
def test_room_is_taken_for_the_coefficients_of_a_progressive_jpeg(options, side, monkeypatch):
    asked = []
    taken = picture.PIXELS.taken
    monkeypatch.setattr(picture.PIXELS, "taken", lambda wanted: (asked.append(wanted), taken(wanted))[1])
    picture.decode(jpeg(np.zeros((512, 512), np.uint8), **options), (16, 16), 1)
    assert asked == [picture.PIXEL * side**2]


def test_the_rule_is_told_and_makes_another_conversion(root):
    (root / "a.jpg").write_bytes(jpeg(NOISE))
    assert data.load(root).conversion["jpeg"] == "decoded at 1/2 to 1/8 where 4 times the size is left"
    assert data.load(root, size="native").conversion["jpeg"] == "none"
    assert np.array_equal(
        data.load(root, size="native").images[0].transpose(1, 2, 0), np.asarray(Image.open(root / "a.jpg"))
    )


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA", "L", "1", "I;16", "CMYK"])
def test_strips_change_no_pixel(root, mode, monkeypatch):
    image = Image.fromarray(NOISE[:, :, 0].astype(np.uint16) * 257) if mode == "I;16" else None
    image = image or Image.merge("RGBA", [Image.fromarray(NOISE[..., c]) for c in (0, 1, 2, 0)])
    if mode == "P":
        image = image.convert("RGB").quantize(30)
    elif mode != image.mode:
        image = (image if mode == "LA" else image.convert("RGB")).convert(mode)
    path = put(root / ("a.tif" if mode == "CMYK" else "a.png"), image)
    for channels in (1, 3):
        whole = picture.decode(path.read_bytes(), None, channels)
        monkeypatch.setattr(picture, "STRIP", 7 * 30)
        strips = picture.decode(path.read_bytes(), None, channels)
        assert np.array_equal(whole.pixels, strips.pixels) and whole.deep == strips.deep
        monkeypatch.undo()


def test_threads_share_what_room_there_is():
    room, held, most = picture.Room(10), [], []
    lock = threading.Lock()

    def work(wanted):
        for _ in range(50):
            with room.taken(wanted):
                with lock:
                    held.append(wanted)
                    most.append(sum(held))
                with lock:
                    held.remove(wanted)

    threads = [threading.Thread(target=work, args=(wanted,)) for wanted in (3, 4, 6, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not held and all(sum_ <= 10 or sum_ == 1000 for sum_ in most)
    with pytest.raises(ZeroDivisionError), room.taken(7):
        raise ZeroDivisionError
    with room.taken(10):  # an error gave it back
        pass


def test_what_is_said_of_a_bad_file_holds_nothing_of_it(root):
    put(root / "a.png", Image.fromarray(NOISE))
    (root / "a.png").write_bytes((root / "a.png").read_bytes()[:-400])
    with closing(
        convert._each(lambda content: picture.decode(content, (16, 16), 3), Folder(root), 1, "", None)
    ) as each:
        (found,) = each
    assert found.result.__traceback__ is None and found.result.__cause__ is None and found.result.__context__ is None


PEAK = """
import re, sys
from pathlib import Path
from counterfeit.data import load, picture
picture.PIXELS = picture.Room(1)
# Not ru_maxrss, which is at least what the process that started this one held.
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10
before = peak()
print(len(load(sys.argv[1], size=16)), peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the peak of a process")
@pytest.mark.parametrize("name", ["PNG, RGBA"])
def test_four_huge_images_take_the_room_of_one(root, name):
    """Of 16 million pixels each, where there is room for one at a time."""
    ending, mode, options = HUGE[name]
    first = huge(root / f"0.{ending}", mode, side=4000, **options)
    for i in range(1, convert.THREADS):
        os.link(first, root / f"{i}.{ending}")
    environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(data.__path__[0]))}
    found = subprocess.run([sys.executable, "-c", PEAK, root], capture_output=True, text=True, env=environment)
    assert found.returncode == 0, found.stderr
    images, mib = map(int, found.stdout.split())
    assert images == convert.THREADS
    # 64 MiB of pixels, 64 MiB of what is made of them, and what threads keep; all of them together would take 512.
    assert mib < 300
