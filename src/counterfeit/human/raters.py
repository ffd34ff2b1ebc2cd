"""Which raters are counted: decided by noise, real images and how much was judged, never by answers to models' images.

Who always says "real" takes noise for real; who always says "fake" is found by the real images. A careful rater whom a
very good model fools every time does neither.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import median

from counterfeit.human.lines import Judgement

COIN = 0.05  # a rater who misses noise fails, if a coin does as well with this probability or more
FAKE = 0.9  # share of the real images called fake above which there is no judging
LEAST_DONE = 0.5  # share of the images that a rater must have judged


@dataclass(frozen=True)
class Rater:
    """A rater, and why they are not counted.

    Attributes:
        number: from 1, in the order of joining.
        done, of: judged images, and images in the rater's order, catch trials included.
        noise_missed, noise: images of noise that were taken for real ones, and images of noise.
        agreed, repeats: repeated images that got the same answer again, and repeated images.
        said_fake: share of the images, without catch trials, that were called fake; it decides nothing.
        seconds: median of the answers' times.
        fault: why the rater is not counted; "" for one who is.
    """

    number: int
    done: int
    of: int
    noise_missed: int
    noise: int
    agreed: int
    repeats: int
    said_fake: float
    seconds: float
    fault: str


def examined(judgements: Sequence[Judgement], models: Collection[str]) -> Rater:
    """What can be said of one rater from their judgements (one or more) in a test of these models."""
    judged = [one for one in judgements if one.role == "judged"]
    noise = [one for one in judgements if one.role == "noise"]
    first = {one.position: one.answer for one in judgements}
    repeats = [one for one in judgements if one.role == "repeat" and one.repeats in first]
    missed = sum(one.wrong for one in noise)
    said_fake = sum(one.answer == "fake" for one in judged) / max(1, len(judged))
    return Rater(
        number=judgements[0].rater,
        done=len(judgements),
        of=judgements[0].of,
        noise_missed=missed,
        noise=len(noise),
        agreed=sum(first[one.repeats] == one.answer for one in repeats if one.repeats is not None),
        repeats=len(repeats),
        said_fake=said_fake,
        seconds=median(one.seconds for one in judgements),
        fault=_fault(judgements, judged, models, missed, len(noise)),
    )


def _fault(
    judgements: Sequence[Judgement],
    judged: Sequence[Judgement],
    models: Collection[str],
    missed: int,
    noise: int,
) -> str:
    if len(judgements) < LEAST_DONE * judgements[0].of or not {None, *models} <= {one.model for one in judged}:
        return f"has judged {len(judgements)} of {judgements[0].of} images"
    if missed and by_coin(missed, noise) >= COIN:
        return f"took {missed} of {noise} images of noise for real ones, as someone who clicks at random does"
    reals = [one.wrong for one in judged if one.real]
    if sum(reals) > FAKE * len(reals):
        return f"called {sum(reals)} of {len(reals)} real images fake, as someone who always says “fake” does"
    return ""


def by_coin(missed: int, noise: int) -> float:
    """The probability that a coin misses at most so many of the images of noise."""
    return sum(math.comb(noise, k) for k in range(missed + 1)) / 2**noise
