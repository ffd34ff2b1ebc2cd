"""What users can set, of a run and of a score; models add settings of their own, see `models/spec.py`."""

from counterfeit.settings.fields import (
    ALIASES,
    Settings,
    check_count,
    check_seed,
    fit_fields,
    having,
    option,
    setting,
    spelled_here,
    spelled_today,
    unless_set,
)
from counterfeit.settings.run import LENGTHS, RunSettings, length_of
from counterfeit.settings.scores import CasConfig, InceptionSettings, ScoreConfig

__all__ = [
    "ALIASES",
    "LENGTHS",
    "CasConfig",
    "InceptionSettings",
    "RunSettings",
    "ScoreConfig",
    "Settings",
    "check_count",
    "check_seed",
    "fit_fields",
    "having",
    "length_of",
    "option",
    "setting",
    "spelled_here",
    "spelled_today",
    "unless_set",
]
