"""Pages of the console whose troubles need no browser to be seen."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3

import aiohttp
import pytest

from tests.left_behind import leave
from tests.support import gateway
from tillgate.transport import ConnectionBroke, fetch_json

SILENT = "http://127.0.0.1:1"


async def seen(api, path):
    """What an operator of the demonstration sees."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        html = {"Accept": "text/html"}
        async with session.get(f"{api.admin_url}/sign-in?next={path}", headers=html) as answer:
            return answer.status, await answer.text()


def test_a_sandbox_that_is_away_is_said_to_be_so(tmp_path):
    async def work():
        async with gateway(tmp_path, SILENT, is_demo=True) as api:
            return await seen(api, "/console/sandbox")

    status, text = asyncio.run(work())
    assert status == 200
    assert f"No answer from <code>{SILENT}" in text


def test_a_database_that_is_away_is_told_in_a_sentence(tmp_path):
    """Whoever looks at a page gets a page, with the way to try again; a program its problem."""

    async def work():
        async with gateway(tmp_path, SILENT, is_demo=True) as api:
            await asyncio.to_thread(hide, tmp_path / "tillgate.sqlite3", "account")
            page = await seen(api, "/console")
            async with api.session.get(f"{api.admin_url}/sign-in") as answer:
                return page, (answer.status, answer.content_type, answer.headers["Retry-After"])

    (status, text), program = asyncio.run(work())
    assert status == 503
    assert "Not available just now" in text
    assert "Nothing is lost: try again." in text
    assert "Idempotency-Key" not in text
    assert program == (503, "application/problem+json", "1")


def hide(file, table):
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute(f"ALTER TABLE {table} RENAME TO hidden")


def test_what_is_no_json_or_no_answer_is_a_broken_connection():
    async def says(answer):
        async def take(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(take, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        async with server:
            return await fetch_json(f"http://{host}:{port}/", 5)

    good = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
    assert asyncio.run(says(good)) == []
    for bad in (good[:-1] + b"!", b"", b"HTTP/1.1 500 So\r\nContent-Length: 2\r\n\r\n[]"):
        with pytest.raises(ConnectionBroke):
            asyncio.run(says(bad))


def test_an_alert_waits_for_a_person_until_a_week_is_over(tmp_path):
    async def work(age_s):
        folder = tmp_path / str(age_s)
        folder.mkdir()
        await leave(folder, [(1, "pay S")], age_s)
        alert = b'{"alerts":["paid twice, <b>says the network</b>"]}'
        with contextlib.closing(sqlite3.connect(folder / "tillgate.sqlite3")) as connection:
            connection.execute("UPDATE payment_event SET detail = ? WHERE version = 2", (alert,))
            connection.commit()
        async with gateway(folder, SILENT, is_demo=True) as api:
            return (await seen(api, "/console/attention"))[1]

    text = asyncio.run(work(1000))
    assert "paid twice, &lt;b&gt;says the network" in text
    assert 'href="/console/payments/pay_01"' in text
    assert '<span class="count">1<' in text
    assert "Nothing waits for a person" in asyncio.run(work(8 * 86400))
