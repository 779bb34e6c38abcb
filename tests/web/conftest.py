"""The database that a gateway of these tests runs on: each engine in turn, where a test asks."""

from collections.abc import Iterator

import pytest

from tests import support
from tests.postgres_side import Server
from tillgate.store.postgres_url import read_postgres_url


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Iterator[None]:
    """Gateways of this test use this engine; those of one test share one database."""
    if request.param == "sqlite":
        yield
        return
    server: Server = request.getfixturevalue("postgres")
    set_back = support.STORE.set(read_postgres_url(server.migrated()))
    yield
    support.STORE.reset(set_back)
