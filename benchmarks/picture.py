"""The README's picture: samples of finished runs side by side, each under the name of its model.

python benchmarks/picture.py runs/a runs/b … --out docs/images/samples.png
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from matplotlib.figure import Figure

import counterfeit as cf
from counterfeit.data.pixels import grid
from counterfeit.system.files import write_atomic


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--columns", type=int, default=6)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    rows = -(-len(args.runs) // args.columns)
    figure = Figure(figsize=(2 * args.columns, 2.25 * rows), dpi=110, layout="constrained")
    for axes, path in zip(figure.subplots(rows, args.columns, squeeze=False).flat, args.runs, strict=False):
        run = cf.load(path)
        axes.imshow(grid(run.sample(36, seed=0), 6, gap=1, scale=2).squeeze(), cmap="gray", interpolation="none")
        axes.set_title(f"{run.model_name} on {run.data.name}, {run.config.epochs} epochs", fontsize=7)
        axes.axis("off")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_atomic(Path(args.out), buffer.getvalue())


if __name__ == "__main__":
    main()
