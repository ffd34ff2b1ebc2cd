"""What runs say that are made to fail, and when; and whether ten times its rate leaves each model finite.

    python benchmarks/planted.py [--only MODEL …]

A row that was measured before stays until it is measured again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

import counterfeit as cf
from counterfeit.errors import NonFiniteError
from counterfeit.models import MODELS
from counterfeit.models.base import HasCodebook
from counterfeit.runs import RunFolder, provenance
from counterfeit.runs.log import Steps, Trouble
from counterfeit.settings import option
from counterfeit.system.files import write_json
from counterfeit.training.diagnosis import used_codes

RESULTS = Path(__file__).parent / "results" / "planted.json"
DATA = "mnist5k"
FEW = 500  # images for those that learn them by heart
HELD = {"holdout": 0.2}  # of 625 images, so that some are not trained on
TIMES = 100
STEPS = 1170  # 30 epochs: samples are looked at after 1,000
SHORT = 390  # of those that fail sooner, or whose steps are long
GAMES = ("gan", "lsgan", "dcgan", "r3gan", "sngan")
FAILURES: list[tuple[str, dict[str, Any]]] = [
    *((name, {"lr": TIMES * MODELS[name].settings.lr}) for name in (*GAMES, "vae-gan")),
    ("vae", {"kl_weight": 100.0}),
    ("vae", HELD),
    ("vq-vae", {"codes": 4096, **HELD}),
    ("vq-vae", {"codes": 4096, "revival": 0.0, **HELD}),
]
TEN_STEPS = 117


def ran(name: str, settings: dict[str, Any], images: int | None, home: Path) -> dict[str, Any]:
    """What the run said, and how it ended; `images` is how many it is trained on, None for all."""
    data = cf.load_data(DATA)
    wanted = len(data) if images is None else round(images / (1 - HELD["holdout"]))
    chosen = np.linspace(0, len(data) - 1, wanted).astype(int)  # spread over the classes, by which they are sorted
    mine = {"data": data.images[chosen], "labels": None if data.labels is None else data.labels[chosen]}
    ended, in_use = "", None
    try:
        model = cf.train(name, out=home / "run", quiet=True, **mine, **settings).model
        in_use = used_codes(model.usage()) if isinstance(model, HasCodebook) else None
    except NonFiniteError as error:
        ended = str(error).replace(str(home), "…")
    folder = RunFolder(home / "run")
    rows = folder.log_rows() if folder.path.exists() else []
    said = [{"epoch": row.epoch, "step": row.step, "line": str(row)} for row in rows if isinstance(row, Trouble)]
    last = next((row.losses for row in reversed(rows) if isinstance(row, Steps)), {})
    return {"said": said, "ended": ended, "losses": last, "codes_in_use": in_use}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", help="models")
    only = parser.parse_args().only
    rows = {row["name"]: row for row in (json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else [])}
    asked: list[tuple[str, str, dict[str, Any], int | None]] = []
    for name, settings in FAILURES:
        options = " ".join(f"{option(key)} {value:g}" for key, value in settings.items())
        few = FEW if HELD.items() <= settings.items() else None
        asked.append(
            (
                name,
                f"{name} {options}",
                {**settings, "steps": STEPS if name in GAMES or settings == HELD else SHORT},
                few,
            )
        )
    for name, spec in MODELS.items():
        if spec.based_on is None:
            rate = 10 * spec.settings.lr
            asked.append((name, f"{name} --lr {rate:g}", {"lr": rate, "steps": TEN_STEPS}, None))
    rows = {command: rows[command] for _, command, *_ in asked if command in rows}
    for name, command, settings, few in asked:
        if only and name not in only:
            continue
        with TemporaryDirectory() as home:
            found = ran(name, settings, few, Path(home))
        of = {"model": name, "name": command, "steps": settings["steps"], "images": few or len(cf.load_data(DATA))}
        rows[command] = {**of, "ten": settings.get("lr") == 10 * MODELS[name].settings.lr, **found}
        write_json(RESULTS, {"rows": list(rows.values()), "made_by": provenance(torch.device("cpu"))})
        print(rows[command], flush=True)


if __name__ == "__main__":
    main()
