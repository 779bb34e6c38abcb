"""The leanest program that does only the unavoidable work of a payment: the yardstick.

It reads the till's request, makes the payment durable, signs and sends the pay, checks the answer,
makes it durable, answers the till, and checks and acknowledges the notification. Both commits are
grouped. Two forms: on the libraries that the gateway uses (raw ASGI on uvicorn, aiohttp, asyncpg,
sqlite3), and on raw sockets. `bench.whole_path` runs it; alone it serves until its input closes.

    python -m bench.bare --form sockets --store bare.sqlite3 --settings tillgate.toml
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn
import uvloop
from yarl import URL

from bench import bare_sockets, bare_store
from bench.bare_work import NOTIFY_PATH, PAY_PATH, Settings, Signed, Store, Work

_JSON = (b"content-type", b"application/json")


class Libraries:
    """An ASGI application and an aiohttp session."""

    work: Work

    def __init__(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._url = URL(settings.base_url + PAY_PATH)
        self._client_id = settings.client_id
        self._client = (b"client-id", settings.client_id.encode())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        body = message["body"]
        while message["more_body"]:
            message = await receive()
            body += message["body"]
        if scope["path"] == NOTIFY_PATH:
            headers = dict(scope["headers"])
            received = Signed(headers[b"request-time"], headers[b"signature"], body)
            signed_at, signature, answer = await self.work.notified(received)
            status, more = 200, [self._client, (b"response-time", signed_at)]
            more.append((b"signature", signature))
        else:
            answer = await self.work.sale(body, self._post)
            status, more = 201, []
        length = b"content-length", b"%d" % len(answer)
        await send(
            {"type": "http.response.start", "status": status, "headers": [_JSON, length, *more]}
        )
        await send({"type": "http.response.body", "body": answer})

    async def _post(self, message: Signed) -> Signed:
        headers = {
            "Content-Type": "application/json; charset=UTF-8",
            "Client-Id": self._client_id,
            "Request-Time": message.time.decode(),
            "Signature": message.signature.decode(),
        }
        async with self._session.post(self._url, data=message.body, headers=headers) as response:
            body = await response.read()
        found = response.headers
        return Signed(found["Response-Time"].encode(), found["Signature"].encode(), body)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_libraries(settings: Settings, store: Store, ended: asyncio.Event) -> None:
    connector = aiohttp.TCPConnector(limit=256)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
    ) as session:
        bare = Libraries(settings, session)
        config = uvicorn.Config(
            bare,
            host="127.0.0.1",
            port=0,
            http="httptools",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110  (uvicorn has no event for it)
            await asyncio.sleep(0.01)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        bare.work = Work(settings, store, url + NOTIFY_PATH)
        print("bare on", url, flush=True)
        await ended.wait()
        server.should_exit = server.force_exit = True
        await serving


def until_stdin_closes(loop: asyncio.AbstractEventLoop) -> asyncio.Event:
    """Set when whoever started this process is gone, or wants it to end."""
    ended = asyncio.Event()

    def wait() -> None:
        sys.stdin.buffer.read()
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait, daemon=True).start()
    return ended


async def serve(arguments: argparse.Namespace) -> None:
    settings = Settings.read(arguments.settings)
    store = await bare_store.start(arguments.store)
    ended = until_stdin_closes(asyncio.get_running_loop())
    form = serve_libraries if arguments.form == "libraries" else bare_sockets.serve
    await form(settings, store, ended)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--form", choices=("libraries", "sockets"), required=True)
    parser.add_argument("--store", required=True, help="a file, or a PostgreSQL URL")
    parser.add_argument("--settings", type=Path, required=True, help="`tillgate keys new` wrote it")
    gc.freeze()
    gc.set_threshold(10_000)  # as the gateway: a yardstick that has less of it would be slow
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
