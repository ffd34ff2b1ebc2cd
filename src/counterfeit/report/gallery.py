"""The images of a report, grouped by kind so that models can be compared, each with its origin."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from counterfeit.report.embed import Embedded
from counterfeit.report.records import Row, Table

Pictures = Mapping[str, Mapping[str, Path]]


@dataclass(frozen=True)
class Kind:
    """A kind of image: its title, what to look at, and alternative text for readers who cannot see it."""

    title: str
    lead: str
    alt: str


KINDS = {
    "samples": Kind(
        "Samples",
        "The same seed and layout for every model; nobody chose them. A conditional model is asked for a class a "
        "column.",
        "grid of generated images",
    ),
    "interpolation": Kind(
        "Interpolations",
        "Each row walks along a straight line in latent space: for models with an encoder from one real image (the "
        "first) to another (the last), for the others from one noise vector to another.",
        "rows of images that change step by step from left to right",
    ),
    "classes": Kind(
        "Classes",
        "A column is a class, and a row one and the same noise: a good model keeps the handwriting and changes the "
        "digit, or keeps the scene and changes the thing.",
        "grid of generated images, a class a column and the same noise in a row",
    ),
    "reconstructions": Kind(
        "Reconstructions",
        "Rows in pairs: real images, of the test set where there is one, over what comes back when they are encoded "
        "and decoded.",
        "rows in pairs, real images over their reconstructions",
    ),
    "nearest": Kind(
        "nearest",
        "",
        "upper row the samples that come nearest to training images, lower row those training images",
    ),
    "random": Kind("first ten", "", "upper row the first ten samples, lower row the training image nearest to each"),
}

NEIGHBORS = ("nearest", "random")


@dataclass(frozen=True)
class Card:
    """An image with its caption.

    Attributes:
        label: label of the table row; "real images" for those.
        picture: the image itself.
        alt: what the image shows, with the value of the metric that ranks.
        fact: that value, or an empty string.
        command: the command that creates the image again.
        file: path of the image file.
        real: whether it shows real images.
    """

    label: str
    picture: Embedded
    alt: str
    fact: str
    command: str
    file: str
    real: bool = False


@dataclass(frozen=True)
class Gallery:
    """Images of one kind."""

    kind: str
    title: str
    lead: str
    cards: tuple[Card, ...]


def galleries(table: Table, pictures: Pictures, embedded: Mapping[Path, Embedded]) -> list[Gallery]:
    """Every kind that at least one model has, from each row's first run with images; memorization is separate."""
    found = []
    for kind, about in KINDS.items():
        if kind in NEIGHBORS:
            continue
        cards = [card for row in table.rows for card in _card(row, kind, table, pictures, embedded)]
        if kind == "samples" and cards:
            cards += _real(table, pictures, embedded)
        if cards:
            found.append(Gallery(kind, about.title, about.lead, tuple(cards)))
    return found


def neighbors(table: Table, pictures: Pictures, embedded: Mapping[Path, Embedded]) -> list[Card]:
    """For every model, the samples nearest to training images and the first samples, side by side."""
    return [
        replace(card, fact=KINDS[kind].title)
        for row in table.rows
        for kind in NEIGHBORS
        for card in _card(row, kind, table, pictures, embedded)
    ]


def used(tables: Sequence[Table], pictures: Pictures) -> list[Path]:
    """The files that the report shows, samples first, so that they are the last to be left out."""
    firsts = [path for table in tables for row in table.rows for path in _first(row, pictures)]
    kinds = [*list(KINDS)[:1], "real", *list(KINDS)[1:]]
    return [pictures[path][kind] for kind in kinds for path in firsts if kind in pictures[path]]


def _first(row: Row, pictures: Pictures) -> list[str]:
    return [path for path in row.runs if pictures.get(path)][:1]


def _card(row: Row, kind: str, table: Table, pictures: Pictures, embedded: Mapping[Path, Embedded]) -> list[Card]:
    """The row's image of this kind as a list of one, or an empty list."""
    for path in _first(row, pictures):
        file = pictures[path].get(kind)
        if file is not None and file in embedded:
            by = table.ranked_by
            fact = f"{by} {row.metrics[by]}" if by in row.metrics else ""
            alt = f"{row.label}, run {path}: {KINDS[kind].alt}" + (f"; {fact}" if fact else "")
            command = (
                f"sample {shlex.quote(path)} -n 50 --seed 0" if kind == "samples" else f"report {shlex.quote(path)}"
            )
            return [Card(row.label, embedded[file], alt, fact, f"counterfeit {command}", str(file))]
    return []


def _real(table: Table, pictures: Pictures, embedded: Mapping[Path, Embedded]) -> list[Card]:
    """Real images to show beside the samples, from the first run that has them."""
    real = table.protocol.real
    for row in table.rows:
        for path in _first(row, pictures):
            file = pictures[path].get("real")
            if file is not None and file in embedded:
                name = f"{real['name']}:{real['split']}"
                alt = f"Real images of {table.data} in the same layout"
                by = table.ranked_by
                known = by is not None and table.floors.get(by) is not None
                fact = f"{by} of {name} against other real images {table.real_images(by)}" if by and known else ""
                return [
                    Card(
                        "real images",
                        embedded[file],
                        alt,
                        fact,
                        f"counterfeit report {shlex.quote(path)}",
                        str(file),
                        True,
                    )
                ]
    return []
