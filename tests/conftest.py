"""For all tests: no time limit on single Hypothesis examples, which a busy machine would miss."""

from hypothesis import settings

settings.register_profile("tillgate", deadline=None)
settings.load_profile("tillgate")
