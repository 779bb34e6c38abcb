"""The database of each engine, for every test of this folder that asks for it."""

from pathlib import Path

import pytest

from tests.postgres_side import Server
from tests.store.store_side import OpenStore, opener
from tillgate.store.sqlite import open_sqlite


@pytest.fixture(params=["sqlite", "postgres"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """The pooled form of PostgreSQL is the stores' own suite's."""
    if request.param == "sqlite":
        return lambda: open_sqlite(tmp_path / "test.sqlite3")
    server: Server = request.getfixturevalue("postgres")
    return opener(server.migrated())
