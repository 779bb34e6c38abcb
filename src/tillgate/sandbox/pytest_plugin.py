"""Fixtures for any project's tests, found by pytest on its own once the package is installed.

`sandbox` is fresh for each test, `scanned_code` a code that a customer of it shows. Override
`sandbox_options` to start it otherwise; mark a test with `scanned_code(wallet="gcash")` for another
customer. Nothing heavy is imported before the first test that asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tillgate.sandbox.embedded import Sandbox


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known to `--strict-markers`."""
    config.addinivalue_line(
        "markers",
        "scanned_code(wallet, customer, kind, length, play): whose code `scanned_code` is",
    )


@pytest.fixture
def sandbox_options() -> dict[str, Any]:
    """Arguments of `tillgate.sandbox.embedded.Sandbox`; override it."""
    return {}


@pytest.fixture
def sandbox(sandbox_options: dict[str, Any]) -> Iterator[Sandbox]:
    """Alipay+ and the wallets, for this test alone."""
    from tillgate.sandbox.embedded import Sandbox

    with Sandbox(**sandbox_options) as started:
        yield started


@pytest.fixture
def scanned_code(request: pytest.FixtureRequest, sandbox: Sandbox) -> str:
    """A fresh payment code, as the scanner reads it."""
    mark = request.node.get_closest_marker("scanned_code")
    return sandbox.code(**(mark.kwargs if mark else {}))
