"""Schema, migrations and raw statements say the same."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from tillgate.core.errors import StoreError
from tillgate.store import migrate, refunds, rows, schema, sqlite
from tillgate.store.statements import REQUEST_COLUMNS


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "test.sqlite3"
    migrate.upgrade(path)
    return path


def test_the_migrations_make_exactly_the_metadata(database):
    engine = create_engine(f"sqlite:///{database}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, schema.metadata) == []
    engine.dispose()


def test_head_is_the_newest_migration():
    folder = Path(migrate.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == migrate.HEAD


def test_upgrading_twice_changes_nothing(database):
    before = database.read_bytes()
    migrate.upgrade(database)
    assert database.read_bytes() == before


def test_an_upgrade_that_dies_in_the_middle_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    """All of an upgrade is one transaction; a second start does the whole of it."""
    path = tmp_path / "test.sqlite3"

    def dies(*args, **more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        # The last table of the first migration is never made.
        patched.setattr("alembic.op.create_table", stopping_at("unmatched_notification", dies))
        with pytest.raises(KeyboardInterrupt):
            migrate.upgrade(path)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    connection.close()
    migrate.upgrade(path)
    assert migrate.revision_of(path) == migrate.HEAD


def stopping_at(table, dies):
    from alembic import op

    real = op.create_table
    return lambda name, *args, **more: (dies if name == table else real)(name, *args, **more)


def test_a_database_of_a_newer_release_is_refused(database):
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreError, match="newer release"):
        migrate.upgrade(database)


def statements() -> dict[str, str]:
    verbs = ("INSERT", "UPDATE", "SELECT")
    return {
        name: value
        for name, value in (vars(sqlite) | vars(refunds)).items()
        if isinstance(value, str) and name.startswith(verbs)
    }


@pytest.mark.parametrize("name", sorted(statements()))
def test_every_raw_statement_is_prepared_at_the_head_revision(database, name):
    statement = statements()[name]
    connection = sqlite3.connect(database)
    connection.execute(f"EXPLAIN {statement}", (None,) * statement.count("?"))
    connection.close()


def test_the_raw_columns_are_the_tables():
    raw = set(rows.PAYMENT_COLUMNS) | set(REQUEST_COLUMNS)
    assert raw == set(schema.payment.columns.keys())
    of_refunds = refunds.ASKED_COLUMNS + refunds.REFUND_STATE_COLUMNS + refunds.REQUEST_COLUMNS
    assert set(of_refunds) == set(schema.refund.columns.keys())


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("SELECT_PAYMENT", "PRIMARY KEY"),
        ("UPDATE_PAYMENT", "PRIMARY KEY"),
        ("SELECT_BODY", "PRIMARY KEY"),
        ("SELECT_BY_KEY", "INDEX"),
        ("SELECT_BY_ORDER", "INDEX"),
        ("SELECT_WAITING", "ix_payment_next_action_at"),
        ("SELECT_HISTORY", "PRIMARY KEY"),
        ("SELECT_REFUND", "PRIMARY KEY"),
        ("UPDATE_REFUND", "PRIMARY KEY"),
        ("UPDATE_OF_PAYMENT", "PRIMARY KEY"),
        ("SELECT_REFUND_BY_KEY", "INDEX"),
        ("SELECT_REFUNDS", "ix_refund_payment"),
        ("SELECT_WAITING_REFUNDS", "ix_refund_next_action_at"),
        ("SELECT_REFUND_HISTORY", "PRIMARY KEY"),
    ],
)
def test_no_statement_scans_the_table(database, name, index):
    statement = statements()[name]
    connection = sqlite3.connect(database)
    plan = connection.execute(
        f"EXPLAIN QUERY PLAN {statement}", (None,) * statement.count("?")
    ).fetchall()
    connection.close()
    assert index in plan[0][3], plan
