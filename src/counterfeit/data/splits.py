"""Which subfolders of the user's own images are the splits "train" and "test"."""

from __future__ import annotations

from collections.abc import Collection

from counterfeit.errors import DataError

SPLITS = {"train", "test"}
OTHER_SPLITS = {"val", "valid", "validation", "dev"}


def among(shown: object, folders: Collection[str], images: bool) -> dict[str, str] | None:
    """The folder of each split, or None if these are a single split. Case is ignored.

    Raises DataError for folders that look like splits but are not exactly these two, since they would be mistaken for
    classes.

    Args:
        shown: what holds them, for messages.
        folders: names of the folders there.
        images: whether images are beside them.
    """
    names = {name.lower() for name in folders}
    if names == SPLITS and len(folders) == 2 and not images:
        by_split = {name.lower(): name for name in folders}
        return {split: by_split[split] for split in ("train", "test")}
    if "train" in names and names & (SPLITS | OTHER_SPLITS) != {"train"}:
        beside = "images beside them" if images and names == SPLITS else ", ".join(sorted(folders))
        raise DataError(
            f"{shown} looks like splits, but contains {beside}: keep only train/ and test/ there, or pass one of "
            "its folders"
        )
    return None
