"""Where a run's numbers came from: versions, machine, command, code revision."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
import numpy
import PIL
import torch

from counterfeit.models.plugins import plugin_of
from counterfeit.nets import linear
from counterfeit.runs import source
from counterfeit.system import distributed, openmp
from counterfeit.version import __version__


def versions() -> dict[str, str]:
    """The versions that decide the numbers."""
    return {
        "counterfeit": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        "pillow": PIL.__version__,
    }


def provenance(device: torch.device, model: str | None = None) -> dict[str, Any]:
    """Everything about this process that a reader of a result may ask for; `plugin`, if it gave the model."""
    plugin = model and plugin_of(model)
    return {
        **({"plugin": msgspec.to_builtins(plugin)} if plugin else {}),
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "versions": versions(),
        "training_code": source.digest(*source.TRAINING),
        "code_revision": code_revision(),
        "machine": {
            "platform": platform.platform(),
            "cpus": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "openmp": openmp.in_force(),
            "processes": distributed.count(),
            "onednn": linear.HAS_ONEDNN,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        },
    }


def code_revision() -> str | None:
    """The git revision of a source checkout of this package, "+" when it has changes; None for an installed one."""
    here = Path(__file__).resolve().parents[1]  # the package
    git = ["git", "-C", str(here)]
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", __file__], check=True, capture_output=True, timeout=10)
        head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, timeout=10)
        diff = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", str(here)], capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.decode("ascii", "replace").strip() + ("+" if diff.returncode else "")
