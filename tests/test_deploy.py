"""What `deploy/` shows is what the programs take, and what this release listens to and stops in."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.support import API_KEY, Wallets, gateway, order, sandbox
from tests.test_transport import certificate_in
from tillgate.cli import build_parser
from tillgate.gateway import follow, webhooks
from tillgate.server import GRACE_S
from tillgate.settings import SETTINGS
from tillgate.store.postgres_url import read_postgres_url
from tillgate.workers import STOP_LIMIT_S

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"


def program(name: str) -> str:
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def kubernetes() -> dict[str, dict]:
    documents = yaml.safe_load_all((DEPLOY / "kubernetes" / "tillgate.yaml").read_text())
    return {each["kind"]: each for each in documents}


def test_haproxy_takes_its_configuration():
    places = {"DB_LISTEN": "127.0.0.1:5432"} | {f"DB{n}": f"127.0.0.{n}" for n in (1, 2, 3)}
    command = [program("haproxy"), "-c", "-f", DEPLOY / "haproxy" / "database.cfg"]
    done = subprocess.run(command, env=os.environ | places, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


async def ended(process):
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    await process.wait()


def test_behind_haproxy_a_till_pays_at_whichever_gateway_is_ready(tmp_path, postgres):
    """Over TLS; then one gateway stops, and the other one takes all of it."""
    balancer = program("haproxy")
    certificate = certificate_in(tmp_path)
    trusted = ssl.create_default_context(cafile=certificate)

    async def run():
        where = read_postgres_url(postgres.migrated())
        async with contextlib.AsyncExitStack() as stack:
            network = await stack.enter_async_context(sandbox())
            second = await stack.enter_async_context(gateway(tmp_path, network, store=where))
            first = contextlib.AsyncExitStack()
            gone = await first.enter_async_context(gateway(tmp_path, network, store=where))
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            places = {
                "LISTEN": f"127.0.0.1:{port}",
                "CERTIFICATE": str(certificate),
                "GATEWAY1": gone.url.removeprefix("http://"),
                "GATEWAY2": second.url.removeprefix("http://"),
            }
            serving = await asyncio.create_subprocess_exec(
                balancer, "-f", DEPLOY / "haproxy" / "gateways.cfg", env=os.environ | places
            )
            stack.push_async_callback(ended, serving)
            session = await stack.enter_async_context(
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted))
            )
            wallets = Wallets(network, session)
            headers = {"Authorization": f"Bearer {API_KEY}", "Prefer": "wait=10"}

            async def pay(number):
                body = order(code=await wallets.code(), order=f"order-{number}")
                for _ in range(100):
                    try:
                        async with session.post(
                            f"https://127.0.0.1:{port}/v1/payments",
                            json=body,
                            headers=headers | {"Idempotency-Key": f"key-{number}"},
                        ) as answer:
                            if answer.status < 500:
                                assert answer.headers["Strict-Transport-Security"]
                                return await answer.json()
                    except aiohttp.ClientConnectorError:
                        pass  # it does not listen yet
                    await asyncio.sleep(0.05)  # the same again with the same key, as tills do
                raise AssertionError("nobody answers")

            for number in range(4):
                payment = await pay(number)
                assert payment["status"] == "SUCCEEDED"
            await first.aclose()
            for number in range(4, 8):
                payment = await pay(number)
                assert payment["status"] == "SUCCEEDED"
                assert await wallets.debits(payment["id"]) == (1, 100)

    asyncio.run(run())


def test_systemd_takes_the_unit(tmp_path):
    unit = (DEPLOY / "systemd" / "tillgate.service").read_text()
    # Only the program is not there.
    there = unit.replace("/opt/tillgate/bin/tillgate", "/bin/true")
    (tmp_path / "tillgate.service").write_text(there)
    command = [program("systemd-analyze"), "verify", tmp_path / "tillgate.service"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Unknown" not in done.stderr


def test_a_stop_has_the_time_that_a_gateway_takes():
    unit = (DEPLOY / "systemd" / "tillgate.service").read_text()
    longest = GRACE_S + follow.STOP_GRACE_S + webhooks.STOP_GRACE_S
    assert int(re.search(r"TimeoutStopSec=(\d+)", unit)[1]) > STOP_LIMIT_S > longest
    pod = kubernetes()["Deployment"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > longest + 5


def test_a_service_is_started_until_there_is_a_primary():
    unit = (DEPLOY / "systemd" / "tillgate.service").read_text()
    assert {"Restart=always", "StartLimitIntervalSec=0", "KillMode=mixed"} <= set(unit.split())


def test_each_secret_can_be_read_by_the_user_that_runs():
    """A user that systemd makes up cannot read root's files, nor can a pod's without its group."""
    unit = (DEPLOY / "systemd" / "tillgate.service").read_text()
    for setting, file in (
        ("SEAL_KEY_FILE", "seal.key"),
        ("ALIPAY_PLUS_PRIVATE_KEY_FILE", "acquirer-private.pem"),
    ):
        assert f"LoadCredential={file}:" in unit
        assert f"Environment=TILLGATE_{setting}=%d/{file}\n" in unit
    for kind in ("Job", "Deployment"):
        pod = kubernetes()[kind]["spec"]["template"]["spec"]
        assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsUser"]


def test_no_way_into_the_database_goes_without_a_check():
    """What initdb writes itself, too: its lines come first, and they say `trust`."""
    told = yaml.safe_load((DEPLOY / "database" / "patroni.yml").read_text())["bootstrap"]
    made = {k: v for each in told["initdb"] if isinstance(each, dict) for k, v in each.items()}
    assert made["auth-local"] == "peer"
    assert made["auth-host"] == "scram-sha-256"
    assert {line.split()[-1] for line in told["pg_hba"]} == {"peer", "scram-sha-256"}


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.y*ml")), ids=lambda path: path.name)
def test_yaml_is_yaml(path):
    assert all(yaml.safe_load_all(path.read_text()))


def test_every_variable_and_command_is_one():
    known = {row.variable for row in SETTINGS} | {"TILLGATE_SETTINGS"}
    named = {
        word
        for path in DEPLOY.rglob("*")
        if path.is_file()
        for word in re.findall(r"\bTILLGATE_[A-Z_0-9]+", path.read_text())
    }
    assert named
    assert named <= known
    for kind in ("Job", "Deployment"):
        [container] = kubernetes()[kind]["spec"]["template"]["spec"]["containers"]
        build_parser().parse_args(container["args"])
    words = re.search(r"ExecStart=\S+ (.*)", (DEPLOY / "systemd" / "tillgate.service").read_text())
    build_parser().parse_args(words[1].split())


def test_probes_and_ports_are_those_of_the_gateway():
    [container] = kubernetes()["Deployment"]["spec"]["template"]["spec"]["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    defaults = {(row.section, row.name): row.default for row in SETTINGS}
    assert str(ports["tills"]) == defaults["gateway", "listen"].rpartition(":")[2]
    assert str(ports["operators"]) == defaults["admin", "listen"].rpartition(":")[2]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_the_guide_names_commands_that_there_are():
    text = (ROOT / "docs" / "operator-guide.md").read_text()
    parser = build_parser()
    commands = next(a for a in parser._actions if a.choices)
    named = set(re.findall(r"tillgate ([a-z]+)\b(?: ([a-z]+)\b)?", text))
    for name, action in named:
        assert name in commands.choices, name
        children = [a for a in commands.choices[name]._actions if a.choices and a.nargs == "A..."]
        if children and action:
            assert action in children[0].choices, (name, action)
