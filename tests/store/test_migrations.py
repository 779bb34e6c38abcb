"""Schema, migrations and raw statements say the same."""

from __future__ import annotations

import io
import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from tests.store.additions import not_additions
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
    of_payment = refunds.select_refunds(1, before="ref_1", payment_request_id="pay_1")
    of_status = refunds.select_refunds(1, before=None, status="UNRESOLVED")
    return {
        name: value
        for name, value in (vars(sqlite) | vars(refunds)).items()
        if isinstance(value, str) and name.startswith(verbs)
    } | {"SELECT_REFUNDS": of_payment.text, "SELECT_REFUNDS_OF_STATUS": of_status.text}


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
        ("INSERT_PAYMENT", "ix_payment_order"),
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
        ("SELECT_REFUNDS_OF_STATUS", "ix_refund_status"),
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
    reads = [row[3] for row in plan if " payment" in row[3] or " refund" in row[3]]
    assert [index in read for read in reads] == [True] * len(reads) != [], plan


REVISIONS = sorted(
    ScriptDirectory(str(migrate.MIGRATIONS)).walk_revisions(), key=lambda each: each.revision
)


@pytest.mark.parametrize("revision", REVISIONS[1:], ids=lambda each: each.revision)
def test_a_migration_only_adds_or_says_that_it_does_not(revision):
    """While a release is rolled out, nodes of the one before serve on with the new schema."""
    if revision.revision > migrate.SHARED_SINCE:
        assert isinstance(revision.module.only_adds, bool)
        if not revision.module.only_adds:
            return
    written = io.StringIO()
    config = Config(output_buffer=written)
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    command.upgrade(config, f"{revision.down_revision}:{revision.revision}", sql=True)
    assert "UPDATE alembic_version" in written.getvalue()
    assert not_additions(written.getvalue()) == []


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE payment DROP COLUMN status",
        "ALTER TABLE payment RENAME COLUMN status TO state",
        "ALTER TABLE payment RENAME TO sale",
        "ALTER TABLE payment ADD COLUMN colour TEXT NOT NULL",
        "ALTER TABLE payment ADD COLUMN colour TEXT UNIQUE",
        "ALTER TABLE payment ADD COLUMN colour TEXT DEFAULT 'red' CHECK (colour = 'red')",
        "ALTER TABLE payment ALTER COLUMN payment_id SET NOT NULL",
        "ALTER TABLE payment ALTER COLUMN version TYPE BIGINT",
        "ALTER TABLE payment ADD CONSTRAINT positive CHECK (amount > 0)",
        "CREATE UNIQUE INDEX one ON payment (payment_id)",
        "DROP TABLE payment",
        "DROP INDEX ix_payment_order",
        "UPDATE payment SET status = 'PAID'",
        "DELETE FROM payment",
        "CREATE TRIGGER strict BEFORE INSERT ON payment",
    ],
)
def test_what_gets_in_the_way_of_the_release_before_is_no_addition(statement):
    assert not_additions(f"BEGIN;\nCREATE TABLE other (id INT);\n{statement};\nCOMMIT;") == [
        statement
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE payment ADD COLUMN colour TEXT",
        "ALTER TABLE payment ADD COLUMN colour TEXT DEFAULT 'red' NOT NULL",
        "CREATE INDEX ix ON payment (payment_id)",
        "CREATE UNIQUE INDEX one ON other (id)",
    ],
)
def test_what_the_release_before_never_meets_is_an_addition(statement):
    assert not_additions(f"CREATE TABLE other (id INT); {statement};") == []


def test_a_schema_can_be_used_since_the_newest_migration_that_does_more_than_add():
    assert migrate.SHARED_SINCE <= migrate.oldest_usable() <= migrate.HEAD
