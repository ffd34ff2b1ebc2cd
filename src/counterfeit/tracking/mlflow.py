"""MLflow: a run in the store that MLflow itself would use: MLFLOW_TRACKING_URI, or files in the current folder."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before it is imported: nothing goes to a network unasked

import mlflow
from mlflow.entities import Metric, Param, RunStatus, RunTag
from mlflow.exceptions import MlflowException

from counterfeit.runs.log import LogRow, Trouble
from counterfeit.scoring import Score
from counterfeit.tracking.tracker import PROJECT, About, Tracker, values

logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # a new file is nothing to tell of
MOST = 1000  # metrics of one request
STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}


class MLflow(Tracker):
    """Metrics by the names and steps of log.jsonl, see `allowed`; settings as parameters, the rest as artifacts."""

    buffers = True

    def begin(self, about: About, earlier: str | None) -> str:
        self.client = mlflow.MlflowClient()
        self.waiting: list[Metric] = []
        self.run_id = self._found(earlier) or self._created(about)
        said = self.client.get_run(self.run_id).data.params
        settings = {name: str(value)[:6000] for name, value in about.settings.items()}
        params = [Param(name, value) for name, value in settings.items() if name not in said]
        # What a resumed run has changed: a parameter is written once.
        news = {name: value for name, value in settings.items() if said.get(name, value) != value}
        changed = [RunTag(f"resumed.{name}", value) for name, value in news.items()]
        tags = [RunTag(name, value) for name, value in about.facts.items()]
        self.client.log_batch(self.run_id, params=params, tags=[*tags, *changed])
        return self.run_id

    def row(self, row: LogRow) -> None:
        if isinstance(row, Trouble):
            self.client.set_tag(self.run_id, f"trouble.{row.kind}", str(row))
        self._take(values(row), row.step)

    def picture(self, name: str, step: int, path: Path) -> None:
        self.client.log_artifact(self.run_id, str(path), name)

    def score(self, name: str, step: int, score: Score, path: Path) -> None:
        self._take({f"{name}/{metric}": scored.value for metric, scored in score.items()}, step)
        self.client.log_artifact(self.run_id, str(path), "scores")

    def flush(self) -> None:
        while self.waiting:
            self.client.log_batch(self.run_id, metrics=self.waiting[:MOST])
            del self.waiting[:MOST]

    def end(self, how: str) -> None:
        self.client.set_terminated(self.run_id, STATUS[how])

    def where(self) -> str:
        return f"mlflow ui --backend-store-uri {mlflow.get_tracking_uri()}"

    def _found(self, earlier: str | None) -> str | None:
        """The earlier run, open again; None where this store does not have it."""
        if earlier is None:
            return None
        try:
            self.client.update_run(earlier, status=RunStatus.to_string(RunStatus.RUNNING))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return earlier

    def _created(self, about: About) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self.client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self.client.create_experiment(name)
        return str(self.client.create_run(experiment, run_name=about.name).info.run_id)

    def _take(self, numbers: dict[str, float], step: int) -> None:
        now = int(1000 * time.time())
        self.waiting += [Metric(allowed(name), value, now, step) for name, value in numbers.items()]


def allowed(name: str) -> str:
    """A name that MLflow takes, which has no brackets: `FID/mnist-cnn` for `FID[mnist-cnn]`."""
    plain = name.replace("[", "/").removesuffix("]")
    return "".join(char if char.isalnum() or char in "_-. :/" else "_" for char in plain)
