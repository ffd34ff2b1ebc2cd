"""Trackers: a run's log, pictures, settings and scores, mirrored in TensorBoard, Weights & Biases or MLflow.

The run folder stays the one record: a tracker reads what is written there, and decides nothing of a training.
"""

from counterfeit.tracking.follow import followed
from counterfeit.tracking.mirror import Mirror
from counterfeit.tracking.tracker import TRACKERS, Tracker, chosen

__all__ = ["TRACKERS", "Mirror", "Tracker", "chosen", "followed"]
