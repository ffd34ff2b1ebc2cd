"""Receipts: what was measured, against what, by what code and where; and when two receipts are of the same measurement.

A receipt contains facts that determine its numbers, and others, such as the time. The first are its identity: the same
identity means the same measurement, which is stored in one file.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from counterfeit.data import ImageSet
from counterfeit.data.form import form_of
from counterfeit.detectors import Detector
from counterfeit.runs import provenance, source
from counterfeit.runs.provenance import versions
from counterfeit.scoring.images import Images, conversion, used

Json = dict[str, Any]

# The parts of our code that turn images into scores, and those that draw images.
SCORING = {"detectors": ("detectors",), "metrics": ("metrics",), "scoring": ("scoring",)}
DRAWING = {"training": source.TRAINING}

# What may differ between two receipts of one measurement, at the top level and in the parts. Everything else is
# identity, including anything added to receipts later. Names are not identity: the digest beside a name is.
CIRCUMSTANCES = {"machine", "time", "command", "code_revision", "seconds", "notes", "unidentified", "run"}
CIRCUMSTANCES_OF_PARTS = {
    **{part: {"name"} for part in ("real", "floor", "floor_of_classes", "train")},
    "generated": {"name", "finished", "epochs_done", "epochs", "step"},
    "versions": {"python"},
}
MOST_BYTES = 32  # of one part of a file name
DIGITS = 12  # of the digest in a file name: 48 bits


def of_images(
    fakes: Images, n: int, seed: int, repeats: int, labels: Callable[[int], np.ndarray | None] | None = None
) -> Json:
    """The receipt's part on generated images.

    Args:
        labels: n -> the labels for which the images were generated, integers (n,), or None; by default the images' own.
    """
    whole = {"kind": fakes.kind, "name": fakes.name, "n": n, "seed": seed, "repeats": repeats, "digest": fakes.digest}
    drawn_for = (labels or fakes.labels)(n)
    counts = {} if drawn_for is None else {"labels": np.bincount(drawn_for).tolist()}
    return {**whole, **counts, **fakes.about, "form": fakes.form}


def of_real(images: ImageSet) -> Json:
    """The receipt's part on the real images used for comparison."""
    return {**(of_bounded(images) or {}), "form": form_of(images)}


def of_set(images: ImageSet | None) -> Json | None:
    """The receipt's part on a split of real images that is used as a whole; None if there is none."""
    if images is None:
        return None
    return {"name": images.name, "split": images.split, "n": len(images), "digest": images.digest, **conversion(images)}


def of_bounded(images: ImageSet | None) -> Json | None:
    """As `of_set`; if only a choice of the images is used, with its size, the total and the seed of the choice."""
    whole = of_set(images)
    if images is None or whole is None or used(images) == len(images):
        return whole
    return {**whole, "n": used(images), "of": len(images), "seed": 0}


def of_floor(images: ImageSet | None, n: int, seed: int) -> Json | None:
    """The receipt's part on the split from which n real images are taken for the baseline, all or a seeded choice."""
    floor = of_set(images)
    return floor and {**floor, "n": min(n, floor["n"]), "seed": seed}


def of_detector(detector: Detector, probe: str | None) -> Json:
    """The receipt's part on a detector; `probe` comes from `detectors.probed`, for a user's own detector."""
    known = {"name": detector.name, "protocol": detector.protocol, "weights_sha256": detector.weights_sha256}
    return {**known, **({} if probe is None else {"probe_sha256": probe})}


def of_code(parts: Mapping[str, Sequence[str]], used_too: Mapping[str, str] | None = None) -> Json:
    """The code behind the numbers: SHA-256 of parts of our source, and versions, including the libraries `used_too`."""
    code = {name: source.digest(*paths) for name, paths in parts.items()}
    return {"code": code, "versions": {**versions(), **(used_too or {})}}


def scoring_of(fakes: Images) -> Mapping[str, Sequence[str]]:
    """The parts of our code that a score of these images depends on, including those that drew them, if we did."""
    return {**SCORING, **(DRAWING if fakes.kind == "run" else {})}


def made_here(device: torch.device) -> Json:
    """Machine, time, command and code revision of this process: the circumstances of a measurement."""
    here = provenance(device)
    return {name: here[name] for name in ("machine", "time", "command", "code_revision")}


def unidentified(receipt: Json) -> list[str]:
    """A sentence for each part that cannot be identified; such a score never counts as one that was measured before."""
    generated, detector = receipt.get("generated"), receipt.get("detector")
    found = []
    if generated and generated.get("digest") is None:
        found.append(f"the generator {generated['name']} is a function, whose code and state are not known")
    if detector and detector.get("weights_sha256") is None:
        found.append(
            f"the detector {detector['name']} is a function: probe_sha256, of its features of fixed images, tells it "
            "from others, and is no proof that it is the same"
        )
    return found


def identity(receipt: Mapping[str, Any]) -> Json:
    """The parts of a receipt that determine its numbers, as JSON types."""
    parts = {key: value for key, value in receipt.items() if key not in CIRCUMSTANCES}
    for name, circumstances in CIRCUMSTANCES_OF_PARTS.items():
        if isinstance(parts.get(name), Mapping):
            parts[name] = {key: value for key, value in parts[name].items() if key not in circumstances}
    return json.loads(json.dumps(parts))


def file_name(by: str, score: Mapping[str, Any]) -> str:
    """File name of a score without its extension: readable words, and a digest of its identity and metrics.

    Args:
        by: what measured it: a detector's name, "cas" or "likelihood".
        score: as returned by `Score.to_dict`.
    """
    receipt = score["receipt"]
    facts = {"repeats": 1, **receipt, **receipt.get("generated", {})}
    counts = [f"{short}{facts[name]}" for name, short in (("k", "k"), ("n", "n"), ("seed", "seed")) if name in facts]
    counts += [f"repeats{facts['repeats']}"] if facts["repeats"] > 1 else []
    words = [by, Path(receipt["real"]["name"]).name, receipt["real"]["split"], *counts]
    whole = json.dumps([sorted(score["metrics"]), identity(receipt)], sort_keys=True)
    return "-".join([*filter(None, map(_readable, words)), hashlib.sha256(whole.encode()).hexdigest()[:DIGITS]])


def _readable(words: str) -> str:
    """Letters and digits of any script, and `._-`, cut to a length that fits into a file name of 255 bytes."""
    plain = "".join(c if c.isalnum() or c in "._-" else "-" for c in unicodedata.normalize("NFC", words))
    return plain.encode()[:MOST_BYTES].decode(errors="ignore").strip(".-")
