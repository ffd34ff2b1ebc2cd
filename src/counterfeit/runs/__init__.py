"""The run folder: settings, log, checkpoints and provenance, readable without this library."""

from counterfeit.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from counterfeit.runs.folder import DataRecord, RunFolder, RunRecord
from counterfeit.runs.provenance import provenance

__all__ = [
    "Checkpoint",
    "DataRecord",
    "RunFolder",
    "RunRecord",
    "load_checkpoint",
    "provenance",
    "save_checkpoint",
]
