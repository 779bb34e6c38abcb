"""The acquirer's own server: hears notifications, checks them and acknowledges with a signed S."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue
from typing import Any

from .client import PLAIN, NotTrusted, Style, check, rsa256, signed_bytes

WAIT_S = 10.0
"""How long a test waits for what must come."""
SUCCESS = {"resultCode": "SUCCESS", "resultStatus": "S", "resultMessage": "success"}


@dataclass
class Told:
    """One notification as it came, and whether the acquirer believed it."""

    path: str
    message: dict[str, Any]
    is_trusted: bool


@dataclass
class Shop:
    """Answers in `style`; `is_wanted` says whether a trusted notification is taken."""

    client_id: str
    key: Any
    network_key: Any
    url: str = ""
    style: Style = PLAIN
    acknowledgement: Any = field(default_factory=lambda: {"result": SUCCESS})
    sign: Callable[[Any, bytes], bytes] = rsa256
    without: tuple[str, ...] = ()
    is_wanted: Callable[[dict[str, Any]], bool] = lambda message: True
    got: Queue[Told] = field(default_factory=Queue)

    def heard(self) -> Told:
        """The next notification."""
        return self.got.get(timeout=WAIT_S)

    def is_quiet(self) -> bool:
        """Whether nothing has come that nobody asked for yet."""
        try:
            self.got.get_nowait()
        except Empty:
            return True
        return False

    def answer(self, path: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """What the notification is answered."""
        client_id = headers.get("Client-Id", "")
        try:
            time = headers.get("Request-Time")
            check(headers.get("Signature"), path, client_id, time, body, self.network_key)
            is_trusted = client_id == self.client_id
        except NotTrusted:
            is_trusted = False
        message = json.loads(body)
        self.got.put(Told(path, message, is_trusted))
        if not is_trusted:
            return 401, {}, b""
        if not self.is_wanted(message):
            return 500, {}, b""
        told = self.style.dump(self.acknowledgement).encode()
        time = datetime.now(UTC).isoformat()
        signature = self.sign(self.key, signed_bytes(path, client_id, time, told))
        sent = self.style.headers(
            client_id=client_id,
            response_time=time,
            signature=self.style.signature_header(signature),
        )
        kept = {n: v for n, v in sent.items() if n.lower() not in self.without}
        return 200, kept, told


@contextmanager
def opened(shop: Shop) -> Iterator[Shop]:
    """Serve it in a thread, on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, headers, told = shop.answer(self.path, self.headers, body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    shop.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield shop
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
