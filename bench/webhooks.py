"""From the commit of an event to the arrival of its webhook's first attempt, over real sockets.

One process: a SQLite file, the deliverer as wiring builds it, a receiver that answers at once. The
first figure is for events that this process committed, the second for those of another node, which
are found by looking. With `--dead N`, so many other endpoints never answer meanwhile.

    python -m bench.webhooks
    python -m bench.webhooks --events 5000 --per-second 200 --dead 100
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

import msgspec

from tillgate.clock import SystemClock
from tillgate.core.model import PaymentRequestId
from tillgate.core.webhook_address import AddressPolicy
from tillgate.gateway.sealing import Sealer
from tillgate.gateway.webhook_office import WebhookOffice
from tillgate.gateway.webhooks import Deliverer
from tillgate.ids import draw_permille, new_id, new_secret
from tillgate.store import MerchantEvent, Sql, Store
from tillgate.store.rows import merchant_event_values
from tillgate.store.sqlite import INSERT_MERCHANT_EVENT, open_sqlite
from tillgate.store.webhooks import INSERT_DELIVERIES, delivery_values
from tillgate.webhook_transport import HttpWebhookTransport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BODY = msgspec.json.encode({"id": "pay", "filler": "x" * 700})
arrived: dict[str, float] = {}


async def good(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
            now = time.monotonic()
            fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
            arrived.setdefault(fields["webhook-id"], now)
            await reader.readexactly(int(fields["content-length"]))
            writer.write(OK)
    except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
        writer.close()


async def dead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.read()
    except asyncio.CancelledError:
        writer.close()


async def tell(store: Store, merchant: str, number: int) -> tuple[str, float]:
    event = MerchantEvent(
        event_id=f"evt_{merchant.lower()}_{number}",
        merchant_id=merchant,
        store_id="S",
        terminal_id="T",
        payment_request_id=PaymentRequestId(f"pay_{merchant}_{number}"),
        refund_request_id=None,
        sequence=1,
        type="payment.succeeded",
        at=SystemClock().now(),
        body=BODY,
    )

    def work():
        yield Sql(INSERT_MERCHANT_EVENT, merchant_event_values(event))
        yield Sql(INSERT_DELIVERIES, delivery_values(event))

    await store.transact(work)
    return event.event_id, time.monotonic()


def figures(committed: dict[str, float]) -> dict[str, float]:
    lags = sorted((arrived[name] - at) * 1000 for name, at in committed.items())
    return {
        "events": len(lags),
        "p50_ms": round(lags[len(lags) // 2], 1),
        "p99_ms": round(lags[len(lags) * 99 // 100], 1),
        "max_ms": round(lags[-1], 1),
    }


async def all_arrived(committed: dict[str, float]) -> None:
    while not committed.keys() <= arrived.keys():  # noqa: ASYNC110 -- a stop-watch, not a part
        await asyncio.sleep(0.01)


async def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, object]:
    store = open_sqlite(folder / "bench.sqlite3")
    clock, sealer = SystemClock(), Sealer(bytes(32), new_secret)
    transport = HttpWebhookTransport(AddressPolicy(allows_local=True))
    deliverer = Deliverer(store, transport, sealer, clock, draw_permille)
    office = WebhookOffice(
        store=store,
        transport=transport,
        sealer=sealer,
        clock=clock,
        draw_id=new_id,
        draw_key=new_secret,
        nudge=deliverer.nudge,
    )
    servers = [await asyncio.start_server(take, "127.0.0.1", 0) for take in (good, dead)]
    good_port, dead_port = (server.sockets[0].getsockname()[1] for server in servers)
    await deliverer.start()
    await office.create("GOOD", f"http://127.0.0.1:{good_port}/", None, None)
    for number in range(arguments.dead):
        await office.create(f"D{number}", f"http://127.0.0.1:{dead_port}/", None, None)
    told: dict[str, object] = {"dead_endpoints": arguments.dead, "per_second": arguments.per_second}
    cpu = time.process_time()
    for name, is_own in (("committed_here", True), ("committed_elsewhere", False)):
        committed = {}
        for number in range(arguments.events):
            if arguments.dead:
                await tell(store, f"D{number % arguments.dead}", 2 * number + is_own)
            event_id, at = await tell(store, "GOOD", 2 * number + is_own)
            committed[event_id] = at
            if is_own:
                deliverer.nudge()
            await asyncio.sleep(1 / arguments.per_second)
        await asyncio.wait_for(all_arrived(committed), 30)
        told[name] = figures(committed)
    told["cpu_ms_per_event"] = round((time.process_time() - cpu) * 1000 / 2 / arguments.events, 2)
    for server in servers:
        server.close()
    # What never answers is not waited for.
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.sleep(0.1)
    await transport.close()
    await store.close()
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--per-second", type=int, default=100)
    parser.add_argument("--dead", type=int, default=0)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asyncio.run(measure(parser.parse_args(), Path(folder))), indent=2))


if __name__ == "__main__":
    main()
