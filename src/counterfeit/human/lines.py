"""One judgement as one line of JSON, from which alone every number of a test can be computed again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from counterfeit.errors import InputError
from counterfeit.system import reading

Role = Literal["judged", "noise", "repeat"]
Answer = Literal["real", "fake"]
Count = Annotated[int, Meta(ge=0, le=reading.COUNT)]
Seconds = Annotated[float, Meta(ge=0, le=1e6)]


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What one rater said of one image.

    Attributes:
        test: the test, as its receipt names it.
        rater: number of the rater, from 1 in the order of joining.
        position: place of the image in the rater's order, from 0; `of` is the number of images in that order.
        role: "judged" counts; "noise" is an obvious fake and "repeat" an image shown before, both catch trials.
        model: the run that generated the image; None for a real image and for noise.
        real: whether the image is real.
        half: of a real image, the half of the test split that it is from, 0 or 1; else None.
        label: the class of the image, if it is known.
        image: SHA-256 of its shape and pixels.
        repeats: of a repeat, the position at which the image was first shown; else None.
        answer: what the rater said.
        seconds: from when the image appeared until the answer, by the rater's browser.
        shown_ms: for how long the image was shown, by the rater's browser; None if it stayed.
        time: when the answer was stored, UTC.
    """

    test: str
    rater: Annotated[int, Meta(ge=1, le=reading.COUNT)]
    position: Count
    of: Count
    role: Role
    model: str | None
    real: bool
    half: Annotated[int, Meta(ge=0, le=1)] | None
    label: int | None
    image: str
    repeats: Count | None
    answer: Answer
    seconds: Seconds
    shown_ms: Seconds | None
    time: str

    @property
    def wrong(self) -> bool:
        return self.real != (self.answer == "real")


def as_line(judgement: Judgement) -> bytes:
    """The line, with its end."""
    return msgspec.json.encode(judgement) + b"\n"


def parsed(lines: Iterable[bytes], where: str = "the judgements") -> list[Judgement]:
    """The judgements of lines of JSON, every type checked; empty lines are skipped.

    Raises InputError: a line is no judgement, or a rater judges one position twice.
    """
    found: dict[tuple[str, int, int], Judgement] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            one = reading.record(line, Judgement)
        except reading.Malformed as error:
            raise InputError(f"{where}, line {number:,}: {error}; fix or remove the line") from None
        key = one.test, one.rater, one.position
        if key in found:
            raise InputError(
                f"{where}, line {number:,}: rater {one.rater} has judged image {one.position} already; remove a line"
            )
        found[key] = one
    return list(found.values())
