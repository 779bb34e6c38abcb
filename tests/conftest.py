"""For all tests: no time limit on single Hypothesis examples, which a busy machine would miss; and
the seed that is drawn anew.
"""

from hypothesis import settings

from tests.postgres_side import postgres
from tests.simulation.corpus import FRESH

__all__ = ["postgres"]

settings.register_profile("tillgate", deadline=None)
settings.load_profile("tillgate")


def pytest_report_header() -> str:
    """The one thing in a run of the tests that no other run has."""
    return f"simulation: the fresh seed is {FRESH}"
