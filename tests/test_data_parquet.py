"""Parquet files with images, as Hugging Face's `datasets` writes them."""

import io
import json
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from counterfeit import data
from counterfeit.data import picture, table, table_rows
from counterfeit.errors import InputError
from folder_cases import put, refused

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

rng = np.random.default_rng(0)
FILES = []
for _ in range(40):
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (20, 24, 3), np.uint8)).save(file, "png")
    FILES.append(file.getvalue())
LABELS = [i % 3 for i in range(40)]
NAMES = ["cat", "ape", "dog"]  # in an order of their own, as class names of `ClassLabel` may be


def hugging(names=NAMES, image="image", label="label"):
    """The metadata that `datasets` writes into the schema of its files."""
    features = {image: {"_type": "Image"}, label: {"names": names, "_type": "ClassLabel"}}
    return {b"huggingface": json.dumps({"info": {"features": features}}).encode()}


def written(
    path: Path, files=FILES, labels=LABELS, metadata=None, rows=7, image="image", label="label", **more
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    column = pa.array(
        [{"bytes": f, "path": "/etc/passwd"} for f in files], pa.struct({"bytes": pa.binary(), "path": pa.string()})
    )
    columns = {image: column} | ({} if labels is None else {label: pa.array(labels, pa.int64())}) | more
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path, row_group_size=rows)
    return path


def test_a_table_is_the_folder_of_its_images(root, tmp_path):
    for i, content in enumerate(FILES):
        put(root / NAMES[LABELS[i]] / f"{i:02d}.png").write_bytes(content)
    folder = data.load(root, size=16)
    order = sorted(range(40), key=lambda i: (NAMES[LABELS[i]], i))  # of the folder, by names of classes
    found = data.load(written(tmp_path / "a.parquet", metadata=hugging()), size=16)
    assert np.array_equal(np.array(found.images)[order], folder.images)
    assert (found.classes, found.labels.tolist(), found.kind) == (tuple(NAMES), LABELS, "parquet")
    plain = data.load(written(tmp_path / "b.parquet"), size=16)
    assert (plain.classes, plain.labels.tolist()) == (("0", "1", "2"), LABELS)
    assert np.array_equal(plain.images, found.images) and plain.images.filename != found.images.filename
    same = [FILES[i] for i in order]
    sorted_too = data.load(written(tmp_path / "c.parquet", same, sorted(LABELS), hugging(sorted(NAMES))), size=16)
    counts = [14, 13, 13]  # of cat, ape and dog; of the sorted names other images have the labels
    assert folder.labels.tolist() == [0] * counts[1] + [1] * counts[0] + [2] * counts[2]
    assert np.array_equal(sorted_too.images, folder.images)


def test_shards_in_a_folder_are_one_set_and_their_names_its_splits(tmp_path, cache, capsys):
    home = tmp_path / "hub"
    whole = data.load(written(tmp_path / "a.parquet", metadata=hugging()))
    for k in range(2):
        part = slice(20 * k, 20 * k + 20)
        written(home / f"train-0000{k}-of-00002.parquet", FILES[part], LABELS[part], hugging())
    (home / "README.md").write_text("about it")
    assert data.splits(home) == ("train",)
    found = data.load(home)
    assert (found.digest, found.kind, found.name) == (whole.digest, "folder", str(home))
    written(home / "validation-00000-of-00001.parquet", FILES[:5], LABELS[:5], hugging())
    assert data.splits(home) == ("train", "test") and len(data.load(home, "test")) == 5
    assert "its split validation is taken as the test split" in capsys.readouterr().err
    written(home / "test-00000-of-00001.parquet", FILES[:6], [1] * 6, hugging())
    assert data.load(home, "test").classes == tuple(NAMES)  # of which only one occurs
    assert "its split validation is not used: 1 files" in capsys.readouterr().err
    written(home / "more.parquet")
    refused(home, "which shards are of which split?")


def test_other_columns(tmp_path, cache):
    assert data.load(written(tmp_path / "img.parquet", image="img", label="fine_label")).classes == ("0", "1", "2")
    assert data.load(written(tmp_path / "none.parquet", labels=None)).labels is None
    named = written(tmp_path / "named.parquet", metadata=hugging(image="photo"), image="photo")
    assert len(data.load(named)) == 40
    pq.write_table(pa.table({"image": pa.array(FILES, pa.binary()), "label": LABELS}), tmp_path / "plain.parquet")
    assert data.load(tmp_path / "plain.parquet").labels.tolist() == LABELS


def test_what_cannot_be_used_is_one_line(tmp_path, cache, capsys):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a"], "label": [1]}), path)
    refused(path, "a.parquet has no column 'image' of encoded images (a struct with bytes); it has text string")
    images = pa.array([{"bytes": FILES[0]}] * 40)
    refused(written(path, image="left", right=images), "several columns of images, left, right; rename")
    refused(
        written(path, labels=[0] * 39 + [3], metadata=hugging()), "row 39: its label is 3; it must be a number of one"
    )
    refused(written(path, labels=[0] * 39 + [None]), "row 39: its label is None")
    refused(written(path, labels=[0] * 39 + [-1]), "row 39: its label is -1")
    refused(written(path, metadata=hugging(["cat", "cat", "dog"])), "all different")
    refused(written(path, files=[], labels=[]), "has no rows")
    refused(written(path, [*FILES[:39], b"no image"]), "a.parquet, row 39: it is not an image")
    refused(written(path, [*FILES[:39], None]), "row 39: it has no bytes of an image; paths to files elsewhere")
    assert len(data.load(path, skip_bad=True)) == 39
    whole = written(path).read_bytes()
    for cut in (0, 3, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        refused(path, "a.parquet cannot be read as Parquet (")
    for at in range(5, len(whole), len(whole) // 40):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            data.load(path)
        except data.DataError as error:
            assert "\n" not in str(error)


def test_declared_sizes_are_looked_at(tmp_path, cache, monkeypatch):
    path = tmp_path / "a.parquet"
    image = pa.array([{"bytes": bytes([i]) * (1 << 20)} for i in range(2)])
    pq.write_table(pa.table({"image": image}), path, compression="zstd", use_dictionary=False)
    monkeypatch.setattr(table, "AT_EASE", 1 << 20)
    refused(path, "a.parquet unpacks from", "and is not read")
    monkeypatch.undo()
    monkeypatch.setenv("COUNTERFEIT_CACHE", str(cache))
    monkeypatch.setattr("counterfeit.system.memory.available", lambda: 1 << 20)
    with pytest.raises(InputError, match="a group of 2 rows would take .* of memory, .* smaller row_group_size"):
        data.load(path)


def test_rows_are_read_one_at_a_time(tmp_path, cache):
    """96 images of half a MiB, in groups of 16 rows: one page of 8 MiB and the rows that threads decode."""
    noise = rng.integers(0, 256, (32, 416, 416, 3), np.uint8)
    files = []
    for pixels in noise:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "bmp")
        files.append(file.getvalue())
    path = written(tmp_path / "a.parquet", files * 3, labels=None, rows=16)
    del files, noise
    tree = data.own.trees(data.locate(path))["train"]
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    held, entries = [], list(tree.entries())
    for entry in entries:
        with tree.content(entry) as content:
            held.append(pa.total_allocated_bytes() - before + tracemalloc.get_traced_memory()[0])
            assert len(content) == 416 * 416 * 3 + 54
    tracemalloc.stop()
    assert entries[-1].name == "000000095" and max(held) < 24 << 20
    tree.close()
    assert pa.total_allocated_bytes() - before < 1 << 20


def test_few_values_that_stand_for_many_rows_take_the_memory_of_few(tmp_path, cache):
    """A dictionary of one value of 4 MiB for 32 rows: 128 MiB, if they were all held."""
    path = written(tmp_path / "a.parquet", [rng.bytes(4 << 20)] * 32, None, rows=32)
    assert path.stat().st_size < 5 << 20
    usual, pool = pa.default_memory_pool(), pa.system_memory_pool()
    pa.set_memory_pool(pool)  # which has counted nothing before
    tracemalloc.start()
    try:
        before = pool.max_memory()
        refused(path, "row 0: it is not an image")
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
        assert pool.max_memory() < max(before, 48 << 20)
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(usual)


def test_rows_in_any_order(tmp_path, cache, monkeypatch):
    paths = [written(tmp_path / "s" / f"train-{k}.parquet", FILES[20 * k : 20 * k + 20], None) for k in range(2)]
    tree = data.own.trees(data.locate(paths[0].parent))["train"]
    entries = list(tree.entries())
    for most in (16, 1, 0):
        monkeypatch.setattr(table_rows, "PASSED_ROWS", most)
        for i in [3, 2, 1, 0, 9, 8, 39, 0, 20, 21, 19, 38, *rng.permutation(40), *range(40)]:
            with tree.content(entries[i]) as content:
                assert content == FILES[i]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda i: read(tree, entries[i]), [*range(40)] * 3)) == FILES * 3
    tree.close()
    monkeypatch.setattr(table_rows, "MOST_BYTES", 100)
    with pytest.raises(picture.BadPicture, match="it has more than 0 MiB"):
        read(tree, entries[0])
    tree.close()


def read(tree, entry):
    with tree.content(entry) as content:
        return content


def test_labels_that_are_no_numbers_are_not_used_and_a_line_says_so(tmp_path, cache, capsys):
    for i, (labels, kind) in enumerate(
        [(["a", "b"] * 20, "string"), ([True, False] * 20, "bool"), ([1.0] * 40, "double"), ([[1]] * 40, "list")]
    ):
        path = written(tmp_path / f"{i}.parquet", labels=None, fine_label=pa.array(labels))
        assert data.load(path).labels is None
        found = capsys.readouterr().err
        assert f"{path}: no classes, because the column fine_label is {kind}" in found and found.count("because") == 1


@pytest.mark.parametrize("name", ["b\ud800", "a\x1b[31m", "two\nlines", "x" * 256, ""])
def test_names_of_classes_are_those_of_one_line(tmp_path, cache, name):
    path = written(tmp_path / "a.parquet", metadata=hugging(["cat", "ape", name]))
    refused(path, "a.parquet: its classes must be up to 65,536 names in one line, all different")


def test_without_pyarrow_a_line_says_what_to_install(tmp_path, monkeypatch, command):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    outcome = command("train", "vae", "--data", tmp_path / "a.parquet", "--out", tmp_path / "run")
    assert outcome.code == 2 and "pip install 'counterfeit[parquet]'" in outcome.err
