"""`tillgate db`: what is printed, and what a script can rely on."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import sqlite3
import subprocess
from datetime import datetime, timedelta

import pytest

from tests.store.archive_side import sold
from tests.store.filler import fill
from tests.store.store_side import opener, opening, with_store
from tests.store.test_trim import filled
from tillgate.cli import main
from tillgate.cli.db_commands import ARCHIVE_DAYS_MIN, DAYS_MIN
from tillgate.core.pacing import ALIPAY_PLUS
from tillgate.store import archive, migrate, trim
from tillgate.store.migrate import HEAD
from tillgate.store.sqlite import open_sqlite


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs a command; progress is not told, also where the machine is slow."""
    monkeypatch.setattr("tillgate.cli.db.SAY_EVERY_S", 3600.0)

    def command(*words):
        status = main(["db", *map(str, words)])
        return status, *capsys.readouterr()

    return command


SINCE_0008 = (
    *(
        f"DROP INDEX IF EXISTS {name}"
        for name in (
            "ix_refund_status",
            "ix_refund_refund_id",
            "ix_payment_not_well",
            "ix_payment_event_alert",
            "ix_refund_event_alert",
        )
    ),
    *("DROP TABLE account", "DROP TABLE session"),
)
"""What later migrations made is gone."""


def set_back(path, revision):
    with sqlite3.connect(path) as connection:
        for statement in SINCE_0008:
            connection.execute(statement)
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.close()


def test_an_upgrade_is_planned_done_and_then_has_nothing_to_do(run, tmp_path):
    path = tmp_path / "a.db"
    migrate.upgrade(path)
    set_back(path, "0008")
    before = path.read_bytes()
    status, out, _ = run("upgrade", "--plan", "--store", f"sqlite:{path}")
    assert (status, out.splitlines()[0]) == (0, f"schema 0008 -> {HEAD}")
    assert "0009  Refunds are found by their status" in out
    assert "(only adds)" in out
    assert "stop it first" in out
    assert path.read_bytes() == before
    status, out, _ = run("upgrade", "--store", f"sqlite:{path}")
    assert (status, out.splitlines()[-1]) == (0, f"schema {HEAD}")
    assert run("upgrade", "--store", f"sqlite:{path}") == (0, f"schema {HEAD}: nothing to do\n", "")


def test_an_upgrade_of_postgresql_says_who_may_go_on(run, postgres):
    url = postgres.migrated()
    name = url.split("@/")[1].split("?")[0]
    back = "UPDATE alembic_version SET version_num = '{}'"
    postgres.sql(*SINCE_0008, back.format("0008"), database=name)
    status, out, _ = run("upgrade", "--plan", "--store", url)
    assert status == 0
    assert "Nodes of the release before go on to serve meanwhile" in out
    assert run("upgrade", "--store", url)[0] == 0
    assert run("check", "--store", url)[0] == 0
    postgres.sql(back.format("0006"), database=name)
    assert "Stop every node first" in run("upgrade", "--plan", "--store", url)[1]


def test_a_file_in_use_is_not_upgraded(run, tmp_path):
    path = tmp_path / "a.db"

    store = open_sqlite(path)
    set_back(path, "0008")
    status, _, err = run("upgrade", "--store", f"sqlite:{path}")
    asyncio.run(store.close())
    assert status == 2
    assert "in use by another tillgate process" in err
    assert migrate.revision_of(path) == "0008"


def test_a_check_says_all_and_exits_1_when_something_is_wrong(run, tmp_path):
    path = tmp_path / "a.db"
    with_store(lambda: open_sqlite(path), lambda store: store.open(opening(1)))
    status, out, _ = run("check", "--store", f"sqlite:{path}")
    assert (status, out.splitlines()[0], out.splitlines()[-1]) == (
        0,
        f"ok     schema {HEAD}",
        "nothing is wrong",
    )
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE payment SET reserved = 5")
    connection.close()
    status, out, _ = run("check", "--store", f"sqlite:{path}")
    assert (status, out.splitlines()[-1]) == (1, "wrong: 1")
    assert "WRONG  payment pay_00001: it says 5 reserved, its refunds say 0" in out
    status, out, _ = run("check", "--json", "--store", f"sqlite:{path}")
    told = [json.loads(line) for line in out.splitlines()]
    assert [each["finding"][:7] for each in told if each["wrong"]] == ["payment"]


def test_a_check_of_what_is_not_there_exits_1(run, tmp_path):
    for store, words in (
        (f"sqlite:{tmp_path / 'none.db'}", "is not there"),
        ("postgresql://127.0.0.1:1/none", "cannot be reached"),
    ):
        status, out, err = run("check", "--store", store)
        assert (status, out) == (1, "")
        assert words in err


def test_the_store_of_the_settings_is_meant(run, tmp_path, monkeypatch):
    path = tmp_path / "here" / "a.db"
    path.parent.mkdir()
    migrate.upgrade(path)
    settings = tmp_path / "here" / "tillgate.toml"
    settings.write_text('[gateway]\nstore = "sqlite:a.db"\nlog_level = "nonsense"\n')
    status, out, err = run("upgrade", "--settings", settings)
    assert (status, out, err) == (0, f"schema {HEAD}: nothing to do\n", "")
    monkeypatch.setenv("TILLGATE_STORE", f"sqlite:{tmp_path / 'none.db'}")
    assert "schema none" in run("upgrade", "--plan", "--settings", settings)[1]


@pytest.mark.parametrize("store", ["mysql://h/db", "sqlite:", "postgresql://:secret@/x?host="])
def test_a_store_that_is_none_is_said_without_its_password(run, store):
    status, out, err = run("check", "--store", store)
    assert (status, out) == (2, "")
    assert "the store" in err
    assert "secret" not in err


def test_a_copy_tells_its_counts_and_where_to_go_on(run, tmp_path, postgres):
    path, url = tmp_path / "a.db", postgres.database()
    fill(path, 12)
    status, out, err = run("copy", path, url)
    assert (status, err) == (0, "")
    assert f"{12:>12}  payment_event" in out
    assert "rows are the same in postgresql://" in out
    status, _, err = run("copy", path, url)
    assert status == 1
    assert "holds data already" in err


def test_a_trim_removes_what_is_old_and_says_how_much(run, tmp_path):
    path = tmp_path / "a.db"
    with_store(lambda: open_sqlite(path), filled)
    status, out, err = run("trim", "--older-than", "7", "--store", f"sqlite:{path}")
    assert (status, err) == (0, "")
    told = {line.split()[1]: line.split()[0] for line in out.splitlines()}
    # Filled for a January that is long over: all of it is old but what waits.
    assert told == {"webhook_delivery": "5", "webhook_attempt": "5", "merchant_event": "5"}
    assert run("check", "--store", f"sqlite:{path}")[0] == 0
    status, _, err = run("trim", "--store", f"sqlite:{tmp_path / 'none.db'}")
    assert (status, "is not there" in err) == (1, True)
    assert not (tmp_path / "none.db").exists()
    set_back(path, "0008")
    status, _, err = run("trim", "--store", f"sqlite:{path}")
    assert (status, "tillgate db upgrade" in err) == (1, True)
    assert migrate.revision_of(path) == "0008"


def sell(path, count=3):
    async def work(store):
        for number in range(1, count + 1):
            await sold(store, number)

    with_store(lambda: open_sqlite(path), work)


def counts(out):
    return [int(line.split()[0].replace(",", "")) for line in out.splitlines()[:3]]


def test_an_archive_is_planned_made_and_then_has_nothing_to_do(run, tmp_path):
    path, folder = tmp_path / "a.db", tmp_path / "new" / "archive"
    sell(path)
    for _ in range(2):
        status, out, err = run("archive", "--plan", "--store", f"sqlite:{path}")
        assert (status, err, counts(out)) == (0, "", [3, 0, 3])
    assert not folder.exists()
    status, out, err = run("archive", "--to", folder, "--store", f"sqlite:{path}")
    assert (status, err, counts(out)) == (0, "", [3, 0, 3])
    [file] = folder.iterdir()
    assert out.splitlines()[3:] == [
        f"in {file}",
        f"To read one: zgrep -h pay_... {file}",
    ]
    assert re.fullmatch(r"tillgate-archive-[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}\.jsonl\.gz", file.name)
    done = subprocess.run(
        ["zgrep", "-h", "pay_00002", file], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["history"][1]["detail"]["payment_id"] == "p2"
    header = json.loads(gzip.decompress(file.read_bytes()).partition(b"\n")[0])
    assert header["schema"] == HEAD
    made, bound = (datetime.fromisoformat(header[name]) for name in ("made_at", "bound"))
    assert made - bound == timedelta(days=400)
    assert run("check", "--store", f"sqlite:{path}")[0] == 0
    status, out, _ = run("archive", "--to", folder, "--store", f"sqlite:{path}")
    assert (status, counts(out), len(out.splitlines())) == (0, [0, 0, 0], 3)
    assert list(folder.iterdir()) == [file]


def test_an_archive_of_postgresql_beside_a_gateway(run, tmp_path, postgres):
    url = postgres.migrated()

    async def work(store):
        await sold(store, 1)
        await sold(store, 2)
        to = ("archive", "--to", tmp_path, "--store", url)
        done = await asyncio.to_thread(run, *to)
        await sold(store, 3)
        return done

    status, out, _ = with_store(opener(url), work)
    assert (status, counts(out)) == (0, [2, 0, 2])
    assert run("check", "--store", url)[0] == 0


def test_a_plan_is_told_beside_a_gateway_and_an_archive_wants_the_file(run, tmp_path):
    path = tmp_path / "a.db"
    sell(path)
    store = open_sqlite(path)
    planned = run("archive", "--plan", "--store", f"sqlite:{path}")
    status, _, err = run("archive", "--to", tmp_path / "new", "--store", f"sqlite:{path}")
    asyncio.run(store.close())
    assert (planned[0], counts(planned[1])) == (0, [3, 0, 3])
    assert (status, "in use by another tillgate process" in err) == (1, True)
    assert not (tmp_path / "new").exists()


def test_an_archive_that_cannot_be_written_or_read_exits_1(run, tmp_path):
    path = tmp_path / "a.db"
    sell(path)
    (tmp_path / "file").touch()
    status, out, err = run("archive", "--to", tmp_path / "file", "--store", f"sqlite:{path}")
    assert (status, counts(out)) == (1, [0, 0, 0])
    assert "cannot be made: File exists" in err
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM payment_event").fetchone() == (6,)
    connection.close()
    for words in (("--plan",), ("--to", tmp_path / "new")):
        status, _, err = run("archive", *words, "--store", f"sqlite:{tmp_path / 'none.db'}")
        assert (status, "is not there" in err) == (1, True)
    set_back(path, "0008")
    for words in (("--plan",), ("--to", tmp_path / "new")):
        status, _, err = run("archive", *words, "--store", f"sqlite:{path}")
        assert (status, "tillgate db upgrade" in err) == (1, True)
    assert migrate.revision_of(path) == "0008"
    assert not (tmp_path / "new").exists()


def test_an_archive_says_what_it_left_because_a_step_is_missing(run, tmp_path):
    path = tmp_path / "a.db"
    sell(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE payment SET version = 3 WHERE payment_request_id = 'pay_00002'")
    connection.close()
    status, out, _ = run("archive", "--to", tmp_path, "--store", f"sqlite:{path}")
    assert (status, counts(out)) == (0, [2, 0, 2])
    assert "1  left as they are, for a step is missing: see tillgate db check (pay_00002)" in out


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--plan", "--to", "x"),
        ("--plan", "--older-than", "399"),
        ("--plan", "--older-than", "x"),
    ],
)
def test_an_archive_of_what_is_young_or_to_nowhere_is_used_wrongly(run, words):
    with pytest.raises(SystemExit) as stopped:
        run("archive", *words)
    assert stopped.value.code == 2


@pytest.mark.parametrize("days", ["6", "0", "-1", "x", "9999999"])
def test_a_trim_of_what_is_young_is_used_wrongly(run, days):
    with pytest.raises(SystemExit) as stopped:
        run("trim", "--older-than", days)
    assert stopped.value.code == 2


def test_the_youngest_day_is_that_of_the_store():
    assert timedelta(days=DAYS_MIN) == trim.YOUNGEST
    assert timedelta(days=ARCHIVE_DAYS_MIN) == archive.YOUNGEST
    assert ALIPAY_PLUS.refund_window < archive.YOUNGEST


@pytest.mark.parametrize("turned", [True, False])
def test_a_copy_the_wrong_way_round_is_used_wrongly(run, tmp_path, turned):
    url = "postgresql://u:secret@127.0.0.1/x"
    words = (url, tmp_path / "a.db") if turned else (tmp_path / "a.db", tmp_path / "b.db")
    status, _, err = run("copy", *words)
    assert status == 2
    assert "from a SQLite file to a PostgreSQL database" in err
    assert "secret" not in err
