"""From a run folder to the hub, in one commit."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from counterfeit.data import pixels
from counterfeit.errors import InputError, RunError
from counterfeit.generator import Generator
from counterfeit.hub.card import card
from counterfeit.hub.files import CARD, GRID, LIST, digest, is_ours, of_run
from counterfeit.hub.place import SCHEME, Address, address, client, reaching
from counterfeit.scoring.score import Score, ignored, stored
from counterfeit.system.console import say
from counterfeit.system.files import as_json
from counterfeit.system.reading import Malformed
from counterfeit.system.words import first_few

if TYPE_CHECKING:
    from huggingface_hub import HfApi

SHOWN = 64  # samples on the card
COLUMNS = 8
NEW = {".gitattributes", CARD}  # what a repository has before anything is pushed
PARTS = ("generated", "real", "floor", "floor_of_classes", "train")  # of a receipt, each with a name


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


def push(run: Generator, repository: str, *, license: str, private: bool, message: str | None, dry_run: bool) -> Pushed:
    """Push a run; see `Run.push`."""
    where = address(repository)
    if not license.strip() or any(c in license for c in "\r\n"):
        raise InputError("--license is empty or has a line break: pass an identifier such as mit or cc-by-4.0")
    client()  # where it is missing, that is said before images are drawn
    if run.folder.is_held():
        raise RunError(f"another process is training in {run.folder}: wait for it, then push the run")
    grid = _grid(run)  # which takes a while: files are looked at after it
    there, left_out = of_run(run.folder)
    listed = {name: {"sha256": digest(path), "size": path.stat().st_size} for name, path in there.items()}
    scores = _scores(there)
    text = card(run, where, _of_these_weights(run, scores), license)
    made = {CARD: text.encode(), GRID: grid, LIST: as_json({"files": listed})}
    contents: dict[str, bytes | Path] = {**there, **made}
    if said := _of_this_machine(run, scores):
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
        before = _there(api, where)
        adds = [CommitOperationAdd(name, of if isinstance(of, bytes) else str(of)) for name, of in contents.items()]
        old = [CommitOperationDelete(name) for name in before if is_ours(name) and name not in contents]
        done = api.create_commit(where.repository, [*adds, *old], commit_message=message, revision=where.revision)
    return str(done.commit_url)


def _there(api: HfApi, where: Address) -> list[str]:
    """Names of the files at a place, whose branch is made if it is new. RunError where they are no run's."""
    from huggingface_hub.errors import RevisionNotFoundError

    def names(revision: str) -> list[str]:
        found = [file.rfilename for file in api.model_info(where.repository, revision=revision).siblings or []]
        if LIST not in found and not NEW.issuperset(found):
            raise RunError(f"{where} holds something else, and no run of counterfeit: push to another name")
        return found

    try:
        return names(where.revision)
    except RevisionNotFoundError:
        found = names("main")  # which the branch begins as
        api.create_branch(where.repository, branch=where.revision, exist_ok=True)
        return found


def _grid(run: Generator) -> bytes:
    buffer = io.BytesIO()
    sheet = pixels.grid(run.sample(SHOWN), COLUMNS, scale=max(1, 64 // run.data.shape[2]))
    pixels.to_pil(sheet).save(buffer, format="PNG")
    return buffer.getvalue()


def _scores(files: dict[str, Path]) -> dict[str, Score]:
    """The scores among the files that go, by their names."""
    found = {}
    for name, path in files.items():
        if name.startswith("scores/"):
            try:
                found[name] = stored(path)
            except (OSError, Malformed) as error:
                ignored(path, error)
    return found


def _of_these_weights(run: Generator, scores: dict[str, Score]) -> list[Score]:
    """Those that were measured of the weights that are pushed."""
    return [of for of in scores.values() if (of.receipt.get("generated") or {}).get("digest") == run.weights_sha256]


def _of_this_machine(run: Generator, scores: dict[str, Score]) -> str:
    """A line on the files that name places on this machine, in a command or as images; "" where none does."""
    made = [run.record.made_by, *run.record.resumed_by]
    texts = {"run.json": [run.data.path or "", *(word for by in made for word in by.get("command", []))]}
    for name, score in scores.items():
        receipt = score.receipt
        parts = [receipt.get(part) or {} for part in PARTS]
        names = [part.get("name", "") for part in parts]
        texts[name] = [receipt.get("run", ""), *receipt.get("command", []), *names]
    found = {name: [text for text in of if _is_place(text)] for name, of in texts.items()}
    files = [name for name, places in found.items() if places]
    places = list(dict.fromkeys(place for of in found.values() for place in of))
    if not places:
        return ""
    return f"places on this machine are named in {first_few(files, 3)}, pushed as they are: {first_few(places, 3)}"


def _is_place(text: str) -> bool:
    """Whether it is a path, or an option with one: it has a separator, and is no address of the network."""
    return ("/" in text or "\\" in text) and not text.startswith((SCHEME, "http://", "https://"))
