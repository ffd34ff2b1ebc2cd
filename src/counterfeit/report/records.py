"""The results of a comparison as records. comparison.json is written and read here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import field
from msgspec.structs import force_setattr

from counterfeit.system import reading, words

Number = int | float
S = TypeVar("S", bound=msgspec.Struct)


class Metric:
    """A metric and the detector that its features come from; written as `FID[mnist-cnn]`, also in JSON."""

    __slots__ = ("detector", "label")

    def __init__(self, label: str, detector: str) -> None:
        self.label, self.detector = label, detector

    @classmethod
    def of(cls, name: str | Metric) -> Metric:
        return name if isinstance(name, Metric) else cls(*words.label_and_detector(name))

    def __str__(self) -> str:
        return f"{self.label}[{self.detector}]" if self.detector else self.label

    def __repr__(self) -> str:
        return f"Metric({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Metric) and (self.label, self.detector) == (other.label, other.detector)

    def __hash__(self) -> int:
        return hash((self.label, self.detector))


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A part of comparison.json. Dicts by metric have Metric keys; msgspec alone would leave them as strings."""

    def __post_init__(self) -> None:
        for name in ("metrics", "better", "floors", "floor_stds"):
            if isinstance(by_metric := getattr(self, name, None), dict):
                force_setattr(self, name, {Metric.of(key): value for key, value in by_metric.items()})


class Spread(Record, frozen=True, kw_only=True):
    """Values over the seeds, their mean and standard deviation (ddof 1; None for a single value)."""

    mean: float
    std: float | None
    values: list[Number]

    def __str__(self) -> str:
        return words.mean_and_std(self.mean, self.std)


def shown(spread: Spread | None) -> str:
    """`131.3 ± 1.8`, or a dash for None."""
    return words.DASH if spread is None else str(spread)


def mean(spread: Spread | None) -> float | None:
    return None if spread is None else spread.mean


class Value(Record, frozen=True, kw_only=True):
    """The value of a metric for one run: see `scoring.score.Scored`."""

    value: Number
    uncertainty: Number | None = None
    uncertainty_kind: str = ""
    floor: Number | None
    better: str
    extras: dict[str, Number] = {}
    notes: list[str] = []
    floor_std: Number | None = None
    floor_draws: int = 0


class RunScore(Record, frozen=True, kw_only=True):
    """The score of a run, and its receipt as stored."""

    metrics: dict[Metric, Value]
    receipt: dict[str, Any]


class ScoreCurve(Record, frozen=True, kw_only=True):
    """A score of n samples over the epochs of a run: (epoch, value)."""

    name: Metric
    n: int
    points: list[tuple[int, Number]]


class RunRow(Record, frozen=True, kw_only=True):
    """A finished run.

    Attributes:
        label: label of its row in the table.
        losses: columns, of which one is "epoch"; None where a row of the log does not have the loss.
        images_per_s: training speed, images per second; None if the log does not have it.
        plugin: identity of the model's code if it is not ours, see `models.plugins.Plugin.identity`.
        remarks: sentences on what went wrong while it was trained, and on which weights it is scored with.
    """

    path: str
    model: str
    title: str = ""
    data: str
    data_path: str | None = None
    data_digest: str
    seed: int
    epochs: int
    command: list[str] = []
    training_code: str | None = None
    plugin: str | None = None
    config: dict[str, Any]
    parameters: int
    train_seconds: Number
    images_per_s: Number | None
    losses: dict[str, list[Number | None]] = {}
    test_losses: dict[str, Number] = {}
    loss_unit: str = ""
    curve: ScoreCurve | None
    score: RunScore
    label: str = ""
    remarks: list[str] = []


class RowCurve(Record, frozen=True, kw_only=True):
    """Best and final values of a row's score curves, and the epochs of the best values."""

    name: Metric
    n: int
    best: Spread
    best_epoch: Spread
    final: Spread


class Row(Record, frozen=True, kw_only=True):
    """The runs of one model with the same settings, over their seeds.

    Attributes:
        settings: the settings that differ from the model's defaults.
        rank: None if no test has assigned one.
        runs: paths of the runs, in the order of the seeds.
    """

    label: str
    model: str
    settings: dict[str, Any]
    seeds: list[int]
    rank: int | None
    parameters: int
    epochs: int
    metrics: dict[Metric, Spread]
    train_seconds: Spread | None
    images_per_s: Spread | None
    curve: RowCurve | None
    runs: list[str]

    def curve_cells(self) -> list[str]:
        """Best value, its epoch, and final value of the score curves, as shown in a table."""
        curve = self.curve
        return [words.DASH] * 3 if curve is None else [str(curve.best), str(curve.best_epoch), str(curve.final)]

    def found(self, runs: Mapping[str, RunRow]) -> list[RunRow]:
        """The row's runs that are in `runs`, a mapping from path to run."""
        return [runs[path] for path in self.runs if path in runs]


class Protocol(Record, frozen=True, kw_only=True):
    """What two scores must have in common to share a column; `real` and `detector` are as in receipts."""

    real: dict[str, Any]
    forms: dict[str, Any] | None = field(name="sizes and channels", default=None)
    detector: dict[str, Any]
    n: int
    repeats: int
    version: str
    training_code: str | None = field(name="training code", default=None)


class Table(Record, frozen=True, kw_only=True):
    """The rows of one data set and protocol.

    Attributes:
        floors: value of real images for each column.
        floor_stds: standard deviation of that value over draws of real images; absent in older files.
        ranked_by: the metric that ranks the rows.
        test: how ranks are determined, in words.
    """

    data: str
    protocol: Protocol
    shared_settings: dict[str, Any] = {}
    columns: list[Metric]
    better: dict[Metric, str]
    floors: dict[Metric, Number | None]
    floor_stds: dict[Metric, Number | None] = {}
    ranked_by: Metric | None
    test: str
    rows: list[Row]

    def real_images(self, name: Metric) -> str:
        """The value of real images in a column, such as `0.915 ± 0.037`."""
        return words.mean_and_std(self.floors.get(name), self.floor_stds.get(name))

    def ranking(self) -> str:
        """How the rows are ordered; mentions the test only if it has compared at least two rows."""
        if sum(row.rank is not None for row in self.rows) > 1:
            return f"Ranked by {self.ranked_by}: {self.test}."
        return f"Sorted by {self.ranked_by}: ranks need several seeds of two rows or more."


class Failure(Record, frozen=True, kw_only=True):
    """A run that did not finish, and the reason in one line."""

    run: str
    error: str


class Comparison(Record, frozen=True, kw_only=True):
    """The whole comparison; `made_by` is the provenance of the process that created it."""

    title: str
    made_by: dict[str, Any]
    tables: list[Table]
    runs: list[RunRow]
    failures: list[Failure]
    notes: list[str]


def to_json(record: Any) -> Any:
    """Convert a record to plain types, as comparison.json holds it."""
    return msgspec.to_builtins(record, enc_hook=str)


def of_json(value: Any, kind: type[S]) -> S:
    """Build a record of this kind from plain types and check every type. Raises reading.Malformed."""
    return reading.converted(value, kind, metric)


def metric(kind: type[Any], value: Any) -> Metric:
    """Decode a `Metric`: msgspec calls this for unknown types, and reports a TypeError as malformed content."""
    if kind is Metric and isinstance(value, str):
        return Metric.of(value)
    raise TypeError(f"Expected the name of a metric, got `{type(value).__name__}`")
