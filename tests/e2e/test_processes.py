"""Real processes: kill -9 between send and answer, the demo as a user runs it, signals, ports,
files.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tillgate.cli.keys import Addresses, write_folder
from tillgate.cli.till import call

READY_S = 30


class Process:
    """A `tillgate` command that serves; ends with the test whatever happens."""

    def __init__(self, folder: Path, command: str, *options: str, **environ: str) -> None:
        self._log = open(folder / f"{command}.log", "ab")  # noqa: SIM115 - closed in `end`
        self.log = folder / f"{command}.log"
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tillgate", command),
                *("--settings", str(folder / "tillgate.toml"), "--until-stdin-closes"),
                *options,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=clean_environ() | environ,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert " ready on " in line, self.log.read_text()
        self.url = line.strip().rpartition(" ")[2]

    def kill(self) -> None:
        self.process.kill()
        self.end()

    def end(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self.process.wait(timeout=READY_S)
        self._log.close()


def clean_environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("TILLGATE_")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path, Addresses(gateway="127.0.0.1:0", sandbox="127.0.0.1:0"))
    return tmp_path


@contextlib.contextmanager
def running(folder: Path, command: str, *options: str, **environ: str) -> Iterator[Process]:
    process = Process(folder, command, *options, **environ)
    try:
        yield process
    finally:
        if process.process.returncode is None:
            process.end()


def reaching(network: str) -> dict[str, str]:
    return {"TILLGATE_ALIPAY_PLUS_BASE_URL": network}


def api_key(folder: Path) -> str:
    return str(tomllib.loads((folder / "till.toml").read_text())["api_key"])


def till(folder: Path, gateway: str, method: str, path: str, body: Any = None, **headers: str):
    sent = {"Authorization": f"Bearer {api_key(folder)}"} | headers
    return call(gateway, method, path, body, sent, 60)


def until(what: Any, limit_s: float = 30) -> Any:
    ends = time.monotonic() + limit_s
    while time.monotonic() < ends:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come about in time")


def open_payment(folder: Path, gateway: str, sandbox: str, number: int = 1) -> tuple[str, str]:
    code = call(sandbox, "POST", "/sandbox/codes", {}).body["code"]
    body = {
        "code": code,
        "order": {"merchant_order_id": f"o-{number}", "amount": {"currency": "JPY", "value": 100}},
    }
    answer = till(
        folder, gateway, "POST", "/v1/payments", body, **{"Idempotency-Key": f"k-{number}"}
    )
    assert answer.status == 202, answer.body
    return answer.body["id"], code


def final(folder: Path, gateway: str, payment_id: str) -> dict[str, Any]:
    wait = {"Prefer": "wait=30"}
    payment = till(folder, gateway, "GET", f"/v1/payments/{payment_id}", **wait).body
    assert payment["final"], payment
    return payment


def test_kill_9_between_send_and_answer_ends_as_the_ledger_says_with_one_debit(folder):
    """The sandbox has taken the money and is slow to say so when the gateway dies."""
    with running(folder, "sandbox", TILLGATE_SANDBOX_LATENCY_S="2") as sandbox:
        network = reaching(sandbox.url)
        with running(folder, "serve", **network) as gateway:
            payment_id, code = open_payment(folder, gateway.url, sandbox.url)
            path = f"/sandbox/payments/{payment_id}"
            until(lambda: call(sandbox.url, "GET", path).body.get("debits") == 1)
            gateway.kill()
        with running(folder, "serve", **network) as gateway:
            payment = final(folder, gateway.url, payment_id)
            told = call(sandbox.url, "GET", path).body
            timeline = till(folder, gateway.url, "GET", f"/v1/payments/{payment_id}/events").body
        assert payment["status"] == "SUCCEEDED"
        assert payment["payment_id"] == told["payment_id"]
        assert (told["debits"], told["net_debit"]) == (1, 100)
        assert timeline["events"][0]["kind"] == "accepted"
        logs = sandbox.log.read_text() + gateway.log.read_text()
        assert code not in logs
        assert "Traceback" not in logs


def test_kill_9_between_a_refund_and_its_answer_gives_back_once(folder):
    """The sandbox has given the money back and is slow to say so when the gateway dies."""
    with running(folder, "sandbox", TILLGATE_SANDBOX_LATENCY_S="2") as sandbox:
        network = reaching(sandbox.url)
        key = {"Idempotency-Key": "r-1"}
        body = {"amount": {"currency": "JPY", "value": 30}}
        with running(folder, "serve", **network) as gateway:
            payment_id, _ = open_payment(folder, gateway.url, sandbox.url)
            assert final(folder, gateway.url, payment_id)["status"] == "SUCCEEDED"
            path, refunds = f"/sandbox/payments/{payment_id}", f"/v1/payments/{payment_id}/refunds"
            asked = till(folder, gateway.url, "POST", refunds, body, **key)
            assert (asked.status, asked.body["status"]) == (202, "PENDING")
            until(lambda: call(sandbox.url, "GET", path).body["net_debit"] == 70)
            gateway.kill()
        with running(folder, "serve", **network) as gateway:
            wait = {"Prefer": "wait=30"}
            told = till(folder, gateway.url, "POST", refunds, body, **key, **wait)
            payment = till(folder, gateway.url, "GET", f"/v1/payments/{payment_id}").body
        there = call(sandbox.url, "GET", path).body
    assert (told.status, told.body["id"]) == (200, asked.body["id"])
    assert told.body["status"] == "SUCCEEDED"
    assert (there["net_debit"], len(there["refunds"])) == (70, 1)
    assert (payment["amount_refunded"], payment["amount_reserved"]) == (30, 30)


def test_kill_9_before_anything_was_sent_still_ends(folder):
    """The network is away: the gateway dies with a counted send that never left, and goes on
    after.
    """
    with running(folder, "sandbox") as sandbox:
        code = call(sandbox.url, "POST", "/sandbox/codes", {}).body["code"]
        with running(folder, "serve", **reaching("http://127.0.0.1:1")) as gateway:
            body = {
                "code": code,
                "order": {"merchant_order_id": "o", "amount": {"currency": "JPY", "value": 100}},
            }
            answer = till(
                folder, gateway.url, "POST", "/v1/payments", body, **{"Idempotency-Key": "k"}
            )
            gateway.kill()
        with running(folder, "serve", **reaching(sandbox.url)) as gateway:
            payment = final(folder, gateway.url, answer.body["id"])
        told = call(sandbox.url, "GET", f"/sandbox/payments/{payment['id']}").body
        assert payment["status"] == "SUCCEEDED"
        assert told["net_debit"] == 100


def test_a_stop_answers_the_waiting_till_at_once_and_the_next_start_goes_on(folder):
    with running(folder, "sandbox", TILLGATE_SANDBOX_LATENCY_S="3") as sandbox:
        network = reaching(sandbox.url)
        with running(folder, "serve", **network) as gateway:
            payment_id, _ = open_payment(folder, gateway.url, sandbox.url)
            path = f"/v1/payments/{payment_id}"
            answers = []
            waits = threading.Thread(
                target=lambda: answers.append(
                    (till(folder, gateway.url, "GET", path, Prefer="wait=30"), time.monotonic())
                )
            )
            waits.start()
            # The wait is known to have begun once another answer has come on the same server.
            till(folder, gateway.url, "GET", path)
            began = time.monotonic()
            gateway.process.send_signal(signal.SIGTERM)
            waits.join(timeout=15)
            assert gateway.process.wait(timeout=15) == 0
            assert time.monotonic() - began < 10
            gateway.end()
        with running(folder, "serve", **network) as gateway:
            assert final(folder, gateway.url, payment_id)["status"] == "SUCCEEDED"
    [(answer, answered_at)] = answers
    assert (answer.status, answer.body["status"]) == (200, "PENDING")
    assert answered_at - began < 1


def test_a_second_gateway_on_the_same_file_is_refused_with_the_reason(folder):
    with running(folder, "serve", **reaching("http://127.0.0.1:1")):
        done = subprocess.run(
            [sys.executable, "-m", "tillgate", "serve", "--settings", folder / "tillgate.toml"],
            capture_output=True,
            text=True,
            env=clean_environ() | reaching("http://127.0.0.1:1"),
            timeout=READY_S,
            check=False,
        )
        assert done.returncode == 2
        assert "in use by another tillgate process" in done.stderr
        assert "PostgreSQL" in done.stderr
        assert "Traceback" not in done.stderr


def demo(*arguments: str, **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tillgate", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environ(),
        **more,
    )


def test_the_demo_once_prints_the_final_payment_as_json_and_the_story_beside_it():
    process = demo("--once", "--json")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    payment = json.loads(out)
    assert payment["status"] == "SUCCEEDED"
    for group in ("Steps 1-3", "Step 4", "Step 5", "Steps 6-9", "Steps 10-11", "Steps 12-18"):
        assert group in err
    assert "inquiryPayment was not needed" in err
    assert payment["id"] in err
    assert payment["payment_id"] in err
    assert "Traceback" not in err


def test_the_demo_stays_up_shows_how_to_pay_the_next_one_and_ctrl_c_ends_all_of_it():
    process = demo(start_new_session=True)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C ends it" in line:
            break
    story = "".join(lines)
    assert story.count("PAID  JPY 100") == 2
    assert "NOT PAID" not in story
    # The commands it prints work as printed.
    export, pipe = (line.strip() for line in lines[-6:-4])
    assert export.startswith("export TILLGATE_TILL=")
    done = subprocess.run(
        ["sh", "-c", f"{export}\n{pipe}"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "PAID  JPY 100" in done.stdout
    folder = Path(export.partition("=")[2]).parent
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in err
    assert not folder.exists()


def test_a_killed_demo_leaves_no_process_behind():
    process = demo()
    assert process.stdout is not None
    urls = [process.stdout.readline().split()[1] for _ in range(2)]
    process.kill()
    process.communicate(timeout=30)

    def all_gone() -> bool:
        for url in urls:
            with contextlib.suppress(Exception):
                call(url, "GET", "/healthz", timeout_s=1)
                return False
        return True

    until(all_gone)
