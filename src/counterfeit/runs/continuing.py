"""Check whether a run can be resumed exactly: with the settings and versions with which it was started.

`data.py` checks that the images are the same.
"""

from __future__ import annotations

import torch

from counterfeit.data import DATASETS
from counterfeit.errors import RunError
from counterfeit.models import ModelSettings
from counterfeit.models.plugins import code_of, plugin_of
from counterfeit.runs import source
from counterfeit.runs.checkpoint import read_index
from counterfeit.runs.folder import RunFolder, RunRecord
from counterfeit.runs.provenance import provenance
from counterfeit.settings import having, option
from counterfeit.version import __version__


def check_settings(folder: RunFolder, earlier: RunRecord, model: str, config: ModelSettings) -> None:
    """Raise RunError if the run is of another model, or was made by other versions or with other settings."""
    index = read_index(folder.checkpoint)
    if index is not None and index.weights_only:
        raise RunError(
            f"{folder} has only the weights that images are drawn with, and no state to train on from: it cannot be "
            "continued; pass another --out"
        )
    if earlier.model != model:
        raise RunError(f"{folder} holds a run of {earlier.model}, not {model}: pass another --out")
    made_by, here = earlier.made_by.get("versions", {}), provenance(torch.device("cpu"))["versions"]
    for name in ("counterfeit", "torch"):
        if made_by.get(name) != here[name]:
            raise RunError(
                f"{folder} was made with {name} {made_by.get(name)}, and this is {here[name]}, so it cannot be "
                "continued exactly: install that version, or train again into another --out"
            )
    code = earlier.made_by.get("training_code")
    if code != source.digest(*source.TRAINING):
        raise RunError(
            f"{folder} was trained by different code of counterfeit {__version__} (see training_code in run.json), so "
            "it cannot be continued exactly: check out that code, or train again into another --out"
        )
    before, plugin = earlier.plugin, plugin_of(model)
    if code_of(before) != code_of(plugin):
        raise RunError(
            f"{folder} was trained with {before or 'no plugin'}, and {model} is now of {plugin or 'no plugin'}, so it "
            f"cannot be continued exactly: {before.fix if before else 'leave out --plugin'}, or train again into "
            "another --out"
        )
    was, now = earlier.config.to_dict(), config.to_dict()
    if config.schedule != "constant" and earlier.config.length != config.length:
        (named, value), (given, other) = earlier.config.length, config.length
        raise RunError(
            f"{folder} was trained with --schedule {config.schedule}, by which the learning rates are those of "
            f"{option(named)} {value}, not {option(given)} {other}: leave {option(given)} out, or train again into "
            "another --out"
        )
    # A changed path is allowed here, since images may have moved. If either is a named data set, another name means
    # other images, and nothing has to be read to know that.
    moved = earlier.data.kind != "dataset" and config.data not in DATASETS
    free = having(config, "may_change") | ({"data"} if moved else set())
    for name in was:
        if name not in free and was[name] != now[name]:
            raise RunError(
                f"{folder} was trained with {option(name)} {was[name]}, not {now[name]}: "
                "leave the option out to continue it, or pass another --out"
            )
