"""For all tests: no time limit on single Hypothesis examples, which a busy machine would miss; the
seed that is drawn anew; and no test leaves its log to the next.
"""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.postgres_side import postgres
from tests.simulation.corpus import FRESH

__all__ = ["postgres"]

settings.register_profile("tillgate", deadline=None)
settings.load_profile("tillgate")


def pytest_report_header() -> str:
    """The one thing in a run of the tests that no other run has."""
    return f"simulation: the fresh seed is {FRESH}"


@pytest.fixture(autouse=True)
def log_of_this_test_only() -> Iterator[None]:
    """A command run inside a test logs to that test's own, captured, standard error."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
