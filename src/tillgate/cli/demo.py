"""`tillgate demo`: both sides on this machine, two scanned codes paid, every real message shown.

Three processes over real HTTP: this one is the till (and the customer's thumb), one is the gateway,
one the sandbox. What is printed was read afterwards from the sandbox's record of exchanges and from
the till's own calls, in the groups of steps of the guide's figure 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tillgate.cli.keys import Addresses, operator_file, till_file, write_folder, write_private
from tillgate.cli.till import NoAnswer, call, print_payment
from tillgate.clock import SystemClock
from tillgate.core.errors import ConfigError
from tillgate.core.routing import identify
from tillgate.core.routing_table import Integrations
from tillgate.ids import new_token
from tillgate.tables import load_shipped

READY_TIMEOUT_S = 20.0
CONFIRM_AFTER_S = 2.0
"""How long the second customer looks at the phone before confirming."""
NOTIFY_TIMEOUT_S = 10.0


class DemoFailed(Exception):
    """Something that should work did not; the message says what."""


@dataclass(slots=True)
class Story:
    """One payment as the till saw it: times and the bodies of its two calls."""

    title: str
    code: dict[str, Any]
    order: str
    asked_at: str = ""
    answered_at: str = ""
    payment: dict[str, Any] = field(default_factory=dict)
    http_status: int = 0
    was_confirmed: bool = False


def demo(arguments: argparse.Namespace) -> int:
    """Run it; 0 when the payments succeeded."""
    # A polite kill ends the children as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    out = sys.stderr if arguments.json else sys.stdout
    with contextlib.ExitStack() as stack:
        folder = _folder(arguments, stack)
        try:
            sides = stack.enter_context(_both_sides(folder, out))
            story = sides.pay("KakaoPay, paid at once", "demo-1", {"wallet": "kakaopay"})
            _tell(story, sides, out)
            last = story
            if not arguments.once:
                customer = sides.customer_who_confirms("gcash")
                last = sides.pay(
                    "GCash, the customer confirms first", "demo-2", customer, confirms=True
                )
                _tell(last, sides, out)
        except (DemoFailed, NoAnswer) as error:
            print(f"tillgate demo: {error}", file=sys.stderr)
            return 1
        is_paid = last.payment.get("status") == "SUCCEEDED"
        if arguments.json:
            print(json.dumps(last.payment), flush=True)
        if not arguments.once:
            _stay(sides, folder, out)
        return 0 if is_paid else 1


def _folder(arguments: argparse.Namespace, stack: contextlib.ExitStack) -> Path:
    if arguments.dir:
        return Path(arguments.dir).resolve()
    folder = Path(tempfile.mkdtemp(prefix="tillgate-demo-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


class _Sides:
    """The running gateway and sandbox."""

    def __init__(self, gateway: str, sandbox: str, api_key: str) -> None:
        self.gateway = gateway
        self.sandbox = sandbox
        self._api_key = api_key

    def pay(
        self, title: str, order: str, customer: dict[str, str], *, confirms: bool = False
    ) -> Story:
        """Scan a fresh code and ask for the money; the customer confirms when the wallet asks."""
        code = call(self.sandbox, "POST", "/sandbox/codes", customer).body
        if "code" not in code:
            raise DemoFailed(f"the sandbox gave no code: {code.get('detail')}")
        story = Story(title, code, f"{order}-{new_token()[:8]}")
        if confirms:
            thumb = threading.Thread(target=self._confirm, args=(story,), daemon=True)
            thumb.start()
        body = {
            "code": code["code"],
            "order": {
                "merchant_order_id": story.order,
                "description": "A demonstration",
                "amount": {"currency": "JPY", "value": 100},
            },
        }
        headers = {
            "Authorization": f"Bearer {self._api_key}",
            "Idempotency-Key": new_token(),
            "Prefer": "wait=75",
        }
        story.asked_at = _now()
        answer = call(self.gateway, "POST", "/v1/payments", body, headers, 90)
        story.answered_at = _now()
        if answer.status >= 400:
            raise DemoFailed(f"the gateway refused: {answer.body.get('detail')}")
        story.payment, story.http_status = answer.body, answer.status
        return story

    def customer_who_confirms(self, wallet: str) -> dict[str, str]:
        """The customer of a wallet that asks before every payment."""
        wallets = call(self.sandbox, "GET", "/sandbox/wallets").body["wallets"]
        for customer in next(w for w in wallets if w["id"] == wallet)["customers"]:
            if customer["confirm_above"] == 0:
                return {"wallet": wallet, "customer": customer["id"]}
        raise DemoFailed(f"{wallet} has no customer who confirms every payment")

    def exchanges(self, payment_request_id: str) -> list[dict[str, Any]]:
        """Every message about a payment, once its notification was acknowledged."""
        path = f"/sandbox/exchanges?payment_request_id={payment_request_id}"
        ends = time.monotonic() + NOTIFY_TIMEOUT_S
        while True:
            rows: list[dict[str, Any]] = call(self.sandbox, "GET", path).body["exchanges"]
            is_notified = any(r["api"] == "notifyPayment" and r["kind"] == "response" for r in rows)
            if is_notified or time.monotonic() > ends:
                return rows
            time.sleep(0.1)

    def _confirm(self, story: Story) -> None:
        """The customer's thumb: confirms the payment once the wallet has asked for a moment."""
        with contextlib.suppress(NoAnswer):
            for _ in range(600):
                rows = call(self.sandbox, "GET", "/sandbox/payments").body["payments"]
                mine = [row for row in rows if row["reference_order_id"] == story.order]
                if mine:
                    break
                time.sleep(0.05)
            else:
                return
            time.sleep(CONFIRM_AFTER_S)
            path = f"/sandbox/payments/{mine[0]['payment_request_id']}/confirm"
            story.was_confirmed = call(self.sandbox, "POST", path).status < 400


@contextlib.contextmanager
def _both_sides(folder: Path, out: IO[str]) -> Iterator[_Sides]:
    settings = folder / "tillgate.toml"
    if not settings.exists():
        write_folder(folder, Addresses(gateway="127.0.0.1:0", sandbox="127.0.0.1:0"))
    with contextlib.ExitStack() as children:
        pages = {"TILLGATE_PAGES_DEMO": "on"}
        [sandbox] = children.enter_context(_child("sandbox", settings, pages))
        reached = {"TILLGATE_ALIPAY_PLUS_BASE_URL": sandbox} | pages
        gateway, admin = children.enter_context(_child("serve", settings, reached))
        till, operator = folder / "till.toml", folder / "operator.toml"
        api_key = _key(till, "api_key")
        write_private(till, till_file(gateway, sandbox, api_key))
        if operator.exists():
            write_private(operator, operator_file(admin, _key(operator, "operator_key")))
        print(f"sandbox  {sandbox}   (plays Alipay+ and the wallets)", file=out)
        print(f"gateway  {gateway}   (keys and database in {folder})", file=out)
        print(f"the API  {gateway}/docs   (operators: {admin}/admin/docs)", file=out, flush=True)
        yield _Sides(gateway, sandbox, api_key)


def _key(file: Path, name: str) -> str:
    try:
        key = tomllib.loads(file.read_text("utf-8")).get(name)
    except (OSError, ValueError) as error:
        raise ConfigError([f"{file} cannot be read: {error}"]) from None
    if not isinstance(key, str):
        raise ConfigError([f"{file}: {name}: missing"])
    return key


@contextlib.contextmanager
def _child(command: str, settings: Path, environ: dict[str, str]) -> Iterator[list[str]]:
    """Run one side until the block ends; it also ends when this process is killed. Gives its
    URLs: the gateway has one for operators, too.
    """
    own_ports = ["--listen", "127.0.0.1:0"]
    if command == "serve":
        own_ports += ["--admin-listen", "127.0.0.1:0"]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("TILLGATE_")}
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tillgate", command, "--settings", str(settings)),
            *(*own_ports, "--until-stdin-closes"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=inherited | environ,
        text=True,
        # Ctrl-C is for this process; it then ends its children in order.
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield _ready_urls(process, process.stdout, command, len(own_ports) // 2)
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _ready_urls(
    process: subprocess.Popen[str], stdout: IO[str], command: str, count: int
) -> list[str]:
    timer = threading.Timer(READY_TIMEOUT_S, process.kill)
    timer.start()
    try:
        lines = [stdout.readline() for _ in range(count)]
    finally:
        timer.cancel()
    if " ready on " not in lines[0]:
        raise DemoFailed(f"`tillgate {command}` did not start; its reason stands above")
    return [line.strip().rpartition(" ")[2] for line in lines]


# The story
# --------------------------------------------------------------------------------------------


def _tell(story: Story, sides: _Sides, out: IO[str]) -> None:
    payment = story.payment
    rows = sides.exchanges(payment["id"])
    lines = _Lines(out)
    lines.head(f"Payment {story.order}: JPY 100 by {story.title}")
    lines.group("Steps 1-3", "the till scans the code and asks the acquirer")
    lines.line(story.asked_at, "till -> gateway", "POST /v1/payments", payment["code"])
    lines.group("Step 4", "the gateway identifies the code and routes the payment")
    identified = identify(story.code["code"], load_shipped(), Integrations())
    lines.line(
        payment["created_at"],
        "gateway",
        f"{identified.kind}, {identified.length} digits",
        f"issuer {identified.issuer or 'not known'}; rule {payment['rule']} -> {payment['route']}",
    )
    lines.group("Step 5", "the gateway asks Alipay+ for the money")
    lines.rows(r for r in rows if r["api"] == "pay" and r["from"] == "acquirer")
    lines.group("Steps 6-9", "Alipay+ asks the wallet, the wallet answers")
    lines.rows(r for r in rows if "wallet" in (r["from"], r["to"]))
    lines.group("Steps 10-11", "the result goes back to the till")
    lines.rows(r for r in rows if r["api"] == "pay" and r["to"] == "acquirer")
    lines.line(
        story.answered_at,
        "gateway -> till",
        f"HTTP {story.http_status} {payment['status']}",
        f"id {payment['id']} paymentId {payment['payment_id']}",
    )
    lines.group("Steps 12-18", "inquiryPayment and notifyPayment, so that no result is lost")
    inquiries = [
        r for r in rows if r["api"] == "inquiryPayment" and "acquirer" in (r["from"], r["to"])
    ]
    lines.rows(inquiries)
    if not inquiries:
        lines.note("inquiryPayment was not needed: the result was known before the first was due")
    notified = [r for r in rows if r["api"] == "notifyPayment"]
    lines.rows(notified)
    if not notified:
        lines.note("notifyPayment has not come yet")
    print(file=out)
    print_payment(payment, as_json=False, out=out)


class _Lines:
    """Prints the lines of a story, aligned."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out

    def head(self, text: str) -> None:
        print(f"\n{text}", file=self._out)

    def group(self, steps: str, what: str) -> None:
        print(f" {steps:12} {what}", file=self._out)

    def note(self, text: str) -> None:
        print(f"   {'':12}  {text}", file=self._out)

    def line(self, at: str, who: str, what: str, ids: str) -> None:
        print(f"   {at[11:23]}  {who:18} {what:26} {ids}".rstrip(), file=self._out)

    def rows(self, rows: Any) -> None:
        for row in rows:
            what = row["api"] if row["kind"] == "request" else f"  {row['result'] or 'answer'}"
            is_signed = not row["signature"].startswith("none")
            pairs = (
                ("paymentRequestId", row["payment_request_id"]),
                ("paymentId", row["payment_id"]),
                ("signature", row["signature"] if is_signed else None),
            )
            ids = " ".join(f"{name} {value}" for name, value in pairs if value)
            self.line(row["at"], f"{_NAMES[row['from']]} -> {_NAMES[row['to']]}", what, ids)


_NAMES = {"acquirer": "gateway", "network": "Alipay+", "wallet": "wallet"}


def _stay(sides: _Sides, folder: Path, out: IO[str]) -> None:
    # Run from a virtual environment that is not active, the command is not on the path.
    installed = Path(sys.executable).with_name("tillgate")
    command = "tillgate" if shutil.which("tillgate") else str(installed)
    print(
        f"""
Both sides stay up. Pay the next one with a click, in a browser on this machine:

  {sides.gateway}/          a phone, a till and the console side by side

or from another terminal:

  export TILLGATE_TILL={folder / "till.toml"}
  {command} code --wallet kakaopay | {command} pay - --amount JPY:100 --order my-order-1

Every message that crosses: {sides.sandbox}/sandbox/exchanges
The money, customer by customer: {sides.sandbox}/sandbox/ledger
Ctrl-C ends it.""",
        file=out,
        flush=True,
    )
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


def _now() -> str:
    return SystemClock().now().isoformat(timespec="milliseconds")
