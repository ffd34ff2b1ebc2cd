"""The tables in README and docs, by kind: each is a function of all results and of one word, and gives Markdown."""

from tables import app, frontier, goals, scores, speed, trust, zoo

KINDS = {**scores.KINDS, **frontier.KINDS, **goals.KINDS, **app.KINDS, **speed.KINDS, **trust.KINDS, **zoo.KINDS}
