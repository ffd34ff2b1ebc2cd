"""From a run folder to the hub, in one commit."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from counterfeit.data import pixels
from counterfeit.errors import InputError
from counterfeit.hub.card import card
from counterfeit.hub.files import CARD, GRID, LIST, digest, is_ours, of_run
from counterfeit.hub.place import Address, address, client, reaching
from counterfeit.scoring.score import Score, ignored, stored
from counterfeit.system.console import say
from counterfeit.system.files import as_json
from counterfeit.system.reading import Malformed

if TYPE_CHECKING:  # which is above, and calls this
    from counterfeit.run import Run

SHOWN = 64  # samples on the card
COLUMNS = 8


@dataclass(frozen=True)
class Pushed:
    """What was pushed, or what would be.

    Attributes:
        where: the repository and its revision.
        url: of the commit; "" where nothing was sent.
        files: name -> bytes of each file.
        left_out: files of the folder that stay where they are.
        card: the text of README.md.
    """

    where: Address
    url: str
    files: dict[str, int]
    left_out: list[str]
    card: str

    def table(self) -> str:
        """What the command line prints of a dry run."""
        lines = [f"{size:>12,}  {name}" for name, size in self.files.items()]
        out = [f"      stays   {name}" for name in self.left_out]
        total = f"{sum(self.files.values()):>12,}  bytes in all, to {self.where}"
        return "\n".join([*lines, *out, total])


def push(run: Run, repository: str, *, license: str, private: bool, message: str | None, dry_run: bool) -> Pushed:
    """Push a run; see `Run.push`."""
    where = address(repository)
    if not license.strip() or any(c in license for c in "\r\n"):
        raise InputError("--license is empty or has a line break: pass an identifier such as mit or cc-by-4.0")
    client()  # where it is missing, that is said before images are drawn
    there, left_out = of_run(run.folder)
    listed = {name: {"sha256": digest(path), "size": path.stat().st_size} for name, path in there.items()}
    text = card(run, where, _scores(run), license)
    made = {CARD: text.encode(), GRID: _grid(run), LIST: as_json({"files": listed})}
    contents: dict[str, bytes | Path] = {**there, **made}
    if said := _of_this_machine(run):
        say(said)
    files = {name: len(of) if isinstance(of, bytes) else of.stat().st_size for name, of in sorted(contents.items())}
    url = "" if dry_run else _send(where, contents, private, message or f"{run.model_name} on {run.data.name}")
    return Pushed(where, url, files, left_out, text)


def _send(where: Address, contents: dict[str, bytes | Path], private: bool, message: str) -> str:
    """One commit with all files, which removes those of an older checkpoint; returns its URL."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    api = client()
    with reaching(where):
        api.create_repo(where.repository, private=private, exist_ok=True)
        if where.revision != "main":
            api.create_branch(where.repository, branch=where.revision, exist_ok=True)
        found = api.model_info(where.repository, revision=where.revision).siblings or []
        adds = [CommitOperationAdd(name, of if isinstance(of, bytes) else str(of)) for name, of in contents.items()]
        before = [file.rfilename for file in found]
        old = [CommitOperationDelete(name) for name in before if is_ours(name) and name not in contents]
        done = api.create_commit(where.repository, [*adds, *old], commit_message=message, revision=where.revision)
    return str(done.commit_url)


def _grid(run: Run) -> bytes:
    buffer = io.BytesIO()
    sheet = pixels.grid(run.sample(SHOWN), COLUMNS, scale=max(1, 64 // run.data.shape[2]))
    pixels.to_pil(sheet).save(buffer, format="PNG")
    return buffer.getvalue()


def _scores(run: Run) -> list[Score]:
    """The scores in the folder that are of the weights that are pushed."""
    found = []
    for path in sorted((run.folder.path / "scores").glob("*.json")):
        try:
            score = stored(path)
        except (OSError, Malformed) as error:
            ignored(path, error)
            continue
        if (score.receipt.get("generated") or {}).get("digest") == run.weights_sha256:
            found.append(score)
    return found


def _of_this_machine(run: Run) -> str:
    """A line on what the record says of this machine, where it says more than its processor; else ""."""
    data = run.data.path
    return f"run.json names the place of your images, {data}: it is pushed as it is" if data else ""
