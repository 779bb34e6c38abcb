"""What a cashier waits for, measured in a real browser: from the scanner's Enter to "Paid", from
the customer's yes to "Paid", and from opening the page to its first paint.

Beside each sale the same is asked of the API by a plain client in the same run: the difference is
what the page adds. With `--workers 2` a confirmation's notification lands on either worker. After
the run the sandbox's ledger must have one debit for each sale, or the figures are void.

    python -m bench.till_page
    python -m bench.till_page --sales 30 --workers 2
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright
from tests.postgres_side import running_server

from bench.one_gateway import SANDBOX, SERVE, Server, tell
from bench.processes import where
from tillgate.cli.keys import Addresses, write_folder
from tillgate.cli.till import call

KEY_MS = 8
"""Between two keys of a scanner."""
HAND_S = 0.6
"""A hand needs it to reach for the scanner."""
MARKS = """() => {
  const at = () => performance.timeOrigin + performance.now();
  window.marks = {};
  addEventListener("keydown", (event) => { if (event.key === "Enter") marks.enter = at(); }, true);
  new MutationObserver(() => {
    if (document.body.dataset.screen !== "paid") return;
    requestAnimationFrame(() => setTimeout(() => { marks.paid = at(); }));
  }).observe(document.body, { attributes: true, attributeFilter: ["data-screen"] });
}"""


def percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        name: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1)
        for name, share in (("p50_ms", 0.5), ("p95_ms", 0.95), ("max_ms", 1.0))
    }


class Shop:
    """A gateway and its sandbox, with a cashier's page."""

    def __init__(self, gateway: str, sandbox: str, key: str, page: Page) -> None:
        self.gateway, self.sandbox, self.key, self.page = gateway, sandbox, key, page
        self.sales = 0

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = call(self.sandbox, method, path, body)
        assert answer.status < 300, answer.body
        return answer.body

    def code(self, **asked: str) -> str:
        return str(self.ask("POST", "/sandbox/codes", asked)["code"])

    def scan(self, code: str) -> None:
        """An amount by hand, then the scanner; returns once Enter is sent."""
        self.page.evaluate("marks.paid = null")
        for key in "100":
            self.page.keyboard.press(key)
            time.sleep(0.07)
        time.sleep(HAND_S)
        self.page.keyboard.type(code, delay=KEY_MS)
        self.page.keyboard.press("Enter")
        self.sales += 1

    def paid(self) -> dict[str, float]:
        """When Enter came and when "Paid" was painted, in milliseconds since 1970."""
        self.page.wait_for_selector("body[data-screen=paid]")
        while not (marks := self.page.evaluate("marks"))["paid"]:
            self.page.wait_for_timeout(5)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector("body[data-screen=ready]")
        return dict(marks)

    def by_api(self, code: str) -> float:
        """The same sale by a plain client, in milliseconds."""
        body = {
            "code": code,
            "order": {
                "merchant_order_id": f"api-{self.sales}",
                "amount": {"currency": "JPY", "value": 100},
            },
        }
        headers = {
            "Authorization": f"Bearer {self.key}",
            "Idempotency-Key": f"api-{self.sales}",
            "Prefer": "wait=30",
        }
        self.sales += 1
        began = time.perf_counter()
        answer = call(self.gateway, "POST", "/v1/payments", body, headers, 40)
        took = (time.perf_counter() - began) * 1000
        assert answer.body["status"] == "SUCCEEDED", answer.body
        return took

    def at_once(self) -> tuple[float, float]:
        """A sale that the network answers at once: on the page, and by the API."""
        self.scan(self.code(customer="kakaopay_minji"))
        marks = self.paid()
        return marks["paid"] - marks["enter"], self.by_api(self.code(customer="kakaopay_minji"))

    def confirmed(self) -> float:
        """A sale that the customer has to confirm: from the yes to "Paid"."""
        self.scan(self.code(customer="gcash_jose"))
        self.page.wait_for_selector("body[data-screen=waiting]")
        while not (found := self._asked()):
            time.sleep(0.02)
        time.sleep(0.3)
        yes = time.time() * 1000
        self.ask("POST", f"/sandbox/payments/{found}/confirm")
        return self.paid()["paid"] - yes

    def _asked(self) -> str | None:
        told = self.ask("GET", "/sandbox/payments")["payments"]
        return next((p["payment_request_id"] for p in told if p["status"] == "in_process"), None)


def first_paint(browser: Browser, url: str) -> dict[str, float]:
    """A fresh profile opens the page: nothing is kept from before."""
    context = browser.new_context(viewport={"width": 1024, "height": 600})
    page = context.new_page()
    sizes: list[int] = []
    page.on("response", lambda answer: sizes.append(len(answer.body())) if answer.ok else None)
    page.goto(f"{url}/till")
    page.wait_for_selector("body[data-is=up]")
    painted = page.evaluate(
        "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
    )
    usable = page.evaluate("performance.now()")
    context.close()
    return {"painted": painted, "usable": usable, "kb": sum(sizes) / 1000}


@contextlib.contextmanager
def shop(browser: Browser, workers: int) -> Iterator[Shop]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tillgate-bench-")))
        write_folder(folder, Addresses(gateway="127.0.0.1:0", sandbox="127.0.0.1:0"))
        key = tomllib.loads((folder / "till.toml").read_text())["api_key"]
        sandbox = Server(SANDBOX, folder, {"TILLGATE_SANDBOX_NOTIFY_DELAY_S": "0"})
        stack.callback(sandbox.end)
        reach = {"TILLGATE_ALIPAY_PLUS_BASE_URL": sandbox.url, "TILLGATE_PAGES_DEMO": "on"}
        serve = SERVE
        if workers > 1:
            server = stack.enter_context(running_server())
            reach["TILLGATE_STORE"] = server.database()
            serve = (*SERVE, "--workers", str(workers))
        gateway = Server(serve, folder, reach)
        stack.callback(gateway.end)
        context = browser.new_context(viewport={"width": 1024, "height": 600})
        stack.callback(context.close)
        page = context.new_page()
        page.goto(f"{gateway.url}/till")
        page.wait_for_selector("body[data-is=up]")
        page.evaluate(MARKS)
        yield Shop(gateway.url, sandbox.url, key, page)


def measure(arguments: argparse.Namespace, browser: Browser) -> dict[str, Any]:
    with shop(browser, arguments.workers) as one:
        one.at_once()  # warms up
        pairs = [one.at_once() for _ in range(arguments.sales)]
        confirmed = [one.confirmed() for _ in range(arguments.sales)]
        opened = [first_paint(browser, one.gateway) for _ in range(arguments.loads)]
        ledger = one.ask("GET", "/sandbox/ledger")
        debits = sum(entry["kind"] == "debit" for entry in ledger["entries"])
        return {
            "bench": "till_page",
            "workers": arguments.workers,
            "sales": one.sales,
            "void": debits != one.sales,
            "enter_to_paid": percentiles([page for page, _ in pairs]),
            "same_by_api": percentiles([api for _, api in pairs]),
            "page_adds": percentiles([page - api for page, api in pairs]),
            "yes_to_paid": percentiles(confirmed),
            "first_paint": percentiles([each["painted"] for each in opened]),
            "usable": percentiles([each["usable"] for each in opened]),
            "page_kb": round(max(each["kb"] for each in opened), 1),
            **where(),
        }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n\n")[0].replace("\n", " "),
        epilog="example: python -m bench.till_page --sales 30 --workers 2",
    )
    parser.add_argument("--sales", type=int, default=60, help="of each kind (default: 60)")
    parser.add_argument("--loads", type=int, default=20, help="cold loads (default: 20)")
    parser.add_argument(
        "--workers", type=int, default=1, help="more than one on PostgreSQL (default: 1, SQLite)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures here too")
    arguments = parser.parse_args()
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        print("there is no Chromium: apt-get install chromium", file=sys.stderr)
        return 2
    with sync_playwright() as playwright:
        options = ["--disable-gpu", "--no-sandbox"]
        browser = playwright.chromium.launch(executable_path=program, args=options)
        figures = measure(arguments, browser)
        browser.close()
    problem = "the ledger and the till disagree" if figures["void"] else None
    return tell(figures, arguments.json, problem)


if __name__ == "__main__":
    sys.exit(main())
