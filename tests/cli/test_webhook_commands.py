"""`tillgate webhook ...` against a running gateway: what it asks for, prints and exits with."""

from __future__ import annotations

import asyncio

from tests.support import API_KEY, gateway
from tillgate.cli import main

SILENT = "http://127.0.0.1:1"
URL = "http://127.0.0.1:9009/hook"


def run(tmp_path, capsys, *commands):
    """Run commands one after another; `ID` is the endpoint that the first one made."""

    async def whole():
        async with gateway(tmp_path, SILENT, webhooks_to_local=True) as api:
            file = tmp_path / "till.toml"
            file.write_text(f'gateway = "{api.url}"\napi_key = "{API_KEY}"\n')
            told = []
            for command in commands:
                made = told[0][1].split()[0] if told else ""
                words = [made if word == "ID" else word for word in command.split()]
                status = await asyncio.to_thread(main, ["webhook", *words, "--till", str(file)])
                captured = capsys.readouterr()
                told.append((status, captured.out, captured.err))
            return told

    return asyncio.run(whole())


def test_an_endpoint_from_its_making_to_its_end(tmp_path, capsys):
    told = run(
        tmp_path,
        capsys,
        f"create {URL} --events payment.succeeded,refund.failed",
        "show ID",
        "update ID --events all --description warehouse",
        "pause ID",
        "test ID",
        "resume ID",
        "test ID",
        "deliveries ID",
        "replay ID",
        "replay ID evt_unknown",
        "rotate ID --overlap 0",
        "list",
        "list --json",
        "delete ID",
        "show ID",
    )
    assert [status for status, _, _ in told] == [0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    out = [out for _, out, _ in told]
    assert "payment.succeeded,refund.failed  active" in out[1]
    assert "all  active  warehouse" in out[2]
    assert "paused (merchant)" in out[3]
    assert "webhook_endpoint_not_active" in told[4][2]
    assert "webhook.test  pending" in out[6]
    assert "webhook.test" in out[7]
    assert out[8] == "0 events\n"
    assert "webhook_event_not_found" in told[9][2]
    secrets = [each.split("not shown again: ")[1] for each in (out[0], out[10])]
    assert len(set(secrets)) == 2
    assert not any(secret.strip() in "".join(out[1:10] + out[11:]) for secret in secrets)
    assert URL in out[11]
    assert out[13] == ""
    assert "webhook_endpoint_not_found" in told[14][2]


def test_a_gateway_that_is_not_there_leaves_it_open(capsys):
    words = ["webhook", "create", URL, "--gateway", SILENT, "--api-key-file", "/dev/null"]
    assert main(words) == 3
    assert "may have been done" in capsys.readouterr().err
