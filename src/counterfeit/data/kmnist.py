"""Kuzushiji-MNIST: characters of old Japanese books (Clanuwat, Bober-Irizar et al. 2018, arXiv:1812.01718)."""

from __future__ import annotations

from counterfeit import catalog
from counterfeit.data.idx import NAMES, idx_files, idx_mirror
from counterfeit.data.named import DATASETS, DataSet

# SHA-256 of the published .gz files, as TensorFlow Datasets (url_checksums/kmnist.txt) and the Ruby port of torchvision
# have them; torchvision's MD5s of the same files are bdb82020…, e144d726…, 5c965bf0… and 7320c461….
PACKED = (
    "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
    "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
    "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
    "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
)

DATASETS.add(
    "kmnist",
    DataSet(
        **vars(catalog.DATA["kmnist"]),
        name="kmnist",
        classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        files=idx_files([None] * len(NAMES)),
        sources=(
            idx_mirror("https://codh.rois.ac.jp/kmnist/dataset/kmnist/", PACKED),
            idx_mirror("http://codh.rois.ac.jp/kmnist/dataset/kmnist/", PACKED),  # the published address
        ),
    ),
)
