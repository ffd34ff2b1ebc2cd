"""The run folder: settings, log, checkpoints and provenance, readable without this library."""

from counterfeit.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from counterfeit.runs.folder import DataRecord, RunFolder, RunRecord
from counterfeit.runs.provenance import provenance
from counterfeit.runs.trained import Trained, read_trained

__all__ = [
    "Checkpoint",
    "DataRecord",
    "RunFolder",
    "RunRecord",
    "Trained",
    "load_checkpoint",
    "read_trained",
    "provenance",
    "save_checkpoint",
]
