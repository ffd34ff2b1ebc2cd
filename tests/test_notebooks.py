"""The notebooks of `examples`, executed from their first cell to the last; what they show is in build/notebooks."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

pytestmark = [pytest.mark.notebooks, pytest.mark.filterwarnings("ignore")]
ROOT = Path(__file__).parent.parent
BOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def executed(book: Any, home: Path, allow_errors: bool = False) -> Any:
    resources = {"metadata": {"path": str(home)}}
    waits = {"timeout": 1200, "startup_timeout": 600}  # seconds, of a machine that others use
    client = nbclient.NotebookClient(
        book, kernel_name="python3", resources=resources, allow_errors=allow_errors, **waits
    )
    return client.execute()


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_pictures(path: Path, tmp_path: Path, test_cache: Path, monkeypatch) -> None:
    monkeypatch.setenv("COUNTERFEIT_CACHE", str(test_cache.absolute()))
    book = nbformat.read(path, 4)
    assert all(not cell.get("outputs") for cell in book.cells), f"{path.name} is committed with outputs: clear them"
    done = executed(book, tmp_path)
    out = Path(os.environ.get("COUNTERFEIT_BUILD", ROOT / "build")) / "notebooks"
    out.mkdir(parents=True, exist_ok=True)
    nbformat.write(done, out / path.name)
    shown = [output["data"] for cell in done.cells for output in cell.get("outputs", ()) if "data" in output]
    pictures = [data["image/png"] for data in shown if "image/png" in data]
    for i, picture in enumerate(pictures):
        content = base64.b64decode(picture)
        (out / f"{path.stem}-{i}.png").write_bytes(content)
        with Image.open(io.BytesIO(content)) as image:
            assert min(image.size) > 50
    pages = [data["text/html"] for data in shown if "text/html" in data]
    (out / f"{path.stem}.html").write_text("<meta charset=utf-8>" + "<hr>".join(pages), encoding="utf-8")
    assert len(pictures) >= 1 and any("<table>" in page for page in pages)


def test_stop_in_a_cell_ends_at_a_step_with_a_checkpoint(tmp_path: Path, test_cache: Path, monkeypatch) -> None:
    """The kernel gets the signal that the stop button sends; the next cell goes on from there."""
    monkeypatch.setenv("COUNTERFEIT_CACHE", str(test_cache.absolute()))
    cells = [
        "import os, signal, threading, time\nfrom pathlib import Path\nimport counterfeit as cf\n"
        "log = Path('run/log.jsonl')\n"
        "def stop():\n"
        "    while not (log.exists() and log.stat().st_size > 400): time.sleep(0.01)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=stop).start()\n"
        "cf.train('vae', data='mnist5k', epochs=500, log_every=5, out='run')",
        "print(cf.load('run').sample(1).shape)",
        "run = cf.load('run'); print(len(run.log), run.record.finished)",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    stopped, sampled, loaded = executed(book, tmp_path, allow_errors=True).cells
    (error,) = [output for output in stopped.outputs if output.output_type == "error"]
    assert error.ename == "Interrupted" and len(error.traceback) == 1 and "with a checkpoint" in error.traceback[0]
    bars = [output.data["text/html"] for output in stopped.outputs if output.output_type == "display_data"]
    assert bars == [""]  # the bar is gone
    assert "(1, 1, 28, 28)" in sampled.outputs[0].text and "None" in loaded.outputs[0].text
