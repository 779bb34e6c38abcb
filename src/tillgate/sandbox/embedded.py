"""The sandbox inside a test: one line starts it in a thread of this process, on a free port of the
loopback.

    with Sandbox() as network:
        till = MyAcquirer(network.url, network.client_id, network.private_key_pem)
        assert till.pay(network.code(), "JPY", 100) == "paid"

Nothing here knows Tillgate's gateway: whoever speaks Alipay+'s APIs can be tested with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from functools import cache
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import ProxyHandler, Request, build_opener

from tillgate.alipayplus.signing import KeyRing, SigningKey, new_private_key
from tillgate.clock import Clock, SystemClock
from tillgate.core.errors import ConfigError
from tillgate.sandbox.choices import DEFAULTS, Choices

if TYPE_CHECKING:
    from tillgate.server import Background

CLIENT_ID = "SANDBOX_5Y0000000000"
"""The form that Alipay+ gives to sandbox clients."""
NOTIFY_DELAY_S = 0.05
NOTIFY_RETRIES_S = (0.2, 0.4, 0.8, 1.6)
"""A test does not want to wait; a network may take longer."""
TIMEOUT_S = 10.0

_open = build_opener(ProxyHandler({})).open


_Key = tuple[bytes, SigningKey]


class SandboxRefused(Exception):
    """The sandbox would not do that; the message names the field.

    Attributes:
        status: the HTTP status.
        path: the field, such as `$.on.api`; empty when it is none.
    """

    def __init__(self, status: int, detail: str, path: str = "") -> None:
        super().__init__(f"{path}: {detail}" if path else detail)
        self.status = status
        self.path = path


class Sandbox:
    """Alipay+, the wallets and a clock of their own, from `start` to `stop` (or as a context).

    Its state is its own: two never meet, and a new one has forgotten everything. May be used from
    any thread; each call blocks for about a millisecond.

    Attributes:
        url: `http://127.0.0.1:PORT`, while it runs.
        client_id: an acquirer that the network knows.
        private_key_pem: what that acquirer signs with: PKCS#8, made in this process for tests.
        public_key_pem: what the network's answers and notifications are checked with.
    """

    def __init__(
        self,
        *,
        client_id: str = CLIENT_ID,
        acquirers: Mapping[str, bytes | Mapping[int, bytes]] | None = None,
        wallets: bytes | None = None,
        choices: Choices = DEFAULTS,
        has_magic: bool = True,
        notify_delay_s: float = NOTIFY_DELAY_S,
        notify_retries_s: Sequence[float] = NOTIFY_RETRIES_S,
        latency_s: float = 0.0,
        clock: Clock | None = None,
    ) -> None:
        """Nothing starts yet.

        Args:
            client_id: whose key pair is made.
            acquirers: others, by Client-Id, with their public key (PEM), or keys by keyVersion.
            wallets: TOML as in `wallets.toml`; None for those that are shipped.
            choices: what Alipay+'s public pages leave open.
            has_magic: whether amounts such as JPY 77,701 choose what is played.
            notify_delay_s: from a final result to its notification.
            notify_retries_s: waits before each resend of one that was not acknowledged.
            latency_s: added to each answer to pay.
            clock: what its own clock starts from.

        Raises:
            ConfigError: a key or the wallets cannot be read.
        """
        drawn = _drawn_keys()
        # While the keys are drawn: half of the time to the first start is this import.
        from tillgate.sandbox.app import SandboxSettings, create_app
        from tillgate.sandbox.wallets import load_wallets

        (self.private_key_pem, self._acquirer_key), (_, network_key) = (
            key.result() for key in drawn
        )
        self.client_id = client_id
        self.public_key_pem = network_key.public_pem()
        rings = {client_id: KeyRing.load({1: self._acquirer_key.public_pem()})}
        for other, public in (acquirers or {}).items():
            rings[other] = _ring(other, public)
        settings = SandboxSettings(
            signing_key=network_key,
            acquirers=rings,
            wallets=load_wallets(wallets),
            notify_delay_s=notify_delay_s,
            notify_retries_s=tuple(notify_retries_s),
            latency_s=latency_s,
            choices=choices,
            has_magic=has_magic,
        )
        self._new_app: Callable[[], Any] = lambda: create_app(settings, clock or SystemClock())
        self._server: Background | None = None
        self.url = ""

    def start(self) -> Self:
        """Listen on a free port; ready when this returns.

        Raises:
            RuntimeError: it runs already.
        """
        if self._server is not None:
            raise RuntimeError("this sandbox runs already")
        from tillgate.server import Address, Background, listen, url_of

        listener = listen(Address("127.0.0.1", 0))
        server = Background(self._new_app(), listener)
        server.start()
        self._server, self.url = server, url_of(listener)
        return self

    def stop(self) -> None:
        """Cut what is open and forget everything. Harmless when it does not run."""
        server, self._server, self.url = self._server, None, ""
        if server is not None:
            server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # What the acquirer sends
    # ------------------------------------------------------------------------------------------

    def signed_headers(self, path: str, body: bytes, at: datetime | None = None) -> dict[str, str]:
        """The headers of a POST of `client_id`, for a test that has no client of its own.

        Args:
            path: as it is posted to: `/aps/api/v1/payments/pay`.
            body: the exact bytes.
            at: Request-Time, aware; None for the machine's time.
        """
        time = (at or SystemClock().now()).isoformat(timespec="seconds")
        return {
            "Content-Type": "application/json; charset=UTF-8",
            "Client-Id": self.client_id,
            "Request-Time": time,
            "Signature": self._acquirer_key.sign(path, self.client_id, time, body),
        }

    # What customers and testers do
    # ------------------------------------------------------------------------------------------

    def code(
        self,
        *,
        wallet: str | None = None,
        customer: str | None = None,
        kind: str | None = None,
        length: int | None = None,
        play: str | None = None,
    ) -> str:
        """A fresh payment code on a customer's screen, good for one payment within a minute."""
        asked = {
            "wallet": wallet,
            "customer": customer,
            "kind": kind,
            "length": length,
            "play": play,
        }
        body = {name: value for name, value in asked.items() if value is not None}
        return str(self.ask("POST", "/sandbox/codes", body)["code"])

    def rule(
        self,
        do: Mapping[str, Any] | None = None,
        *,
        on: Mapping[str, Any] | None = None,
        play: str | None = None,
        times: int | None = 1,
        skip: int = 0,
    ) -> str:
        """What becomes of the next so many messages (`times` None: all) that `on` describes; its
        id. The words: docs/sandbox.md.
        """
        body: dict[str, Any] = {"on": dict(on or {}), "times": times, "skip": skip}
        if play is not None:
            body["play"] = play
        else:
            body["do"] = dict(do or {})
        return str(self.ask("POST", "/sandbox/rules", body)["id"])

    def script(self, script: Mapping[str, Any]) -> None:
        """Rules, random faults and the clock at once, instead of what was."""
        self.ask("PUT", "/sandbox/script", script)

    def clear(self) -> None:
        """No rules, no faults any more."""
        self.ask("PUT", "/sandbox/script", {})

    def advance(self, seconds: float) -> None:
        """Its clock goes on at once; what was due until then has happened."""
        self.ask("PUT", "/sandbox/clock", {"advance_s": seconds})

    def freeze(self, at: datetime | None = None) -> None:
        """Its clock stands, at `at` (aware) if it is said."""
        body: dict[str, Any] = {"frozen": True}
        self.ask("PUT", "/sandbox/clock", body | ({"now": at.isoformat()} if at else {}))

    def change_customer(self, customer: str, **conditions: Any) -> dict[str, Any]:
        """Another balance, status, limit, PIN or play from now on: `status="frozen"`,
        `limit_day=None`; the customer as it is then. The words: docs/sandbox.md.
        """
        path = f"/sandbox/customers/{_segment(customer)}"
        found: dict[str, Any] = self.ask("PATCH", path, conditions)
        return found

    def confirm(self, payment_request_id: str, pin: str | None = None) -> None:
        """The customer agrees in the wallet, with a PIN where one is asked."""
        path = f"/sandbox/payments/{_segment(payment_request_id)}/confirm"
        self.ask("POST", path, {"pin": pin} if pin is not None else None)

    def decline(self, payment_request_id: str) -> None:
        """The customer refuses."""
        self.ask("POST", f"/sandbox/payments/{_segment(payment_request_id)}/decline")

    # Looking
    # ------------------------------------------------------------------------------------------

    def payment(self, id_: str, client_id: str | None = None) -> dict[str, Any]:
        """The truth about one payment: `status`, `net_debit`, `refunds`, `notification`. By
        `paymentRequestId` or `paymentId`; `client_id` where two acquirers use the same.
        """
        whose = "?" + urlencode({"client_id": client_id}) if client_id else ""
        found: dict[str, Any] = self.ask("GET", f"/sandbox/payments/{_segment(id_)}{whose}")
        return found

    def payments(self) -> list[dict[str, Any]]:
        """The last thousand, oldest first."""
        found: list[dict[str, Any]] = self.ask("GET", "/sandbox/payments")["payments"]
        return found

    def disagreements(self) -> list[str]:
        """How the books of customers, wallets, network and acquirers differ; empty: they agree."""
        found: list[str] = self.ask("GET", "/sandbox/ledger/check")["problems"]
        return found

    def exchanges(self, payment_request_id: str | None = None) -> list[dict[str, Any]]:
        """Every message that crossed, of one payment or all."""
        asked = {"payment_request_id": payment_request_id} if payment_request_id else {}
        found: list[dict[str, Any]]
        found = self.ask("GET", "/sandbox/exchanges?" + urlencode(asked))["exchanges"]
        return found

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Any other call of the control API (`GET /sandbox/openapi.json` lists them).

        Raises:
            SandboxRefused: names the field.
            RuntimeError: it does not run.
        """
        if self._server is None:
            raise RuntimeError("this sandbox does not run: use `with Sandbox() as ...` or start()")
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data, method=method)  # noqa: S310 -- always http
        try:
            with _open(request, timeout=TIMEOUT_S) as answer:
                return json.loads(answer.read())
        except HTTPError as error:
            raise _refused(error) from None


@cache
def _drawn_keys() -> tuple[Future[_Key], Future[_Key]]:
    """The acquirer's and the network's, the same for all sandboxes of this process: drawing and
    checking one takes up to 0.1 s.
    """
    pool = ThreadPoolExecutor(2, "tillgate-keys")
    drawn = pool.submit(_draw), pool.submit(_draw)
    pool.shutdown(wait=False)
    return drawn


def _draw() -> _Key:
    pem = new_private_key()
    return pem, SigningKey.load(pem)


def _ring(client_id: str, keys: bytes | Mapping[int, bytes]) -> KeyRing:
    try:
        return KeyRing.load({1: keys} if isinstance(keys, bytes) else dict(keys))
    except ValueError as error:
        raise ConfigError([f"acquirers[{client_id!r}]: {error}"]) from None


def _segment(payment_request_id: str) -> str:
    return quote(payment_request_id, safe="")


def _refused(error: HTTPError) -> SandboxRefused:
    with error:
        try:
            words = json.loads(error.read())
            return SandboxRefused(error.code, words["detail"], words.get("path", ""))
        except (ValueError, KeyError, TypeError):
            return SandboxRefused(error.code, HTTPStatus(error.code).phrase)
