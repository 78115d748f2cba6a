"""Two workers share the cores (`make test`): threads that wait soon sleep and leave them to the other one.

Set before torch is loaded. By default waiting threads spin, see benchmarks/test_bench_waiting.py.
"""

import os
from pathlib import Path

import pytest

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")


@pytest.fixture(autouse=True)
def figures_as_where_nothing_is_set(monkeypatch):
    """Libraries such as Streamlit set the backend of matplotlib for the whole process; kernels would inherit it."""
    monkeypatch.delenv("MPLBACKEND", raising=False)


@pytest.fixture(scope="session")
def tiny_catalogue(tmp_path_factory):
    """Drawn once for all processes of a test run: `write` itself makes sure of that."""
    from course import catalogue

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return Path(catalogue.write(shared / "tiny_catalogue", n_images=150, size=64, progress=False, n_probe=16))


def pytest_terminal_summary(terminalreporter):
    """What tests counted, by `record_property("any input, tried", 12)`, added up over all processes."""
    sums = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            is_call = getattr(report, "when", "") == "call"  # setup and teardown report the same once more
            for name, value in report.user_properties if is_call else ():
                if name.startswith("any input, "):
                    sums[name.removeprefix("any input, ")] = sums.get(name.removeprefix("any input, "), 0) + value
    if sums:
        words = ", ".join(f"{value:,} {name}" for name, value in sums.items())
        terminalreporter.write_line(f"odd arguments to functions of lib: {words}")
