"""Fashion-MNIST: photos of clothes in MNIST's format (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747)."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from counterfeit import catalog
from counterfeit.data.clients import apt_unpack
from counterfeit.data.idx import NAMES, idx_files, idx_mirror
from counterfeit.data.named import DATASETS, DataSet
from counterfeit.data.sources import Source
from counterfeit.data.unpack import gunzip

PACKAGE = "dataset-fashion-mnist"
# Path below the root of the file system, or of the unpacked package.
INSTALLED = Path("usr/share/datasets/fashion-mnist")


def _from_debian(folder: Path) -> None:
    with TemporaryDirectory(dir=folder) as downloads:
        root = Path("/")
        if not (root / INSTALLED).is_dir():
            root = apt_unpack(PACKAGE, Path(downloads))
        for name in NAMES:
            (folder / name).write_bytes(gunzip(root / INSTALLED / f"{name}.gz"))


DATASETS.add(
    "fashion-mnist",
    DataSet(
        **vars(catalog.DATA["fashion-mnist"]),
        name="fashion-mnist",
        classes=(
            "T-shirt/top",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "ankle boot",
        ),
        # Digests of the unpacked files in the Debian package. If their names and times (31 August 2017) are restored in
        # the gzip headers, the .gz files have the MD5s on the data set's home page: 8d4fb7e6…, 25c81989…, bef4ecab…,
        # bb300cfd….
        files=idx_files(
            (
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            )
        ),
        # The data set's home page offers only plain HTTP; these two hold the same files.
        sources=(
            idx_mirror("https://storage.googleapis.com/tensorflow/tf-keras-datasets/"),
            idx_mirror("https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/"),
            Source("registry", f"Debian package {PACKAGE}", _from_debian),
        ),
    ),
)
