"""`tillgate serve --workers N`: real processes on one address over one database."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.test_processes import (
    READY_S,
    Process,
    api_key,
    call,
    clean_environ,
    final,
    folder,  # noqa: F401 - a fixture
    open_payment,
    reaching,
    running,
    till,
    until,
)
from tillgate.cli.till import NoAnswer

TWO = ("--workers", "2")


def over(postgres, network: str) -> dict[str, str]:
    return reaching(network) | {"TILLGATE_STORE": postgres.migrated()}


def children(gateway: Process) -> set[int]:
    """The workers' processes."""
    pid = gateway.process.pid
    return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def is_gone(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def admin_url(gateway: Process) -> str:
    assert gateway.process.stdout is not None
    return gateway.process.stdout.readline().strip().rpartition(" ")[2]


def figures(admin: str) -> dict[tuple[str, str], float]:
    """By sample and worker: the sum over the other labels."""
    import urllib.request

    with urllib.request.urlopen(f"{admin}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    found: Counter[tuple[str, str]] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name, sample.labels["worker"]] += sample.value
    return dict(found)


def console_health(admin: str) -> str:
    """The console's page of health, as the demonstration's operator sees it."""
    import urllib.request
    from http.cookiejar import CookieJar

    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    with opener.open(f"{admin}/sign-in?next=/console/health", timeout=30) as answer:
        return str(answer.read().decode())


def test_workers_share_an_address_and_whichever_is_asked_tells_of_all(postgres, folder):  # noqa: F811
    with running(folder, "sandbox") as sandbox:
        environ = over(postgres, sandbox.url) | {"TILLGATE_PAGES_DEMO": "on"}
        with running(folder, "serve", *TWO, **environ) as gateway:
            admin = admin_url(gateway)
            assert len(children(gateway)) == 2
            ids = [open_payment(folder, gateway.url, sandbox.url, n)[0] for n in range(24)]
            for payment_id in ids:
                assert final(folder, gateway.url, payment_id)["status"] == "SUCCEEDED"
            told = figures(admin)
            # 72 connections to two: one that has none has half a chance in 2 to the 71.
            answered = [told["tillgate_http_requests_total", worker] for worker in "12"]
            assert min(answered) > 0
            assert sum(answered) == 48
            paid = [told.get(("tillgate_payments_total", worker), 0) for worker in "12"]
            assert sum(paid) >= 48  # PENDING and SUCCEEDED of each
            assert [told["tillgate_worker_up", worker] for worker in "12"] == [1, 1]
            health = console_health(admin)
            assert ">24 a minute<" in health
            assert "did not answer" not in health
            again = subprocess.run(
                [
                    *(sys.executable, "-m", "tillgate", "serve", *TWO),
                    *("--settings", folder / "tillgate.toml"),
                    *("--listen", gateway.url.removeprefix("http://")),
                ],
                capture_output=True,
                text=True,
                env=clean_environ() | environ,
                timeout=READY_S,
                check=False,
            )
            assert again.returncode == 2
            assert "cannot listen" in again.stderr
    assert "Traceback" not in gateway.log.read_text()


def test_a_worker_that_dies_is_begun_anew_and_a_hangup_reaches_all(postgres, folder):  # noqa: F811
    with (
        running(folder, "sandbox") as sandbox,
        running(folder, "serve", *TWO, **over(postgres, sandbox.url)) as gateway,
    ):
        admin = admin_url(gateway)
        before = children(gateway)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        log = gateway.log
        until(lambda: "was ended by SIGKILL; another one begins in 0.1 s" in log.read_text())
        until(lambda: "serves again" in log.read_text())
        assert len(children(gateway) - before) == 1
        for number in range(6):
            payment_id, _ = open_payment(folder, gateway.url, sandbox.url, number)
            assert final(folder, gateway.url, payment_id)["status"] == "SUCCEEDED"
        assert {told for (name, _), told in figures(admin).items() if name.endswith("_up")} == {1}
        # SIGHUP reaches each of them.
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: log.read_text().count("routing table") >= 2)
    assert "Traceback" not in log.read_text()


def test_a_stop_answers_who_waits_and_ends_all_workers(postgres, folder):  # noqa: F811
    with running(folder, "sandbox", TILLGATE_SANDBOX_LATENCY_S="2") as sandbox:
        with running(folder, "serve", *TWO, **over(postgres, sandbox.url)) as gateway:
            workers = children(gateway)
            ids = [open_payment(folder, gateway.url, sandbox.url, n)[0] for n in range(4)]
            answers: list[int] = []

            def wait_for(payment_id: str) -> None:
                path = f"/v1/payments/{payment_id}"
                answers.append(till(folder, gateway.url, "GET", path, Prefer="wait=30").status)

            waits = [threading.Thread(target=wait_for, args=(each,)) for each in ids]
            for each in waits:
                each.start()
            key = {"Authorization": f"Bearer {api_key(folder)}"}
            for payment_id in ids * 3:  # the waits are known to have begun
                call(gateway.url, "GET", f"/v1/payments/{payment_id}", None, key, 10)
            began = time.monotonic()
            gateway.process.send_signal(signal.SIGTERM)
            for each in waits:
                each.join(timeout=15)
            assert time.monotonic() - began < 1.5
            assert gateway.process.wait(timeout=20) == 0
            gateway.end()
    assert answers == [200] * 4
    assert all(is_gone(pid) for pid in workers)
    assert "Traceback" not in gateway.log.read_text()


def test_workers_go_when_their_supervisor_is_killed(postgres, folder):  # noqa: F811
    with running(folder, "serve", *TWO, **over(postgres, "http://127.0.0.1:1")) as gateway:
        workers = children(gateway)
        gateway.process.kill()
        until(lambda: all(is_gone(pid) for pid in workers))
        with contextlib.suppress(NoAnswer):
            raise AssertionError(call(gateway.url, "GET", "/healthz", timeout_s=1))


def test_what_keeps_the_first_worker_from_serving_is_told_once_with_its_status(folder):  # noqa: F811
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tillgate", "serve", *TWO),
            *("--settings", folder / "tillgate.toml"),
        ],
        capture_output=True,
        text=True,
        env=clean_environ()
        | reaching("http://127.0.0.1:1")
        | {"TILLGATE_STORE": f"postgresql://x@/x?host={folder}"},
        timeout=READY_S,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("cannot be reached") == 1
    assert "Traceback" not in done.stderr
