"""The patches stay true to the code; `make mutants` runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutations.__main__ import ROOT, apply, mutants


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_a_patch_applies_and_says_what_has_to_notice_it(mutant):
    done = apply(mutant, ROOT, "--check")
    assert done.returncode == 0, done.stderr
    assert mutant.bug.endswith(".")
    first, *more = mutant.catcher.split()
    if first == "simulate":
        depth, payments = more
        assert depth in ("core", "gateway")
        assert int(payments) > 0
    else:
        assert Path(ROOT, first).is_file()
