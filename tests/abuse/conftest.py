"""How much abuse: some of it in every run of the tests, all of it with `make abuse`; and what it came to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ground import TALLY, build
from hypothesis import HealthCheck, Phase, settings

FAULTS = ("traceback", "hang", "loss", "litter", "silence", "failed")
QUIETLY = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
COMMON = {"deadline": None, "suppress_health_check": QUIETLY, "database": None, "derandomize": True}
# A case costs tenths of a second: a failing one is shown as it is, and not made smaller for minutes.
settings.register_profile("quick", max_examples=12, phases=[Phase.explicit, Phase.generate], **COMMON)
settings.register_profile("abuse", max_examples=200, phases=[Phase.explicit, Phase.generate], **COMMON)
settings.load_profile("quick")


@pytest.fixture(scope="session")
def built(tmp_path_factory, test_cache):
    """The home that every case gets a copy of."""
    home = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        build(home)
    return home


def pytest_runtest_logreport(report) -> None:
    """Count the cases of other tests that `make abuse` runs: one each, or as many as a test says it has tried."""
    if report.when == "call" and "tests/abuse/" not in report.nodeid and "PYTEST_XDIST_WORKER" not in os.environ:
        kind = Path(report.nodeid.partition("::")[0]).stem.removeprefix("test_").replace("_", " ")
        TALLY[f"{kind}: cases"] += dict(report.user_properties).get("cases", 1)
        TALLY["failed"] += report.failed


def pytest_sessionfinish(session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["tally"] = dict(TALLY)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error) -> None:
    """Several processes share the cases: add up what each of them counted."""
    TALLY.update(getattr(node, "workeroutput", {}).get("tally", {}))


def pytest_terminal_summary(terminalreporter) -> None:
    if not TALLY:
        return
    terminalreporter.section("abuse")
    cases = {name: count for name, count in TALLY.items() if name.endswith(": cases")}
    for name, count in sorted(cases.items()):
        terminalreporter.line(f"{name.removesuffix(': cases'):<14}{count:>6} cases")
    faults = {name: TALLY[name] for name in FAULTS}
    terminalreporter.line(
        f"{'all':<14}{sum(cases.values()):>6} cases; " + ", ".join(f"{n}: {c}" for n, c in faults.items())
    )
