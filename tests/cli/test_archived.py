"""A payment whose history is archived, as tills, merchants and people meet it: the whole gateway,
its real database, before and after.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import UTC, datetime

from tests.cli.test_refund import till  # noqa: F401
from tests.store.archive_side import lines, wrong
from tests.store.archive_side import run as archived
from tests.support import API_KEY, CODE, SEAL_KEY, ScriptedNetwork, gateway, order
from tests.web.test_refunds_api import Network, pay
from tillgate.store.sqlite import open_sqlite

LATER = datetime(2099, 1, 1, tzinfo=UTC)
"""What the tests do is long over by then."""


def through(tmp_path, before, after):
    """Run `before` against a gateway, archive with none there, run `after` against the next one."""

    async def whole():
        async with ScriptedNetwork(Network()).running() as network:
            async with gateway(tmp_path, network.url) as api:
                first = await before(api)
            store = open_sqlite(tmp_path / "tillgate.sqlite3")
            moved, file = await archived(store, tmp_path, bound=LATER)
            await store.close()
            async with gateway(tmp_path, network.url) as api:
                second = await after(api, first)
            store = open_sqlite(tmp_path / "tillgate.sqlite3")
            assert await wrong(store) == []
            await store.close()
            return first, moved, file, second

    return asyncio.run(whole())


def test_all_goes_on_with_a_payment_whose_history_is_archived(tmp_path, till):  # noqa: F811
    async def before(api):
        payment = await pay(api)
        assert (await till(api, "refund", payment, "--amount", "JPY:30"))[0] == 0
        return payment

    async def after(api, payment):
        _, told = await api.get(f"/v1/payments/{payment}/events")
        shown = await till(api, "show", payment, "--events")
        # The same request again, a year too late: nothing is charged anew.
        again = await api.post(order(order="order-1", value=100), "key-1", wait=10)
        rest = await till(api, "refund", payment, "--json")
        _, later = await api.get(f"/v1/payments/{payment}/events")
        return told["events"], shown, again, rest, later["events"]

    payment, moved, file, after_it = through(tmp_path, before, after)
    told, (status, out, _), again, rest, later = after_it
    assert (moved.payments, moved.refunds) == (1, 1)
    [row] = told
    assert (row["version"], row["kind"], row["status"]) == (4, "archived", "SUCCEEDED")
    assert row["detail"] == {"steps": 4, "file": file.name}
    assert status == 0
    assert f"archived             SUCCEEDED  steps=4 file={file.name}\n" in out
    assert (again[0], again[1]["id"], again[1]["status"]) == (200, payment, "SUCCEEDED")
    assert json.loads(rest[1])["amount"]["value"] == 70
    assert [(each["version"], each["kind"]) for each in later] == [
        (4, "archived"),
        (5, "refund_reserved"),
        (6, "refund_succeeded"),
    ]


def test_a_file_holds_no_code_no_key_and_nothing_sealed(tmp_path):
    async def before(api):
        return await pay(api)

    async def after(api, payment):
        return None

    _, _, file, _ = through(tmp_path, before, after)
    assert len(lines(file.path)) == 1
    text = gzip.decompress(file.path.read_bytes())
    for secret in (CODE, CODE[6:-2], API_KEY, SEAL_KEY.hex(), "pay_body", "fingerprint"):
        assert secret.encode() not in text
    assert b'"code_masked":"281006****************12"' in text
