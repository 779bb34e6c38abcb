"""SIGHUP in the real process: another routing table is put in force, a wrong one is not."""

from __future__ import annotations

import signal
import sqlite3

from tests.e2e.test_processes import (
    call,
    final,
    folder,  # noqa: F401 - a fixture
    open_payment,
    reaching,
    running,
    till,
    until,
)

CODE = "281006020000000000000012"
TABLE = r"""version = "{version}"
default = "alipay_plus"
[[rule]]
id = "{id}"
pattern = '{pattern}'
to = "alipay_plus"
"""


def test_sighup_puts_another_table_in_force_and_keeps_the_old_one_when_it_is_wrong(folder):  # noqa: F811
    file = folder / "routes.toml"

    def write(version: str, id: str = "all", pattern: str = r"^(2[5-9]|30)\d{14,22}$") -> None:
        file.write_text(TABLE.format(version=version, id=id, pattern=pattern))

    write("one")
    environ = {"TILLGATE_ROUTING_TABLE": str(file)}
    with (
        running(folder, "sandbox") as sandbox,
        running(folder, "serve", **reaching(sandbox.url), **environ) as gateway,
    ):

        def in_force() -> tuple[str, str]:
            answer = till(folder, gateway.url, "POST", "/v1/codes/identify", {"code": CODE})
            return answer.body["table"], answer.body["rule"]

        def refused(words: str) -> bool:
            return words in gateway.log.read_text()

        assert in_force() == ("one", "all")
        first, _ = open_payment(folder, gateway.url, sandbox.url, 1)

        write("two", "every")
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: in_force() == ("two", "every"))
        second, _ = open_payment(folder, gateway.url, sandbox.url, 2)

        write("three", pattern=r"^(\d+)+$")
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: refused("routes.toml:5: rule all: the pattern cannot be used: catastroph"))
        write("two", "other")
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: refused("changed under the version 'two'"))
        assert in_force() == ("two", "every")

        # Both payments end, and remember the table that they were routed by.
        for payment_id in (first, second):
            assert final(folder, gateway.url, payment_id)["status"] == "SUCCEEDED"
        assert call(gateway.url, "GET", "/readyz").status == 200
    log = gateway.log.read_text()
    assert "routing table 'one' replaced by 'two', 1 rules, 7 issuers" in log
    assert "Traceback" not in log
    assert CODE[:6] not in log
    with sqlite3.connect(folder / "tillgate.sqlite3") as connection:
        remembered = dict(
            connection.execute("SELECT payment_request_id, routing_table FROM payment").fetchall()
        )
    connection.close()
    assert remembered == {first: "one", second: "two"}
